"""
`kill -9` of everything that jobs depend on: what was acknowledged is done, once, and the ledger knows every call.

Callers submit all the while and look until each job has its end. Meanwhile somebody kills: a gateway, a worker, Redis,
RabbitMQ, drawn by a seed that is printed (`FOZ_KILL_SEED` does one run again), and starts it anew. At the end there is
nothing to be said of a job that was acknowledged but that it has its one end, the right answer, and no more calls
than one and those that were killed.
"""

import asyncio
import random
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from statistics import quantiles
from typing import Any

import msgspec
import pytest
from msgspec import Struct

from foz.testing.process import Upstream, start_upstream, wait_until
from foz.testing.raw import request
from foz.wire.http import Headers
from tests.e2e.ground import Ledger, seeds
from tests.e2e.works import House, ask, ended, events, submit

CALLERS = 6
WORDS = "Where do rivers end?"
ENDS = {"completed", "failed", "cancelled"}
PACES = (b"0", b"0.002", b"0.01", b"0.03")


class Known(Struct):
    """An acknowledged job, as its caller knows it."""

    id: str
    at: float
    over_at: float | None = None
    end: dict[str, Any] | None = None


class Callers:
    """They submit and look, whatever does not answer."""

    def __init__(self, port: int, seed: int) -> None:
        self._port = port
        self._dice = random.Random(seed)
        self.jobs: list[Known] = []
        self.refused = 0
        self.broken = 0
        self.wrong: list[str] = []
        self.stopping = False
        self.begun = asyncio.Event()

    async def ask(self, method: str, path: str, body: bytes = b"", pace: bytes = b"") -> tuple[int, dict[str, Any]]:
        """One request on a connection of its own. Raises OSError or EOFError where there is no whole answer."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
        try:
            headers = ((b"x-simulate-pace", pace), (b"connection", b"close")) if pace else ((b"connection", b"close"),)
            writer.write(request(method, path, body, headers))
            await writer.drain()
            answer = await asyncio.wait_for(reader.read(), 15)
        finally:
            writer.close()
        head, _, rest = answer.partition(b"\r\n\r\n")
        length = head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0]
        if not length or len(rest) < int(length):
            raise EOFError("the answer is not whole")
        return int(head[9:12]), msgspec.json.decode(rest)

    async def submit(self) -> None:
        """One caller: one job after the other."""
        body = msgspec.json.encode({"message": WORDS})
        while not self.stopping:
            try:
                status, told = await self.ask("POST", "/chat", body, self._dice.choice(PACES))
            except (OSError, EOFError, TimeoutError):
                self.broken += 1
                await asyncio.sleep(0.01)
                continue
            if status == 202:
                self.jobs.append(Known(told["job_id"], time.monotonic()))
                self.begun.set()
            elif status == 503:
                self.refused += 1
            else:
                self.wrong.append(f"{status}: {told}")
            await asyncio.sleep(self._dice.uniform(0, 0.4))

    async def look(self) -> None:
        """Looks at all that has no end yet, again and again; and once more at all, in the end."""
        while not self.stopping or self.open:
            for job in self.open:
                with suppress(OSError, EOFError, TimeoutError):
                    await self._look_at(job)
            await asyncio.sleep(0.02)

    @property
    def open(self) -> list[Known]:
        """Jobs that have no end yet."""
        return [job for job in self.jobs if job.end is None]

    async def _look_at(self, job: Known) -> None:
        status, told = await self.ask("GET", f"/chat/status/{job.id}")
        if status == 200 and told["status"] in ENDS:
            job.end, job.over_at = told, time.monotonic()
        elif status not in {200, 503}:
            self.wrong.append(f"{job.id}: {status}: {told}")

    async def look_again(self) -> list[str]:
        """Those whose end is not what it was."""
        told = [(await self.ask("GET", f"/chat/status/{job.id}"))[1] for job in self.jobs]
        return [job.id for job, now in zip(self.jobs, told, strict=True) if now != job.end]


async def attack(house: House, callers: Callers, dice: random.Random, count: int) -> None:
    """So many kills, each at a drawn moment, of a drawn victim, for a drawn while."""
    await callers.begun.wait()
    for _ in range(count):
        what = dice.choice(house.victims)
        await asyncio.sleep(dice.uniform(0, 0.5))
        await asyncio.to_thread(house.kill, what)
        await asyncio.sleep(dice.uniform(0, 0.3))
        await asyncio.to_thread(house.revive, what)


async def run(house: House, seed: int, count: int) -> Callers:
    """The whole of it."""
    callers = Callers(house.gateway.port, seed)
    async with asyncio.TaskGroup() as group:
        for _ in range(CALLERS):
            group.create_task(callers.submit())
        looking = group.create_task(callers.look())
        await attack(house, callers, random.Random(seed), count)
        callers.stopping = True
        await asyncio.wait_for(asyncio.shield(looking), 60)
    assert await callers.look_again() == []
    return callers


def recovered(house: House, callers: Callers) -> list[float]:
    """Of each kill, after how many seconds the last job had its end that was open when it came."""
    found = []
    for kill in house.kills:
        open_then = [job.over_at or 0.0 for job in callers.jobs if job.at < kill.at < (job.over_at or 0.0)]
        found.append(max(open_then, default=kill.at) - kill.at)
    return found


def attempted(ledger: Ledger) -> list[tuple[object, ...]]:
    """Job and request of each attempt."""
    return ledger.rows("SELECT e.job_id, e.request_id FROM entries e JOIN attempts a ON a.entry_id = e.id")


def judge(house: House, callers: Callers, logged: Callable[[], list[tuple[str, str, str]]]) -> dict[str, int]:
    """The sums."""
    ledger = Ledger(house.folder)
    ledger.wait_for_sweep()
    seen = Counter(request for path, request, _ in logged() if path.endswith("/chat/completions"))

    def unknown() -> dict[str, int]:
        known = Counter(str(request) for _, request in attempted(ledger))
        return {request: times for request, times in seen.items() if times > known[request]}

    wait_until(lambda: not unknown(), "the ledger to know every call that the upstream saw", 20.0)
    attempts = Counter(str(job) for job, _ in attempted(ledger))
    too_often = []
    for job in callers.jobs:
        hits = sum(job.at - 1.0 <= kill.at <= (job.over_at or 0.0) for kill in house.kills)
        if attempts[job.id.replace("-", "")] > 1 + hits:
            too_often.append(job.id)
    ends = Counter(str(job.end["status"]) for job in callers.jobs if job.end is not None)
    wrong_answers = [
        job.id
        for job in callers.jobs
        if job.end is not None and job.end["status"] == "completed" and WORDS not in job.end["result"]["response"]
    ]
    assert callers.wrong == []
    assert ends == {"completed": len(callers.jobs)}
    assert len({job.id for job in callers.jobs}) == len(callers.jobs)
    assert wrong_answers == []
    assert too_often == []
    assert ledger.is_sound()
    return {"jobs": len(callers.jobs), "calls": seen.total(), "refused": callers.refused, "broken": callers.broken}


@pytest.fixture
def upstream(tmp_path: Path) -> Iterator[Upstream]:
    with start_upstream(tmp_path / "upstream") as served:
        yield served


def killed(folder: Path, upstream: Upstream, count: int, capsys: pytest.CaptureFixture[str], *, scale: bool) -> None:
    """One run, and what it came to, in a line."""
    (seed,) = seeds(1)
    with ExitStack() as stack:
        house = House(folder / "house", upstream.port, stack, scale=scale)
        callers = asyncio.run(run(house, seed, count))
        told = judge(house, callers, upstream.logged)
        cuts = quantiles(recovered(house, callers), n=100)
    with capsys.disabled():
        sums = ", ".join(f"{number} {name}" for name, number in told.items())
        place = "scale" if scale else "embedded"
        sys.stdout.write(
            f"\n  jobs {place}, {count} kills, seed {seed}: {sums}; recovery p50 {cuts[49]:.2f} s, p99 {cuts[98]:.2f} s"
        )


@pytest.mark.parametrize(("scale", "count"), [(False, 6), (True, 8)], ids=["embedded", "scale"])
def test_no_kill_loses_or_doubles_a_job(
    tmp_path: Path, upstream: Upstream, scale: bool, count: int, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whatever is killed, every acknowledged job completes once, with no more calls than kills, each in the ledger."""
    killed(tmp_path, upstream, count, capsys, scale=scale)


@pytest.mark.soak
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("scale", [False, True], ids=["embedded", "scale"])
def test_two_hundred_kills(tmp_path: Path, upstream: Upstream, scale: bool, capsys: pytest.CaptureFixture[str]) -> None:
    """The same of a hundred kills in each topology."""
    killed(tmp_path, upstream, 100, capsys, scale=scale)


STEPS = ("accepted", "asked", "streamed", "ended")
SLOW: Headers = ((b"x-simulate-delay", b"0.3"), (b"x-simulate-pace", b"0.03"))
"""Time enough to be killed in each step."""


@pytest.fixture(scope="module")
def standing(
    tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> Iterator[tuple[House, Upstream]]:
    """One topology for all its steps: what is killed is started again."""
    folder = tmp_path_factory.mktemp("steps")
    with ExitStack() as stack:
        upstream = stack.enter_context(start_upstream(folder / "upstream"))
        yield House(folder / "house", upstream.port, stack, scale=request.param == "scale"), upstream


def reach(house: House, upstream: Upstream, job: str, request_id: str, step: str) -> None:
    """Waits until the job is so far."""
    if step == "asked":
        wait_until(lambda: any(id == request_id for _, id, _ in upstream.logged()), "the upstream to be asked", 20.0)
    elif step == "streamed":
        assert events(house.gateway, f"/chat/stream/{job}", "", 2)
    elif step == "ended":
        assert ended(house.gateway, job)["status"] == "completed"


@pytest.mark.parametrize("standing", ["embedded"], indirect=True)
@pytest.mark.parametrize("victim", ["gateway", "workers"])
@pytest.mark.parametrize("step", STEPS)
def test_a_kill_at_each_step(standing: tuple[House, Upstream], victim: str, step: str) -> None:
    """Whoever is killed, and however far a job was, it completes once, with at most one call more."""
    killed_at(*standing, victim, step)


@pytest.mark.parametrize("standing", ["scale"], indirect=True)
@pytest.mark.parametrize("victim", ["gateway", "workers", "redis", "rabbit"])
@pytest.mark.parametrize("step", STEPS)
def test_a_kill_at_each_step_of_all_servers(standing: tuple[House, Upstream], victim: str, step: str) -> None:
    """The same, with RabbitMQ and Redis, which are killed too."""
    killed_at(*standing, victim, step)


def killed_at(house: House, upstream: Upstream, victim: str, step: str) -> None:
    """One job, and one kill."""
    request_id = f"{victim}-{step}-{time.time_ns()}"
    job = submit(house.gateway, {"message": WORDS}, (*SLOW, (b"x-request-id", request_id.encode())))["job_id"]
    reach(house, upstream, job, request_id, step)
    victims = [one for one in house.victims if one == victim or (victim == "workers" and one.startswith("worker"))]
    for one in victims:
        house.kill(one)
    for one in victims:
        house.revive(one)
    told = ended_after_all(house, job)
    ledger = Ledger(house.folder)
    asked = sum(id == request_id for _, id, _ in upstream.logged())

    def accounted() -> bool:
        rows = ledger.rows(
            "SELECT e.state FROM entries e JOIN attempts a ON a.entry_id = e.id WHERE e.request_id = ?", request_id
        )
        return len(rows) >= asked and ("open",) not in rows

    wait_until(accounted, "the ledger to know every call", 20.0)
    assert (told["status"], WORDS in told["result"]["response"]) == ("completed", True)
    assert 1 <= asked <= 2
    assert ended_after_all(house, job) == told


def ended_after_all(house: House, job: str) -> dict[str, Any]:
    """Its status once it is over, however often nobody answers before."""
    found: dict[str, Any] = {}

    def over() -> bool:
        with suppress(OSError, EOFError, TimeoutError):
            reply, told = ask(house.gateway, "GET", f"/chat/status/{job}")
            found.update(told if reply.status == 200 else {})
        return found.get("status") in ENDS

    wait_until(over, f"job {job} to end", 60.0)
    return found
