"""
Calls of this dialect, and the bytes of its streams as frames: data-only server-sent events.

A stream goes on after its finish event: the usage comes last. Some models end with `[DONE]`, others just close, and
what was finished when they close is complete.
"""

from typing import Protocol

from foz.canon.event import Event
from foz.canon.fault import Cut, Garbled
from foz.ports.reading import StreamReader
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


class _Frames:
    """A reader of frames. Implements `ports.reading.FrameReader`."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader

    @property
    def done(self) -> bool:
        return self._reader.done

    def take(self, frame: sse.Frame) -> list[Event]:
        data = frame.data.replace(b"\n", b" ").strip()
        if data.startswith(b"[DONE]"):
            if not self._reader.complete:
                raise Cut("the upstream ended its stream before the answer was finished")
            return self._reader.finish()
        return self._reader.take(data) if data else []

    def end(self) -> list[Event]:
        """A stream whose choices are all finished is complete."""
        if not self._reader.complete:
            raise Cut("the upstream's stream ended before it was finished")
        return self._reader.finish()


class StreamDecoder(StreamReader[sse.Frame]):
    """The bytes of a stream to events. Implements `ports.codec.EventDecoder`."""

    def __init__(self, reader: Reader) -> None:
        super().__init__(sse.Decoder(), _Frames(reader), garbled)
