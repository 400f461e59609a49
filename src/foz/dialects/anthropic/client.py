"""`/v1/messages` as we speak it to upstreams."""

from foz.canon.fault import Fault
from foz.canon.request import ChatRequest, Request
from foz.canon.response import Response
from foz.dialects.anthropic import answer, asking
from foz.dialects.anthropic.answer import Reader
from foz.dialects.anthropic.asking import MANNER, Manner
from foz.dialects.anthropic.faults import decode_fault
from foz.dialects.anthropic.frames import StreamDecoder, call
from foz.wire import json
from foz.wire.http import Call, Reply


class MessagesClient:
    """Implements `ports.codec.ClientCodec`."""

    def __init__(self, manner: Manner = MANNER) -> None:
        self._manner = manner

    def encode_request(self, request: Request, model: str) -> Call:
        """`model` is the upstream's name. Usage always comes."""
        if not isinstance(request, ChatRequest):
            raise TypeError("the chat operation takes a ChatRequest")
        return call(json.encode(asking.say(request, model, self._manner)), stream=request.stream)

    def decode_response(self, reply: Reply) -> Response:
        """A whole 2xx answer."""
        return answer.hear(reply.body)

    def decoder(self) -> StreamDecoder:
        """For a streamed 2xx answer."""
        return StreamDecoder(Reader())

    def decode_fault(self, reply: Reply) -> Fault:
        """What a non-2xx answer means."""
        return decode_fault(reply)
