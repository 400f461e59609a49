"""
What all streams of this dialect have in common: frames whose `event:` line says what they are, for the SDKs look at
nothing without one, and `message_stop` at the end.
"""

import re
from typing import Protocol

from foz.canon.event import Event
from foz.canon.fault import Cut, Garbled
from foz.ports.reading import StreamReader
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

    def is_text(self, place: int) -> bool:
        """Whether the block at this place was opened and is text."""
        ...


class _Frames:
    """A reader of frames. Implements `ports.reading.FrameReader`."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader

    @property
    def done(self) -> bool:
        return self._reader.done

    def take(self, frame: sse.Frame) -> list[Event]:
        return self._reader.take(frame.data) if frame.data.strip() else []

    def end(self) -> list[Event]:
        """A stream that did not say that it is over was cut."""
        raise Cut("the upstream's stream ended before it was finished")


_WORDS = re.compile(
    rb"""event: content_block_delta\ndata: \{"type": ?"content_block_delta", ?"index": ?([0-9]{1,4}), ?"""
    rb""""delta": ?\{"type": ?"text_delta", ?"text": ?"([^"\\\x00-\x1f]+)"\} *\}\n\n"""
)
"""A frame as Anthropic writes it that only brings words."""


class StreamDecoder(StreamReader[sse.Frame]):
    """The bytes of a stream to events. Implements `ports.codec.WordsDecoder`."""

    def __init__(self, reader: Reader) -> None:
        super().__init__(sse.Decoder(), _Frames(reader), garbled)
        self._told = reader

    def words(self, chunk: bytes) -> bytes | None:
        """The words of a frame that only brings some."""
        found = _WORDS.fullmatch(chunk) if self.alone else None
        return found[2] if found is not None and self._told.is_text(int(found[1])) else None
