"""What the bodies of `/v1/responses` look like, as JSON schemas for the reference."""

from typing import Any, Literal

import msgspec
from msgspec import Struct

from foz.dialects.openai.responses.schema import Body

_PREFIX = "Responses"


class ResponseItem(Struct):
    """An item of an answer: a `message`, a `function_call` or `reasoning`; each has its own further members."""

    id: str
    type: Literal["message", "function_call", "reasoning"]
    status: Literal["in_progress", "completed", "incomplete"]
    role: Literal["assistant"] | None = None
    content: list[dict[str, Any]] | None = None
    summary: list[dict[str, Any]] | None = None
    call_id: str | None = None
    name: str | None = None
    arguments: str | None = None


class ResponseFault(Struct):
    """What it failed of."""

    code: Literal["server_error", "rate_limit_exceeded"]
    message: str


class ResponseUsage(Struct):
    """Tokens."""

    input_tokens: int
    output_tokens: int
    total_tokens: int
    input_tokens_details: dict[str, int]
    output_tokens_details: dict[str, int]


class ResponseObject(Struct):
    """A response, and what of its request is said again."""

    id: str
    object: Literal["response"]
    created_at: int
    status: Literal["queued", "in_progress", "completed", "incomplete", "failed", "cancelled"]
    model: str
    output: list[ResponseItem]
    error: ResponseFault | None = None
    incomplete_details: dict[str, str] | None = None
    previous_response_id: str | None = None
    usage: ResponseUsage | None = None


def schemas(ref: str) -> dict[str, object]:
    """By name; those of a request are set apart by a prefix."""
    _, asked = msgspec.json.schema_components((Body,), ref_template=f"{ref}{_PREFIX}{{name}}")
    _, said = msgspec.json.schema_components((ResponseObject,), ref_template=f"{ref}{{name}}")
    return {**{f"{_PREFIX}{name}": schema for name, schema in asked.items()}, **said}
