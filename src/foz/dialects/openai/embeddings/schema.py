"""What callers may send to `/v1/embeddings`, as msgspec checks it while it decodes: types and ranges."""

from typing import Annotated, Literal

from msgspec import Meta, Struct

from foz.dialects.openai.fields import MOST

Token = Annotated[int, Meta(ge=0, le=MOST)]


class EmbeddingRequest(Struct):
    """A request for vectors. An `input` is text, its tokens, or a list of either."""

    model: Annotated[str, Meta(min_length=1)]
    input: str | list[str | Token | list[Token]]
    encoding_format: Literal["float", "base64"] | None = None
    dimensions: Annotated[int, Meta(ge=1, le=MOST)] | None = None
    user: str | None = None


KNOWN = frozenset(EmbeddingRequest.__struct_fields__)
