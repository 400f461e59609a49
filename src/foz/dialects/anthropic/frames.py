"""
What all streams of this dialect have in common: frames whose `event:` line says what they are, for the SDKs look at
nothing without one, and `message_stop` at the end.
"""

from typing import Protocol

from foz.canon.event import Event
from foz.canon.fault import Cut, Fault, Garbled
from foz.wire import json, sse
from foz.wire.http import Call

DIALECT = "anthropic"
PATH = "/v1/messages"
NULL = b"null"
BROKEN = (json.DecodeError, UnicodeDecodeError, RecursionError)
STOP = sse.encode(b'{"type":"message_stop"}', b"message_stop")
PING = sse.encode(b'{"type":"ping"}', b"ping")
VERSION = (b"anthropic-version", b"2023-06-01")
"""Without one the API refuses; what SDKs of a later one ask and hear is the same."""
HEADERS = ((b"content-type", b"application/json"), (b"accept", b"application/json"), VERSION)
STREAM_HEADERS = ((b"content-type", b"application/json"), (b"accept", b"text/event-stream"), VERSION)


def call(body: bytes, *, stream: bool = False) -> Call:
    """The call that asks this."""
    return Call("POST", PATH, STREAM_HEADERS if stream else HEADERS, body)


def garbled(what: str, error: object) -> Garbled:
    """What an upstream sent is not what this dialect says."""
    return Garbled(f"the upstream's {what} is not as the Anthropic dialect has it: {error}")


def event(kind: bytes, fields: bytes) -> bytes:
    """One frame; `fields` are the members of its object beside its type."""
    return b'event: %b\ndata: {"type":"%b"%b%b}\n\n' % (kind, kind, b"," if fields else b"", fields)


class Reader(Protocol):
    """One answer while it comes in."""

    @property
    def done(self) -> bool:
        """Whether all was said."""
        ...

    def take(self, data: bytes) -> list[Event]:
        """The events of a frame. Raises Garbled, or the fault that the upstream reports."""
        ...


class StreamDecoder:
    """The bytes of a stream to events. Implements `ports.codec.EventDecoder`."""

    def __init__(self, reader: Reader) -> None:
        self._frames = sse.Decoder()
        self._reader = reader
        self._fault: Fault | None = None

    def feed(self, chunk: bytes) -> list[Event]:
        """
        The events that this chunk completes. A fault that comes with good frames before it in one chunk
        is raised by the next call, so that it does not matter how the network cuts the stream.
        """
        if self._fault is not None:
            raise self._fault
        try:
            frames = self._frames.feed(chunk)
        except sse.TooLong as error:
            raise garbled("stream", error) from None
        return self._read(frames)

    def close(self) -> list[Event]:
        """The end of input. A stream that did not say that it is over was cut."""
        if self._fault is not None:
            raise self._fault
        events = [] if self._reader.done else self._read(self._frames.close())
        if not self._reader.done:
            raise Cut("the upstream's stream ended before it was finished")
        return events

    def _read(self, frames: list[sse.Frame]) -> list[Event]:
        events: list[Event] = []
        for frame in frames:
            if self._reader.done:
                break
            try:
                events.extend(self._reader.take(frame.data) if frame.data.strip() else ())
            except Fault as fault:
                self._fault = fault
                if not events:
                    raise
                break
        return events
