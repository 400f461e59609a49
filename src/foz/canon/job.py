"""
A request that outlives its connection, as values.

`pending -> processing -> completed | failed | cancelled`: every accepted job reaches exactly one end, whatever is
killed. A job waits in a lane (the placement of those who may work at it), is claimed for a lease, and is
worked at under an epoch: whoever claims it anew gets the next one, and what is said under an old epoch is not heard.
What the work brings is the job's log: pieces, numbered from 0 within their epoch. The log of the epoch that completed
is the answer; there is no other copy of it.
Ids are UUIDv7 (16 bytes), times UTC in integer milliseconds.
"""

from enum import StrEnum
from typing import NamedTuple

from msgspec import Struct

from foz.canon.model import Placement
from foz.canon.principal import Principal
from foz.canon.request import Mode


class JobState(StrEnum):
    """How a job stands."""

    PENDING = "pending"
    PROCESSING = "processing"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"


ENDS = frozenset({JobState.COMPLETED, JobState.FAILED, JobState.CANCELLED})


class Trouble(Struct, frozen=True):
    """What a job failed of: a fault, in words that can be kept."""

    code: str
    message: str
    status: int = 500


class Job(Struct, frozen=True):
    """A job, without what was asked and what was answered."""

    id: bytes
    at: int
    principal: Principal
    project: str
    skin: str
    model: str
    mode: Mode
    lane: Placement
    key: str
    """The idempotency key: the caller's, or one that was made."""
    stream: bool
    """Whether its answer is a streamed one."""
    digest: bytes
    """Of what was asked, in our words, and the mode: the same key stands for the same digest."""
    state: JobState = JobState.PENDING
    epoch: int = 0
    """How often it was claimed."""
    attempts: int = 0
    """How many claims count against its limit."""
    due: int = 0
    """Not to be worked at before; while it is processed, when its lease lapses."""
    began: int | None = None
    """When it was first claimed."""
    ended: int | None = None
    served: Placement | None = None
    """Where the answer was made."""
    latency: float | None = None
    """Milliseconds that the run which completed it took."""
    trouble: Trouble | None = None
    dead: bool = False
    """It failed of its attempts' limit: a dead letter, for an operator to look at."""

    @property
    def over(self) -> bool:
        """Whether it has its end."""
        return self.state in ENDS


class JobEnd(Struct, frozen=True):
    """How the work at a job ended: completed or failed. (A cancellation is the caller's and ends it at once.)"""

    state: JobState
    at: int
    served: Placement | None = None
    latency: float | None = None
    trouble: Trouble | None = None
    dead: bool = False


class Mark(NamedTuple):
    """A place in a log: what was read last. Before the first piece it is (0, -1)."""

    epoch: int
    number: int


START = Mark(0, -1)


class Piece(NamedTuple):
    """One piece of a log."""

    mark: Mark
    data: bytes
