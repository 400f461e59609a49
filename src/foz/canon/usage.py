"""What an answer took. Token counts are integers only; None is unknown, which is not zero."""

from msgspec import Struct


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
