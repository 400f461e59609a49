"""Deadlines without a timer each: one coarse tick looks at all who wait."""

from typing import Protocol


class Waiting(Protocol):
    """Someone with a deadline, in the loop's time; `inf` is none at present."""

    deadline: float

    def expired(self) -> None:
        """The deadline has passed. Called in the loop, at most once a tick."""
        ...


class Watch(Protocol):
    """Who waits. A deadline that moves costs an assignment, nothing else."""

    now: float
    """The loop's time, up to a tick late."""

    def add(self, waiting: Waiting) -> None:
        """Looks at it from now on."""
        ...

    def discard(self, waiting: Waiting) -> None:
        """No longer."""
        ...
