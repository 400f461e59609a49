"""
What all streams of this dialect have in common: lines of JSON, an error as a line, `done` in the last one.

A `Reader` knows what is in a line; this file knows when a stream is over. A stream that ends before `done` was cut.
"""

import re
from typing import Protocol

from foz.canon.event import Event
from foz.canon.fault import Garbled
from foz.ports.reading import StreamReader
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
    """One answer while it comes in. Implements `ports.reading.FrameReader`."""

    done: bool

    @property
    def started(self) -> bool:
        """Whether its first line was taken."""
        ...

    def take(self, data: bytes) -> list[Event]:
        """The events of a line. Raises Garbled, or the fault that the upstream reports."""
        ...

    def end(self) -> list[Event]:
        """The end of the input, where not all was said. Raises Cut."""
        ...


_WORDS = re.compile(
    rb"""\{"model":"[ !#-\[\]-~]*","created_at":"[ !#-\[\]-~]*",(?:"""
    rb""""message":\{"role":"assistant","content":"([^"\\\x00-\x1f]+)"\}|"""
    rb""""response":"([^"\\\x00-\x1f]+)"),"done":false\}\n"""
)
"""A line as an Ollama server writes it that only brings words."""


class StreamDecoder(StreamReader[bytes]):
    """The bytes of a stream to events. Implements `ports.codec.WordsDecoder`."""

    def __init__(self, reader: Reader) -> None:
        super().__init__(ndjson.Decoder(), reader, garbled)
        self._told = reader

    def words(self, chunk: bytes) -> bytes | None:
        """The words of a line that only brings some."""
        if not self.alone or not self._told.started:
            return None
        found = _WORDS.fullmatch(chunk)
        return None if found is None else found[1] or found[2]
