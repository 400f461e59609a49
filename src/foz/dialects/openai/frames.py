"""
What all streams of this dialect have in common: frames of JSON, an error as a frame, `[DONE]` at the end.

A `Reader` (one for each operation) knows what is in a frame; this file knows when a stream is over.
"""

from contextlib import suppress
from typing import Protocol

from foz.canon.event import Event
from foz.canon.fault import Cut, Fault, Garbled
from foz.wire import json, sse
from foz.wire.http import Call

DIALECT = "openai"
DONE = b"data: [DONE]\n\n"
NULL = b"null"
BROKEN = (json.DecodeError, UnicodeDecodeError, RecursionError)
HEADERS = ((b"content-type", b"application/json"), (b"accept", b"application/json"))
STREAM_HEADERS = ((b"content-type", b"application/json"), (b"accept", b"text/event-stream"))


def call(path: str, body: bytes, *, stream: bool = False) -> Call:
    """The call that asks this."""
    return Call("POST", path, STREAM_HEADERS if stream else HEADERS, body)


def garbled(what: str, error: object) -> Garbled:
    """What an upstream sent is not what this dialect says."""
    return Garbled(f"the upstream's {what} is not as the OpenAI dialect has it: {error}")


def data_of(frame: sse.Frame) -> bytes:
    """A frame's data, in one line. A frame that is named an error holds one, however it says it."""
    data = frame.data.replace(b"\n", b" ")
    if frame.event != b"error":
        return data
    return b'{"error":%b}' % (data if json.valid(data) else b'"unreadable"')


class Reader(Protocol):
    """One answer while it comes in."""

    @property
    def done(self) -> bool:
        """Whether all was said."""
        ...

    @property
    def complete(self) -> bool:
        """Whether every choice that was begun has its finish reason."""
        ...

    def take(self, data: bytes) -> list[Event]:
        """The events of a frame. Raises Garbled, or the fault that the upstream reports."""
        ...

    def finish(self) -> list[Event]:
        """The last events."""
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
        events: list[Event] = []
        for frame in frames:
            if self._reader.done:
                break
            try:
                events.extend(self._take(frame))
            except Fault as fault:
                self._fault = fault
                if not events:
                    raise
                break
        return events

    def close(self) -> list[Event]:
        """The end of input. A frame that was cut is no frame; a stream whose choices are all finished is complete."""
        if self._fault is not None:
            raise self._fault
        events: list[Event] = []
        for frame in self._frames.close():
            if not self._reader.done:
                with suppress(Garbled):
                    events.extend(self._take(frame))
        if self._reader.done:
            return events
        if not self._reader.complete:
            raise Cut("the upstream's stream ended before it was finished")
        return events + self._reader.finish()

    def _take(self, frame: sse.Frame) -> list[Event]:
        data = data_of(frame)
        if data.startswith(b"[DONE]"):
            return self._reader.finish()
        return self._reader.take(data) if data.strip() else []
