"""Tools: called once or several at once, streamed, over several turns."""

import json
from typing import Any

import anthropic

from tests.e2e.sdk_anthropic.site import Site

WEATHER = {
    "name": "weather",
    "description": "The weather of a city.",
    "input_schema": {
        "type": "object",
        "properties": {"city": {"type": "string"}, "days": {"type": "integer"}},
        "required": ["city", "days"],
    },
}
ONE: list[dict[str, Any]] = [{"role": "user", "content": "How is the weather in Lisbon?"}]
TWO: list[dict[str, Any]] = [{"role": "user", "content": "How is the weather in Lisbon and Porto?"}]


def check_call(site: Site) -> None:
    """A call has an id, a name and an object; the answer ends for it, and integers stay integers."""
    got = site.ask(messages=ONE, tools=[WEATHER])
    (call,) = [block for block in got.content if block.type == "tool_use"]

    assert got.stop_reason == "tool_use"
    assert (call.name, call.input["city"]) == ("weather", "Lisbon")
    assert type(call.input["days"]) is int
    assert call.id


def check_choices(site: Site) -> None:
    """`any` and `tool` make it call, `none` keeps it from calling, one at a time where several are not wanted."""
    rivers: list[dict[str, Any]] = [{"role": "user", "content": "Where do rivers end?"}]
    for choice in ({"type": "any"}, {"type": "tool", "name": "weather"}):
        assert site.ask(messages=rivers, tools=[WEATHER], tool_choice=choice).stop_reason == "tool_use"
    assert site.ask(messages=ONE, tools=[WEATHER], tool_choice={"type": "none"}).stop_reason == "end_turn"
    alone = {"type": "auto", "disable_parallel_tool_use": True}
    got = site.ask(messages=TWO, tools=[WEATHER], tool_choice=alone)
    assert sum(block.type == "tool_use" for block in got.content) == 1


def check_stream_of_calls(site: Site) -> None:
    """Calls come piece by piece, their arguments growing, apart from each other, and are what they are whole."""
    whole = [block for block in site.ask(messages=TWO, tools=[WEATHER]).content if block.type == "tool_use"]
    pieces: dict[int, list[str]] = {}
    with site.stream(messages=TWO, tools=[WEATHER]) as stream:
        for event in stream:
            if event.type == "content_block_delta" and event.delta.type == "input_json_delta":
                pieces.setdefault(event.index, []).append(event.delta.partial_json)
        final = stream.get_final_message()
    calls = [block for block in final.content if block.type == "tool_use"]

    assert [call.input["city"] for call in calls] == ["Lisbon", "Porto"]
    assert [(call.name, call.input) for call in calls] == [(call.name, call.input) for call in whole]
    assert len({call.id for call in calls}) == 2
    assert all(len(said) > 1 for said in pieces.values())
    assert [json.loads("".join(said)) for said in pieces.values()] == [call.input for call in calls]
    assert all(type(call.input["days"]) is int for call in calls)


def check_tool_runner(site: Site) -> None:
    """The SDK's own loop calls the tool, gives its result back and comes to an answer."""
    called: list[str] = []

    @anthropic.beta_tool  # type: ignore[untyped-decorator]  # the SDK is not where types are checked
    def weather(city: str, days: int) -> str:
        """The weather of a city."""
        called.append(f"{city} {type(days).__name__}")
        return "eighteen degrees"

    runner = site.client().beta.messages.tool_runner(
        model=site.model, max_tokens=200, tools=[weather], messages=ONE, max_iterations=3
    )
    final = runner.until_done()

    assert called == ["Lisbon int"]
    assert "eighteen degrees" in final.content[0].text


def check_turns(site: Site) -> None:
    """Results go back by the calls' ids, as text, as blocks or as failures, and the answer tells of them."""
    first = site.ask(messages=TWO, tools=[WEATHER])
    lisbon, porto = [block for block in first.content if block.type == "tool_use"]
    results = [
        {"type": "tool_result", "tool_use_id": lisbon.id, "content": "eighteen degrees"},
        {
            "type": "tool_result",
            "tool_use_id": porto.id,
            "content": [{"type": "text", "text": "nobody knows"}],
            "is_error": True,
        },
    ]
    turns = [
        *TWO,
        {"role": "assistant", "content": [block.model_dump(exclude_none=True) for block in first.content]},
        {"role": "user", "content": results},
    ]
    second = site.ask(messages=turns, tools=[WEATHER])

    assert second.stop_reason == "end_turn"
    assert "nobody knows" in second.content[0].text or "eighteen degrees" in second.content[0].text
    more = [*turns, {"role": "assistant", "content": second.content[0].text}, *ONE]
    assert site.ask(messages=more, tools=[WEATHER]).stop_reason == "tool_use"
