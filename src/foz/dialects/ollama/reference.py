"""
What this dialect's bodies look like, as JSON schemas for the reference.

Requests are described by the schemas that check them, answers by what is usual in them.
"""

from typing import Any, Literal

import msgspec
from msgspec import Struct

from foz.dialects.ollama.bodies import (
    ChatBody,
    CopyBody,
    CreateBody,
    EmbedBody,
    EmbeddingsBody,
    GenerateBody,
    ModelBody,
    PullBody,
)


class Took(Struct, kw_only=True):
    """Tokens, and nanoseconds. What is zero or unknown is left out."""

    total_duration: int | None = None
    load_duration: int | None = None
    prompt_eval_count: int | None = None
    prompt_eval_duration: int | None = None
    eval_count: int | None = None
    eval_duration: int | None = None


class CalledTool(Struct):
    """What is called, with arguments that are an object."""

    name: str
    arguments: dict[str, Any]
    index: int = 0


class ToolCall(Struct):
    """A call of a tool by the model, always whole."""

    id: str
    function: CalledTool


class Said(Struct):
    """What the model says."""

    role: Literal["assistant"]
    content: str
    thinking: str | None = None
    tool_calls: list[ToolCall] | None = None


class Chatted(Took, kw_only=True):
    """A whole answer, or a line of a stream; counts stand in the last one."""

    model: str
    created_at: str
    message: Said
    done: bool
    done_reason: str | None = None


class Generated(Took, kw_only=True):
    """A whole answer, or a line of a stream; counts stand in the last one."""

    model: str
    created_at: str
    response: str
    thinking: str | None = None
    done: bool
    done_reason: str | None = None


class Embedded(Struct):
    """Vectors."""

    model: str
    embeddings: list[list[float]]
    total_duration: int | None = None
    prompt_eval_count: int | None = None


class Embedding(Struct):
    """A vector."""

    embedding: list[float]


class Details(Struct):
    """What is known of a model's files."""

    parent_model: str
    format: str
    family: str
    families: list[str]
    parameter_size: str
    quantization_level: str


class Listed(Struct):
    """A model."""

    name: str
    model: str
    modified_at: str
    size: int
    digest: str
    details: Details
    capabilities: list[str]


class Tags(Struct):
    """The models."""

    models: list[Listed]


class Error(Struct):
    """What went wrong."""

    error: str


def schemas() -> dict[str, object]:
    """By name."""
    answers = (Chatted, Generated, Embedded, Embedding, Tags, Error)
    asked = (ChatBody, GenerateBody, EmbedBody, EmbeddingsBody, ModelBody, PullBody, CopyBody, CreateBody)
    _, found = msgspec.json.schema_components((*asked, *answers), ref_template="#/components/schemas/{name}")
    return dict(found)
