"""`/v1/embeddings`, as it is on the wire. A vector is a list of numbers, or base64 of little-endian float32."""

from typing import Annotated, Literal

from msgspec import Meta, Struct

MAX_INPUTS = 2048

Token = Annotated[int, Meta(ge=0)]


class EmbeddingRequest(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A request for vectors. An `input` is text, its tokens, or a list of either."""

    model: Annotated[str, Meta(min_length=1)]
    input: str | list[str | Token | list[Token]]
    encoding_format: Literal["float", "base64"] | None = None
    dimensions: Annotated[int, Meta(ge=1)] | None = None
    user: str | None = None


class Embedding(Struct, frozen=True, kw_only=True):
    """One vector."""

    embedding: list[float] | str
    index: int | None = None
    object: str = "embedding"


class EmbeddingUsage(Struct, frozen=True, kw_only=True):
    """What it took: there is no output."""

    prompt_tokens: int = 0
    total_tokens: int = 0


class Embeddings(Struct, frozen=True, kw_only=True):
    """An answer: vectors in the order of the inputs."""

    data: list[Embedding]
    model: str = ""
    object: str = "list"
    usage: EmbeddingUsage | None = None


KNOWN = frozenset(EmbeddingRequest.__struct_fields__)
