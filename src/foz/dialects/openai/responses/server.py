"""
`/v1/responses` as we speak it to callers. A codec is one request's: it knows what went before and what it is called,
and afterwards what is to be kept.
"""

from collections.abc import Sequence

import msgspec
from msgspec import Raw, Struct

from foz.canon.fault import Fault
from foz.canon.request import Ask, ChatRequest, Operation, Request
from foz.canon.response import Response, unfold
from foz.dialects.openai.responses import asking, schema
from foz.dialects.openai.responses.items import files_of, media_of
from foz.dialects.openai.responses.saying import Manner, object_of, told_first
from foz.dialects.openai.responses.stream import ResponseEncoder
from foz.dialects.openai.responses.whole import one_text
from foz.ports.codec import Answer


class Thread(Struct, frozen=True, array_like=True):
    """What a request goes on from, and what its answer is called."""

    id: str = ""
    """It begins with `resp_`; else it is made of the target's own."""
    created: int = 0
    """Seconds."""
    history: tuple[Raw, ...] = ()
    """The items of the turns before it, oldest first."""
    instead: tuple[tuple[int, Raw], ...] = ()
    """Items that the input only refers to, by their place in it."""
    queued: bool = False
    """It is made in the background."""


_THREAD = msgspec.json.Decoder(Thread)
NO_THREAD = Thread()
NO_FILES: frozenset[str] = frozenset()


def packed(thread: Thread) -> str:
    """As text, for who makes the answer elsewhere."""
    return msgspec.json.encode(thread).decode()


def unpacked(said: Sequence[str]) -> Thread:
    """The same again."""
    return _THREAD.decode(said[0]) if said else NO_THREAD


class ResponsesServer:
    """Implements `ports.codec.ServerCodec`."""

    def __init__(self, thread: Thread = NO_THREAD) -> None:
        self.thread = thread
        self._read: tuple[bytes, schema.Body] | None = None
        """A body that was checked, and what it says."""
        self._heard: tuple[bytes, ChatRequest] | None = None
        self._encoder: ResponseEncoder | None = None
        self._whole: bytes | None = None
        """An answer that was told at once."""

    def go_on(self, thread: Thread) -> None:
        """What a body goes on from, which is known once it is read, and must be before it is heard."""
        if self._heard is not None:
            raise RuntimeError("a request that was heard already goes on from nothing else")
        self.thread = thread

    def body(self, body: bytes) -> schema.Body:
        """A body, checked once. Raises BadRequest, Unsupported."""
        if self._read is None or self._read[0] is not body:
            self._read = (body, asking.heard(body))
        return self._read[1]

    def read(self, body: bytes) -> Ask:
        """Validates, and gives the facts."""
        request = self.decode_request(body)
        shown = media_of(request.messages)
        return Ask(
            Operation.CHAT,
            request.model,
            request.stream,
            asking.needs(request, shown),
            max_output=request.max_output,
            files=files_of(shown) if shown else NO_FILES,
            translated=True,
        )

    def decode_request(self, body: bytes) -> ChatRequest:
        """The whole request in our words, with what went before."""
        if self._heard is None or self._heard[0] is not body:
            self._heard = (body, asking.hear(self.body(body), body, self.thread.history, self.thread.instead))
        return self._heard[1]

    def encode_response(self, answer: Answer, request: Request, model: str) -> bytes:
        """A whole answer's body."""
        if not isinstance(answer, Response):
            raise TypeError("a response is made of a Response")
        if not isinstance(request, ChatRequest):
            raise TypeError("a response answers a chat")
        thread = self.thread
        self._whole = one_text(
            answer, thread.id[len(asking.PREFIX) :], thread.created, model, request.vendor[asking.ECHO]["echo"]
        )
        if self._whole is not None:
            return self._whole
        encoder = self._told(request, model, quiet=True)
        for event in unfold(answer):
            encoder.feed(event)
        return encoder.body(seals=encoder.seals)

    def encoder(self, request: Request, model: str) -> ResponseEncoder:
        """For a stream."""
        return self._told(request, model, quiet=False)

    def encode_fault_event(self, fault: Fault) -> bytes:
        """A fault in the middle of a stream: the response has failed. Before there is one, SDKs raise on it."""
        return told_first(fault) if self._encoder is None else self._encoder.fail(fault)

    def queued(self, body: bytes) -> bytes:
        """The response as it is told when it was accepted to be made in the background."""
        manner = self._manner(self.decode_request(body))
        return bytes(object_of(manner, self.body(body).model, "queued", []))

    def kept(self) -> bytes:
        """The whole response as it is kept, once it was told."""
        if self._whole is not None:
            return self._whole
        if self._encoder is None:
            raise RuntimeError("nothing was told yet")
        return self._encoder.body(seals=True)

    def _told(self, request: Request, model: str, *, quiet: bool) -> ResponseEncoder:
        if not isinstance(request, ChatRequest):
            raise TypeError("a response answers a chat")
        self._encoder = ResponseEncoder(self._manner(request), model, quiet=quiet)
        return self._encoder

    def _manner(self, request: ChatRequest) -> Manner:
        said = request.vendor[asking.ECHO]
        thread = self.thread
        return Manner(
            thread.id,
            thread.created,
            summarizes=bytes(said["summarizes"]) == b"true",
            seals=bytes(said["seals"]) == b"true",
            queued=thread.queued,
            echo=said["echo"],
        )
