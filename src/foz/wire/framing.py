"""What the framings have in common: bytes in, frames out, and a limit."""

from collections.abc import Sequence
from typing import Protocol, TypeVar

F_co = TypeVar("F_co", covariant=True)


class TooLong(ValueError):
    """A frame grew beyond the limit."""


class Framing(Protocol[F_co]):
    """One stream's bytes while they come in."""

    @property
    def pending(self) -> bool:
        """Whether a frame has begun that is not complete."""
        ...

    def feed(self, chunk: bytes) -> Sequence[F_co]:
        """The frames that this chunk completes. Raises TooLong."""
        ...

    def close(self) -> Sequence[F_co]:
        """What was left without its end, where it is a frame."""
        ...
