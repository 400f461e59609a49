"""`actions/embedText` as we speak it to Oracle."""

import msgspec
from msgspec import Raw, Struct

from foz.canon.fault import BadRequest, Fault, Unsupported
from foz.canon.request import EmbedRequest, Request
from foz.canon.response import EmbedResponse
from foz.canon.usage import Usage
from foz.dialects.oci.faults import decode_fault, fault_in_stream
from foz.dialects.oci.frames import BROKEN, DIALECT, HEADERS, NULL, garbled
from foz.dialects.oci.schema import Counted
from foz.dialects.oci.telling import Place
from foz.ports.codec import EventDecoder
from foz.wire import json
from foz.wire.http import Call, Reply

PATH = "/20231130/actions/embedText"
MOST = 96
"""Texts that one call may bring."""
_TYPES = {
    "query": "SEARCH_QUERY",
    "search_query": "SEARCH_QUERY",
    "passage": "SEARCH_DOCUMENT",
    "document": "SEARCH_DOCUMENT",
    "search_document": "SEARCH_DOCUMENT",
    "classification": "CLASSIFICATION",
    "clustering": "CLUSTERING",
}
"""What callers call what a text is for (`input_type`), in small letters."""
_WORD = msgspec.json.Decoder(str)
_VENDOR = frozenset({"inputType", "truncate", "isEcho", "embeddingTypes"})


class _Answer(Struct):
    embeddings: list[tuple[float, ...]] | None = None
    embeddingsByType: dict[str, Raw] | None = None  # noqa: N815 - Oracle's name
    modelId: str | None = None  # noqa: N815 - Oracle's name
    usage: Counted | None = None
    inputTextTokenCounts: list[int] | None = None  # noqa: N815 - Oracle's name
    code: str | int | None = None
    error: Raw = Raw(NULL)


_ANSWER = msgspec.json.Decoder(_Answer)
_VECTORS = msgspec.json.Decoder(list[tuple[float, ...]])


def _usage(answer: _Answer) -> Usage | None:
    """The service counts each text; newer models count all at once."""
    counted = answer.usage
    given = None
    if counted is not None:
        given = counted.totalTokens if counted.promptTokens is None else counted.promptTokens
    if given is None and answer.inputTextTokenCounts:
        given = sum(answer.inputTextTokenCounts)
    return None if given is None else Usage(input=given, output=0)


def _input_type(request: EmbedRequest) -> str:
    """What the texts are for: `input_type` in the bag of whichever dialect the caller speaks, for none has a word."""
    for fields in request.vendor.values():
        raw = fields.get("input_type")
        if raw is None:
            continue
        try:
            said = _WORD.decode(raw).lower()
        except BROKEN:
            said = ""
        if said not in _TYPES:
            raise BadRequest(f"'input_type' must be one of {', '.join(_TYPES)}.", field="input_type")
        return _TYPES[said]
    return "SEARCH_DOCUMENT"


class EmbeddingClient:
    """Implements `ports.codec.ClientCodec`."""

    def __init__(self, place: Place) -> None:
        self._place = place

    def encode_request(self, request: Request, model: str) -> Call:
        """`model` is a vendor's name or an OCID, of a model or of an endpoint."""
        if not isinstance(request, EmbedRequest):
            raise TypeError("the embed operation takes an EmbedRequest")
        texts = [text for text in request.inputs if isinstance(text, str)]
        if len(texts) != len(request.inputs):
            raise Unsupported("OCI's embedding models take texts, not lists of tokens.", field="input")
        if len(texts) > MOST:
            raise Unsupported(f"OCI embeds at most {MOST} texts in one call, these are {len(texts)}.", field="input")
        said: dict[str, object] = {
            "inputs": texts,
            "servingMode": self._place.serving(model),
            "compartmentId": self._place.compartment,
            "inputType": _input_type(request),
        }
        if request.dimensions is not None:
            said["outputDimensions"] = request.dimensions
        said |= {name: raw for name, raw in request.vendor.get(DIALECT, {}).items() if name in _VENDOR}
        return Call("POST", PATH, HEADERS, json.encode(said))

    def decode_response(self, reply: Reply) -> EmbedResponse:
        """A whole 2xx answer."""
        try:
            answer = _ANSWER.decode(reply.body)
            vectors = answer.embeddings
            if vectors is None and answer.embeddingsByType and "float" in answer.embeddingsByType:
                vectors = _VECTORS.decode(answer.embeddingsByType["float"])
        except BROKEN as error:
            raise garbled("answer", error) from None
        if not vectors:
            if bytes(answer.error) != NULL or answer.code is not None:
                raise fault_in_stream(reply.body)
            raise garbled("answer", "there is no vector in it")
        return EmbedResponse(answer.modelId or "", tuple(vectors), _usage(answer))

    def decoder(self) -> EventDecoder:
        """There is none."""
        raise TypeError("embeddings do not stream")

    def decode_fault(self, reply: Reply) -> Fault:
        """What a non-2xx answer means."""
        return decode_fault(reply)
