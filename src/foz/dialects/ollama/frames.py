"""
What all streams of this dialect have in common: lines of JSON, an error as a line, `done` in the last one.

A `Reader` knows what is in a line; this file knows when a stream is over. A stream that ends before `done` was cut.
"""

from contextlib import suppress
from typing import Protocol

from foz.canon.event import Event
from foz.canon.fault import Cut, Fault, Garbled
from foz.wire import json, ndjson
from foz.wire.http import Call

DIALECT = "ollama"
BROKEN = (json.DecodeError, UnicodeDecodeError, RecursionError)
HEADERS = ((b"content-type", b"application/json"), (b"accept", b"application/json"))
STREAM_HEADERS = ((b"content-type", b"application/json"), (b"accept", b"application/x-ndjson"))


def call(path: str, body: bytes, *, stream: bool = False) -> Call:
    """The call that asks this."""
    return Call("POST", path, STREAM_HEADERS if stream else HEADERS, body)


def garbled(what: str, error: object) -> Garbled:
    """What an upstream sent is not what this dialect says."""
    return Garbled(f"the upstream's {what} is not as Ollama has it: {error}")


class Reader(Protocol):
    """One answer while it comes in."""

    done: bool

    def take(self, data: bytes) -> list[Event]:
        """The events of a line. Raises Garbled, or the fault that the upstream reports."""
        ...


class StreamDecoder:
    """The bytes of a stream to events. Implements `ports.codec.EventDecoder`."""

    def __init__(self, reader: Reader) -> None:
        self._lines = ndjson.Decoder()
        self._reader = reader
        self._fault: Fault | None = None

    def feed(self, chunk: bytes) -> list[Event]:
        """
        The events that this chunk completes. A fault that comes with good lines before it in one chunk
        is raised by the next call, so that it does not matter how the network cuts the stream.
        """
        if self._fault is not None:
            raise self._fault
        try:
            lines = self._lines.feed(chunk)
        except ndjson.TooLong as error:
            raise garbled("stream", error) from None
        events: list[Event] = []
        for line in lines:
            if self._reader.done:
                break
            try:
                events.extend(self._reader.take(line))
            except Fault as fault:
                self._fault = fault
                if not events:
                    raise
                break
        return events

    def close(self) -> list[Event]:
        """The end of input. A line without its end counts if it is whole."""
        if self._fault is not None:
            raise self._fault
        events: list[Event] = []
        for line in self._lines.close():
            if not self._reader.done:
                with suppress(Garbled):
                    events.extend(self._reader.take(line))
        if not self._reader.done:
            raise Cut("the upstream's stream ended before it said that it was done")
        return events
