"""What every ledger promises, the one in memory and the one in SQLite alike."""

import asyncio
import os
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test
from typing_extensions import override

from foz.canon.entry import Attempt, AttemptEnd, Entry, EntryEnd, State
from foz.canon.identity import Identities
from foz.canon.request import Attribution
from foz.canon.usage import Usage
from foz.ports.ledger import Ledger
from foz.store.database import connect_reader
from foz.store.disk import Disk
from foz.testing.ledger import MemoryLedger

IDENTITIES = Identities(lambda: 1_700_000_000_000, os.urandom)
SEEN = Usage(input=10, output=5)
Standing = tuple[str, list[tuple[int, str, int | None]]]
"""State of an entry; number, state and output tokens of each attempt."""


class Bench(ABC):
    """A ledger and a look into it."""

    ledger: Ledger

    @abstractmethod
    def standing(self, id: bytes) -> Standing | None: ...

    @abstractmethod
    async def crash(self) -> None: ...

    @abstractmethod
    async def close(self) -> None: ...


class MemoryBench(Bench):
    def __init__(self, _: Path) -> None:
        self.memory = MemoryLedger()
        self.ledger = self.memory

    @override
    def standing(self, id: bytes) -> Standing | None:
        memory = self.memory
        if id not in memory.entries:
            return None
        attempts = [
            (attempt.number, str(state), end.usage.output if end else None)
            for attempt, state in zip(memory.attempts[id], memory.attempt_states(id), strict=True)
            for end in [memory.attempt_ends.get((id, attempt.number))]
        ]
        return str(memory.state(id)), attempts

    @override
    async def crash(self) -> None:
        self.memory.crash()

    @override
    async def close(self) -> None:
        """Nothing to close in memory."""


class SqliteBench(Bench):
    """A crash gives the owner's lock up with entries open; another process's sweep finds them."""

    def __init__(self, data: Path) -> None:
        self.data = data
        self.disk = Disk(data)
        self.ledger = self.disk.ledger
        self.reader = connect_reader(data)

    @override
    def standing(self, id: bytes) -> Standing | None:
        found = self.reader.execute("SELECT state FROM entries WHERE id = ?", (id,)).fetchone()
        attempts = self.reader.execute(
            "SELECT number, state, output FROM attempts WHERE entry_id = ? ORDER BY number", (id,)
        )
        rows: list[tuple[int, str, int | None]] = [*attempts]
        return None if found is None else (str(found[0]), rows)

    @override
    async def crash(self) -> None:
        await self.disk.close()
        self.disk = Disk(self.data)
        self.ledger = self.disk.ledger
        await self.disk.sweep()

    @override
    async def close(self) -> None:
        self.reader.close()
        await self.disk.close()


BENCHES: list[Callable[[Path], Bench]] = [MemoryBench, SqliteBench]
every_ledger = pytest.mark.parametrize("make", BENCHES)


def entry(id: bytes) -> Entry:
    return Entry(
        id, 1_700_000_000_000, "key-1", "blue", Attribution(user_key="u"), "openai", "chat", "m", "req-1", stream=True
    )


def attempt(id: bytes, number: int = 1) -> Attempt:
    return Attempt(id, number, f"p/t{number}", "api", 1_700_000_000_001)


def attempt_end(id: bytes, number: int, state: State, usage: Usage = SEEN) -> AttemptEnd:
    return AttemptEnd(id, number, state, usage, status=200, duration=7)


def entry_end(id: bytes, state: State, usage: Usage = SEEN) -> EntryEnd:
    return EntryEnd(id, state, 200, usage, 3, 9, 12_345, "USD", "v1")


def run(make: Callable[[Path], Bench], data: Path, story: Callable[[Bench], Awaitable[None]]) -> None:
    async def told() -> None:
        bench = make(data)
        try:
            await story(bench)
        finally:
            await bench.close()

    asyncio.run(told())


@every_ledger
def test_an_entry_is_there_with_its_attempt_once_open_returns(make: Callable[[Path], Bench], tmp_path: Path) -> None:
    """After `open` the entry and its first attempt are open; after `settle` both are ended."""
    id = IDENTITIES.new()

    async def story(bench: Bench) -> None:
        assert bench.standing(id) is None
        await bench.ledger.open(entry(id), attempt(id))
        assert bench.standing(id) == ("open", [(1, "open", None)])
        await bench.ledger.settle(entry_end(id, State.COMPLETE), attempt_end(id, 1, State.COMPLETE))
        assert bench.standing(id) == ("complete", [(1, "complete", 5)])

    run(make, tmp_path, story)


@every_ledger
def test_the_first_settle_wins(make: Callable[[Path], Bench], tmp_path: Path) -> None:
    """A second settle, at once or later, changes nothing; nor does a next attempt after the settle."""
    id = IDENTITIES.new()

    async def story(bench: Bench) -> None:
        await bench.ledger.open(entry(id), attempt(id))
        first = bench.ledger.settle(entry_end(id, State.CALLER_GONE), attempt_end(id, 1, State.CALLER_GONE))
        second = bench.ledger.settle(entry_end(id, State.COMPLETE), attempt_end(id, 1, State.COMPLETE))
        third = bench.ledger.next_attempt(attempt_end(id, 1, State.FAILED), attempt(id, 2))
        await asyncio.gather(first, second, third)
        await bench.ledger.settle(entry_end(id, State.FAILED), None)
        assert bench.standing(id) == ("caller_gone", [(1, "caller_gone", 5)])

    run(make, tmp_path, story)


@every_ledger
def test_attempts_keep_their_own_ends(make: Callable[[Path], Bench], tmp_path: Path) -> None:
    """Each of three attempts keeps its own state and tokens, beside the entry's."""
    id = IDENTITIES.new()

    async def story(bench: Bench) -> None:
        ledger = bench.ledger
        await ledger.open(entry(id), attempt(id))
        await ledger.next_attempt(attempt_end(id, 1, State.FAILED, Usage(output=1)), attempt(id, 2))
        await ledger.next_attempt(attempt_end(id, 2, State.UPSTREAM_CUT, Usage(output=2)), attempt(id, 3))
        assert bench.standing(id) == ("open", [(1, "failed", 1), (2, "upstream_cut", 2), (3, "open", None)])
        await ledger.settle(entry_end(id, State.COMPLETE), attempt_end(id, 3, State.COMPLETE, Usage(output=3)))
        assert bench.standing(id) == ("complete", [(1, "failed", 1), (2, "upstream_cut", 2), (3, "complete", 3)])

    run(make, tmp_path, story)


@every_ledger
def test_the_only_attempt_may_have_tokens_of_its_own(make: Callable[[Path], Bench], tmp_path: Path) -> None:
    """Tokens of a single attempt that differ from the entry's are kept apart."""
    id = IDENTITIES.new()

    async def story(bench: Bench) -> None:
        await bench.ledger.open(entry(id), attempt(id))
        await bench.ledger.settle(
            entry_end(id, State.COMPLETE, Usage(output=9)), attempt_end(id, 1, State.COMPLETE, Usage(output=4))
        )
        assert bench.standing(id) == ("complete", [(1, "complete", 4)])

    run(make, tmp_path, story)


@every_ledger
def test_an_entry_may_fail_before_any_attempt(make: Callable[[Path], Bench], tmp_path: Path) -> None:
    """An entry without an attempt has none in the book, and may still be given its first."""
    id, other = IDENTITIES.new(), IDENTITIES.new()

    async def story(bench: Bench) -> None:
        await bench.ledger.open(entry(id), None)
        await bench.ledger.settle(entry_end(id, State.FAILED), None)
        assert bench.standing(id) == ("failed", [])
        await bench.ledger.open(entry(other), None)
        await bench.ledger.next_attempt(attempt_end(other, 0, State.FAILED), attempt(other, 1))
        assert bench.standing(other) == ("open", [(1, "open", None)])
        await bench.ledger.settle(entry_end(other, State.COMPLETE), attempt_end(other, 1, State.COMPLETE))
        assert bench.standing(other) == ("complete", [(1, "complete", 5)])

    run(make, tmp_path, story)


@every_ledger
def test_an_attempt_that_nobody_ended_ends_with_its_entry(make: Callable[[Path], Bench], tmp_path: Path) -> None:
    """A settle that names no attempt ends the one that runs."""
    id = IDENTITIES.new()

    async def story(bench: Bench) -> None:
        await bench.ledger.open(entry(id), attempt(id))
        await bench.ledger.settle(entry_end(id, State.FAILED), None)
        assert bench.standing(id) == ("failed", [(1, "failed", 5)])

    run(make, tmp_path, story)


@every_ledger
def test_a_settle_may_overtake_the_wait_for_its_open(make: Callable[[Path], Bench], tmp_path: Path) -> None:
    """Open and settle that are written together leave the entry settled."""
    ids = [IDENTITIES.new() for _ in range(200)]

    async def story(bench: Bench) -> None:
        await asyncio.gather(
            *(bench.ledger.open(entry(id), attempt(id)) for id in ids),
            *(bench.ledger.settle(entry_end(id, State.COMPLETE), attempt_end(id, 1, State.COMPLETE)) for id in ids),
        )
        assert {str(bench.standing(id)) for id in ids} == {str(("complete", [(1, "complete", 5)]))}

    run(make, tmp_path, story)


@contextmanager
def _folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder)


class Interleavings(RuleBasedStateMachine):
    """Callers of both ledgers do anything in any order; now and then the owner dies."""

    def __init__(self) -> None:
        super().__init__()
        self._data = _folder()
        self.runner = asyncio.Runner()
        data = self._data.__enter__()
        self.memory = MemoryBench(data)
        self.sqlite = self.runner.run(self._make(data))
        self.ids: list[bytes] = []
        self.first_ends: dict[bytes, str] = {}

    @staticmethod
    async def _make(data: Path) -> SqliteBench:
        return SqliteBench(data)

    def both(self, act: Callable[[Ledger], Awaitable[None]]) -> None:
        async def told() -> None:
            await asyncio.gather(act(self.memory.ledger), act(self.sqlite.ledger))

        self.runner.run(told())

    def pick(self, place: int) -> bytes:
        return self.ids[place % len(self.ids)] if self.ids else b"\0" * 16

    @rule(attempted=st.booleans())
    def open(self, attempted: bool) -> None:
        id = IDENTITIES.new()
        self.ids.append(id)
        self.both(lambda ledger: ledger.open(entry(id), attempt(id) if attempted else None))

    @rule(place=st.integers(0, 5), output=st.integers(0, 3))
    def next_attempt(self, place: int, output: int) -> None:
        id = self.pick(place)
        number = len(self.memory.memory.attempts.get(id, []))
        ended = attempt_end(id, number, State.FAILED, Usage(output=output))
        self.both(lambda ledger: ledger.next_attempt(ended, attempt(id, number + 1)))

    @rule(
        place=st.integers(0, 5),
        state=st.sampled_from([State.COMPLETE, State.CALLER_GONE, State.FAILED]),
        output=st.integers(0, 3),
        named=st.booleans(),
    )
    def settle(self, place: int, state: State, output: int, named: bool) -> None:
        id = self.pick(place)
        number = len(self.memory.memory.attempts.get(id, []))
        usage = Usage(output=output)
        ended = attempt_end(id, number, state, usage) if named else None
        self.both(lambda ledger: ledger.settle(entry_end(id, state), ended))

    @rule()
    def crash(self) -> None:
        self.memory.memory.crash()
        self.runner.run(self.sqlite.crash())

    @invariant()
    def both_books_agree(self) -> None:
        for id in self.ids:
            standing = self.sqlite.standing(id)
            assert standing == self.memory.standing(id)
            assert standing is not None
            state, attempts = standing
            if state == "open":
                assert all(each != "open" for _, each, _ in attempts[:-1])
            else:
                assert state == self.first_ends.setdefault(id, state)
                assert all(each != "open" for _, each, _ in attempts)

    @override
    def teardown(self) -> None:
        self.runner.run(self.sqlite.close())
        self.runner.close()
        self._data.__exit__(None, None, None)


def test_any_interleaving_gives_exactly_one_end() -> None:
    """Whatever is done in whatever order, each entry ends once, its attempts with it, in both books alike."""
    run_state_machine_as_test(Interleavings, settings=settings(max_examples=25, stateful_step_count=20))
