"""A ledger in memory, with the rules of the real one, for tests that want to look at what was written."""

import asyncio
from collections.abc import Awaitable

from foz.canon.entry import Attempt, AttemptEnd, Entry, EntryEnd, State


class MemoryLedger:
    """Implements `ports.ledger.Ledger`. Each write is done when the loop comes round, or when `gate` opens."""

    def __init__(self) -> None:
        self.entries: dict[bytes, Entry] = {}
        self.attempts: dict[bytes, list[Attempt]] = {}
        """The attempts of each entry, in order."""
        self.ends: dict[bytes, EntryEnd] = {}
        self.attempt_ends: dict[tuple[bytes, int], AttemptEnd] = {}
        self.interrupted: set[bytes] = set()
        self.gate: asyncio.Event | None = None
        """While it is set to an event, writes wait for it."""

    def open(self, entry: Entry, first: Attempt | None) -> Awaitable[None]:
        """Opens an entry with its first attempt."""
        if entry.id in self.entries:
            raise ValueError(f"The entry {entry.id.hex()} is open already.")
        self.entries[entry.id] = entry
        self.attempts[entry.id] = [] if first is None else [first]
        return self._written()

    def next_attempt(self, ended: AttemptEnd, attempt: Attempt) -> Awaitable[None]:
        """Ends one attempt and opens the next; nothing where the entry is not open."""
        if self._is_open(attempt.entry_id):
            self._end(ended)
            self.attempts[attempt.entry_id].append(attempt)
        return self._written()

    def settle(self, end: EntryEnd, ended: AttemptEnd | None) -> Awaitable[None]:
        """Ends an entry and its last attempt. The first settle wins."""
        if self._is_open(end.id):
            if ended is not None:
                self._end(ended)
            for attempt in self.attempts[end.id]:
                self._end(AttemptEnd(end.id, attempt.number, end.state, end.usage, end.fault, duration=end.duration))
            self.ends[end.id] = end
        return self._written()

    def crash(self) -> None:
        """The owner dies: all that is open becomes interrupted."""
        self.interrupted |= {id for id in self.entries if self._is_open(id)}

    def state(self, id: bytes) -> State:
        """How an entry stands."""
        if id in self.ends:
            return self.ends[id].state
        return State.INTERRUPTED if id in self.interrupted else State.OPEN

    def attempt_states(self, id: bytes) -> list[State]:
        """How its attempts stand, in order."""
        ends = [self.attempt_ends.get((id, attempt.number)) for attempt in self.attempts[id]]
        unended = State.INTERRUPTED if id in self.interrupted else State.OPEN
        return [unended if end is None else end.state for end in ends]

    def _is_open(self, id: bytes) -> bool:
        return id in self.entries and id not in self.ends and id not in self.interrupted

    def _end(self, ended: AttemptEnd) -> None:
        known = any(attempt.number == ended.number for attempt in self.attempts[ended.entry_id])
        if known:
            self.attempt_ends.setdefault((ended.entry_id, ended.number), ended)

    async def _written(self) -> None:
        if self.gate is not None:
            await self.gate.wait()
