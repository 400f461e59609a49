"""
What all streams of this dialect have in common: frames of JSON, an error as a frame, `[DONE]` at the end.

A `Reader` (one for each operation) knows what is in a frame; this file knows when a stream is over.
"""

import re
from typing import Protocol

from typing_extensions import override

from foz.canon.event import Event, TextGrew
from foz.canon.fault import Cut, Garbled
from foz.ports.reading import StreamReader
from foz.wire import json, sse
from foz.wire.http import Call

DIALECT = "openai"
DONE = b"data: [DONE]\n\n"
NULL = b"null"
BROKEN = (json.DecodeError, UnicodeDecodeError, RecursionError)
HEADERS = ((b"content-type", b"application/json"), (b"accept", b"application/json"))
STREAM_HEADERS = ((b"content-type", b"application/json"), (b"accept", b"text/event-stream"))
PLAIN = re.compile(rb'[^"\\\x00-\x1f]+')
"""The inside of a JSON string that says itself, if it is UTF-8."""
NOTHING: tuple[bytes, ...] = ()
"""No bytes begin with any of these."""
PROBE = b"other words"
LESSONS = 32
"""How often one stream tries to learn what stands around its words: some put something new into every frame."""
LINES_OF_FRAME = 2


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


def around(data: bytes, opening: bytes) -> tuple[bytes, bytes, bytes] | None:
    """
    What stands before, in and after the one string that this key has in some JSON; None where there is none, more than
    one, or one with an escape. The key's quotes cannot be inside another string: they would be escaped there.
    """
    start = data.find(opening) + len(opening)
    end = data.find(b'"', start)
    if start < len(opening) or end < 0 or data.find(opening, end) >= 0 or not PLAIN.fullmatch(data, start, end):
        return None
    return data[:start], data[start:end], data[end:]


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


class _Frames:
    """A reader of frames. Implements `ports.reading.FrameReader`."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader

    @property
    def done(self) -> bool:
        return self._reader.done

    def take(self, frame: sse.Frame) -> list[Event]:
        data = data_of(frame)
        if data.startswith(b"[DONE]"):
            return self._reader.finish()
        return self._reader.take(data) if data.strip() else []

    def end(self) -> list[Event]:
        """A stream whose choices are all finished is complete."""
        if not self._reader.complete:
            raise Cut("the upstream's stream ended before it was finished")
        return self._reader.finish()


class StreamDecoder(StreamReader[sse.Frame]):
    """The bytes of a stream to events. Implements `ports.codec.EventDecoder`."""

    def __init__(self, reader: Reader) -> None:
        super().__init__(sse.Decoder(), _Frames(reader), garbled)


class LearningDecoder(StreamDecoder):
    """
    One that learns what stands around the words of this stream's chunks. Implements `ports.codec.WordsDecoder`. A
    reader must take a frame again as if it had not taken it before, but for its words.
    """

    def __init__(self, reader: Reader, opening: bytes) -> None:
        super().__init__(reader)
        self._take = reader.take
        self._opening = opening
        """What stands before the words of a chunk."""
        self._before: bytes | tuple[bytes, ...] = NOTHING
        self._after = b""
        self._lessons = LESSONS

    def words(self, chunk: bytes) -> bytes | None:
        """The words of a chunk that differs from a known one in nothing else."""
        if self.alone and chunk.startswith(self._before) and chunk.endswith(self._after):
            start, end = len(self._before), len(chunk) - len(self._after)
            if PLAIN.fullmatch(chunk, start, end):
                return chunk[start:end]
        return None

    @override
    def feed(self, chunk: bytes) -> list[Event]:
        """The events that this chunk completes."""
        events = super().feed(chunk)
        if self._lessons and len(events) == 1 and self.alone:
            self._learn(chunk, events[0])
        return events

    def _learn(self, chunk: bytes, event: Event) -> None:
        """Takes a chunk as the pattern of those to come, where it is certain that words alone could differ."""
        if event.__class__ is not TextGrew or b"\r" in chunk or chunk.count(b"\n") != LINES_OF_FRAME:
            return
        cut = around(chunk, self._opening)
        if cut is None or not chunk.startswith(b"data: ") or not chunk.endswith(b"\n\n"):
            return
        self._lessons -= 1
        before, words, after = cut
        for others in (words, PROBE):
            if self._take((before + others + after)[6:-2]) != [TextGrew(others.decode())]:
                return
        self._before, self._after = before, after
