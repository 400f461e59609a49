"""Tools: Python functions, calls, results, several turns."""

from typing import Any

from tests.e2e.sdk_ollama.site import Site

COUNT: Any = {
    "type": "function",
    "function": {
        "name": "count",
        "description": "Counts.",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}, "days": {"type": "integer"}},
            "required": ["city", "days"],
        },
    },
}


def weather(city: str) -> str:
    """
    The weather of a city.

    Args:
      city: The city.

    Returns:
      str: The weather.

    """
    return f"{len(city)} degrees in {city}"


def check_calls(site: Site) -> None:
    """A Python function is offered as it is; calls come whole with objects as arguments, one for each city."""
    got = site.client().chat(site.model, says("How is the weather in Lisbon and Porto?"), tools=[weather])
    calls = got.message.tool_calls

    assert [call.function.name for call in calls] == ["weather", "weather"]
    assert [call.function.arguments for call in calls] == [{"city": "Lisbon"}, {"city": "Porto"}]
    assert got.done_reason == "stop"


def check_calls_streamed(site: Site) -> None:
    """Streamed, the same calls come, each whole and once, and the stream is done after them."""
    parts = list(site.client().chat(site.model, says("Weather in Lisbon and Porto?"), tools=[weather], stream=True))
    calls = [call for part in parts for call in part.message.tool_calls or []]

    assert [call.function.arguments for call in calls] == [{"city": "Lisbon"}, {"city": "Porto"}]
    assert (parts[-1].done, parts[-1].message.tool_calls) == (True, None)


def check_integers(site: Site) -> None:
    """An integer among arguments is one, whole and streamed."""
    client = site.client()
    turn = says("Count the days in Lisbon: 36")
    whole = client.chat(site.model, turn, tools=[COUNT]).message.tool_calls
    parts = client.chat(site.model, turn, tools=[COUNT], stream=True)
    streamed = [call for part in parts for call in part.message.tool_calls or []]

    for call in (*whole, *streamed):
        assert isinstance(call.function.arguments["days"], int), call.function.arguments


def check_several_turns(site: Site) -> None:
    """Calls go back as the SDK has them, without ids, and results name their tool; both are heard, and answered."""
    client = site.client()
    messages: list[Any] = says("How is the weather in Lisbon and Porto?")
    for stream in (False, True):
        first = client.chat(site.model, messages[:1], tools=[weather])
        turns = [*messages[:1], first.message]
        turns += [
            {"role": "tool", "tool_name": call.function.name, "content": weather(**call.function.arguments)}
            for call in first.message.tool_calls
        ]
        answered = client.chat(site.model, turns, tools=[weather], stream=stream)
        text = "".join(part.message.content for part in answered) if stream else answered.message.content
        assert "6 degrees in Lisbon" in text
        assert "5 degrees in Porto" in text
        thanks = [{"role": "assistant", "content": text}, {"role": "user", "content": "Thank you."}]
        last = client.chat(site.model, [*turns, *thanks])
        assert "Thank you." in last.message.content


def says(text: str) -> list[Any]:
    """A conversation of one turn."""
    return [{"role": "user", "content": text}]
