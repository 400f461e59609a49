"""
What was counted, as values that can be written, read and summed.

Each worker counts for itself; whoever answers /metrics adds the figures of all. Counters only grow and outlive
their worker; gauges (in flight, breakers, depths, memory) are true only while their worker lives.
"""

import os
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from msgspec import Struct

LATENCY_BOUNDS = (5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10_000, 30_000, 60_000, 120_000, 300_000, 600_000)
"""Milliseconds. A model's whole answer may take minutes."""
FIRST_TOKEN_BOUNDS = (5, 10, 25, 50, 100, 250, 500, 1000, 2000, 5000, 10_000, 30_000, 60_000)

TOKEN_KINDS = ("input", "output", "cached", "reasoning")


class SlotFigures(Struct, frozen=True):
    """The calls of one model by one target through one skin."""

    skin: str
    model: str
    target: str
    outcomes: dict[str, int]
    """By `state status`, as `complete 200`."""
    tokens: list[int]
    """In the order of TOKEN_KINDS."""
    latency: list[int]
    """Per bound, and one beyond the last."""
    latency_sum: int
    first_token: list[int]
    first_token_sum: int


class ProcessFigures(Struct, frozen=True):
    """What the operating system says of one process, or of several in sum. None where it does not say."""

    memory: int | None = None
    files: int | None = None
    cpu: float = 0.0


class Snapshot(Struct, frozen=True):
    """All that one worker has counted. `id` is its own for ever, though its `pid` may be used again."""

    run: str
    id: str
    at: int
    started: int
    slots: list[SlotFigures]
    in_flight: dict[str, int]
    breakers: dict[str, dict[str, int]]
    """By target and state: how many workers see it so."""
    gauges: dict[str, float]
    refusals: dict[str, int]
    """By `skin code status`."""
    process: ProcessFigures
    workers: int = 1
    buried: list[str] = []
    """Whose counters are in these figures; only where the dead are summed up."""


def read_process() -> ProcessFigures:
    """Of this process, now."""
    memory = files = None
    with suppress(OSError, ValueError, IndexError):
        memory = int(Path("/proc/self/statm").read_bytes().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    with suppress(OSError):
        files = len(os.listdir("/dev/fd")) - 1  # noqa: PTH208 - names are enough; one of them is this listing's own
    return ProcessFigures(memory, files, time.process_time())


def _added(first: list[int], second: list[int]) -> list[int]:
    return [one + other for one, other in zip(first, second, strict=True)]


def _summed_slot(one: SlotFigures, other: SlotFigures) -> SlotFigures:
    outcomes = dict(one.outcomes)
    for key, count in other.outcomes.items():
        outcomes[key] = outcomes.get(key, 0) + count
    return SlotFigures(
        skin=one.skin,
        model=one.model,
        target=one.target,
        outcomes=outcomes,
        tokens=_added(one.tokens, other.tokens),
        latency=_added(one.latency, other.latency),
        latency_sum=one.latency_sum + other.latency_sum,
        first_token=_added(one.first_token, other.first_token),
        first_token_sum=one.first_token_sum + other.first_token_sum,
    )


def _summed_known(values: Iterable[int | None]) -> int | None:
    known = [value for value in values if value is not None]
    return sum(known) if known else None


def summed(snapshots: Iterable[Snapshot], fresh_since: int) -> Snapshot:
    """Everybody's counters, and the gauges of those that have written since then. At least one snapshot."""
    snapshots = list(snapshots)
    alive = [snapshot for snapshot in snapshots if snapshot.at >= fresh_since]
    slots: dict[tuple[str, str, str], SlotFigures] = {}
    for slot in (slot for snapshot in snapshots for slot in snapshot.slots):
        key = (slot.skin, slot.model, slot.target)
        slots[key] = _summed_slot(slots[key], slot) if key in slots else slot
    in_flight: dict[str, int] = {}
    breakers: dict[str, dict[str, int]] = {}
    refusals: dict[str, int] = {}
    gauges: dict[str, float] = {}
    for snapshot in snapshots:
        for what, count in snapshot.refusals.items():
            refusals[what] = refusals.get(what, 0) + count
    for snapshot in alive:
        for model, count in snapshot.in_flight.items():
            in_flight[model] = in_flight.get(model, 0) + count
        for name, value in snapshot.gauges.items():
            gauges[name] = gauges.get(name, 0.0) + value
        for target, states in snapshot.breakers.items():
            seen = breakers.setdefault(target, {})
            for state, count in states.items():
                seen[state] = seen.get(state, 0) + count
    return Snapshot(
        run=snapshots[0].run,
        id="",
        at=max(snapshot.at for snapshot in snapshots),
        started=min(snapshot.started for snapshot in snapshots),
        slots=list(slots.values()),
        in_flight=in_flight,
        breakers=breakers,
        refusals=refusals,
        gauges=gauges,
        process=ProcessFigures(
            memory=_summed_known(snapshot.process.memory for snapshot in alive),
            files=_summed_known(snapshot.process.files for snapshot in alive),
            cpu=sum(snapshot.process.cpu for snapshot in snapshots),
        ),
        workers=sum(snapshot.workers for snapshot in alive),
    )
