"""
Calls of this dialect, and the bytes of its streams as frames: data-only server-sent events.

A stream goes on after its finish event: the usage comes last. Some models end with `[DONE]`, others just close, and
what was finished when they close is complete.
"""

from contextlib import suppress
from typing import Protocol

from foz.canon.event import Event
from foz.canon.fault import Cut, Fault, Garbled
from foz.wire import json, sse
from foz.wire.http import Headers

DIALECT = "oci"
NULL = b"null"
BROKEN = (json.DecodeError, UnicodeDecodeError, RecursionError)
HEADERS: Headers = ((b"content-type", b"application/json"), (b"accept", b"application/json"))
STREAM_HEADERS: Headers = ((b"content-type", b"application/json"), (b"accept", b"application/json, text/event-stream"))


def garbled(what: str, error: object) -> Garbled:
    """What an upstream sent is not what this dialect says."""
    return Garbled(f"the upstream's {what} is not as OCI Generative AI has it: {error}")


class Reader(Protocol):
    """One answer while it comes in."""

    done: bool

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
        data = frame.data.replace(b"\n", b" ").strip()
        if data.startswith(b"[DONE]"):
            if not self._reader.complete:
                raise Cut("the upstream ended its stream before the answer was finished")
            return self._reader.finish()
        return self._reader.take(data) if data else []
