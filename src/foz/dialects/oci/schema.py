"""
What answers look like, whole or in pieces, in all three formats. Lenient: what is missing, null or new is no mistake.

A piece of a GENERIC stream is a choice without an envelope; a COHERE answer has its text at the top; a COHEREV2 answer
has a message. So one shape reads them all, and the format is only needed where the same field means two things.
"""

from typing import Any

import msgspec
from msgspec import Raw, Struct

NULL = b"null"


class Part(Struct):
    """A part of a message's content; read by what it holds, for its `type` has many names."""

    type: str | None = None
    text: str | None = None
    thinking: str | None = None


class Function(Struct):
    """What a COHEREV2 call calls."""

    name: str | None = None
    arguments: str | dict[str, Any] | None = None


class ToolCall(Struct):
    """A call, or a piece of one: flat (GENERIC), with `parameters` and no id (COHERE), or in `function` (COHEREV2)."""

    id: str | None = None
    name: str | None = None
    arguments: str | dict[str, Any] | None = None
    parameters: dict[str, Any] | None = None
    function: Function | None = None


class Message(Struct):
    """What the model says, or more of it."""

    content: list[Part] | str | None = None
    toolCalls: list[ToolCall] | None = None  # noqa: N815 - Oracle's name
    reasoningContent: str | None = None  # noqa: N815 - Oracle's name
    refusal: str | None = None
    toolPlan: str | None = None  # noqa: N815 - Oracle's name
    annotations: Raw = Raw(NULL)
    citations: Raw = Raw(NULL)


class Logprobs(Struct):
    """As completions have them: lists of the same length."""

    tokens: list[str] | None = None
    tokenLogprobs: list[float | None] | None = None  # noqa: N815 - Oracle's name
    topLogprobs: list[dict[str, float] | None] | None = None  # noqa: N815 - Oracle's name
    textOffset: list[int] | None = None  # noqa: N815 - Oracle's name


class InputDetails(Struct):
    """Of the prompt."""

    cachedTokens: int | None = None  # noqa: N815 - Oracle's name


class OutputDetails(Struct):
    """Of the completion."""

    reasoningTokens: int | None = None  # noqa: N815 - Oracle's name


class Counted(Struct):
    """`usage`."""

    promptTokens: int | None = None  # noqa: N815 - Oracle's name
    completionTokens: int | None = None  # noqa: N815 - Oracle's name
    totalTokens: int | None = None  # noqa: N815 - Oracle's name
    promptTokensDetails: InputDetails | None = None  # noqa: N815 - Oracle's name
    completionTokensDetails: OutputDetails | None = None  # noqa: N815 - Oracle's name


class Choice(Struct):
    """One of the answers of GENERIC, whole or more of it."""

    index: int | None = None
    message: Message | str | None = None
    """A string where it is an error's."""
    finishReason: str | None = None  # noqa: N815 - Oracle's name
    logprobs: Logprobs | None = None
    usage: Counted | None = None


class Chunk(Choice):
    """A piece of a stream, or what stands in `chatResponse`."""

    apiFormat: str | None = None  # noqa: N815 - Oracle's name
    id: str | None = None
    timeCreated: str | None = None  # noqa: N815 - Oracle's name
    choices: list[Choice] | None = None
    text: str | None = None
    toolCalls: list[ToolCall] | None = None  # noqa: N815 - Oracle's name
    citations: Raw = Raw(NULL)
    errorMessage: str | None = None  # noqa: N815 - Oracle's name
    code: str | int | None = None
    error: Raw = Raw(NULL)


class Whole(Struct):
    """A whole answer. `message` and `code` are an error's."""

    modelId: str | None = None  # noqa: N815 - Oracle's name
    modelVersion: str | None = None  # noqa: N815 - Oracle's name
    chatResponse: Chunk | None = None  # noqa: N815 - Oracle's name
    code: str | int | None = None
    error: Raw = Raw(NULL)


CHUNK = msgspec.json.Decoder(Chunk)
WHOLE = msgspec.json.Decoder(Whole)
