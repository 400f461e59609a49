"""
The roles of a dialect. All are pure: bytes in, values out; no clock, no socket, no log.

A dialect has a `ServerCodec` (how we speak it to callers) and a `ClientCodec` (how we speak it to upstreams)
for each operation it knows, and a `RelayCodec` for where both ends speak it.
`client.encode_request` and `server.decode_request` are inverses, and so are the response and event halves;
the contract suite checks it. Decoding raises canon faults: BadRequest for what a caller sent (naming the field),
Garbled for what an upstream sent.
"""

from collections.abc import Callable
from typing import Protocol, runtime_checkable

from foz.canon.event import Event
from foz.canon.fault import Fault
from foz.canon.request import Ask, Request
from foz.canon.response import EmbedResponse, Response
from foz.canon.usage import Usage
from foz.wire.http import Call, Reply

Answer = Response | EmbedResponse


class EventEncoder(Protocol):
    """Canonical events to wire bytes, one stream."""

    def feed(self, event: Event) -> bytes:
        """The bytes that say this event; may be none. Never the terminal frame."""
        ...

    def close(self) -> bytes:
        """The dialect's terminal frame, sent only when the ledger's entry is settled."""
        ...


class EventDecoder(Protocol):
    """Wire bytes to canonical events, one stream."""

    def feed(self, chunk: bytes) -> list[Event]:
        """The events that this chunk completes. Raises Garbled, or the fault that the upstream reports."""
        ...

    def close(self) -> list[Event]:
        """The end of input: the last events. Raises Cut where the upstream had not finished."""
        ...


@runtime_checkable
class WordsEncoder(EventEncoder, Protocol):
    """One that says words as they are written."""

    def say(self, words: bytes, text: str) -> bytes | None:
        """
        The same as `feed(TextGrew(text))`, where `words` are that text inside the quotes of a JSON string that escapes
        nothing; None where it must be fed.
        """
        ...


@runtime_checkable
class WordsDecoder(EventDecoder, Protocol):
    """One that knows by its bytes a chunk that brings nothing but words."""

    def words(self, chunk: bytes) -> bytes | None:
        """
        What is between the quotes of the words, which need no escape, of a chunk whose only event is a `TextGrew` of
        the first choice; None where it must be fed. Nobody has looked whether they are UTF-8.
        """
        ...


class ServerCodec(Protocol):
    """How we speak one operation of a dialect to those who call us."""

    def read(self, body: bytes) -> Ask:
        """Validates by the typed schema and gives the facts: all that the relay lane decodes. Raises BadRequest."""
        ...

    def decode_request(self, body: bytes) -> Request:
        """The whole request in our words."""
        ...

    def encode_response(self, answer: Answer, request: Request, model: str) -> bytes:
        """A whole answer's body; `model` is the public name."""
        ...

    def encoder(self, request: Request, model: str) -> EventEncoder:
        """For a stream; `model` is the public name."""
        ...

    def encode_fault_event(self, fault: Fault) -> bytes:
        """A fault in the middle of a stream. After it the connection is closed; it never looks finished."""
        ...


class ClientCodec(Protocol):
    """How we speak one operation of a dialect to those we call."""

    def encode_request(self, request: Request, model: str) -> Call:
        """`model` is the upstream's name. Streams always ask for usage. Raises Unsupported."""
        ...

    def decode_response(self, reply: Reply) -> Answer:
        """A whole 2xx answer. Raises Garbled."""
        ...

    def decoder(self) -> EventDecoder:
        """For a streamed 2xx answer."""
        ...

    def decode_fault(self, reply: Reply) -> Fault:
        """What a non-2xx answer means, decided by status and code."""
        ...


class Tally:
    """What is known of an answer so far; written by whoever reads it, read by the ledger."""

    __slots__ = ("content", "fewest", "finished", "pieces", "usage")

    def __init__(self) -> None:
        self.usage: Usage | None = None
        """The target's own count."""
        self.content = 0
        """Characters of content (text, reasoning, arguments) so far, for an estimate."""
        self.fewest = 0
        """Tokens that this content must be at least, by `canon.estimate.at_least` of each piece."""
        self.pieces = 0
        """Content events so far: 0 means that nothing has been committed to the caller."""
        self.finished = False
        """The target said that it is done."""


class RelayStream(Protocol):
    """One stream passing through, same dialect on both sides."""

    tally: Tally

    def feed(self, chunk: bytes) -> bytes:
        """
        What the caller gets of this chunk: the public model name put back, what was not asked for stripped,
        the terminal frame withheld. Raises Garbled, or the fault that the upstream reports in the stream.
        """
        ...

    def close(self) -> bytes:
        """The end of input: the withheld terminal frame. Raises Cut where the upstream had not finished."""
        ...


class Passage(Protocol):
    """A whole answer's way from caller to target and back, without a detour through our words."""

    def retarget(self, body: bytes, ask: Ask, model: str) -> Call:
        """What the caller asks, with the upstream's model name."""
        ...

    def whole(self, reply: Reply, ask: Ask) -> tuple[bytes, Tally] | None:
        """The caller's body of a whole 2xx answer, and what it tells; None where the detour must be made after all."""
        ...


class Shortcut(Protocol):
    """For a skin that says in bytes of its own what a dialect says: a passage where the target's bytes are relayed."""

    dialect: str

    def along(self, relay: "RelayCodec") -> Passage:
        """From this call's bytes to those that are relayed, and back."""
        ...


class RelayCodec(Protocol):
    """One operation of a dialect, where caller and upstream both speak it."""

    def retarget(self, body: bytes, ask: Ask, model: str) -> Call:
        """The caller's body with the upstream's model name and usage asked for; unknown fields survive."""
        ...

    def whole(self, reply: Reply, ask: Ask) -> tuple[bytes, Tally]:
        """The caller's body of a whole 2xx answer, and what it tells. Raises Garbled."""
        ...

    def stream(self, ask: Ask) -> RelayStream:
        """For a streamed 2xx answer; `ask.model` is the public name."""
        ...


class Speech:
    """One operation of one dialect, in all the roles it has."""

    __slots__ = ("by_model", "by_request", "client", "dialect", "relay", "server")

    def __init__(
        self,
        dialect: str,
        server: ServerCodec | None = None,
        client: ClientCodec | None = None,
        relay: RelayCodec | None = None,
        *,
        by_model: "Callable[[str], Speech] | None" = None,
        by_request: Callable[[Request, str], ClientCodec] | None = None,
    ) -> None:
        self.dialect = dialect
        self.server = server
        self.client = client
        self.relay = relay
        self.by_model = by_model
        """Where a provider's models are spoken to in different ways: how this one is, by the upstream's name."""
        self.by_request = by_request
        """Where an answer can only be read by who knows what was asked: the client for one request of one model."""

    def about(self, model: str) -> "Speech":
        """What is spoken to a model, by the upstream's name."""
        return self if self.by_model is None else self.by_model(model)

    def asking(self, request: Request, model: str) -> ClientCodec | None:
        """Who asks this and reads the answer, where there is a client."""
        return self.client if self.by_request is None else self.by_request(request, model)
