"""Callers that do not read, or read slowly: what is held for them is bounded, and so is how long."""

import re
import sqlite3
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import msgspec
import pytest

from foz.testing.process import Served, Upstream, start_gateway, start_upstream, wait_until
from foz.testing.raw import RawConnection, request

CHAT = "/v1/chat/completions"
CONFIG = """
[limits]
write_timeout = {write}
idle_timeout = 0.5

[[provider]]
name = "far"
base_url = "http://127.0.0.1:{port}/v1"
auth = "none"
forwards = ["x-simulate-"]
timeouts = {{ total = {total} }}

[[model]]
name = "public"
targets = ["far/upstream-name"]
"""
MEGABYTE = 1024 * 1024
CALLERS = 6
LARGE = 8 * MEGABYTE


@pytest.fixture(scope="module")
def upstream(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Upstream]:
    with start_upstream(tmp_path_factory.mktemp("upstream")) as served:
        yield served


def start(folder: Path, upstream: Upstream, *, write: float, total: float = 60.0) -> Served:
    return start_gateway(folder, config=CONFIG.format(port=upstream.port, write=write, total=total))


def resident(gateway: Served) -> int:
    """Bytes of memory that the process holds."""
    found = re.search(r"VmRSS:\s+(\d+) kB", Path(f"/proc/{gateway.pid}/status").read_text())
    assert found is not None
    return int(found[1]) * 1024


def holds(gateway: Served, caller: RawConnection) -> bool:
    """Whether the process still has its side of this connection open."""
    ends = f":{gateway.port:04X}", f":{caller.port:04X}"
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        words = line.split()
        if words[1].endswith(ends[0]) and words[2].endswith(ends[1]):
            return words[9] != "0"  # the inode: an orphan has none
    return False


def ask(gateway: Served, *headers: tuple[bytes, bytes], stream: bool) -> RawConnection:
    """A caller with a small window, who has asked and reads nothing yet."""
    connection = RawConnection(gateway.port, receive_buffer=65_536)
    asked = {"model": "public", "stream": stream, "messages": [{"role": "user", "content": "hello"}]}
    connection.send(request("POST", CHAT, msgspec.json.encode(asked), headers))
    return connection


def states(gateway: Served) -> list[str]:
    with closing(sqlite3.connect(f"file:{gateway.folder / 'data/foz.db'}?mode=ro", uri=True)) as connection:
        return [str(row[0]) for row in connection.execute("SELECT state FROM entries")]


def test_an_endless_answer_to_who_does_not_read_is_held_back(tmp_path: Path, upstream: Upstream) -> None:
    """Endless streams to callers who read nothing do not make the process grow, and go on when they read."""
    with start(tmp_path, upstream, write=30.0) as gateway, ExitStack() as stack:
        with ask(gateway, stream=True) as warm:
            assert warm.reply().status == 200
        before = resident(gateway)
        callers = [
            stack.enter_context(ask(gateway, (b"x-simulate-endless", b"1"), stream=True)) for _ in range(CALLERS)
        ]
        wait_until(lambda: upstream.seen()["answering"] == CALLERS, "the streams to begin")
        most = 0
        end = time.monotonic() + 1.5
        while time.monotonic() < end:
            most = max(most, resident(gateway) - before)
            time.sleep(0.05)

        assert most < CALLERS * MEGABYTE
        assert callers[0].head().status == 200
        flowed = 0
        while flowed < 8 * MEGABYTE:
            flowed += len(callers[0].chunk())
        assert resident(gateway) - before < CALLERS * MEGABYTE


def test_who_does_not_read_for_too_long_is_left(tmp_path: Path, upstream: Upstream) -> None:
    """After the write timeout a stream to a caller who reads nothing is given up, at the upstream too."""
    with start(tmp_path, upstream, write=0.3) as gateway, ask(gateway, (b"x-simulate-endless", b"1"), stream=True):
        wait_until(lambda: states(gateway) == ["caller_gone"], "the caller to be left")
        wait_until(lambda: upstream.seen()["answering"] == 0, "the upstream to be left")


def test_a_fault_to_who_does_not_read_frees_the_connection(tmp_path: Path, upstream: Upstream) -> None:
    """A stream that ends in a fault while its caller reads nothing leaves no connection behind."""
    with (
        start(tmp_path, upstream, write=1.0, total=0.4) as gateway,
        ask(gateway, (b"x-simulate-endless", b"1"), stream=True) as caller,
    ):
        wait_until(lambda: states(gateway) == ["upstream_cut"], "the target's time to be over")
        wait_until(lambda: not holds(gateway, caller), "the caller's connection to be closed")


def test_a_large_answer_that_nobody_reads_is_dropped(tmp_path: Path, upstream: Upstream) -> None:
    """A whole answer that its caller does not read is let go after the timeouts, and its connection with it."""
    with (
        start(tmp_path, upstream, write=0.4) as gateway,
        ask(gateway, (b"x-simulate-giant", b"%d" % LARGE), stream=False) as caller,
    ):
        wait_until(lambda: states(gateway) == ["complete"], "the answer")
        assert holds(gateway, caller)
        wait_until(lambda: not holds(gateway, caller), "the caller's connection to be closed")


def test_a_large_answer_may_be_read_slowly(tmp_path: Path, upstream: Upstream) -> None:
    """A caller who keeps reading gets a large answer whole, though it takes several timeouts."""
    with (
        start(tmp_path, upstream, write=0.4) as gateway,
        ask(gateway, (b"x-simulate-giant", b"%d" % LARGE), stream=False) as caller,
    ):
        began = time.monotonic()
        size = int(caller.head().header(b"content-length") or b"0")
        assert size > LARGE
        left = size
        while left:
            piece = min(left, 256 * 1024)
            left -= len(caller.exactly(piece))
            time.sleep(0.06)
        assert time.monotonic() - began > 3 * 0.4
