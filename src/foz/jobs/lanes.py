"""
Where a job waits, and where it goes after a run that failed. Pure.

* `gpu` and `api` say it themselves. `auto` takes gpu where it stands and is not full, else api.
* A run that failed on the gpu lane of an `auto` job goes over to api, where api stands: once, for good.
* What may pass is tried again in its lane after a pause, until its attempts are used up or it is too old; then it is
  a dead letter. What cannot pass is failed at once.
* A run that we stopped ourselves, or that the caller's own rate did not let begin, costs it nothing: it waits.
"""

from msgspec import Struct

from foz.canon.fault import (
    LEAVES,
    Bug,
    CallerFault,
    Cut,
    Down,
    Draining,
    Fault,
    Garbled,
    Limited,
    NoCapacity,
    NoRoute,
    RateLimited,
    Timeout,
    Unsupported,
)
from foz.canon.job import Job, Trouble
from foz.canon.model import Placement
from foz.canon.request import Mode

_PASSING = (Down, Limited, Cut, Garbled, NoCapacity, NoRoute)
_ELSEWHERE = (*_PASSING, Timeout, Unsupported)
"""What need not be so with another lane's targets."""
MOST_TOLD = 2_000


class Limits(Struct, frozen=True):
    """How often and how long a job is tried."""

    attempts: int = 3
    pause: float = 1.0
    longest_pause: float = 60.0
    oldest: float = 24 * 3600.0
    gpu_full: int = 32
    """Jobs that wait for gpu from which on `auto` takes api."""
    waiting: int = 100_000
    """Jobs that may wait in a lane."""
    unmanned: float = 15.0
    """Seconds for which nobody has worked in the gpu lane from which on `auto` takes api, where somebody does."""


def lane(mode: Mode, gpu: Fault | None, api: Fault | None, waiting: int, limits: Limits) -> Placement:
    """Where a new job waits; `gpu` and `api` say why that placement cannot take it. Raises what stands against it."""
    if mode is Mode.GPU:
        if gpu is not None:
            raise gpu
        return Placement.GPU
    if mode is Mode.API:
        if api is not None:
            raise api
        return Placement.API
    if gpu is None and (waiting < limits.gpu_full or api is not None):
        return Placement.GPU
    if api is None:
        return Placement.API
    raise (gpu or api) if not isinstance(api, CallerFault) else api


class Again(Struct, frozen=True):
    """It waits again, after so many seconds."""

    lane: Placement
    pause: float = 0.0
    counts: bool = True


class Failed(Struct, frozen=True):
    """It has failed; as a dead letter where it was tried as often as may be."""

    trouble: Trouble
    dead: bool = False


def fate(job: Job, fault: Fault, limits: Limits, now: int, *, api_stands: bool, dice: float) -> Again | Failed:
    """What becomes of a job whose run came to this; `dice` in [0, 1) spreads the pauses."""
    if isinstance(fault, Draining):
        return Again(job.lane, counts=False)
    old = now - job.at > limits.oldest * 1000
    if isinstance(fault, RateLimited):  # nobody was asked, and another lane would not be either
        pause = _pause(job.epoch, fault, limits, dice)
        return Failed(trouble(fault), dead=True) if old else Again(job.lane, pause, counts=False)
    over = job.mode is Mode.AUTO and job.lane is Placement.GPU and api_stands
    if over and isinstance(fault, _ELSEWHERE):
        return Again(Placement.API, counts=False)
    if not isinstance(fault, _PASSING):
        return Failed(trouble(fault))
    if job.attempts >= limits.attempts or old:
        return Failed(trouble(fault), dead=True)
    return Again(job.lane, _pause(job.attempts, fault, limits, dice))


def _pause(tries: int, fault: Fault, limits: Limits, dice: float) -> float:
    """Seconds until the next one: longer each time, and no shorter than was asked for."""
    pause: float = min(limits.pause * 2 ** min(max(tries - 1, 0), 16), limits.longest_pause) * (0.5 + dice)
    return max(pause, min(fault.retry_after or 0.0, limits.longest_pause))


def spent(job: Job, limits: Limits) -> bool:
    """Whether a job that was claimed just now had all its attempts before: whoever worked at it died each time."""
    return job.attempts > limits.attempts


def worn(job: Job) -> Trouble:
    """Why such a job is failed."""
    tried = job.attempts - 1
    return Trouble("poison", f"Whoever worked at this job ended before it did, {tried} times; it is not tried again.")


def trouble(fault: Fault) -> Trouble:
    """A fault in words that can be kept."""
    return Trouble(fault.code, fault.message[:MOST_TOLD], fault.status)


def fault_of(job: Job) -> Fault:
    """What a job failed of, as a fault again."""
    found = job.trouble or Trouble("bug", "Nobody knows why this job failed.")
    leaf = next((leaf for leaf in LEAVES if leaf.code == found.code), Bug)
    return leaf(found.message, status=found.status, vendor_code=None if leaf.code == found.code else found.code)
