"""
What this dialect's bodies look like, as JSON schemas for the reference.

Requests are described by the schemas that check them. Answers have no schema of their own (upstreams add to them,
and what they add passes), so their usual members are written down here.
"""

from typing import Any, Literal

import msgspec
from msgspec import Struct

from foz.dialects.anthropic.schema import Asked, Body

_REF = "#/components/schemas/"


class TokenCounts(Struct):
    """Tokens. All that went in is the sum of the three; what the target did not count is 0 or left out."""

    input_tokens: int
    output_tokens: int
    cache_creation_input_tokens: int | None = None
    cache_read_input_tokens: int | None = None


class MessageAnswer(Struct):
    """What the model said: blocks of text, thinking and tool_use. A stream brings them in events."""

    id: str
    type: Literal["message"]
    role: Literal["assistant"]
    model: str
    content: list[dict[str, Any]]
    stop_reason: Literal[
        "end_turn",
        "max_tokens",
        "stop_sequence",
        "tool_use",
        "pause_turn",
        "refusal",
        "model_context_window_exceeded",
    ]
    stop_sequence: str | None
    usage: TokenCounts


class TokenCount(Struct, frozen=True):
    """How many tokens a request has."""

    input_tokens: int


class ModelInfo(Struct, frozen=True, tag_field="type", tag="model", omit_defaults=True):
    """One model that may be asked for."""

    id: str
    display_name: str
    created_at: str
    lifecycle: str = msgspec.field(default_factory=lambda: "active")
    max_input_tokens: int | None = None
    max_tokens: int | None = None


class ModelPage(Struct, frozen=True):
    """Some of the models that the key may ask for, in the list's order."""

    data: tuple[ModelInfo, ...]
    has_more: bool
    first_id: str | None
    last_id: str | None


class ErrorWords(Struct):
    """What went wrong, and a word for programs."""

    type: str
    message: str


class Error(Struct, tag_field="type", tag="error"):
    """A fault, before a stream or in it."""

    error: ErrorWords
    request_id: str | None = None


def schemas() -> dict[str, object]:
    """By name."""
    _, found = msgspec.json.schema_components(
        (Body, Asked, MessageAnswer, TokenCount, ModelInfo, ModelPage, Error), ref_template=f"{_REF}{{name}}"
    )
    return dict(found)
