"""
What callers may send to the legacy `/v1/completions`, as msgspec checks it while it decodes: types and ranges.

What does not stand here is forwarded unchecked.
"""

from typing import Annotated

from msgspec import Meta, Struct

from foz.dialects.openai.fields import MOST, Whole

Penalty = Annotated[float, Meta(ge=-2, le=2)]
Share = Annotated[float, Meta(ge=0, le=1)]
Token = Annotated[int, Meta(ge=0, le=MOST)]


class CompletionStreamOptions(Struct, gc=False):
    """How a stream is told."""

    include_usage: bool | None = None


class CompletionRequest(Struct):
    """A request for text completions. A `prompt` is text, its tokens, or a list of either."""

    model: Annotated[str, Meta(min_length=1)]
    prompt: str | list[str | Token | list[Token]]
    suffix: str | None = None
    max_tokens: Token | None = None
    temperature: Annotated[float, Meta(ge=0, le=2)] | None = None
    top_p: Share | None = None
    top_k: Whole | None = None
    min_p: Share | None = None
    frequency_penalty: Penalty | None = None
    presence_penalty: Penalty | None = None
    repetition_penalty: float | None = None
    logit_bias: dict[str, Annotated[float, Meta(ge=-100, le=100)]] | None = None
    seed: Whole | None = None
    n: Annotated[int, Meta(ge=1, le=128)] | None = None
    best_of: Annotated[int, Meta(ge=1, le=128)] | None = None
    echo: bool | None = None
    logprobs: Annotated[int, Meta(ge=0, le=5)] | None = None
    stop: str | list[str] | None = None
    stream: bool | None = None
    stream_options: CompletionStreamOptions | None = None
    user: str | None = None


KNOWN = frozenset(CompletionRequest.__struct_fields__)
