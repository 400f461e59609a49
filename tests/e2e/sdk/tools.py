"""Tools: calls, several turns, parallel calls, every form of `tool_choice`, streamed arguments."""

import json
from typing import Any

import openai
from pydantic import BaseModel

from tests.e2e.sdk.site import Site, raised


def _tool(name: str, **properties: str) -> dict[str, Any]:
    schema = {
        "type": "object",
        "properties": {field: {"type": type} for field, type in properties.items()},
        "required": list(properties),
        "additionalProperties": False,
    }
    return {"type": "function", "function": {"name": name, "description": "A tool.", "parameters": schema}}


WEATHER = _tool("get_weather", city="string")
TIME = _tool("get_time", zone="string")
PARIS = [{"role": "user", "content": "What is the weather in Paris?"}]
BOTH = [{"role": "user", "content": "What is the weather in Paris and Tokyo?"}]


class Book(BaseModel):
    """Book a journey."""

    city: str
    nights: int


def check_call_and_result(site: Site) -> None:
    """A tool is called with the city of the prompt, and the next turn tells its result."""
    client = site.client()
    first = client.chat.completions.create(model=site.model, messages=PARIS, tools=[WEATHER]).choices[0]

    assert first.finish_reason == "tool_calls"
    assert first.message.content is None
    (call,) = first.message.tool_calls
    assert (call.type, call.function.name) == ("function", "get_weather")
    assert json.loads(call.function.arguments) == {"city": "Paris"}
    result = {"role": "tool", "tool_call_id": call.id, "content": "18 degrees"}
    then = client.chat.completions.create(model=site.model, messages=[*PARIS, first.message, result], tools=[WEATHER])
    assert then.choices[0].finish_reason == "stop"
    assert "get_weather answered: 18 degrees" in then.choices[0].message.content


def check_several_turns(site: Site) -> None:
    """A conversation goes on after its tools: result, text, another question, another call."""
    client = site.client()
    messages: list[Any] = list(PARIS)
    for question, answer in (("And in Tokyo?", "18"), ("And in Lima?", "25")):
        said = client.chat.completions.create(model=site.model, messages=messages, tools=[WEATHER]).choices[0].message
        messages += [said, {"role": "tool", "tool_call_id": said.tool_calls[0].id, "content": answer}]
        told = client.chat.completions.create(model=site.model, messages=messages, tools=[WEATHER]).choices[0].message
        assert answer in told.content
        messages += [told, {"role": "user", "content": question}]

    last = client.chat.completions.create(model=site.model, messages=messages, tools=[WEATHER]).choices[0].message
    assert json.loads(last.tool_calls[0].function.arguments) == {"city": "Lima"}


def check_parallel_calls(site: Site) -> None:
    """Two cities are two calls with ids of their own, and both results are told; not in parallel, it is one."""
    client = site.client()
    message = client.chat.completions.create(model=site.model, messages=BOTH, tools=[WEATHER]).choices[0].message

    assert [json.loads(call.function.arguments)["city"] for call in message.tool_calls] == ["Paris", "Tokyo"]
    assert len({call.id for call in message.tool_calls}) == 2
    results = [
        {"role": "tool", "tool_call_id": call.id, "content": f"{degrees} degrees"}
        for call, degrees in zip(message.tool_calls, (18, 25), strict=True)
    ]
    then = client.chat.completions.create(model=site.model, messages=[*BOTH, message, *results], tools=[WEATHER])
    assert "18 degrees" in then.choices[0].message.content
    assert "25 degrees" in then.choices[0].message.content
    alone = client.chat.completions.create(model=site.model, messages=BOTH, tools=[WEATHER], parallel_tool_calls=False)
    assert len(alone.choices[0].message.tool_calls) == 1


def check_tool_choices(site: Site) -> None:
    """`none` gives text; `auto`, `required`, a named function and allowed tools give the call that they ask for."""
    client = site.client()

    def called(choice: object) -> list[str]:
        got = client.chat.completions.create(
            model=site.model, messages=PARIS, tools=[WEATHER, TIME], tool_choice=choice
        )
        return [call.function.name for call in got.choices[0].message.tool_calls or []]

    named = {"type": "function", "function": {"name": "get_time"}}
    assert called("none") == []
    assert called("auto") == ["get_weather"]
    assert called("required") == ["get_weather"]
    assert called(named) == ["get_time"]
    allowed = {"type": "allowed_tools", "allowed_tools": {"mode": "required", "tools": [named]}}
    assert called(allowed) == ["get_time"]


def check_streamed_calls(site: Site) -> None:
    """Streamed calls, joined by index, are the whole answer's calls; id and name come once, first."""
    client = site.client()
    whole = client.chat.completions.create(model=site.model, messages=BOTH, tools=[WEATHER]).choices[0].message
    joined: dict[int, dict[str, str]] = {}
    reasons = []
    for chunk in client.chat.completions.create(model=site.model, messages=BOTH, tools=[WEATHER], stream=True):
        for choice in chunk.choices:
            reasons.append(choice.finish_reason)
            for delta in choice.delta.tool_calls or []:
                if delta.index not in joined:
                    assert delta.id
                    assert delta.type == "function"
                    joined[delta.index] = {"id": delta.id, "name": delta.function.name, "arguments": ""}
                else:
                    assert delta.id is None
                    assert delta.function.name is None
                joined[delta.index]["arguments"] += delta.function.arguments or ""

    assert [reason for reason in reasons if reason] == ["tool_calls"]
    assert [joined[index] for index in sorted(joined)] == [
        {"id": call.id, "name": call.function.name, "arguments": call.function.arguments} for call in whole.tool_calls
    ]


def check_parsed_calls(site: Site) -> None:
    """`.parse()` and `.stream()` turn the arguments of a pydantic tool into its model."""
    client = site.client()
    messages = [{"role": "user", "content": "Book 3 nights in Lisbon."}]
    tools = [openai.pydantic_function_tool(Book)]
    got = client.chat.completions.parse(model=site.model, messages=messages, tools=tools)
    with client.chat.completions.stream(model=site.model, messages=messages, tools=tools) as stream:
        events = list(stream)
        final = stream.get_final_completion()

    booked = got.choices[0].message.tool_calls[0].function.parsed_arguments
    assert booked == Book(city="Lisbon", nights=3)
    assert final.choices[0].message.tool_calls[0].function.parsed_arguments == booked
    done = [event for event in events if event.type == "tool_calls.function.arguments.done"]
    assert [json.loads(event.arguments) for event in done] == [{"city": "Lisbon", "nights": 3}]


def check_legacy_functions(site: Site) -> None:
    """`functions` of old programs are answered with `function_call`, and take its result."""
    client = site.client()
    functions = [WEATHER["function"]]
    first = client.chat.completions.create(model=site.model, messages=PARIS, functions=functions).choices[0]

    assert first.finish_reason == "function_call"
    assert first.message.function_call.name == "get_weather"
    assert json.loads(first.message.function_call.arguments) == {"city": "Paris"}
    result = {"role": "function", "name": "get_weather", "content": "18 degrees"}
    said = {"role": "assistant", "content": None, "function_call": first.message.function_call}
    then = client.chat.completions.create(model=site.model, messages=[*PARIS, said, result], functions=functions)
    assert "18 degrees" in then.choices[0].message.content


def check_calls_cut_short(site: Site) -> None:
    """A limit within the arguments ends with `length`, and `.parse()` says so instead of parsing half of them."""
    client = site.client()
    asked: dict[str, Any] = {"model": site.model, "messages": PARIS, "tools": [WEATHER], "max_tokens": 1}

    assert client.chat.completions.create(**asked).choices[0].finish_reason == "length"
    error = raised(
        openai.LengthFinishReasonError,
        lambda: client.chat.completions.parse(**{**asked, "tools": [openai.pydantic_function_tool(Book)]}),
    )
    assert error.completion.model == site.model
