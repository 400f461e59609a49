"""Where caller and upstream both speak this dialect: the vectors pass as they are; only the envelope is looked at."""

import msgspec
from msgspec import Raw, Struct

from foz.canon.request import Ask
from foz.dialects.openai.embeddings.client import PATH, Counted
from foz.dialects.openai.faults import fault_in_stream
from foz.dialects.openai.frames import BROKEN, NULL, call, garbled
from foz.dialects.openai.relay import take_apart
from foz.ports.codec import RelayStream, Tally
from foz.wire.http import Call, Reply


class _Item(Struct):
    embedding: Raw
    index: int | None = None


class _Glance(Struct):
    """What must be there, and what the ledger asks."""

    data: list[_Item] | None = None
    model: str | None = None
    object: str | None = None
    usage: Counted | None = None
    error: Raw = Raw(NULL)


_GLANCE = msgspec.json.Decoder(_Glance)


class EmbeddingRelay:
    """Implements `ports.codec.RelayCodec`."""

    def retarget(self, body: bytes, ask: Ask, model: str) -> Call:
        """The caller's body with the upstream's model name."""
        return call(PATH, body if model == ask.model else take_apart(body, model))

    def whole(self, reply: Reply, ask: Ask) -> tuple[bytes, Tally]:
        """The caller's body of a whole 2xx answer, and what it tells."""
        try:
            glance = _GLANCE.decode(reply.body)
        except BROKEN as error:
            raise garbled("answer", error) from None
        if bytes(glance.error) != NULL or glance.object == "error":
            raise fault_in_stream(reply.body)
        if not glance.data:
            raise garbled("answer", "there is no vector in them")
        if any(bytes(item.embedding)[:1] not in {b"[", b'"'} for item in glance.data):
            raise garbled("answer", "a vector is neither numbers nor base64")
        tally = Tally()
        tally.finished = True
        tally.pieces = 1
        tally.usage = glance.usage.tokens() if glance.usage else None
        same = glance.model is None or glance.model == ask.model
        return reply.body if same else take_apart(reply.body, ask.model), tally

    def stream(self, ask: Ask) -> RelayStream:
        """There is none."""
        raise TypeError(f"embeddings do not stream, those of {ask.model} neither")
