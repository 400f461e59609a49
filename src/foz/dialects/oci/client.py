"""`actions/chat` as we speak it to Oracle: one of three formats, told again in another where the first was wrong."""

from collections.abc import Callable

from foz.canon.fault import Fault
from foz.canon.request import ChatRequest, Request
from foz.canon.response import Response, fold
from foz.dialects.oci import cohere, cohere2, generic
from foz.dialects.oci.answer import Reader
from foz.dialects.oci.faults import decode_fault
from foz.dialects.oci.frames import HEADERS, STREAM_HEADERS, StreamDecoder
from foz.dialects.oci.saying import Wire
from foz.dialects.oci.telling import Call, Format, Memory, Place, Telling
from foz.wire import json
from foz.wire.http import Reply

PATH = "/20231130/actions/chat"

_SAY: dict[Format, Callable[[ChatRequest, Telling], Wire]] = {
    "GENERIC": lambda request, telling: generic.say(request, telling.limit, singly=telling.singly),
    "COHERE": lambda request, _: cohere.say(request),
    "COHEREV2": lambda request, _: cohere2.say(request),
}


class ChatClient:
    """Implements `ports.codec.ClientCodec`."""

    def __init__(self, place: Place, memory: Memory) -> None:
        self._place = place
        self._memory = memory

    def encode_request(self, request: Request, model: str) -> Call:
        """`model` is a vendor's name or an OCID, of a model or of an endpoint. Streams always ask for usage."""
        if not isinstance(request, ChatRequest):
            raise TypeError("the chat operation takes a ChatRequest")
        return self._told(request, model, self._memory.recall(model))

    def _told(self, request: ChatRequest, model: str, telling: Telling) -> Call:
        said = _SAY[telling.format](request, telling)
        body = json.encode(
            {
                "compartmentId": self._place.compartment,
                "servingMode": self._place.serving(model),
                "chatRequest": {name: value for name, value in said.items() if name not in telling.without},
            }
        )
        return Call(
            "POST",
            PATH,
            STREAM_HEADERS if request.stream else HEADERS,
            body,
            model=model,
            telling=telling,
            retold=lambda other: self._told(request, model, other),
            learned=lambda worked: self._memory.remember(model, worked),
        )

    def decode_response(self, reply: Reply) -> Response:
        """A whole 2xx answer."""
        reader = Reader()
        return fold([*reader.whole(reply.body), *reader.finish()])

    def decoder(self) -> StreamDecoder:
        """For a streamed 2xx answer."""
        return StreamDecoder(Reader())

    def decode_fault(self, reply: Reply) -> Fault:
        """What a non-2xx answer means."""
        return decode_fault(reply)
