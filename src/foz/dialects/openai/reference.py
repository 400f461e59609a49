"""
What this dialect's bodies look like, as JSON schemas for the reference.

Requests are described by the schemas that check them. Answers have no schema of their own (upstreams add to them,
and what they add passes), so their usual members are written down here.
"""

from typing import Any, Literal

import msgspec
from msgspec import Struct

from foz.dialects.openai.chat.schema import Body
from foz.dialects.openai.completions.schema import CompletionRequest
from foz.dialects.openai.embeddings.schema import EmbeddingRequest
from foz.dialects.openai.responses.reference import schemas as responses_schemas

_REF = "#/components/schemas/"
_CHAT = "Chat"


class CalledFunction(Struct):
    """What is called. `arguments` is JSON text."""

    name: str
    arguments: str


class ToolCall(Struct):
    """A call of a tool by the model."""

    id: str
    function: CalledFunction
    type: Literal["function"] = "function"


class ChatAnswer(Struct):
    """What the model said. `content` is null where it called tools instead."""

    role: Literal["assistant"]
    content: str | None
    refusal: str | None = None
    reasoning_content: str | None = None
    tool_calls: list[ToolCall] | None = None


class ChatChoice(Struct):
    """One answer of `n`."""

    index: int
    message: ChatAnswer
    finish_reason: Literal["stop", "length", "tool_calls", "content_filter", "function_call"]
    logprobs: dict[str, Any] | None = None


class UsageCounts(Struct):
    """Tokens. What the target did not count is left out."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    prompt_tokens_details: dict[str, int] | None = None
    completion_tokens_details: dict[str, int] | None = None


class ChatCompletion(Struct):
    """An answer to a chat. A stream has chunks with `delta` in the place of `message`."""

    id: str
    object: Literal["chat.completion"]
    created: int
    model: str
    choices: list[ChatChoice]
    usage: UsageCounts | None = None


class CompletionLogprobs(Struct):
    """Four lists of one length; the first token of an echoed prompt has no logprob."""

    tokens: list[str]
    token_logprobs: list[float | None]
    top_logprobs: list[dict[str, float] | None]
    text_offset: list[int]


class CompletionChoice(Struct):
    """One text. Its index is the prompt's index * n + j."""

    text: str
    index: int
    finish_reason: Literal["stop", "length", "content_filter"]
    logprobs: CompletionLogprobs | None = None


class Completion(Struct):
    """Texts that continue the prompts. A stream's chunks have the same shape."""

    id: str
    object: Literal["text_completion"]
    created: int
    model: str
    choices: list[CompletionChoice]
    usage: UsageCounts | None = None


class Embedding(Struct):
    """One vector: numbers, or base64 of little-endian float32."""

    object: Literal["embedding"]
    index: int
    embedding: list[float] | str


class EmbeddingCounts(Struct):
    """Tokens of the inputs."""

    prompt_tokens: int
    total_tokens: int


class EmbeddingList(Struct):
    """Vectors in the order of the inputs."""

    object: Literal["list"]
    data: list[Embedding]
    model: str
    usage: EmbeddingCounts | None = None


class ModelCard(Struct, frozen=True):
    """One model that may be asked for."""

    id: str
    created: int
    owned_by: str
    object: Literal["model"] = "model"


class ModelList(Struct, frozen=True):
    """All models that the key may ask for."""

    data: tuple[ModelCard, ...]
    object: Literal["list"] = "list"


class ErrorWords(Struct):
    """What went wrong, whose doing it is, which field it is about, and a word for programs."""

    message: str
    type: str
    param: str | None
    code: str | None


class Error(Struct):
    """A fault, before a stream or in it."""

    error: ErrorWords


def schemas() -> dict[str, object]:
    """By name; the pieces of a chat's body have short names in their file and are set apart by a prefix here."""
    _, of_chat = msgspec.json.schema_components((Body,), ref_template=f"{_REF}{_CHAT}{{name}}")
    _, others = msgspec.json.schema_components(
        (CompletionRequest, EmbeddingRequest, ChatCompletion, Completion, EmbeddingList, ModelCard, ModelList, Error),
        ref_template=f"{_REF}{{name}}",
    )
    return {**{f"{_CHAT}{name}": schema for name, schema in of_chat.items()}, **others, **responses_schemas(_REF)}
