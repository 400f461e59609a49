"""
Server-sent events, both ways. `feed` takes bytes split anywhere and gives the frames that are complete.

A frame ends with an empty line; lines end with LF, CRLF or CR (https://html.spec.whatwg.org/#event-stream-interpretation).
A stream may end without the last empty line: `close` gives what is left.

Line ends are made LF as they come (a CR counts at once, and an LF right behind it is dropped), so that how the bytes
are split changes nothing. What is incomplete waits in one buffer that is searched only where it grew: a frame that
comes byte by byte costs no more than one that comes whole.
"""

from msgspec import Struct

from foz.wire import framing

MAX_FRAME = 16 * 1024 * 1024
_BOM = b"\xef\xbb\xbf"


class Frame(Struct, frozen=True, gc=False):
    """One event: its data (lines joined by LF) and its name, if it had one."""

    data: bytes
    event: bytes = b""
    id: bytes = b""


class TooLong(framing.TooLong):
    """A frame grew beyond the limit."""


def encode(data: bytes, event: bytes = b"") -> bytes:
    """One frame whose data has no line breaks, as all JSON that we write."""
    if event:
        return b"event: %s\ndata: %s\n\n" % (event, data)
    return b"data: %s\n\n" % data


def _parse(block: bytes) -> Frame | None:
    """A frame of several lines, or of one that is not plain data; None where it has no data."""
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

    def __init__(self, limit: int = MAX_FRAME) -> None:
        self._rest = bytearray()
        self._limit = limit
        self._after_cr = False
        self._fresh = True

    @property
    def pending(self) -> bool:
        """Whether a frame has begun that is not complete."""
        return bool(self._rest) or self._after_cr

    def feed(self, chunk: bytes) -> list[Frame]:
        """The frames that this chunk completes. Raises TooLong."""
        if self._after_cr or b"\r" in chunk:
            chunk = self._with_lf(chunk)
        rest = self._rest
        if rest:
            seen = max(len(rest) - 1, 0)
            rest += chunk
            if rest.find(b"\n\n", seen) < 0:
                self._check(len(rest) - 2)
                return []
            chunk = bytes(rest)
            rest.clear()
        blocks = chunk.split(b"\n\n")
        last = blocks.pop()
        if last:
            rest += last
            self._check(len(last) - 2)
        frames = []
        for block in blocks:
            if block[:6] == b"data: " and b"\n" not in block and len(block) <= self._limit:
                frames.append(Frame(block[6:]))
                self._fresh = False
            elif frame := self._frame(block):
                frames.append(frame)
        return frames

    def close(self) -> list[Frame]:
        """What was left without its empty line, where it is a frame."""
        rest = bytes(self._rest)
        self._rest.clear()
        frame = self._frame(rest) if rest else None
        return [frame] if frame else []

    def _frame(self, block: bytes) -> Frame | None:
        if self._fresh:
            self._fresh = False
            block = block.removeprefix(_BOM)
        block = block.strip(b"\n")
        self._check(len(block))
        return _parse(block)

    def _with_lf(self, chunk: bytes) -> bytes:
        if self._after_cr and chunk:
            chunk = chunk.removeprefix(b"\n")
            self._after_cr = False
        if chunk.endswith(b"\r"):
            self._after_cr = True
        return chunk.replace(b"\r\n", b"\n").replace(b"\r", b"\n")

    def _check(self, size: int) -> None:
        if size > self._limit:
            msg = f"a server-sent event is longer than {self._limit} bytes"
            raise TooLong(msg)
