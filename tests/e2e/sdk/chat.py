"""Chat: text, streams, and everything that changes what is said."""

from typing import Any

from tests.e2e.sdk.site import HELLO, Site, simulate, wait_until

PIXEL = "data:image/gif;base64,R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7"
SOUND = "UklGRiQAAABXQVZFZm10IBAAAAABAAEAQB8AAEAfAAABAAgAZGF0YQAAAAA="
PAGES = "data:application/pdf;base64,JVBERi0xLjQKJSVFT0YK"


def _texts(chunks: list[Any], index: int = 0) -> str:
    return "".join(choice.delta.content or "" for chunk in chunks for choice in chunk.choices if choice.index == index)


def check_text(site: Site) -> None:
    """A question is answered under the public name, with an id, a role, an end and usage that adds up."""
    got = site.client().chat.completions.create(model=site.model, messages=HELLO)

    assert got.object == "chat.completion"
    assert got.id.startswith("chatcmpl-")
    assert got.model == site.model
    assert got.created > 0
    (choice,) = got.choices
    assert (choice.index, choice.finish_reason, choice.message.role) == (0, "stop", "assistant")
    assert "Where do rivers end?" in choice.message.content
    assert choice.message.tool_calls is None
    assert choice.message.refusal is None
    assert got.usage.prompt_tokens == 4
    assert got.usage.total_tokens == got.usage.prompt_tokens + got.usage.completion_tokens


def check_request_id(site: Site) -> None:
    """The answer's `_request_id` is the header's, and a caller's own id is kept."""
    client = site.client()

    raw = client.chat.completions.with_raw_response.create(model=site.model, messages=HELLO)
    assert raw.headers["content-type"].startswith("application/json")
    assert raw.status_code == 200
    assert raw.parse()._request_id == raw.headers["x-request-id"]
    own = client.chat.completions.create(model=site.model, messages=HELLO, extra_headers={"X-Request-ID": "mine-1"})
    assert own._request_id == "mine-1"


def check_roles(site: Site) -> None:
    """System, developer and assistant turns, names and content in parts are understood."""
    got = site.client().chat.completions.create(
        model=site.model,
        messages=[
            {"role": "system", "content": "Be brief."},
            {"role": "developer", "content": [{"type": "text", "text": "In English."}]},
            {"role": "user", "name": "ana", "content": "Hello"},
            {"role": "assistant", "content": "Hello, Ana."},
            {"role": "user", "content": [{"type": "text", "text": "And the"}, {"type": "text", "text": "sea?"}]},
        ],
    )

    assert "And the sea?" in got.choices[0].message.content


def check_other_scripts(site: Site) -> None:
    """Text beyond the basic plane comes back as it went, whole and streamed."""
    said = "águas 模型 🏞️ \u2028 \\u0000 é"
    messages = [{"role": "user", "content": said}]
    client = site.client()

    whole = client.chat.completions.create(model=site.model, messages=messages).choices[0].message.content
    chunks = list(client.chat.completions.create(model=site.model, messages=messages, stream=True))
    assert said in whole
    assert _texts(chunks) == whole


def check_long_prompt(site: Site) -> None:
    """A prompt of a million characters is counted, not refused."""
    got = site.client().chat.completions.create(
        model=site.model, messages=[{"role": "user", "content": "river " * 170_000}]
    )

    assert got.usage.prompt_tokens >= 170_000


def check_stream(site: Site) -> None:
    """Streamed and whole answers are the same text; chunks share id, time and public model; no usage unasked."""
    client = site.client()
    whole = client.chat.completions.create(model=site.model, messages=HELLO)
    chunks = list(client.chat.completions.create(model=site.model, messages=HELLO, stream=True))

    assert len(chunks) > 5
    assert {chunk.object for chunk in chunks} == {"chat.completion.chunk"}
    assert {chunk.model for chunk in chunks} == {site.model}
    assert len({(chunk.id, chunk.created) for chunk in chunks}) == 1
    assert chunks[0].choices[0].delta.role == "assistant"
    assert [chunk.choices[0].finish_reason for chunk in chunks if chunk.choices][-1] == "stop"
    assert sum(1 for chunk in chunks for choice in chunk.choices if choice.finish_reason) == 1
    assert _texts(chunks) == whole.choices[0].message.content
    assert all(chunk.usage is None for chunk in chunks)
    assert all(chunk.choices for chunk in chunks)


def check_stream_usage(site: Site) -> None:
    """With `include_usage` the last chunk has no choices and the usage of the whole answer; the others have none."""
    client = site.client()
    whole = client.chat.completions.create(model=site.model, messages=HELLO)
    chunks = list(
        client.chat.completions.create(
            model=site.model, messages=HELLO, stream=True, stream_options={"include_usage": True}
        )
    )

    assert chunks[-1].choices == []
    assert chunks[-1].usage.total_tokens == whole.usage.total_tokens
    assert chunks[-1].usage.prompt_tokens == whole.usage.prompt_tokens
    assert all(chunk.usage is None for chunk in chunks[:-1])


def check_stream_helper(site: Site) -> None:
    """`.stream()` tells the content as it grows and ends with the whole completion."""
    with site.client().chat.completions.stream(
        model=site.model, messages=HELLO, stream_options={"include_usage": True}
    ) as stream:
        events = list(stream)
        final = stream.get_final_completion()

    grown = "".join(event.delta for event in events if event.type == "content.delta")
    done = [event.content for event in events if event.type == "content.done"]
    assert done == [grown]
    assert final.choices[0].message.content == grown
    assert final.usage.total_tokens > 0
    assert final.model == site.model


def check_several_choices(site: Site) -> None:
    """`n` gives so many different choices, each with its index, whole and streamed."""
    client = site.client()
    whole = client.chat.completions.create(model=site.model, messages=HELLO, n=3)
    chunks = list(client.chat.completions.create(model=site.model, messages=HELLO, n=3, stream=True))

    assert [choice.index for choice in whole.choices] == [0, 1, 2]
    assert len({choice.message.content for choice in whole.choices}) == 3
    assert [_texts(chunks, index) for index in range(3)] == [choice.message.content for choice in whole.choices]


def check_stop(site: Site) -> None:
    """The answer ends before a stop string, given alone or in a list."""
    client = site.client()

    for stop in ("simulated", ["never", "simulated"]):
        (choice,) = client.chat.completions.create(model=site.model, messages=HELLO, stop=stop).choices
        assert choice.message.content == "This is Foz's "
        assert choice.finish_reason == "stop"


def check_seed(site: Site) -> None:
    """The same seed gives the same answer; among several seeds some answers differ."""
    client = site.client()

    def say(seed: int) -> str:
        got = client.chat.completions.create(model=site.model, messages=HELLO, seed=seed, temperature=0.5, top_p=0.9)
        return str(got.choices[0].message.content)

    assert say(7) == say(7)
    assert len({say(seed) for seed in range(5)}) > 1


def check_length(site: Site) -> None:
    """`max_tokens` and `max_completion_tokens` end the answer there, with `length`."""
    client = site.client()

    for limit in ({"max_tokens": 3}, {"max_completion_tokens": 3}):
        got = client.chat.completions.create(model=site.model, messages=HELLO, **limit)
        assert got.choices[0].finish_reason == "length"
        assert got.usage.completion_tokens == 3


def check_logprobs(site: Site) -> None:
    """Each token has its logprob and so many alternatives as asked, whole and streamed alike."""
    client = site.client()
    asked: dict[str, Any] = {"model": site.model, "messages": HELLO, "logprobs": True, "top_logprobs": 2}
    whole = client.chat.completions.create(**asked).choices[0]
    chunks = list(client.chat.completions.create(**asked, stream=True))

    tokens = whole.logprobs.content
    assert "".join(token.token for token in tokens) == whole.message.content
    assert all(token.logprob <= 0 and len(token.top_logprobs) == 2 for token in tokens)
    assert bytes(tokens[0].bytes).decode() == tokens[0].token
    streamed = [
        token
        for chunk in chunks
        for choice in chunk.choices
        if choice.logprobs and choice.logprobs.content
        for token in choice.logprobs.content
    ]
    assert [token.logprob for token in streamed] == [token.logprob for token in tokens]


def check_no_logprobs_unasked(site: Site) -> None:
    """Without `logprobs` there are none."""
    got = site.client().chat.completions.create(model=site.model, messages=HELLO)

    assert got.choices[0].logprobs is None


def check_reasoning(site: Site) -> None:
    """Reasoning is asked for by effort, comes back beside the text, and is counted, whole and streamed."""
    client = site.client()
    asked: dict[str, Any] = {"model": site.model, "messages": HELLO, "reasoning_effort": "high"}
    whole = client.chat.completions.create(**asked)
    chunks = list(client.chat.completions.create(**asked, stream=True))

    message = whole.choices[0].message
    assert "I am simulated" in message.reasoning_content
    assert "I am simulated" not in message.content
    assert whole.usage.completion_tokens_details.reasoning_tokens > 0
    streamed = "".join(
        (choice.delta.model_extra or {}).get("reasoning_content") or "" for chunk in chunks for choice in chunk.choices
    )
    assert streamed == message.reasoning_content
    assert _texts(chunks) == message.content
    again = [*HELLO, message.model_dump(exclude_none=True), {"role": "user", "content": "And then?"}]
    assert "And then?" in client.chat.completions.create(model=site.model, messages=again).choices[0].message.content


def check_media(site: Site) -> None:
    """Images, by address and inline, sounds and files reach the model."""
    parts = [
        {"type": "text", "text": "What is this?"},
        {"type": "image_url", "image_url": {"url": PIXEL, "detail": "low"}},
        {"type": "image_url", "image_url": {"url": "https://example.com/river.png"}},
        {"type": "input_audio", "input_audio": {"data": SOUND, "format": "wav"}},
        {"type": "file", "file": {"file_data": PAGES, "filename": "a.pdf"}},
    ]
    got = site.client().chat.completions.create(model=site.model, messages=[{"role": "user", "content": parts}])

    assert "You sent 2 images, 1 sound and 1 file." in got.choices[0].message.content


def check_other_fields(site: Site) -> None:
    """OpenAI's other fields, and ones that nobody knows, do not hinder an answer."""
    got = site.client().chat.completions.create(
        model=site.model,
        messages=HELLO,
        user="ana",
        metadata={"a": "b"},
        store=False,
        service_tier="auto",
        frequency_penalty=0.5,
        presence_penalty=-0.5,
        logit_bias={"50256": -100},
        prompt_cache_key="k",
        safety_identifier="s",
        verbosity="low",
        extra_body={"x_unknown": {"deep": [1, 2.5, None]}, "top_k": 4},
    )

    assert got.choices[0].finish_reason == "stop"


def check_streaming_response(site: Site) -> None:
    """`with_streaming_response` gives the bytes as they are: event frames that end with [DONE]."""
    client = site.client()
    with client.chat.completions.with_streaming_response.create(
        model=site.model, messages=HELLO, stream=True
    ) as response:
        assert response.headers["content-type"].startswith("text/event-stream")
        lines = [line for line in response.iter_lines() if line]
    with client.chat.completions.with_streaming_response.create(model=site.model, messages=HELLO) as response:
        whole = response.parse()

    assert all(line.startswith("data: ") for line in lines)
    assert lines[-1] == "data: [DONE]"
    assert "rivers" in whole.choices[0].message.content


def check_leaving_a_stream(site: Site) -> None:
    """A stream that is closed early is cancelled at the upstream, and the next call is answered."""
    client = site.client()
    stream = client.chat.completions.create(
        model=site.model, messages=HELLO, stream=True, extra_headers=simulate(endless=1, pace=0.01)
    )
    id = stream.response.headers["x-request-id"]
    for _ in range(5):
        next(stream)
    stream.close()

    if site.upstream_url:
        wait_until(lambda: any(cut["request_id"] == id for cut in site.seen()["cut"]), "the upstream to see it")
    assert client.chat.completions.create(model=site.model, messages=HELLO).choices
