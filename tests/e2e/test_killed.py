"""
`kill -9` under load: whoever got a whole answer is in the ledger, and nothing reached an upstream unknown to it.

Each run has a seed, which is printed; `FOZ_KILL_SEED` does one run again. The seed decides when the kill comes and
what is asked; what the kernel makes of it is its own.
"""

import asyncio
import random
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from foz.testing.process import Served, Upstream, free_port, start_gateway, start_upstream
from tests.e2e.ground import Ledger, kill_all, owner, seeds, seen_by, workers
from tests.e2e.load import CAPTURED, CONFIG, HeldUpstream, Load, Told, connect

TWO = ("--workers", "2")
LATEST = 0.5
"""Seconds under load within which the kill comes."""


@pytest.fixture(scope="module")
def upstream(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Upstream]:
    with start_upstream(tmp_path_factory.mktemp("upstream")) as served:
        yield served


def judge(folder: Path, upstream: Upstream, name: str, told: Told, capsys: pytest.CaptureFixture[str]) -> None:
    """The sums, once everything is swept."""
    ledger = Ledger(folder)
    states, attempts, seen = ledger.states(name), ledger.attempts(name), seen_by(upstream, name)
    interrupted = {id for id, state in states.items() if state == "interrupted"}
    with capsys.disabled():
        kind, _, seed = name.rpartition("-")
        sums = f"{told.calls} calls, {len(told.whole)} whole answers, {len(interrupted)} interrupted"
        sys.stdout.write(f"\n  killed {kind}, seed {seed}: {sums}")

    assert [id for id in told.whole if states.get(id) != "complete"] == []
    assert {id: times for id, times in seen.items() if attempts[id] < times} == {}
    assert interrupted <= set(told.broken)
    assert set(states.values()) <= {"complete", "interrupted"}
    assert told.refused == []
    assert len(set(told.whole)) == len(told.whole)
    assert told.strays == []
    assert ledger.is_sound()


async def one_kill(gateway: Served, pids: list[int], name: str, seed: int) -> Told:
    """Everything dies at once, in the middle of a load."""
    moment = random.Random(seed).uniform(0, LATEST)
    load = Load(gateway.port, name, seed)
    async with load:
        await load.settled_in()
        await asyncio.sleep(moment)
        kill_all([gateway.pid, *pids])
    return load.told


def kill_the_gateway(
    folder: Path, upstream: Upstream, arguments: tuple[str, ...], runs: list[int], capsys: pytest.CaptureFixture[str]
) -> None:
    """Again and again in the same folder, each time swept by the next."""
    port = free_port()
    config = CONFIG.format(port=upstream.port, held=free_port()) + (CAPTURED if arguments else "")
    gateway = start_gateway(folder, *arguments, config=config, port=port)
    try:
        for seed in runs:
            name = f"{'two' if arguments else 'one'}-{seed}"
            told = asyncio.run(one_kill(gateway, workers(gateway, 2) if arguments else [], name, seed))
            gateway.wait()
            gateway = start_gateway(folder, *arguments, port=port)
            Ledger(folder).wait_for_sweep()
            judge(folder, upstream, name, told, capsys)
    finally:
        gateway.stop()


def kill_a_worker(folder: Path, upstream: Upstream, seed: int, capsys: pytest.CaptureFixture[str]) -> None:
    """Two workers; the one that does not hold a certain stream is killed, and then the one that did."""
    asyncio.run(_kill_both_workers(folder, upstream, seed, capsys))


async def _kill_both_workers(folder: Path, upstream: Upstream, seed: int, capsys: pytest.CaptureFixture[str]) -> None:
    ledger = Ledger(folder)
    async with HeldUpstream() as held:
        config = CONFIG.format(port=upstream.port, held=held.port)
        gateway = await asyncio.to_thread(start_gateway, folder, *TWO, config=config)
        try:
            for round in (1, 2):
                name = f"worker{round}-{seed}"
                load = Load(gateway.port, name, seed + round)
                stream = await connect(gateway.port)
                await stream.ask(f"held-{name}", "held", stream=True)
                assert await stream.head() == (200, None)
                assert b"held" in await stream.chunk()
                (holder,) = ledger.owners()
                pids = workers(gateway, 2)
                (victim,) = [pid for pid in pids if owner(pid) != holder]
                dead = owner(victim)
                async with load:
                    await load.settled_in()
                    await asyncio.sleep(random.Random(seed).uniform(0, LATEST))
                    kill_all([victim])
                await asyncio.to_thread(ledger.wait_for_sweep, {dead})
                assert ledger.states("held")[f"held-{name}"] == "open"
                held.let_go.set()
                assert await stream.ends()
                held.let_go.clear()
                assert ledger.states("held")[f"held-{name}"] == "complete"
                judge(folder, upstream, name, load.told, capsys)
                stream.close()
        finally:
            await asyncio.to_thread(gateway.stop)


def test_one_worker_is_killed(tmp_path: Path, upstream: Upstream, capsys: pytest.CaptureFixture[str]) -> None:
    """Killed 10 times under load, one worker loses no answer that was received and no call that was sent."""
    kill_the_gateway(tmp_path, upstream, (), seeds(10), capsys)


def test_supervisor_and_workers_are_killed(
    tmp_path: Path, upstream: Upstream, capsys: pytest.CaptureFixture[str]
) -> None:
    """The same of a supervisor and its two workers, killed together 4 times."""
    kill_the_gateway(tmp_path, upstream, TWO, seeds(4), capsys)


def test_one_of_two_workers_is_killed(tmp_path: Path, upstream: Upstream, capsys: pytest.CaptureFixture[str]) -> None:
    """Of two workers each is killed, 3 times over; what the other one has open stays open and ends well."""
    for number, seed in enumerate(seeds(3)):
        kill_a_worker(tmp_path / str(number), upstream, seed, capsys)


@pytest.mark.soak
@pytest.mark.timeout(1800)
def test_killed_two_hundred_times(tmp_path: Path, upstream: Upstream, capsys: pytest.CaptureFixture[str]) -> None:
    """The same, 80 times with one worker, 60 times all of them, and 60 times one of two."""
    kill_the_gateway(tmp_path / "one", upstream, (), seeds(80), capsys)
    kill_the_gateway(tmp_path / "two", upstream, TWO, seeds(60), capsys)
    for number, seed in enumerate(seeds(30)):
        kill_a_worker(tmp_path / f"worker-{number}", upstream, seed, capsys)
