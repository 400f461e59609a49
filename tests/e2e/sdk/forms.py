"""Structured output: JSON, schemas, pydantic models, streamed."""

import json
from enum import Enum
from typing import Any

import openai
from pydantic import BaseModel, Field

from tests.e2e.sdk.site import Site, raised

ASK = [{"role": "user", "content": 'The meeting "Deltas" in Porto has 12 guests and starts on 2026-05-04.'}]


class Kind(Enum):
    """Of a meeting."""

    TALK = "talk"
    WALK = "walk"


class Guest(BaseModel):
    """One who comes."""

    name: str
    age: int | None


class Meeting(BaseModel):
    """What the prompt tells of."""

    title: str
    guests: int
    kind: Kind
    online: bool
    rating: float = Field(description="of five")
    people: list[Guest]


def check_json_object(site: Site) -> None:
    """`json_object` gives an object."""
    got = site.client().chat.completions.create(model=site.model, messages=ASK, response_format={"type": "json_object"})

    assert isinstance(json.loads(got.choices[0].message.content), dict)


def check_json_schema(site: Site) -> None:
    """A strict schema is satisfied, with what the prompt says."""
    schema = {
        "type": "object",
        "properties": {"title": {"type": "string"}, "guests": {"type": "integer"}, "when": {"enum": ["am", "pm"]}},
        "required": ["title", "guests", "when"],
        "additionalProperties": False,
    }
    form = {"type": "json_schema", "json_schema": {"name": "meeting", "strict": True, "schema": schema}}
    got = site.client().chat.completions.create(model=site.model, messages=ASK, response_format=form)
    said = json.loads(got.choices[0].message.content)

    assert set(said) == {"title", "guests", "when"}
    assert said["title"] == "Deltas"
    assert said["guests"] == 12
    assert said["when"] in {"am", "pm"}


def check_parse(site: Site) -> None:
    """`.parse()` gives the pydantic model, with enums, lists and nested models."""
    got = site.client().chat.completions.parse(model=site.model, messages=ASK, response_format=Meeting)
    meeting = got.choices[0].message.parsed

    assert isinstance(meeting, Meeting)
    assert meeting.title == "Deltas"
    assert meeting.guests == 12
    assert got.model == site.model


def check_parse_stream(site: Site) -> None:
    """The streaming helper ends with the model that `.parse()` gives."""
    client = site.client()
    parsed = client.chat.completions.parse(model=site.model, messages=ASK, response_format=Meeting)
    with client.chat.completions.stream(model=site.model, messages=ASK, response_format=Meeting) as stream:
        for _ in stream:
            pass
        final = stream.get_final_completion()

    assert final.choices[0].message.parsed == parsed.choices[0].message.parsed


def check_cut_short(site: Site) -> None:
    """A form that the limit cuts short raises the SDK's own error, not a broken model."""
    asked: dict[str, Any] = {"model": site.model, "messages": ASK, "response_format": Meeting, "max_tokens": 2}
    error = raised(openai.LengthFinishReasonError, lambda: site.client().chat.completions.parse(**asked))

    assert error.completion.usage.completion_tokens == 2
