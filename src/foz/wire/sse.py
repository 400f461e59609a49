"""
Server-sent events, both ways. `feed` takes bytes split anywhere and gives the frames that are complete.

A frame ends with an empty line; lines end with LF, CRLF or CR (https://html.spec.whatwg.org/#event-stream-interpretation).
A stream may end without the last empty line: `close` gives what is left.
"""

from msgspec import Struct


class Frame(Struct, frozen=True):
    """One event: its data (lines joined by LF) and its name, if it had one."""

    data: bytes
    event: bytes = b""
    id: bytes = b""


class TooLong(ValueError):
    """A frame grew beyond the limit."""


def encode(data: bytes, event: bytes = b"") -> bytes:
    """One frame whose data has no line breaks, as all JSON that we write."""
    if event:
        return b"event: %s\ndata: %s\n\n" % (event, data)
    return b"data: %s\n\n" % data


def _parse(block: bytes) -> Frame | None:
    if block.startswith(b"data: ") and b"\n" not in block:
        return Frame(block[6:])
    data: list[bytes] = []
    event = identity = b""
    for line in block.split(b"\n"):
        name, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if name == b"data":
            data.append(value)
        elif name == b"event":
            event = value
        elif name == b"id":
            identity = value
    if not data:
        return None
    return Frame(b"\n".join(data), event, identity)


class Decoder:
    """Bytes in, frames out; comments and frames without data are dropped."""

    def __init__(self, limit: int = 16 * 1024 * 1024) -> None:
        self._rest = b""
        self._limit = limit

    def feed(self, chunk: bytes) -> list[Frame]:
        """The frames that this chunk completes."""
        rest = self._rest + chunk if self._rest else chunk
        if b"\r" in rest:
            # A CR at the very end may be half of a CRLF: leave it for the next chunk.
            held = b"\r" if rest.endswith(b"\r") else b""
            rest = rest[: len(rest) - len(held)].replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        else:
            held = b""
        *blocks, rest = rest.split(b"\n\n")
        self._rest = rest + held
        if len(self._rest) > self._limit:
            msg = f"a server-sent event is longer than {self._limit} bytes"
            raise TooLong(msg)
        frames = []
        for block in blocks:
            frame = _parse(block.strip(b"\n"))
            if frame is not None:
                frames.append(frame)
        return frames

    def close(self) -> list[Frame]:
        """What was left without its empty line, where it is a frame."""
        rest, self._rest = self._rest.replace(b"\r", b"\n").strip(b"\n"), b""
        frame = _parse(rest) if rest else None
        return [frame] if frame else []
