"""
How the simulated model misbehaves, on request headers. Only in test mode; else they are not looked at.

| header                     | value             | what happens                                                      |
|----------------------------|-------------------|-------------------------------------------------------------------|
| `x-simulate-status`        | 400 to 599        | this status with an error, instead of an answer                   |
| `x-simulate-retry-after`   | seconds           | with a status: its `retry-after`                                  |
| `x-simulate-times`         | 1 or more         | with a status: so often for an `x-simulate-id`, then well         |
| `x-simulate-id`            | any word          | whose times are counted                                           |
| `x-simulate-code`          | a word            | with a status, or an error in the stream: its `code`              |
| `x-simulate-delay`         | seconds           | wait before the head                                              |
| `x-simulate-pace`          | seconds           | wait between the pieces of a stream                               |
| `x-simulate-hang`          | events, 0 or more | falls silent after so many; 0: never answers at all               |
| `x-simulate-cut`           | events, 0 or more | the connection ends after so many, before the stream is finished  |
| `x-simulate-garble`        | event, 1 or more  | this event is broken JSON                                         |
| `x-simulate-error`         | events, 0 or more | an error event after so many, and no more                         |
| `x-simulate-no-usage`      | 1                 | no token counts                                                   |
| `x-simulate-no-done`       | 1                 | the stream ends without its terminal frame                        |
| `x-simulate-endless`       | 1                 | the stream never ends                                             |
| `x-simulate-giant`         | characters        | the first words are so long, in one frame                         |
| `x-simulate-words`         | words             | the answer has exactly so many words                              |
| `x-simulate-batch`         | tokens, 1 or more | so many to an event of a stream, where the dialect can say that   |
| `x-simulate-fragment`      | bytes, 1 or more  | so many to a TCP write (real socket only)                         |
| `x-simulate-socket`        | close, reset      | closes before any byte; resets in the middle (real socket only)   |
| `x-simulate-socket`        | length, chunk     | too long a content-length; a broken chunk (real socket only)      |

An event is a piece of a stream as the dialect frames it. A whole answer counts as one event: a cut or a hang comes in
the middle of its body, an error is a status 500, and an endless one hangs. A wrong value, or a header that nobody
knows, gets a 400 that says what was expected.
"""

import math

import msgspec
from msgspec import Struct

from foz.canon.fault import BadRequest
from foz.wire.http import Headers

PREFIX = b"x-simulate-"
LONGEST_WAIT = 86_400.0
MOST = 99_999_999
"""Events, words, characters."""
SOCKET_ACTS = ("close", "reset", "length", "chunk")
_SECONDS = {b"retry-after", b"delay", b"pace"}
_WORDS = {b"id", b"code"}
_FLAGS = {b"no-usage", b"no-done", b"endless"}
_COUNTS = {
    b"status": (400, 599),
    b"times": (1, MOST),
    b"hang": (0, MOST),
    b"cut": (0, MOST),
    b"garble": (1, MOST),
    b"error": (0, MOST),
    b"giant": (1, MOST),
    b"words": (0, 1_000_000),
    b"batch": (1, MOST),
    b"fragment": (1, 65_536),
}


_KNOWN = frozenset({*_COUNTS, *_SECONDS, *_FLAGS, *_WORDS, b"socket"})


class Mischief(Struct, frozen=True):
    """What was asked for; the fields are the headers' names."""

    status: int | None = None
    retry_after: float | None = None
    times: int | None = None
    id: str | None = None
    code: str | None = None
    delay: float | None = None
    pace: float | None = None
    hang: int | None = None
    cut: int | None = None
    garble: int | None = None
    error: int | None = None
    no_usage: bool = False
    no_done: bool = False
    endless: bool = False
    giant: int | None = None
    words: int | None = None
    batch: int | None = None
    fragment: int | None = None
    socket: str | None = None

    @property
    def spoils(self) -> bool:
        """Whether an answer that ended by itself was still not finished."""
        return self.error is not None or self.garble is not None or self.no_done


NONE = Mischief()


def read(headers: Headers) -> Mischief:
    """What the headers ask for. Raises BadRequest that names the header and what was expected."""
    asked = {name[len(PREFIX) :]: value for name, value in headers if name.startswith(PREFIX)}
    if not asked:
        return NONE
    for name in asked.keys() - _KNOWN:
        known = ", ".join(sorted(each.decode() for each in _KNOWN))
        header = f"{PREFIX.decode()}{name.decode('latin-1')}"
        raise BadRequest(f"the header {header[:100]} is unknown; after {PREFIX.decode()} may stand {known}")
    values = {name.decode("latin-1").replace("-", "_"): _value(name, value) for name, value in asked.items()}
    mischief: Mischief = msgspec.structs.replace(NONE, **values)
    if mischief.times is not None and (mischief.id is None or mischief.status is None):
        raise BadRequest("x-simulate-times needs x-simulate-status and x-simulate-id: whose times are counted?")
    return mischief


def _value(name: bytes, value: bytes) -> int | float | str | bool:
    """One header's value."""
    text = value.decode("latin-1").strip()
    if name in _COUNTS:
        low, high = _COUNTS[name]
        if not (text.isascii() and text.isdigit() and len(text) <= 9 and low <= int(text) <= high):  # noqa: PLR2004 - digits of MOST
            raise _wrong(name, text, f"a whole number from {low} to {high}")
        return int(text)
    if name in _SECONDS:
        seconds = _seconds(text)
        if not 0 <= seconds <= LONGEST_WAIT:
            raise _wrong(name, text, f"seconds from 0 to {LONGEST_WAIT:g}")
        return seconds
    if name in _FLAGS:
        if text not in {"1", "0"}:
            raise _wrong(name, text, "1 or 0")
        return text == "1"
    if name == b"socket" and text not in SOCKET_ACTS:
        raise _wrong(name, text, f"one of {', '.join(SOCKET_ACTS)}")
    if not 0 < len(text) <= 200:  # noqa: PLR2004 - a word
        raise _wrong(name, text, "1 to 200 characters")
    return text


def _seconds(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan


def _wrong(name: bytes, text: str, expected: str) -> BadRequest:
    header = f"{PREFIX.decode()}{name.decode('latin-1')}"
    return BadRequest(f"the header {header} is {text[:100]!r}; expected {expected}", field=header)
