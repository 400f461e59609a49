"""Text-generation and text2text-generation endpoints as we ask them, for chats and for texts to continue."""

from foz.canon.fault import Fault
from foz.canon.request import ChatRequest, CompleteRequest, Request
from foz.canon.response import Response, fold
from foz.dialects.huggingface.answer import StreamDecoder, Telling, hear
from foz.dialects.huggingface.asking import say_chat, say_completion, stops_of, streams
from foz.dialects.huggingface.faults import decode_fault
from foz.dialects.huggingface.frames import call, place
from foz.dialects.huggingface.kind import PLAIN, Kind
from foz.wire.http import Call, Reply


class GenerationClient:
    """Implements `ports.codec.ClientCodec`. `telling` says how to read the answer: see `asking`."""

    def __init__(self, kind: Kind = PLAIN, telling: Telling | None = None, *, dedicated: bool = False) -> None:
        self._kind = kind
        self._telling = telling or Telling(kind.stop, frozenset(kind.stop))
        self._dedicated = dedicated

    def asking(self, request: Request) -> "GenerationClient":
        """The client for one request: only who knows its stops can read the answer to it."""
        if not isinstance(request, ChatRequest | CompleteRequest):
            raise TypeError("text generation takes a ChatRequest or a CompleteRequest")
        stops = stops_of(request, self._kind)
        telling = Telling(
            stops,
            frozenset(stops) - frozenset(request.stop),
            chat=isinstance(request, ChatRequest),
            logprobs=bool(request.logprobs) if isinstance(request, ChatRequest) else request.logprobs is not None,
        )
        return GenerationClient(self._kind, telling, dedicated=self._dedicated)

    def encode_request(self, request: Request, model: str) -> Call:
        """`model` is the upstream's name. Raises Unsupported, or NotFound where it is no id of the Hub's."""
        path = "" if self._dedicated else place(model)
        if isinstance(request, ChatRequest):
            return call(path, say_chat(request, self._kind), stream=streams(request, self._kind))
        if isinstance(request, CompleteRequest):
            return call(path, say_completion(request, self._kind), stream=streams(request, self._kind))
        raise TypeError("text generation takes a ChatRequest or a CompleteRequest")

    def decode_response(self, reply: Reply) -> Response:
        """A whole 2xx answer."""
        return fold(hear(reply, self._telling))

    def decoder(self) -> StreamDecoder:
        """For a streamed 2xx answer."""
        return StreamDecoder(self._telling)

    def decode_fault(self, reply: Reply) -> Fault:
        """What a non-2xx answer means."""
        return decode_fault(reply)
