"""`/embeddings` as we speak it to upstreams. Whatever form was asked for, the one that comes is read."""

from collections.abc import Mapping

import msgspec
from msgspec import Raw, Struct

from foz.canon.fault import Fault
from foz.canon.request import EmbedRequest, Request
from foz.canon.response import EmbedResponse
from foz.canon.usage import Usage
from foz.dialects.openai import prompts
from foz.dialects.openai.embeddings import vectors
from foz.dialects.openai.faults import decode_fault, fault_in_stream
from foz.dialects.openai.frames import BROKEN, DIALECT, NULL, call, garbled
from foz.ports.codec import EventDecoder
from foz.wire import json
from foz.wire.http import Call, Reply

PATH = "/embeddings"
NOTHING_MORE: Mapping[str, object] = {}
_TOP = frozenset({"object", "data", "model", "usage", "error"})


class Counted(Struct):
    """`usage`, as upstreams write it."""

    prompt_tokens: int | None = None
    total_tokens: int | None = None

    def tokens(self) -> Usage | None:
        """The counts in our words; there is no output, which is known."""
        given = self.total_tokens if self.prompt_tokens is None else self.prompt_tokens
        return None if given is None else Usage(input=given, output=0)


class _Item(Struct):
    embedding: list[float] | str
    index: int | None = None


class _Answer(Struct):
    data: list[_Item] | None = None
    model: str | None = None
    object: str | None = None
    usage: Counted | None = None
    error: Raw = Raw(NULL)


_ANSWER = msgspec.json.Decoder(_Answer)
_BAG = msgspec.json.Decoder(dict[str, Raw])


def _in_order(items: list[_Item]) -> list[_Item]:
    """By index, which must be each position once; by place where no item says its index."""
    if all(item.index is None for item in items):
        return items
    placed = {item.index: item for item in items}
    if set(placed) != set(range(len(items))):
        raise garbled("answer", "their indexes are not each position once")
    return [placed[index] for index in range(len(items))]


class EmbeddingClient:
    """Implements `ports.codec.ClientCodec`. `fields` are said where the caller does not say them."""

    def __init__(self, fields: Mapping[str, object] = NOTHING_MORE) -> None:
        self._fields = fields

    def encode_request(self, request: Request, model: str) -> Call:
        """`model` is the upstream's name."""
        if not isinstance(request, EmbedRequest):
            raise TypeError("the embed operation takes an EmbedRequest")
        said: dict[str, object] = {
            "model": model,
            "input": prompts.say(request.inputs),
            "encoding_format": request.encoding,
        }
        if request.dimensions is not None:
            said["dimensions"] = request.dimensions
        if request.user is not None:
            said["user"] = request.user
        for name, raw in request.vendor.get(DIALECT, {}).items():
            said.setdefault(name, raw)
        for name, value in self._fields.items():
            said.setdefault(name, value)
        return call(PATH, json.encode(said))

    def decode_response(self, reply: Reply) -> EmbedResponse:
        """A whole 2xx answer."""
        try:
            answer = _ANSWER.decode(reply.body)
            if bytes(answer.error) != NULL or answer.object == "error":
                raise fault_in_stream(reply.body)
            bag = _BAG.decode(reply.body)
        except BROKEN as error:
            raise garbled("answer", error) from None
        if not answer.data:
            raise garbled("answer", "there is no vector in them")
        vendor = {name: raw for name, raw in bag.items() if name not in _TOP and bytes(raw) != NULL}
        return EmbedResponse(
            model=answer.model or "",
            vectors=tuple(vectors.hear(item.embedding) for item in _in_order(answer.data)),
            usage=answer.usage.tokens() if answer.usage else None,
            vendor={DIALECT: vendor} if vendor else {},
        )

    def decoder(self) -> EventDecoder:
        """There is none."""
        raise TypeError("embeddings do not stream")

    def decode_fault(self, reply: Reply) -> Fault:
        """What a non-2xx answer means."""
        return decode_fault(reply)
