"""
The counters of one worker. On the hot path there are only dicts, lists and integers of this process:
no lock, no label, no file. `telemetry/exposition.py` makes text of them when somebody asks.

What can grow is bounded. A model's name comes from the caller, so it earns figures of its own only when it is
configured, or when a target has answered it whole; all other names share the slot `other`.
"""

from bisect import bisect_left
from collections.abc import Callable, Mapping
from typing import Final

from foz.canon.entry import EntryEnd, State
from foz.ports.clock import Clock
from foz.telemetry.figures import (
    FIRST_TOKEN_BOUNDS,
    LATENCY_BOUNDS,
    TOKEN_KINDS,
    SlotFigures,
    Snapshot,
    read_process,
)

OTHER: Final = "other"
MAX_SLOTS = 1000
"""Slots that unconfigured names may take."""
MAX_BREAKERS = 1000


class Slot:
    """The calls of one model by one target through one skin."""

    __slots__ = (
        "cached",
        "first_token",
        "first_token_sum",
        "input",
        "latency",
        "latency_sum",
        "outcomes",
        "output",
        "reasoning",
    )

    def __init__(self) -> None:
        self.outcomes: dict[tuple[State, int], int] = {}
        self.input = self.output = self.cached = self.reasoning = 0
        self.latency = [0] * (len(LATENCY_BOUNDS) + 1)
        self.latency_sum = 0
        self.first_token = [0] * (len(FIRST_TOKEN_BOUNDS) + 1)
        self.first_token_sum = 0

    def figures(self, skin: str, model: str, target: str) -> SlotFigures:
        """As they are now."""
        outcomes = self.outcomes.copy()
        return SlotFigures(
            skin=skin,
            model=model,
            target=target,
            outcomes={f"{state.value} {status}": count for (state, status), count in outcomes.items()},
            tokens=[getattr(self, kind) for kind in TOKEN_KINDS],
            latency=self.latency.copy(),
            latency_sum=self.latency_sum,
            first_token=self.first_token.copy(),
            first_token_sum=self.first_token_sum,
        )


class Counts:
    """
    Implements the port `Meters`. `known` says whether a name is one of the configured public models;
    it is asked only for names that have no slot yet. `gauges` are read when somebody asks.
    """

    def __init__(
        self,
        *,
        run: str,
        pid: int,
        clock: Clock,
        known: Callable[[str], bool],
        gauges: Mapping[str, Callable[[], float]] | None = None,
    ) -> None:
        self._run = run
        self._clock = clock
        self._started = clock.now()
        self._id = f"{pid}-{self._started}"
        self._known = known
        self._gauges = dict(gauges or {})
        self._slots: dict[tuple[str, str, str], Slot] = {}
        self._earned: set[str] = set()
        self._in_flight: dict[str, int] = {}
        self._breakers: dict[str, str] = {}
        self._refusals: dict[tuple[str, str, int], int] = {}

    def began(self, model: str) -> None:
        """One more in flight."""
        flying = self._in_flight
        flying[model] = flying.get(model, 0) + 1

    def ended(self, skin: str, model: str, target: str, end: EntryEnd) -> None:
        """One less, and how it went. `target` is empty where none was asked."""
        left = self._in_flight.pop(model, 0) - 1
        if left > 0:
            self._in_flight[model] = left
        slot = self._slots.get((skin, model, target)) or self._slot(skin, model, target, end)
        outcome = (end.state, end.status)
        slot.outcomes[outcome] = slot.outcomes.get(outcome, 0) + 1
        usage = end.usage
        if usage.input:
            slot.input += usage.input
        if usage.output:
            slot.output += usage.output
        if usage.cached:
            slot.cached += usage.cached
        if usage.reasoning:
            slot.reasoning += usage.reasoning
        if target:
            slot.latency[bisect_left(LATENCY_BOUNDS, end.duration)] += 1
            slot.latency_sum += end.duration
            if end.first_token is not None:
                slot.first_token[bisect_left(FIRST_TOKEN_BOUNDS, end.first_token)] += 1
                slot.first_token_sum += end.first_token

    def refused(self, skin: str, code: str, status: int) -> None:
        """A request that came to no entry. Skins, codes and statuses are few, and none is the caller's to choose."""
        what = (skin, code, status)
        self._refusals[what] = self._refusals.get(what, 0) + 1

    def breaker(self, target: str, state: str) -> None:
        """A target's breaker is now `closed`, `open` or `half_open`."""
        if target not in self._breakers and len(self._breakers) >= MAX_BREAKERS:
            calm = next((name for name, seen in self._breakers.items() if seen == "closed"), None)
            if calm is None:
                return
            del self._breakers[calm]
        self._breakers[target] = state

    def snapshot(self) -> Snapshot:
        """All figures as they are now. May be called from another thread: each copy is one step of the interpreter."""
        in_flight = dict.fromkeys(self._earned.copy(), 0)
        for model, count in self._in_flight.copy().items():
            label = model if model in in_flight or self._known(model) else OTHER
            in_flight[label] = in_flight.get(label, 0) + count
        return Snapshot(
            run=self._run,
            id=self._id,
            at=self._clock.now(),
            started=self._started,
            slots=[slot.figures(*key) for key, slot in self._slots.copy().items()],
            in_flight=in_flight,
            breakers={target: {state: 1} for target, state in self._breakers.copy().items()},
            refusals={f"{skin} {code} {status}": n for (skin, code, status), n in self._refusals.copy().items()},
            gauges={name: read() for name, read in self._gauges.items()},
            process=read_process(),
        )

    def _slot(self, skin: str, model: str, target: str, end: EntryEnd) -> Slot:
        if not self._known(model) and not self._earns(target, end):
            model, target = OTHER, OTHER if target else ""
        self._earned.add(model)
        return self._slots.setdefault((skin, model, target), Slot())

    def _earns(self, target: str, end: EntryEnd) -> bool:
        return bool(target) and end.state is State.COMPLETE and len(self._slots) < MAX_SLOTS
