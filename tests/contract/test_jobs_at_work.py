"""
Jobs from their submission to their end, on every topology: the real intake and workers over a scripted upstream.

An office is one process: a side of the ground, a gateway with a gpu and an api target, workers in both lanes.
"""

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import cast

import msgspec
import pytest
from msgspec import structs
from typing_extensions import override

from foz.canon.entry import State
from foz.canon.fault import Conflict, Down, Fault, NoCapacity, NoRoute, NotFound
from foz.canon.identity import text
from foz.canon.job import START, Job, JobState, Mark, Piece
from foz.canon.model import Placement, Target
from foz.canon.principal import Principal
from foz.canon.request import Ask, Mode
from foz.gateway.retry import RetryPolicy
from foz.gateway.services import Policy
from foz.jobs.intake import Jobs
from foz.jobs.lanes import Limits
from foz.jobs.order import Witness
from foz.jobs.working import House, Workers, sweep
from foz.ports.codec import ServerCodec
from foz.ports.jobs import UNPUBLISHED, Claim, Delivery, JobQueue, JobStore
from foz.ports.skin import Visit
from foz.testing.clock import LoopClock
from foz.testing.upstream import Scripted
from foz.wire.http import Call
from tests.core import COUNTED, DONE, FINISH, HELLO, SKIN, STREAM, STREAMED, WHO, WHOLE, Core, OneModel, body, piece
from tests.jobs import new_id
from tests.topologies import Ground, Side, play

GPU, API = Placement.GPU, Placement.API
OURS = Target("ours", "up-1", GPU)
BOUGHT = Target("bought", "up-1", API)
LIMITS = Limits(attempts=3, pause=0.01, longest_pause=0.02)
Turns = Sequence[Scripted | Fault]


class Office:
    """One process."""

    def __init__(self, side: Side, ours: Turns, bought: Turns, limits: Limits, lease: float) -> None:
        policy = Policy(retries=RetryPolicy(again=0))
        self.core = Core(targets=(OURS, BOUGHT), scripts={"ours": ours, "bought": bought}, policy=policy)
        self.side = side
        self.clock = LoopClock()
        self.numbers = iter(range(1, 1_000_000))
        self.house = House(
            gateway=self.core.gateway,
            skins={SKIN.name: SKIN},
            store=side.store,
            queue=side.queue,
            clock=self.clock,
            dice=lambda: 0.0,
            new_id=lambda: next(self.numbers).to_bytes(16),
            limits=limits,
            lease=lease,
        )
        self.workers = Workers(self.house, {GPU: 4, API: 4})
        self.jobs = Jobs(self.house, self.workers)
        self.duty = asyncio.ensure_future(self._duties())

    async def _duties(self) -> None:
        while True:
            await self.workers.renew()
            await sweep(self.house.store, self.house.queue, self.clock.now())
            await self.clock.sleep(0.02)

    async def submit(
        self, asked: object = STREAMED, mode: Mode = Mode.AUTO, principal: Principal = WHO, key: str | None = None
    ) -> Job:
        """A request as a job."""
        said = body(asked)
        turn = structs.replace(self.core.turn(said, principal=principal), id=new_id())
        headers = () if key is None else ((b"idempotency-key", key.encode()),)
        route = next(route for route in SKIN.routes if route.action == "chat")
        visit = Visit(route, Call(route.method, route.path, headers, said), "request-1")
        return await self.jobs.submit(structs.replace(turn, codec=_Moded(turn.codec, mode)), visit)

    async def state(self, job: Job, *states: JobState) -> Job:
        """The job, once it is in one of these states."""
        while True:
            found = await self.side.store.find(job.id)
            assert found is not None
            if found.state in states:
                return found
            await self.side.store.wait(found, Mark(found.epoch, 1 << 30), 5.0)

    async def over(self, job: Job) -> Job:
        """The job with its end."""
        return await self.state(job, JobState.COMPLETED, JobState.FAILED, JobState.CANCELLED)

    async def close(self, drain: float = 0.0) -> None:
        """The process ends."""
        await self.workers.stop(drain)
        self.duty.cancel()
        await asyncio.gather(self.duty, return_exceptions=True)


class _Moded(Witness):
    """The skin's codec, with a mode as other skins read it."""

    def __init__(self, inner: ServerCodec, mode: Mode) -> None:
        super().__init__(inner)
        self._mode = mode

    @override
    def read(self, body: bytes) -> Ask:
        return structs.replace(super().read(body), mode=self._mode)


@asynccontextmanager
async def office(
    side: Side, ours: Turns = (), bought: Turns = (), limits: Limits = LIMITS, lease: float = 5.0
) -> AsyncIterator[Office]:
    """One process at work."""
    one = Office(side, ours, bought, limits, lease)
    one.workers.start()
    try:
        yield one
    finally:
        await one.close()


class Unreachable:
    """A store to whoever is as good as dead."""

    def __getattr__(self, name: str) -> object:
        raise NoCapacity(f"Nobody answers {name}.")


class Slow:
    """A store whose answer to a claim is long on its way."""

    def __init__(self, store: JobStore) -> None:
        self._store = store
        self.claimed, self.told = asyncio.Event(), asyncio.Event()

    def __getattr__(self, name: str) -> object:
        return getattr(self._store, name)

    async def claim(self, id: bytes, now: int, until: int) -> Claim | Job | None:
        """Claims; told later."""
        found = await self._store.claim(id, now, until)
        self.claimed.set()
        await self.told.wait()
        return found


class Faulty:
    """A queue that nobody can take from at first, for a reason that is no fault of ours."""

    def __init__(self, queue: JobQueue) -> None:
        self._queue = queue
        self._failed: set[Placement] = set()

    def __getattr__(self, name: str) -> object:
        return getattr(self._queue, name)

    async def take(self, lane: Placement) -> Delivery:
        """Fails once for each lane."""
        if lane in self._failed:
            return await self._queue.take(lane)
        self._failed.add(lane)
        raise LookupError("a defect")


async def until(is_so: Callable[[], object]) -> None:
    """Waits for it."""
    while not is_so():
        await LoopClock().sleep(0)


def told(pieces: Sequence[bytes]) -> str:
    """The words of a log of openai's frames."""
    frames = [frame.removeprefix(b"data: ") for frame in b"".join(pieces).split(b"\n\n") if frame]
    chunks = [msgspec.json.decode(frame) for frame in frames if frame != b"[DONE]"]
    return "".join(choice["delta"].get("content") or "" for chunk in chunks for choice in chunk["choices"])


def test_a_job_is_done_and_its_answer_is_the_callers(ground: Ground) -> None:
    """A job completes in its lane, its answer is what a waiting caller would have got, and the ledger knows it."""

    async def story(_: Ground, side: Side) -> None:
        async with office(side, bought=[Scripted(WHOLE)]) as one:
            job = await one.over(await one.submit(HELLO, Mode.API))
            answer = msgspec.json.decode(await one.jobs.answer(job))
            (entry,) = one.core.ledger.entries.values()
            assert (job.state, job.served, job.lane) == (JobState.COMPLETED, API, API)
            assert job.latency is not None
            assert job.latency >= 0
            assert answer["choices"][0]["message"]["content"] == "Into the sea"
            assert answer["model"] == "public"
            assert (entry.job_id, entry.principal) == (job.id.hex(), WHO.id)
            assert not one.core.upstreams["ours"].calls

    play(ground, story)


def test_auto_takes_gpu_while_it_stands(ground: Ground) -> None:
    """A job of mode auto is made by the gpu target, and nobody else is asked."""

    async def story(_: Ground, side: Side) -> None:
        async with office(side, ours=[Scripted(*STREAM)]) as one:
            job = await one.over(await one.submit())
            assert (job.state, job.served) == (JobState.COMPLETED, GPU)
            assert not one.core.upstreams["bought"].calls

    play(ground, story)


@pytest.mark.parametrize("pieces", [(), (piece("Into "),)], ids=["at once", "in the middle"])
def test_an_engine_that_dies_hands_an_auto_job_over(ground: Ground, pieces: tuple[bytes, ...]) -> None:
    """A gpu target that dies, before its first word or after, costs an auto job nothing but time: api does it whole."""

    async def story(_: Ground, side: Side) -> None:
        async with office(side, ours=[Scripted(*pieces, fault=Down("gone"))], bought=[Scripted(*STREAM)]) as one:
            job = await one.over(await one.submit())
            log = await side.store.log(job.id, START, 100)
            states = sorted(end.state for end in one.core.ledger.ends.values())
            assert (job.state, job.served, job.epoch) == (JobState.COMPLETED, API, 2)
            assert told([piece.data for piece in log]) == "Into the sea"
            assert State.COMPLETE in states
            assert len(states) == 2

    play(ground, story)


def test_a_gpu_job_stays_with_gpu(ground: Ground) -> None:
    """A job of mode gpu is tried again there until its attempts are used up, and is a dead letter that says why."""

    async def story(_: Ground, side: Side) -> None:
        async with office(side, ours=[Down("the engine is gone")] * 3) as one:
            job = await one.over(await one.submit(mode=Mode.GPU))
            (dead,) = await side.store.dead(10)
            assert (job.state, job.attempts, job.dead, dead.id) == (JobState.FAILED, 3, True, job.id)
            assert job.trouble is not None
            assert "the engine is gone" in job.trouble.message
            assert not one.core.upstreams["bought"].calls

    play(ground, story)


def test_what_can_not_be_done_is_failed_at_once(ground: Ground) -> None:
    """A job that its target refuses has one attempt and its fault, and is no dead letter."""

    async def story(_: Ground, side: Side) -> None:
        refusal = Scripted(body({"error": {"message": "too long", "type": "invalid_request_error"}}), status=400)
        async with office(side, bought=[refusal]) as one:
            job = await one.over(await one.submit(mode=Mode.API))
            assert (job.state, job.attempts, job.dead) == (JobState.FAILED, 1, False)
            assert job.trouble is not None
            assert "too long" in job.trouble.message

    play(ground, story)


def test_a_full_gpu_lane_sends_auto_over(ground: Ground) -> None:
    """Once as many jobs wait for gpu as may, the next auto job takes the api lane."""

    async def story(_: Ground, side: Side) -> None:
        one = Office(side, [], [], structs.replace(LIMITS, gpu_full=3), 5.0)  # nobody works
        lanes = [(await one.submit()).lane for _ in range(5)]
        await one.close()
        assert lanes == [GPU, GPU, GPU, API, API]

    play(ground, story)


def test_auto_leaves_a_gpu_lane_where_nobody_works(ground: Ground) -> None:
    """While nobody works in the gpu lane and somebody does in the api lane, auto jobs are done there; gpu jobs wait."""

    async def story(place: Ground, side: Side) -> None:
        other = await place.open()
        one = Office(side, [], [Scripted(*STREAM)], structs.replace(LIMITS, unmanned=0.0), 5.0)
        two = Office(other, [], [Scripted(*STREAM)], LIMITS, 5.0)
        two.workers = Workers(two.house, {API: 4})
        two.workers.start()
        while (job := await one.submit()).lane is not API:
            await one.clock.sleep(0.05)
        assert (await one.over(job)).state is JobState.COMPLETED
        assert (await one.submit(mode=Mode.GPU)).lane is GPU
        await two.close()
        await one.close()
        await other.close()

    play(ground, story)


@pytest.mark.parametrize("mode", [Mode.AUTO, Mode.GPU])
def test_an_auto_job_does_not_wait_for_workers_that_are_gone(ground: Ground, mode: Mode) -> None:
    """Once nobody works in the gpu lane any more, who works in the api lane ends its auto jobs; gpu jobs wait."""

    async def story(_: Ground, side: Side) -> None:
        one = Office(side, [Down("gone")], [Scripted(*STREAM)], LIMITS, 5.0)
        one.workers = Workers(one.house, {API: 4})
        one.workers.start()
        job = await one.submit(mode=mode)
        while not (await side.queue.lane(API)).workers:
            await one.clock.sleep(0.05)
        await sweep(side.store, side.queue, one.clock.now() + UNPUBLISHED)
        found = job if mode is Mode.GPU else await one.over(job)
        assert (found.lane, found.served) == ((GPU, None) if mode is Mode.GPU else (API, API))
        await one.close()
        assert bool(one.core.upstreams["ours"].calls) is (mode is Mode.AUTO)

    play(ground, story)


def test_a_job_that_finds_others_waiting_is_published_once(ground: Ground) -> None:
    """What comes to a lane in which jobs wait is not overdue for waiting there: a backlog's ids are not doubled."""

    async def story(_: Ground, side: Side) -> None:
        one = Office(side, [], [], LIMITS, 5.0)  # nobody works
        await one.submit()
        while True:
            late = await one.submit()
            overdue = await side.store.overdue(late.at + UNPUBLISHED, 1_000)
            if late.id not in {job.id for job in overdue}:
                break
            await one.clock.sleep(0.05)
        await one.close()

    play(ground, story)


def test_a_lane_takes_no_more_than_it_may(ground: Ground) -> None:
    """Beyond the most that may wait in a lane a submission is refused, to be asked again, and leaves nothing behind."""

    async def story(_: Ground, side: Side) -> None:
        one = Office(side, [], [], structs.replace(LIMITS, waiting=2), 5.0)
        for _number in range(2):
            await one.submit(mode=Mode.API)
        with pytest.raises(NoCapacity):
            await one.submit(mode=Mode.API)
        kept = await side.store.listed(WHO.id, 10)
        await one.close()
        assert len(kept) == 2

    play(ground, story)


def test_no_healthy_gpu_is_said_at_once(ground: Ground) -> None:
    """A job of mode gpu of a model without a gpu target is refused before anything is kept."""

    async def story(_: Ground, side: Side) -> None:
        one = Office(side, [], [], LIMITS, 5.0)
        directory = OneModel((BOUGHT,), {})
        one.core.services.directory = directory
        with pytest.raises(NoRoute):
            await one.submit(mode=Mode.GPU)
        kept = await side.store.listed(None, 10)
        await one.close()
        assert not kept

    play(ground, story)


def test_cancelling_reaches_the_upstream(ground: Ground) -> None:
    """A job that is cancelled from another process ends so, its upstream is closed, and its entry says caller_gone."""

    async def story(place: Ground, side: Side) -> None:
        never = asyncio.Event()
        other = await place.open()
        async with office(side, bought=[Scripted(piece("Into "), *STREAM, held={1: never})]) as one:
            job = await one.submit(mode=Mode.API)
            await other.store.wait(job, START, 5.0)
            while not await other.store.log(job.id, START, 1):
                await other.store.wait(await one.state(job, JobState.PROCESSING), START, 5.0)
            desk = Office(other, [], [], LIMITS, 5.0)
            cancelled = await desk.jobs.cancel(WHO, text(job.id))
            await until(lambda: one.core.ledger.ends)
            (end,) = one.core.ledger.ends.values()
            (answer,) = one.core.upstreams["bought"].answers
            assert cancelled.state is JobState.CANCELLED
            assert end.state is State.CALLER_GONE
            assert answer.closed
            await desk.close()
        assert (await side.store.find(job.id)) == cancelled
        await other.close()

    play(ground, story)


def test_a_worker_that_is_stopped_gives_its_job_back(ground: Ground) -> None:
    """What a stopped worker had not finished is done by another, and costs the job no attempt."""

    async def story(place: Ground, side: Side) -> None:
        never = asyncio.Event()
        other = await place.open()
        async with office(side, bought=[Scripted(piece("In"), held={1: never})]) as one:
            job = await one.submit(mode=Mode.API)
            await one.state(job, JobState.PROCESSING)
            await until(lambda: one.core.upstreams["bought"].answers)
        back = await other.store.find(job.id)
        assert back is not None
        assert (back.state, back.attempts) == (JobState.PENDING, 0)
        async with office(other, bought=[Scripted(*STREAM)]) as two:
            job = await two.over(job)
            log = await other.store.log(job.id, START, 100)
            assert (job.state, job.attempts) == (JobState.COMPLETED, 1)
            assert told([piece.data for piece in log]) == "Into the sea"
        await other.close()

    play(ground, story)


def test_a_job_that_is_claimed_while_its_worker_stops_is_given_back(ground: Ground) -> None:
    """A claim that is answered when all others were stopped is not worked at: stopping waits for no whole job."""

    async def story(_: Ground, side: Side) -> None:
        one = Office(side, (), [Scripted(piece("In"), held={1: asyncio.Event()})], LIMITS, 5.0)
        slow = Slow(side.store)
        one.house.store = cast("JobStore", slow)
        one.workers.start()
        job = await one.submit(mode=Mode.API)
        await slow.claimed.wait()
        stopping = asyncio.ensure_future(one.close())
        await until(lambda: one.house.gateway.services.stopping)
        slow.told.set()
        await asyncio.wait_for(stopping, 5)
        back = await side.store.find(job.id)
        assert back is not None
        assert (back.state, back.attempts) == (JobState.PENDING, 0)
        assert not one.core.upstreams["bought"].answers

    play(ground, story)


def test_a_defect_of_the_queue_costs_a_moment(ground: Ground, caplog: pytest.LogCaptureFixture) -> None:
    """Where taking from the queue fails as nobody foresaw, it is told with its traceback, and jobs are taken again."""

    async def story(_: Ground, side: Side) -> None:
        one = Office(side, [], [Scripted(*STREAM)], LIMITS, 5.0)
        one.house.queue = cast("JobQueue", Faulty(side.queue))
        one.workers.start()
        job = await one.over(await one.submit(mode=Mode.API))
        assert job.state is JobState.COMPLETED
        await one.close()

    play(ground, story)
    told = [record for record in caplog.records if record.exc_info is not None]
    assert {record.getMessage() for record in told} == {
        f"nobody takes {lane.value} jobs for a moment: a defect" for lane in Placement
    }


def test_a_silent_worker_loses_its_job(ground: Ground) -> None:
    """A job whose worker does not renew its lease is done by another, and what the first one says then is not heard."""

    async def story(place: Ground, side: Side) -> None:
        late, other = asyncio.Event(), await place.open()
        frozen = Office(side, [], [Scripted(*STREAM, held={1: late})], LIMITS, 0.3)
        frozen.duty.cancel()  # it renews nothing
        frozen.workers.start()
        job = await frozen.submit(mode=Mode.API)
        await frozen.state(job, JobState.PROCESSING)
        async with office(other, bought=[Scripted(piece("Elsewhere"), FINISH, COUNTED, DONE)]) as two:
            done = await two.over(job)
            late.set()
            await until(lambda: not frozen.workers.busy)
            answer = await other.store.answer(job.id)
            assert (done.state, done.epoch) == (JobState.COMPLETED, 2)
            assert await other.store.find(job.id) == done
            assert told([answer]) == "Elsewhere"
        await frozen.workers.stop(0)
        await other.close()

    play(ground, story)


def test_a_job_that_its_worker_lives_through_is_run_once(ground: Ground) -> None:
    """A job that takes many times its lease is run once, while another process looks for what was left."""

    async def story(place: Ground, side: Side) -> None:
        gate, other = asyncio.Event(), await place.open()
        script = Scripted(piece("Into "), *STREAM[1:], held={1: gate})
        two = Office(other, [], [], LIMITS, 0.2)
        async with office(side, bought=[script], lease=0.2) as one:
            job = await one.submit(mode=Mode.API)
            first = await one.state(job, JobState.PROCESSING)
            two.workers.start()
            while (await one.state(job, JobState.PROCESSING)).due < first.due + 1_000:
                await one.clock.sleep(0.02)
            gate.set()
            done = await two.over(job)
            assert (done.state, done.epoch, done.attempts) == (JobState.COMPLETED, 1, 1)
            assert not two.core.upstreams["bought"].calls
        await two.close()
        await other.close()

    play(ground, story)


def test_a_poison_job_is_given_up(ground: Ground) -> None:
    """A job at which one worker after the other dies is failed after its attempts, as a dead letter that says why."""

    async def story(place: Ground, side: Side) -> None:
        never = asyncio.Event()
        desk = Office(side, [], [], LIMITS, 5.0)
        job = await desk.submit(mode=Mode.API)
        silent: list[Office] = []
        for number in range(1, LIMITS.attempts + 1):
            doomed = await place.open()
            dying = Office(doomed, [], [Scripted(piece("In"), held={1: never})], LIMITS, 0.1)
            dying.duty.cancel()  # it renews nothing
            dying.workers.start()
            while (await desk.state(job, JobState.PENDING, JobState.PROCESSING)).epoch < number:
                await desk.clock.sleep(0.01)
            dying.house.store = cast("JobStore", Unreachable())
            await doomed.close()
            silent.append(dying)
        async with office(side) as last:
            end = await last.over(job)
            assert (end.state, end.dead) == (JobState.FAILED, True)
            assert end.trouble is not None
            assert (end.trouble.code, "3 times" in end.trouble.message) == ("poison", True)
            assert [dead.id for dead in await side.store.dead(10)] == [job.id]
        for one in (desk, *silent):
            await one.close()

    play(ground, story)


def test_one_key_is_one_job(ground: Ground) -> None:
    """Fifty submissions with one key are one; another body is refused, other callers have their own."""

    async def story(place: Ground, side: Side) -> None:
        other = await place.open()
        one, two = Office(side, [], [], LIMITS, 5.0), Office(other, [], [], LIMITS, 5.0)
        jobs = await asyncio.gather(*(desk.submit(key="k") for desk in (one, two) for _ in range(25)))
        spaced = await two.submit({**STREAMED, "temperature": None}, key="k")
        with pytest.raises(Conflict) as refused:
            await two.submit({**STREAMED, "temperature": 0.5}, key="k")
        with pytest.raises(Conflict):
            await one.submit(mode=Mode.API, key="k")
        theirs = await two.submit(key="k", principal=Principal("somebody else"))
        with pytest.raises(NotFound):
            await one.jobs.find(WHO, text(theirs.id))
        await one.close()
        await two.close()
        await other.close()
        assert len({job.id for job in (*jobs, spaced)}) == 1
        assert theirs.id != jobs[0].id
        assert (refused.value.status, refused.value.field) == (422, "idempotency_key")

    play(ground, story)


def test_a_stream_that_is_resumed_says_the_same(ground: Ground) -> None:
    """A log that is read in a hundred parts, each resumed at a random point while it grows, is the log read through."""

    async def story(place: Ground, side: Side) -> None:
        words = [f"w{number} " for number in range(300)]
        gates = {number: asyncio.Event() for number in range(10, 300, 10)}
        script = Scripted(*(piece(word) for word in words), FINISH, COUNTED, DONE, held=gates)
        other = await place.open()
        desk = Office(other, [], [], LIMITS, 5.0)
        dice = random.Random(4)
        async with office(side, bought=[script]) as one:
            job = await one.submit(mode=Mode.API)
            through = asyncio.ensure_future(_read(one.jobs, job, START, None))
            waiting = iter(gates.values())
            heard: list[Piece] = []
            resumed = 0
            while resumed < 100 or len(heard) < len(await _or_none(through)):
                more = await _read(desk.jobs, job, heard[-1].mark if heard else START, dice.randint(1, 6))
                heard += more
                resumed += 1
                gate = next(waiting, None)
                if gate is not None:
                    gate.set()
            whole = await through
            assert [piece.data for piece in heard] == [piece.data for piece in whole]
            assert told([piece.data for piece in heard]) == "".join(words)
        await desk.close()
        await other.close()

    play(ground, story)


async def _or_none(reading: "asyncio.Future[list[Piece]]") -> list[Piece]:
    return await reading if reading.done() else [Piece(START, b"")] * 1_000_000


async def _read(jobs: Jobs, job: Job, after: Mark, most: int | None) -> list[Piece]:
    """So many pieces, or all to the end; none where nothing came at once."""
    heard: list[Piece] = []
    async for said in jobs.follow(WHO, text(job.id), after):
        if isinstance(said, Piece):
            heard.append(said)
        if len(heard) == most:
            break
    return heard
