"""`/chat/completions` as we speak it to upstreams."""

from foz.canon.fault import Fault
from foz.canon.request import ChatRequest, Request
from foz.canon.response import Response
from foz.dialects.openai.chat import asking
from foz.dialects.openai.chat.answer import Reader
from foz.dialects.openai.chat.asking import MANNER, Manner
from foz.dialects.openai.chat.thinking import TagReader, begins_inside
from foz.dialects.openai.faults import decode_fault
from foz.dialects.openai.frames import LearningDecoder, StreamDecoder, call
from foz.wire import json
from foz.wire.http import Call, Reply

PATH = "/chat/completions"
OPENING = b'"content":"'


class ChatClient:
    """Implements `ports.codec.ClientCodec`."""

    def __init__(self, manner: Manner = MANNER, *, inside: bool = False) -> None:
        self._manner = manner
        self._inside = inside

    def asking(self, request: Request) -> "ChatClient":
        """The client for one request: whether an answer begins with thoughts may hang on what was asked."""
        thinking = self._manner.thinking
        if not isinstance(request, ChatRequest) or thinking is None:
            return self
        return ChatClient(self._manner, inside=begins_inside(request, thinking))

    def encode_request(self, request: Request, model: str) -> Call:
        """`model` is the upstream's name. Streams always ask for usage."""
        if not isinstance(request, ChatRequest):
            raise TypeError("the chat operation takes a ChatRequest")
        return call(
            self._manner.root + PATH, json.encode(asking.say(request, model, self._manner)), stream=request.stream
        )

    def decode_response(self, reply: Reply) -> Response:
        """A whole 2xx answer."""
        return self._reader().whole(reply.body)

    def decoder(self) -> StreamDecoder:
        """For a streamed 2xx answer."""
        reader = self._reader()
        return LearningDecoder(reader, OPENING) if isinstance(reader, Reader) else StreamDecoder(reader)

    def _reader(self) -> Reader | TagReader:
        thinking = self._manner.thinking
        return Reader() if thinking is None or not thinking.tags else TagReader(Reader(), inside=self._inside)

    def decode_fault(self, reply: Reply) -> Fault:
        """What a non-2xx answer means."""
        return decode_fault(reply)
