"""
JSON values on lines of their own. `feed` takes bytes split anywhere and gives the lines that are complete.

A line ends with LF or CRLF; empty ones are dropped, and so is a byte order mark. The last line may lack its end:
`close` gives what is left, and whoever reads it must see whether it is whole. What is incomplete waits in one buffer
that is searched only where it grew: a line that comes byte by byte costs no more than one that comes whole.
"""

from foz.wire import framing

MAX_LINE = 16 * 1024 * 1024
_BOM = b"\xef\xbb\xbf"


class TooLong(framing.TooLong):
    """A line grew beyond the limit."""


def encode(value: bytes) -> bytes:
    """One line of a value that has no line breaks, as all JSON that we write."""
    return value + b"\n"


class Decoder:
    """Bytes in, lines out, without their ends."""

    def __init__(self, limit: int = MAX_LINE) -> None:
        self._rest = bytearray()
        self._limit = limit
        self._fresh = True

    @property
    def pending(self) -> bool:
        """Whether a line has begun that is not complete."""
        return bool(self._rest)

    def feed(self, chunk: bytes) -> list[bytes]:
        """The lines that this chunk completes. Raises TooLong."""
        rest = self._rest
        if rest:
            seen = len(rest)
            rest += chunk
            if rest.find(b"\n", seen) < 0:
                self._check(len(rest) - 1)
                return []
            chunk = bytes(rest)
            rest.clear()
        lines = chunk.split(b"\n")
        last = lines.pop()
        if last:
            rest += last
            self._check(len(last) - 1)
        return [line for raw in lines if (line := self._line(raw))]

    def close(self) -> list[bytes]:
        """What was left without its end."""
        rest = bytes(self._rest)
        self._rest.clear()
        line = self._line(rest)
        return [line] if line else []

    def _line(self, raw: bytes) -> bytes:
        if self._fresh and raw:
            self._fresh = False
            raw = raw.removeprefix(_BOM)
        line = raw.removesuffix(b"\r")
        self._check(len(line))
        return b"" if line.isspace() else line

    def _check(self, size: int) -> None:
        if size > self._limit:
            msg = f"a line is longer than {self._limit} bytes"
            raise TooLong(msg)
