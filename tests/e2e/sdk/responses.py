"""The Responses API: items, streams, tools over turns, thinking, forms, what is kept, the background, faults."""

import json
from functools import partial
from typing import Any
from uuid import uuid4

import openai
from pydantic import BaseModel

from tests.e2e.sdk.site import Site, raised, simulate, wait_until

ASK = "Where do rivers end?"
PIXEL = "data:image/gif;base64,R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7"
PARIS, BOTH = "What is the weather in Paris?", "What is the weather in Paris and Tokyo?"
TELL = 'The meeting "Deltas" has 12 guests.'


def _tool(name: str, **properties: str) -> dict[str, Any]:
    schema = {
        "type": "object",
        "properties": {field: {"type": type} for field, type in properties.items()},
        "required": list(properties),
        "additionalProperties": False,
    }
    return {"type": "function", "name": name, "description": "A tool.", "parameters": schema, "strict": True}


WEATHER = _tool("get_weather", city="string")
TIME = _tool("get_time", zone="string")


class Meeting(BaseModel):
    """What the prompt tells of."""

    title: str
    guests: int


class Book(BaseModel):
    """Book a journey."""

    city: str
    nights: int


def _made(site: Site, input: Any = ASK, **options: Any) -> Any:
    return site.client().responses.create(model=site.model, input=input, **options)


def _calls(response: Any) -> list[Any]:
    return [item for item in response.output if item.type == "function_call"]


def _over(site: Site, id: str) -> Any:
    wait_until(
        lambda: site.client().responses.retrieve(id).status not in {"queued", "in_progress"}, "the end of the response"
    )
    return site.client().responses.retrieve(id)


def check_text(site: Site) -> None:
    """A response has its text, its model, its counts and its status, and says again what it was asked with."""
    got = _made(site, instructions="Be brief.", temperature=0.5, metadata={"a": "b"}, user="me")

    assert ASK in got.output_text
    assert (got.object, got.status, got.model, got.error) == ("response", "completed", site.model, None)
    assert got.id.startswith("resp_")
    assert got.usage.total_tokens == got.usage.input_tokens + got.usage.output_tokens > 0
    assert (got.instructions, got.temperature, got.metadata, got.user) == ("Be brief.", 0.5, {"a": "b"}, "me")
    assert got._request_id


def check_items(site: Site) -> None:
    """A conversation may be sent as items: system, developer, user and assistant, with parts of each kind."""
    items = [
        {"role": "developer", "content": "Be brief."},
        {"role": "user", "content": "Where do rivers begin?"},
        {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "In the hills."}]},
        {
            "role": "user",
            "content": [
                {"type": "input_text", "text": "And these?"},
                {"type": "input_image", "image_url": PIXEL, "detail": "low"},
                {"type": "input_image", "image_url": "https://example.com/river.png", "detail": "auto"},
                {"type": "input_file", "filename": "a.txt", "file_data": "data:text/plain;base64,QUJD"},
            ],
        },
    ]
    text = _made(site, items).output_text

    assert "And these?" in text
    assert "You sent 2 images and 1 file." in text


def check_streamed_text(site: Site) -> None:
    """The pieces of a stream are the text of its last event and of the whole answer; its numbers rise by one."""
    whole = _made(site)
    events = list(_made(site, stream=True))
    kinds = [event.type for event in events]
    deltas = "".join(event.delta for event in events if event.type == "response.output_text.delta")

    assert [event.sequence_number for event in events] == list(range(len(events)))
    assert kinds[:4] == [
        "response.created",
        "response.in_progress",
        "response.output_item.added",
        "response.content_part.added",
    ]
    assert kinds[-4:] == [
        "response.output_text.done",
        "response.content_part.done",
        "response.output_item.done",
        "response.completed",
    ]
    assert deltas == events[-1].response.output_text == whole.output_text
    assert events[-1].response.usage.output_tokens == whole.usage.output_tokens
    assert len({event.response.id for event in events if hasattr(event, "response")}) == 1


def check_streaming_helper(site: Site) -> None:
    """`.stream()` gives snapshots that grow, and the final response with its text."""
    with site.client().responses.stream(model=site.model, input=ASK) as stream:
        events = list(stream)
        final = stream.get_final_response()
    snapshots = [event.snapshot for event in events if event.type == "response.output_text.delta"]

    assert snapshots == sorted(snapshots, key=len)
    assert snapshots[-1] == final.output_text
    assert ASK in final.output_text


def check_tools_over_several_turns(site: Site) -> None:
    """Two cities are two calls with ids of their own; their results, sent with the response's id alone, are told."""
    first = _made(site, BOTH, tools=[WEATHER])
    calls = _calls(first)
    assert [json.loads(call.arguments) for call in calls] == [{"city": "Paris"}, {"city": "Tokyo"}]
    assert len({call.call_id for call in calls}) == len({call.id for call in calls}) == 2
    results = [
        {"type": "function_call_output", "call_id": call.call_id, "output": f"{degrees} degrees"}
        for call, degrees in zip(calls, (18, 25), strict=True)
    ]
    then = _made(site, results, tools=[WEATHER], previous_response_id=first.id)
    assert "18 degrees" in then.output_text
    assert "25 degrees" in then.output_text
    asked = [{"role": "user", "content": BOTH}, *first.output, *results]
    assert _made(site, asked, tools=[WEATHER], store=False).output_text == then.output_text
    last = _made(site, "And in Lima?", tools=[WEATHER], previous_response_id=then.id)
    assert [json.loads(call.arguments) for call in _calls(last)] == [{"city": "Lima"}]
    assert len(_calls(_made(site, BOTH, tools=[WEATHER], parallel_tool_calls=False))) == 1


def check_tool_choices(site: Site) -> None:
    """`none` gives text; `auto`, `required`, a named function and allowed tools give the call that they ask for."""

    def called(choice: object) -> list[str]:
        return [call.name for call in _calls(_made(site, PARIS, tools=[WEATHER, TIME], tool_choice=choice))]

    named = {"type": "function", "name": "get_time"}
    assert called("none") == []
    assert called("auto") == ["get_weather"]
    assert called("required") == ["get_weather"]
    assert called(named) == ["get_time"]
    assert called({"type": "allowed_tools", "mode": "required", "tools": [named]}) == ["get_time"]


def check_streamed_calls(site: Site) -> None:
    """Calls come piece by piece, each under its own item, and add up to the whole answer's calls."""
    whole = _calls(_made(site, BOTH, tools=[WEATHER]))
    pieces: dict[str, list[str]] = {}
    done: list[tuple[str, str]] = []
    for event in _made(site, BOTH, tools=[WEATHER], stream=True):
        if event.type == "response.function_call_arguments.delta":
            pieces.setdefault(event.item_id, []).append(event.delta)
        elif event.type == "response.output_item.done":
            done.append((event.item.name, event.item.arguments))

    assert done == [(call.name, call.arguments) for call in whole]
    assert ["".join(grown) for grown in pieces.values()] == [call.arguments for call in whole]
    assert all(len(grown) > 1 for grown in pieces.values())


def check_thinking(site: Site) -> None:
    """Thoughts are an item before the answer, whole and streamed; with `summary` they are told as the summary."""
    asked: dict[str, Any] = {"reasoning": {"effort": "high"}}
    whole = _made(site, **asked)
    events = list(_made(site, stream=True, **asked))
    summed = _made(site, reasoning={"effort": "high", "summary": "auto"})
    streamed = "".join(event.delta for event in events if event.type == "response.reasoning_text.delta")

    assert [item.type for item in whole.output] == ["reasoning", "message"]
    assert "I am simulated" in whole.output[0].content[0].text
    assert streamed == whole.output[0].content[0].text == summed.output[0].summary[0].text
    assert whole.usage.output_tokens_details.reasoning_tokens > 0
    kinds = [event.type for event in _made(site, stream=True, reasoning={"effort": "high", "summary": "auto"})]
    assert kinds.index("response.reasoning_summary_part.added") < kinds.index("response.reasoning_summary_text.delta")
    assert kinds.index("response.reasoning_summary_part.done") < kinds.index("response.output_text.delta")


def check_thoughts_come_back(site: Site) -> None:
    """Encrypted thoughts are given where they are included, and are taken back by a request that keeps nothing."""
    asked: dict[str, Any] = {"reasoning": {"effort": "high"}, "store": False}
    plain = _made(site, **asked)
    sealed = _made(site, include=["reasoning.encrypted_content"], **asked)
    then = _made(site, [{"role": "user", "content": ASK}, *sealed.output, {"role": "user", "content": "Why?"}], **asked)

    assert plain.output[0].encrypted_content is None
    assert sealed.output[0].encrypted_content
    assert "Why?" in then.output_text


def check_logprobs(site: Site) -> None:
    """Logprobs are told where they are included, and make up the text."""
    got = _made(site, include=["message.output_text.logprobs"], top_logprobs=2)
    (part,) = got.output[0].content

    assert "".join(token.token for token in part.logprobs) == part.text
    assert all(len(token.top_logprobs) <= 2 for token in part.logprobs)
    assert not _made(site).output[0].content[0].logprobs


def check_forms(site: Site) -> None:
    """`json_object` gives an object and a schema is satisfied, by hand and by `.parse()`, whole and streamed."""
    plain = _made(site, TELL, text={"format": {"type": "json_object"}})
    assert isinstance(json.loads(plain.output_text), dict)
    asked: dict[str, Any] = {"model": site.model, "input": TELL, "text_format": Meeting}
    got = site.client().responses.parse(**asked)
    with site.client().responses.stream(**asked) as stream:
        final = stream.get_final_response()

    assert got.output_parsed == final.output_parsed == Meeting(title="Deltas", guests=12)
    assert got.text.format.name == "Meeting"


def check_parsed_calls(site: Site) -> None:
    """`.parse()` turns the arguments of a pydantic tool into its model."""
    tools = [openai.pydantic_function_tool(Book)]
    got = site.client().responses.parse(model=site.model, input="Book 3 nights in Lisbon.", tools=tools)

    assert _calls(got)[0].parsed_arguments == Book(city="Lisbon", nights=3)


def check_a_limit(site: Site) -> None:
    """An answer that is cut by `max_output_tokens` is incomplete, says so, and can be gone on from."""
    got = _made(site, max_output_tokens=3)
    last = list(_made(site, max_output_tokens=3, stream=True))[-1]

    assert (got.status, got.incomplete_details.reason) == ("incomplete", "max_output_tokens")
    assert got.usage.output_tokens == 3
    assert (last.type, last.response.status) == ("response.incomplete", "incomplete")
    assert _made(site, "Go on.", previous_response_id=got.id).status == "completed"


def check_kept(site: Site) -> None:
    """A kept response is retrieved as it was, lists what was asked, is gone on from, and is unknown once deleted."""
    client = site.client()
    first = _made(site)
    then = _made(site, "And lakes?", previous_response_id=first.id)
    asked = [item.content[0].text for item in client.responses.input_items.list(then.id)]

    assert client.responses.retrieve(then.id) == then
    assert then.previous_response_id == first.id
    assert then.usage.input_tokens > first.usage.input_tokens
    assert asked == ["And lakes?"]
    client.responses.delete(first.id)
    error = raised(openai.NotFoundError, lambda: client.responses.retrieve(first.id))
    assert error.type == "invalid_request_error"
    assert _made(site, "And seas?", previous_response_id=then.id).status == "completed"
    error = raised(openai.NotFoundError, lambda: _made(site, "x", previous_response_id=first.id))
    assert (error.param, error.code) == ("previous_response_id", "previous_response_not_found")


def check_paged_items(site: Site) -> None:
    """What was asked in many items comes in pages, which the SDK joins, in either order."""
    items = [{"role": "user", "content": f"question {number}"} for number in range(7)]
    listing = site.client().responses.input_items
    made = _made(site, items)
    pages = {
        order: [item.content[0].text for item in listing.list(made.id, limit=3, order=order)]
        for order in ("asc", "desc")
    }

    assert pages["asc"] == [item["content"] for item in items] == pages["desc"][::-1]


def check_background(site: Site) -> None:
    """A response in the background is queued at once, is made, is gone on from, and is streamed from any event on."""
    client = site.client()
    queued = _made(site, background=True)
    assert (queued.status, queued.background, queued.output) == ("queued", True, [])
    got = _over(site, queued.id)
    assert (got.status, got.id) == ("completed", queued.id)
    assert ASK in got.output_text
    assert _made(site, "And then?", previous_response_id=got.id).usage.input_tokens > got.usage.input_tokens
    events = list(client.responses.retrieve(queued.id, stream=True))
    later = list(client.responses.retrieve(queued.id, stream=True, starting_after=4))
    assert [event.sequence_number for event in events] == list(range(len(events)))
    assert [event.type for event in events[:3]] == ["response.created", "response.queued", "response.in_progress"]
    assert events[-1].response == got
    assert later == events[5:]


def check_background_streamed(site: Site) -> None:
    """A stream in the background that is left goes on without its reader, who finds the rest by the number it has."""
    client = site.client()
    stream = _made(site, background=True, stream=True, extra_headers=simulate(pace=0.01))
    first = [next(stream) for _ in range(6)]
    stream.close()
    id = first[0].response.id
    rest = list(client.responses.retrieve(id, stream=True, starting_after=first[-1].sequence_number))

    assert [event.sequence_number for event in first + rest] == list(range(6 + len(rest)))
    assert rest[-1].type == "response.completed"
    assert rest[-1].response.output_text == "".join(
        event.delta for event in first + rest if event.type == "response.output_text.delta"
    )


def check_cancelled(site: Site) -> None:
    """A response in the background is cancelled, twice with one result; one that was waited for is not."""
    client = site.client()
    endless = _made(site, background=True, extra_headers=simulate(endless=1, pace=0.01))
    got = client.responses.cancel(endless.id)

    assert (got.status, got.id) == ("cancelled", endless.id)
    assert client.responses.cancel(endless.id) == client.responses.retrieve(endless.id) == got
    made = _made(site)
    raised(openai.BadRequestError, lambda: client.responses.cancel(made.id))


def check_failed(site: Site) -> None:
    """What the upstream refuses fails in the background with its words, and is raised where it is waited for."""
    refused = simulate(status=400)
    got = _over(site, _made(site, background=True, extra_headers=refused).id)

    assert (got.status, got.error.code) == ("failed", "server_error")
    assert "400" in got.error.message
    raised(openai.BadRequestError, lambda: _made(site, extra_headers=refused))


def check_broken_stream(site: Site) -> None:
    """A stream that breaks ends with `response.failed`, its error and what came before; nobody finds that response."""
    events = list(_made(site, ASK * 5, stream=True, extra_headers=simulate(cut=8)))
    failed = events[-1].response

    assert (events[-1].type, failed.status, failed.error.code) == ("response.failed", "failed", "server_error")
    assert failed.output_text
    raised(openai.NotFoundError, lambda: site.client().responses.retrieve(failed.id))


def check_bad_requests(site: Site) -> None:
    """What is wrong, or only OpenAI's own, is BadRequest and names the field; other faults have their classes."""
    for field, options in (
        ("input", {"input": [{"role": "king", "content": "x"}]}),
        ("tools[0].type", {"tools": [{"type": "web_search"}]}),
        ("tool_choice", {"tool_choice": "often"}),
        ("temperature", {"temperature": 9}),
        ("max_output_tokens", {"max_output_tokens": 0}),
        ("conversation", {"conversation": "conv_1"}),
        ("background", {"background": True, "store": False}),
    ):
        asked: dict[str, Any] = {"model": site.model, "input": ASK, **options}
        error = raised(openai.BadRequestError, partial(site.client().responses.create, **asked))
        assert error.param.startswith(field)
        assert error.type == "invalid_request_error"
    wrong = site.client(api_key="wrong")
    raised(openai.AuthenticationError, lambda: wrong.responses.create(model=site.model, input=ASK))
    raised(openai.AuthenticationError, lambda: wrong.responses.retrieve("resp_x"))
    if site.setup != "simulated":
        error = raised(openai.NotFoundError, lambda: site.client().responses.create(model="no-such", input=ASK))
        assert error.code == "model_not_found"


def check_somebody_elses(site: Site) -> None:
    """Another key does not find a response."""
    made = _made(site)
    other = site.client(api_key=site.fenced_key)

    raised(openai.NotFoundError, lambda: other.responses.retrieve(made.id))
    raised(openai.NotFoundError, lambda: other.responses.delete(made.id))
    assert site.client().responses.retrieve(made.id) == made


async def check_async(site: Site) -> None:
    """The asynchronous client makes, streams, parses, keeps and follows as the other does."""
    asked: dict[str, Any] = {"model": site.model, "input": TELL}
    async with site.async_client() as client:
        whole = await client.responses.create(**asked)
        stream = await client.responses.create(**asked, stream=True)
        deltas = [event.delta async for event in stream if event.type == "response.output_text.delta"]
        parsed = await client.responses.parse(**asked, text_format=Meeting)
        again = await client.responses.retrieve(whole.id)
        queued = await client.responses.create(**asked, background=True, metadata={"id": uuid4().hex})
        follow = await client.responses.retrieve(queued.id, stream=True)
        events = [event async for event in follow]

    assert "".join(deltas) == whole.output_text
    assert again == whole
    assert parsed.output_parsed == Meeting(title="Deltas", guests=12)
    assert events[-1].type == "response.completed"
