"""
The ModelService's methods that ask a model, as server codecs: messages in, messages out.

A request becomes the body of the REST API and is judged there; an answer is told from our words. A streamed answer is
frames (`wire.protobuf`); the fault that ends one is kept for whoever says the status.
"""

from collections.abc import Callable
from typing import TypeVar

from google.protobuf.message import DecodeError, Message

from foz.canon.fault import BadRequest, Fault, Garbled
from foz.canon.request import Ask, EmbedRequest, Operation, Request
from foz.canon.response import EmbedResponse, Response
from foz.dialects.openai.speech import SPEECH
from foz.ports.codec import Answer, EventEncoder, ServerCodec
from foz.skins.model_grpc import asking, telling
from foz.skins.model_grpc import model_pb2 as pb
from foz.skins.model_grpc.pieces import ChatPieces, CompletionPieces
from foz.skins.model_grpc.shortcut import ChatShortcut
from foz.skins.model_grpc.status import field_of

_M = TypeVar("_M", bound=Message)
_INNER: dict[Operation, ServerCodec] = {
    operation: speech.server for operation, speech in SPEECH.items() if speech.server is not None
}


def parsed(kind: type[_M], message: bytes) -> _M:
    """A message of this kind; what it says beyond the proto is left aside. Raises BadRequest."""
    try:
        return kind.FromString(message)
    except DecodeError as error:
        name = kind.DESCRIPTOR.name
        raise BadRequest(f"The message is no {name} of proto/model.proto: {error}.") from None


def _chat(message: bytes, *, stream: bool) -> bytes:
    asked = parsed(pb.ChatCompletionRequest, message)
    _agree(asked.stream, stream, "CreateChatCompletionStream")
    return asking.chat(asked, stream=stream)


def _completion(message: bytes, *, stream: bool) -> bytes:
    asked = parsed(pb.CompletionRequest, message)
    _agree(asked.stream, stream, "CreateCompletionStream")
    return asking.completion(asked, stream=stream)


def _embeddings(message: bytes, *, stream: bool) -> bytes:
    del stream  # vectors come whole
    return asking.embeddings(parsed(pb.EmbeddingsRequest, message))


def _agree(wanted: bool, stream: bool, method: str) -> None:
    """A whole answer is no stream. Raises BadRequest."""
    if wanted and not stream:
        raise BadRequest(f"Invalid 'stream': this method answers whole; {method} streams.", field="stream")


_BODIES: dict[Operation, Callable[..., bytes]] = {
    Operation.CHAT: _chat,
    Operation.COMPLETE: _completion,
    Operation.EMBED: _embeddings,
}


class MessageCodec:
    """One call. Implements `ports.codec.ServerCodec`."""

    __slots__ = ("_body", "_inner", "_operation", "_stream", "fault")

    def __init__(self, operation: Operation, *, stream: bool) -> None:
        self._operation = operation
        self._inner = _INNER[operation]
        self._stream = stream
        self._body: bytes | None = None
        self.fault: Fault | None = None
        """What broke the stream off."""

    @property
    def shortcut(self) -> ChatShortcut | None:
        """Of a whole chat."""
        return None if self._stream or self._operation is not Operation.CHAT else ChatShortcut(self._asked)

    def _asked(self, message: bytes) -> bytes:
        if self._body is None:
            self._body = _BODIES[self._operation](message, stream=self._stream)
        return self._body

    def read(self, body: bytes) -> Ask:
        """Validates, and gives the facts."""
        try:
            return self._inner.read(self._asked(body))
        except BadRequest as fault:
            fault.field = field_of(fault)
            raise

    def decode_request(self, body: bytes) -> Request:
        """The whole request in our words."""
        return self._inner.decode_request(self._asked(body))

    def encode_response(self, answer: Answer, request: Request, model: str) -> bytes:
        """A whole answer's message."""
        if isinstance(answer, EmbedResponse) and isinstance(request, EmbedRequest):
            return telling.embeddings(answer, request.encoding, model)
        if not isinstance(answer, Response):
            raise TypeError("chats and completions are answered by a Response")
        try:
            return (telling.chat if self._operation is Operation.CHAT else telling.completion)(answer, model)
        except ValueError as error:
            raise Garbled(f"the upstream's answer holds what no message of proto/model.proto can: {error}") from None

    def encoder(self, request: Request, model: str) -> EventEncoder:
        """For a stream."""
        del request
        return ChatPieces(model) if self._operation is Operation.CHAT else CompletionPieces(model)

    def encode_fault_event(self, fault: Fault) -> bytes:
        """Nothing: a fault in the middle of a stream is its status."""
        self.fault = fault
        return b""
