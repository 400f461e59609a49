"""
The legacy `/v1/completions`, as it is on the wire.

What callers send is held to OpenAI's types and ranges. What upstreams send is read with patience: only what we use
has a type, and nearly all of it may be missing.
"""

from typing import Annotated

from msgspec import Meta, Raw, Struct

MAX_PROMPTS = 2048

Penalty = Annotated[float, Meta(ge=-2, le=2)]
Token = Annotated[int, Meta(ge=0)]
Bias = Annotated[float, Meta(ge=-100, le=100)]


class CompletionStreamOptions(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How a stream is told."""

    include_usage: bool | None = None


class CompletionRequest(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A request for text completions. A `prompt` is text, its tokens, or a list of either."""

    model: Annotated[str, Meta(min_length=1)]
    prompt: str | list[str | Token | list[Token]]
    suffix: str | None = None
    max_tokens: Annotated[int, Meta(ge=0)] | None = None
    temperature: Annotated[float, Meta(ge=0, le=2)] | None = None
    top_p: Annotated[float, Meta(ge=0, le=1)] | None = None
    top_k: int | None = None
    min_p: Annotated[float, Meta(ge=0, le=1)] | None = None
    repetition_penalty: Annotated[float, Meta(ge=0)] | None = None
    frequency_penalty: Penalty | None = None
    presence_penalty: Penalty | None = None
    logit_bias: dict[str, Bias] | None = None
    seed: int | None = None
    n: Annotated[int, Meta(ge=1, le=128)] | None = None
    best_of: Annotated[int, Meta(ge=1, le=20)] | None = None
    echo: bool | None = None
    logprobs: Annotated[int, Meta(ge=0, le=5)] | None = None
    stop: str | list[str] | None = None
    stream: bool | None = None
    stream_options: CompletionStreamOptions | None = None
    user: str | None = None


class CompletionLogprobs(Struct, frozen=True, kw_only=True):
    """Four lists of one length; the first token of an echoed prompt has no logprob."""

    tokens: list[str]
    token_logprobs: list[float | None] = []
    top_logprobs: list[dict[str, float] | None] | None = None
    text_offset: list[int] = []


class CompletionChoice(Struct, frozen=True, kw_only=True):
    """One text, or a piece of it. Its index is prompt index * n + j."""

    text: str = ""
    index: int = 0
    logprobs: CompletionLogprobs | None = None
    finish_reason: str | None = None


class CompletionUsage(Struct, frozen=True, kw_only=True):
    """What it took."""

    prompt_tokens: int = 0
    completion_tokens: int = 0
    total_tokens: int = 0


class Completion(Struct, frozen=True, kw_only=True):
    """A whole answer; a stream's chunks have the same shape."""

    id: str = ""
    object: str = "text_completion"
    created: int = 0
    model: str = ""
    choices: list[CompletionChoice] = []
    usage: CompletionUsage | None = None


class CompletionChunk(Struct, frozen=True, kw_only=True):
    """What is read of an upstream's chunk, or of its whole answer."""

    id: str | None = None
    created: int | float | None = None
    model: str | None = None
    choices: list[CompletionChoice] | None = None
    usage: Raw | None = None
    error: Raw | None = None


KNOWN = frozenset(CompletionRequest.__struct_fields__)
