"""Any life of any jobs: a store does what the model does, whoever of two processes does what in which order."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from hypothesis import HealthCheck, note, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from typing_extensions import override

from foz.canon.fault import Conflict
from foz.canon.job import ENDS, START, Job, JobEnd, JobState, Mark, Piece, Trouble
from foz.canon.model import Placement
from foz.ports.jobs import KEY_TTL, REPUBLISH, RESULT_TTL, UNPUBLISHED, JobStore
from tests.job_model import Model
from tests.jobs import LEASE, NOW, job
from tests.topologies import Ground, Side

T = TypeVar("T")
Found = tuple[bytes, Job | None, list[Piece], bytes]
PLACES = st.integers(0, 7)
SIDES = st.integers(0, 1)
EPOCHS = st.sampled_from([0, 0, 0, 0, 0, -1, 1])
"""How far from the present epoch it is said."""
PIECES = st.lists(st.binary(max_size=5), max_size=3)
LANES = st.sampled_from(Placement)
STEPS = st.sampled_from([1, LEASE // 2, LEASE, UNPUBLISHED, REPUBLISH, KEY_TTL - 1, RESULT_TTL])


class Lives(RuleBasedStateMachine):
    """Two sides of one ground, and the model."""

    def __init__(self) -> None:
        super().__init__()
        self.model = Model()
        self.now = NOW
        self.ids: list[bytes] = []
        self.ends: dict[tuple[bytes, int], JobState] = {}
        """Of each job and epoch, the end that was seen."""
        self.runner = asyncio.Runner()
        self.ground = self.new_ground()
        self.sides: list[Side] = []

    def new_ground(self) -> Ground:
        raise NotImplementedError

    @initialize()
    def open(self) -> None:
        self.sides = [self.runner.run(self._open()) for _ in range(2)]

    def does(self, side: int, act: Callable[[JobStore], Awaitable[T]]) -> T:
        async def done() -> T:
            return await act(self.sides[side].store)

        return self.runner.run(done())

    async def _open(self) -> Side:
        return await self.ground.open()

    def pick(self, place: int) -> bytes:
        return self.ids[place % len(self.ids)] if self.ids else bytes(16)

    def epoch(self, id: bytes, off: int) -> int:
        kept = self.model.jobs.get(id)
        return (kept.job.epoch if kept else 1) + off

    def written(self, id: bytes) -> int:
        kept = self.model.jobs.get(id)
        return len(kept.log) if kept else 0

    @rule(
        side=SIDES, key=st.sampled_from(["", "a", "b"]), digest=st.sampled_from([b"1", b"1", b"2"]),
        principal=st.sampled_from(["p", "q"]), lane=LANES, wait=st.sampled_from([0, 0, LEASE]),
        order=st.binary(max_size=9),
    )  # fmt: skip
    def add(self, side: int, key: str, digest: bytes, principal: str, lane: Placement, wait: int, order: bytes) -> None:
        one = job(key=key or None, principal=principal, at=self.now, due=self.now + wait, lane=lane, digest=digest)
        expected = self.model.add(one, order)
        try:
            given: Job | None = self.does(side, lambda store: store.add(one, order))
        except Conflict:
            given = None
        assert given == expected
        if given is one or given == one:
            self.ids.append(one.id)

    @rule(side=SIDES, place=PLACES)
    def published(self, side: int, place: int) -> None:
        id = self.pick(place)
        self.model.published(id, self.now)
        self.does(side, lambda store: store.published(id, self.now))

    @rule(side=SIDES, place=PLACES)
    def withdraw(self, side: int, place: int) -> None:
        id = self.pick(place)
        self.model.withdraw(id)
        self.does(side, lambda store: store.withdraw(id))

    @rule(side=SIDES, place=PLACES)
    def remove(self, side: int, place: int) -> None:
        id = self.pick(place)
        self.model.remove(id)
        self.does(side, lambda store: store.remove(id))

    @rule(side=SIDES, place=PLACES)
    def claim(self, side: int, place: int) -> None:
        id, until = self.pick(place), self.now + LEASE
        expected = self.model.claim(id, self.now, until)
        assert self.does(side, lambda store: store.claim(id, self.now, until)) == expected

    @rule(
        side=SIDES, place=PLACES, off=EPOCHS, other=PLACES, otherwise=EPOCHS, lease=st.sampled_from([LEASE, LEASE // 4])
    )  # fmt: skip
    def renew(self, side: int, place: int, off: int, other: int, otherwise: int, lease: int) -> None:
        ids = {self.pick(place): off, self.pick(other): otherwise}
        held = [(id, self.epoch(id, far)) for id, far in ids.items()]
        until = self.now + lease
        lost = {id for id, epoch in held if not self.model.renew(id, epoch, until)}
        assert set(self.does(side, lambda store: store.renew(held, until))) == lost

    @rule(side=SIDES, place=PLACES, off=EPOCHS, pieces=PIECES)
    def append(self, side: int, place: int, off: int, pieces: list[bytes]) -> None:
        id = self.pick(place)
        epoch, first = self.epoch(id, off), self.written(id)
        expected = self.model.append(id, epoch, pieces)
        assert self.does(side, lambda store: store.append(id, epoch, first, pieces)) == expected

    @rule(
        side=SIDES, place=PLACES, off=EPOCHS, pieces=PIECES, completes=st.booleans(), dead=st.booleans(),
        latency=st.floats(0, 1e9), lane=LANES,
    )  # fmt: skip
    def end(
        self, side: int, place: int, off: int, pieces: list[bytes], completes: bool, dead: bool, latency: float,
        lane: Placement,
    ) -> None:  # fmt: skip
        id = self.pick(place)
        epoch, first = self.epoch(id, off), self.written(id)
        end = (
            JobEnd(JobState.COMPLETED, self.now, served=lane, latency=latency)
            if completes
            else JobEnd(JobState.FAILED, self.now, trouble=Trouble("bug", "x", 500), dead=dead)
        )
        expected = self.model.end(id, epoch, end, pieces)
        assert self.does(side, lambda store: store.end(id, epoch, end, first, pieces)) == expected

    @rule(side=SIDES, place=PLACES, off=EPOCHS, lane=LANES, pause=st.sampled_from([0, LEASE]), counts=st.booleans())
    def put_back(self, side: int, place: int, off: int, lane: Placement, pause: int, counts: bool) -> None:
        id, due = self.pick(place), self.now + pause
        epoch = self.epoch(id, off)
        expected = self.model.put_back(id, epoch, lane, due, counts=counts)
        assert self.does(side, lambda store: store.put_back(id, epoch, lane, due, counts=counts)) == expected

    @rule(side=SIDES, place=PLACES)
    def cancel(self, side: int, place: int) -> None:
        id = self.pick(place)
        expected = self.model.cancel(id, self.now)
        assert self.does(side, lambda store: store.cancel(id, self.now)) == expected

    @rule(side=SIDES, place=PLACES)
    def revive(self, side: int, place: int) -> None:
        id = self.pick(place)
        expected = self.model.revive(id, self.now)
        if expected is not None and expected.state is JobState.PENDING:
            self.ends.pop((id, expected.epoch), None)
        assert self.does(side, lambda store: store.revive(id, self.now)) == expected

    @rule(step=STEPS)
    def time_passes(self, step: int) -> None:
        self.now += step

    @rule(side=SIDES)
    def forget(self, side: int) -> None:
        expected = self.model.forget(self.now)
        assert self.does(side, lambda store: store.forget(self.now)) == expected

    @precondition(lambda self: self.ids)
    @rule(side=SIDES)
    def restart(self, side: int) -> None:
        self.runner.run(self.sides[side].close())
        self.sides[side] = self.runner.run(self._open())

    @rule(side=SIDES, place=PLACES, epoch=st.integers(0, 3), number=st.integers(-1, 6), most=st.integers(1, 4))
    def read(self, side: int, place: int, epoch: int, number: int, most: int) -> None:
        id, after = self.pick(place), Mark(epoch, number)
        expected = self.model.log(id, after)
        found = self.does(side, lambda store: store.log(id, after, most))
        assert found == expected[: len(found)]
        assert min(1, len(expected)) <= len(found) <= most

    @invariant()
    def all_is_as_in_the_model(self) -> None:
        """Jobs, logs, lists and what is overdue; and an end, once seen, stays."""
        if not self.sides:
            return
        jobs = {id: kept.job for id, kept in sorted(self.model.jobs.items(), reverse=True)}
        listed, overdue, dead, found = self.does(len(self.ids) % 2, self._look)
        assert listed == list(jobs.values())
        assert overdue == self.model.overdue(self.now)
        assert dead == [one for one in listed if one.dead]
        for id, one, pieces, answer in found:
            note(f"{id.hex()[-6:]} {one and one.state}")
            assert one == jobs.get(id)
            assert [piece.data for piece in pieces] == (self.model.jobs[id].log if id in jobs else [])
            assert answer == b"".join(piece.data for piece in pieces)
            if one is not None and one.state in ENDS:
                assert self.ends.setdefault((id, one.epoch), one.state) is one.state

    async def _look(self, store: JobStore) -> tuple[list[Job], set[bytes], list[Job], list[Found]]:
        found = [
            (id, await store.find(id), await store.log(id, START, 1_000), await store.answer(id))
            for id in self.ids[-8:]
        ]
        late = await store.overdue(self.now, 1_000)
        return await store.listed(None, 1_000), {one.id for one in late}, await store.dead(1_000), found

    @override
    def teardown(self) -> None:
        for side in self.sides:
            self.runner.run(side.close())
        self.runner.close()


def test_whatever_is_done_a_store_does_what_the_model_does(new_ground: Callable[[], Ground]) -> None:
    """In any order of any steps of two processes, each answer, each job and each log is the model's."""

    class Here(Lives):
        @override
        def new_ground(self) -> Ground:
            return new_ground()

    run_state_machine_as_test(
        Here,
        settings=settings(
            max_examples=25, stateful_step_count=40,
            suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
        ),
    )  # fmt: skip
