"""
The envelope of the 模型 API around OpenAI's shapes: `{"code", "message", "data", "request_id"}`, around whole answers,
around each chunk of a stream, and around faults, whose `data` is null.

The model stands in the path: whatever a body says of it, the path's is meant.
"""

from foz.canon.event import Event
from foz.canon.fault import Fault, UpstreamFault
from foz.canon.request import Ask, Request
from foz.dialects.openai.faults import encode_fault as encode_openai
from foz.dialects.openai.fields import with_model
from foz.ports.codec import Answer, EventEncoder, ServerCodec, WordsEncoder
from foz.wire import json, sse
from foz.wire.http import Reply

_DATA = b"data: "
_END = b"\n\n"


def wrap(data: bytes, request_id: str) -> bytes:
    """An answer in its envelope."""
    return b'{"code":200,"message":"success","data":%b,"request_id":%b}' % (data, json.encode(request_id))


def _wrap_fault(fault: Fault, request_id: str) -> bytes:
    message = fault.message
    if isinstance(fault, UpstreamFault) and fault.target and fault.target not in message:
        message = f"{message} (target {fault.target})"
    return json.encode({"code": fault.status, "message": message, "data": None, "request_id": request_id})


def encode_fault(fault: Fault, request_id: str) -> Reply:
    """A fault before anything was sent, with the headers that tell programs whether and when to ask again."""
    reply = encode_openai(fault, request_id)
    return Reply(reply.status, reply.headers, _wrap_fault(fault, request_id))


class EnvelopedEncoder:
    """Each frame of a stream in an envelope. Implements `ports.codec.WordsEncoder`."""

    def __init__(self, inner: EventEncoder, request_id: str) -> None:
        self._inner = inner
        self._words = inner.say if isinstance(inner, WordsEncoder) else None
        self._before, _, self._after = sse.encode(wrap(b"\0", request_id)).partition(b"\0")

    def feed(self, event: Event) -> bytes:
        """The bytes that say this event: frames of one line of data each."""
        said = self._inner.feed(event)
        return self._wrapped(said) if said else b""

    def say(self, words: bytes, text: str) -> bytes | None:
        """The frame that brings these words."""
        said = None if self._words is None else self._words(words, text)
        return None if said is None else self._wrapped(said)

    def _wrapped(self, said: bytes) -> bytes:
        frames = said.removesuffix(_END).split(_END)
        return b"".join([self._before + frame.removeprefix(_DATA) + self._after for frame in frames])

    def close(self) -> bytes:
        """`[DONE]`, bare."""
        return self._inner.close()


class EnvelopedCodec:
    """One request of this API. Implements `ports.codec.ServerCodec`."""

    def __init__(self, inner: ServerCodec, model: str, request_id: str) -> None:
        self._inner = inner
        self._model = model
        self._request_id = request_id
        self._named: bytes | None = None

    def _body(self, body: bytes) -> bytes:
        if self._named is None:
            self._named = with_model(body, self._model)
        return self._named

    def read(self, body: bytes) -> Ask:
        """Validates, and gives the facts."""
        return self._inner.read(self._body(body))

    def decode_request(self, body: bytes) -> Request:
        """The whole request in our words."""
        return self._inner.decode_request(self._body(body))

    def encode_response(self, answer: Answer, request: Request, model: str) -> bytes:
        """A whole answer's body."""
        return wrap(self._inner.encode_response(answer, request, model), self._request_id)

    def encoder(self, request: Request, model: str) -> EnvelopedEncoder:
        """For a stream."""
        return EnvelopedEncoder(self._inner.encoder(request, model), self._request_id)

    def encode_fault_event(self, fault: Fault) -> bytes:
        """A fault in the middle of a stream."""
        return sse.encode(_wrap_fault(fault, self._request_id))
