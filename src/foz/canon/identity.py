"""
Names that sort by the time they were given: UUIDv7 (RFC 9562) as 16 bytes.

An id is 48 bits of milliseconds, then chance. Within one millisecond, and while the clock stands or steps back,
the next id is the last one plus a random step, so that the ids of one process only grow.
Chance is drawn in blocks and the clock is asked once an id: about half a microsecond each.

Pure: clock and chance are given. One source belongs to one process: make it after a fork, never before.
"""

from collections.abc import Callable, Iterator

_BLOCK = 4096
_LOW = (1 << 62) - 1
_FRESH = (1 << 61) - 1
"""A new millisecond starts in the lower half, so that there is room to step."""
_STEP = (1 << 32) - 1
_LENGTH = 16


class Identities:
    """A source of ids. `now` gives UTC milliseconds, `random(n)` gives n bytes (`os.urandom`)."""

    __slots__ = ("_draws", "_end", "_last", "_millisecond", "_now", "_random")

    def __init__(self, now: Callable[[], int], random: Callable[[int], bytes]) -> None:
        self._now = now
        self._random = random
        self._draws: Iterator[int] = iter(())
        self._millisecond = -1
        self._last = 0
        self._end = -1

    def new(self) -> bytes:
        """The next id: greater than all before it."""
        millisecond = self._now()
        for draw in self._draws:
            if millisecond > self._millisecond:
                return self._start(millisecond, draw)
            self._last = last = self._last + 1 + (draw & _STEP)
            if last > self._end:
                return self._start(self._millisecond + 1, draw)
            return last.to_bytes(_LENGTH)
        self._draws = iter(memoryview(self._random(_BLOCK)).cast("Q"))
        return self.new()

    def _start(self, millisecond: int, draw: int) -> bytes:
        self._millisecond = millisecond
        salt = next(self._draws, draw >> 7) & 0xFFF
        head = millisecond << 80 | 0x7 << 76 | salt << 64 | 0b10 << 62
        self._end = head | _LOW
        self._last = head | (draw & _FRESH)
        return self._last.to_bytes(_LENGTH)


def text(id: bytes) -> str:
    """The form with hyphens, 36 characters."""
    digits = id.hex()
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"


def parse(words: str) -> bytes:
    """The 16 bytes of the form with hyphens, or of 32 hexadecimal digits. Raises ValueError."""
    digits = words.replace("-", "")
    if len(digits) != 2 * _LENGTH or not digits.isalnum():
        raise ValueError(f"{words[:40]!r} is not an id: expected 32 hexadecimal digits, with or without hyphens.")
    return bytes.fromhex(digits)


def made_at(id: bytes) -> int:
    """The UTC millisecond an id was made in."""
    return int.from_bytes(id[:6])


def least(millisecond: int) -> bytes:
    """The smallest 16 bytes that an id of this millisecond could have: a bound for searching by time."""
    return millisecond.to_bytes(6) + bytes(_LENGTH - 6)
