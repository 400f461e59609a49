"""What an answer took. Token counts are integers only; None is unknown, which is not zero."""

from msgspec import Struct

MOST = 2**31 - 1
"""Tokens that an answer can have taken: what is counted further, or below zero, is no count."""


class Usage(Struct, frozen=True):
    """What one answer took. `input` includes `cached`; `output` includes `reasoning`."""

    input: int | None = None
    output: int | None = None
    cached: int | None = None
    cache_written: int | None = None
    reasoning: int | None = None
    estimated: bool = False
    """True where the target did not say and we counted by rule of thumb."""


class Timing(Struct, frozen=True):
    """How long an answer took, in nanoseconds, as the gateway saw it."""

    total: int
    """From when the request was read."""
    first: int | None = None
    """Of that, until its first content; None where all of it came at once."""


def believed(usage: Usage) -> Usage:
    """The counts that can be; others are unknown."""
    counts = (usage.input, usage.output, usage.cached, usage.cache_written, usage.reasoning)
    for count in counts:
        if count is not None and not 0 <= count <= MOST:
            break
    else:
        return usage
    input, output, cached, written, reasoning = (
        None if count is None or not 0 <= count <= MOST else count for count in counts
    )
    return Usage(input, output, cached, written, reasoning, usage.estimated)
