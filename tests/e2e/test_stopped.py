"""SIGTERM under load, and a supervisor that dies: what runs is finished, and the account is closed."""

import asyncio
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from foz.testing.process import Served, Upstream, free_port, start_gateway, start_upstream, wait_until
from foz.testing.raw import request
from tests.e2e.ground import Ledger, gone, kill_all, seen_by, workers
from tests.e2e.load import CHAT, CONFIG, DONE, Load, Told, body


@pytest.fixture(scope="module")
def upstream(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Upstream]:
    with start_upstream(tmp_path_factory.mktemp("upstream")) as served:
        yield served


def start(folder: Path, upstream: Upstream, *arguments: str, port: int | None = None) -> Served:
    return start_gateway(folder, *arguments, config=CONFIG.format(port=upstream.port, held=free_port()), port=port)


async def end_under_load(gateway: Served, name: str, number: signal.Signals, pids: list[int]) -> Told:
    """Sends a signal in the middle of a load that goes on until all these processes have ended."""
    load = Load(gateway.port, name, seed=1)
    async with load:
        await load.settled_in()
        await asyncio.sleep(0.2)
        os.kill(gateway.pid, number)
        await asyncio.to_thread(wait_until, lambda: all(map(gone, pids)), "the processes to leave")
    return load.told


def judge(folder: Path, upstream: Upstream, name: str, told: Told) -> None:
    """Whatever was begun is complete, in the ledger and with its caller."""
    states = Ledger(folder).states(name)
    assert set(states.values()) == {"complete"}
    assert set(states) == set(told.whole)
    assert set(seen_by(upstream, name)) == set(told.whole)
    assert told.strays == []
    assert Ledger(folder).is_sound()


@pytest.mark.parametrize("count", [1, 2])
def test_stopped_under_load(tmp_path: Path, upstream: Upstream, count: int) -> None:
    """After SIGTERM every call that was begun ends well with its caller and in the ledger, and the exit status is 0."""
    with start(tmp_path, upstream, "--workers", str(count)) as gateway:
        pids = [gateway.pid, *(workers(gateway, count) if count > 1 else [])]
        told = asyncio.run(end_under_load(gateway, f"stopped{count}", signal.SIGTERM, pids))
        assert gateway.wait() == 0

    judge(tmp_path, upstream, f"stopped{count}", told)
    assert "Traceback" not in gateway.stderr


def test_a_stop_waits_no_longer_than_it_may(tmp_path: Path, upstream: Upstream) -> None:
    """What runs longer than `drain` is cut off: never looking finished, settled as our own doing, exit status 0."""
    config = CONFIG.format(port=upstream.port, held=free_port()) + "\n[limits]\ndrain = 0.3\n"
    with (
        start_gateway(tmp_path, config=config) as gateway,
        gateway.connect() as endless,
        gateway.connect() as slow,
    ):
        named = ((b"x-request-id", b"cut-1"), (b"x-simulate-endless", b"1"), (b"x-simulate-pace", b"0.01"))
        endless.send(request("POST", CHAT, body("public", stream=True), named))
        endless.until(b"data: ")
        late = ((b"x-request-id", b"cut-2"), (b"x-simulate-delay", b"30"))
        slow.send(request("POST", CHAT, body("public", stream=False), late))
        wait_until(lambda: len(seen_by(upstream, "cut")) == 2, "the upstream to be asked")
        gateway.process.terminate()
        assert gateway.wait() == 0
        assert not endless.rest().endswith((DONE, b"0\r\n\r\n"))
        refused = slow.reply()

    assert refused.status == 503
    assert refused.header(b"retry-after") == b"1"
    ledger = Ledger(tmp_path)
    assert ledger.states("cut") == {"cut-1": "failed", "cut-2": "failed"}
    assert [str(fault)[:10] for (fault,) in ledger.rows("SELECT fault FROM entries")] == ["draining: "] * 2


def test_workers_outlive_no_supervisor(tmp_path: Path, upstream: Upstream) -> None:
    """Workers whose supervisor was killed finish what they have in hand and leave, and the port is free again."""
    gateway = start(tmp_path, upstream, "--workers", "2")
    pids = workers(gateway, 2)
    try:
        told = asyncio.run(end_under_load(gateway, "orphaned", signal.SIGKILL, pids))
        gateway.wait()
    finally:
        kill_all(pids)

    judge(tmp_path, upstream, "orphaned", told)
    with start(tmp_path, upstream, port=gateway.port) as again:
        assert again.process.poll() is None
