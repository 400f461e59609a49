"""
What the ledger costs on one core: `taskset -c 0 python bench/ledger.py`, with `PYTHONPATH=src`.

64 callers, then one, each opening an entry with its attempt and settling both, in a loop; and again with
other work on the loop between the two (10 µs of Python and a hop through a socket pair), as a gateway has.
"""

import argparse
import asyncio
import os
import socket
import statistics
import sys
import tempfile
import time
from pathlib import Path

import uvloop

from foz.canon.entry import Attempt, AttemptEnd, Entry, EntryEnd, State
from foz.canon.identity import Identities
from foz.canon.request import NOBODY
from foz.canon.usage import Usage
from foz.store.disk import Disk
from foz.store.ledger import SqliteLedger


def _now() -> int:
    return time.time_ns() // 1_000_000


IDENTITIES = Identities(_now, os.urandom)
USAGE = Usage(input=1234, output=456, cached=0, reasoning=0)


class Load:
    """Callers of one ledger."""

    def __init__(self, ledger: SqliteLedger, *, busy: bool) -> None:
        self.ledger = ledger
        self.busy = busy
        self.waits: list[float] = []

    async def caller(self, calls: int) -> None:
        near, far = socket.socketpair()
        near.setblocking(False)
        far.setblocking(False)
        with near, far:
            for _ in range(calls):
                await self._call(near, far)

    async def _call(self, near: socket.socket, far: socket.socket) -> None:
        id, now = IDENTITIES.new(), _now()
        entry = Entry(
            id, now, "key-0123456789", "project-1", NOBODY, "openai", "chat", "gpt-4o-mini", "req-0123456789ab", True
        )
        began = time.perf_counter()
        await self.ledger.open(entry, Attempt(id, 1, "openai/gpt-4o-mini", "api", now))
        self.waits.append(time.perf_counter() - began)
        if self.busy:
            loop = asyncio.get_running_loop()
            _burn(10e-6)
            await loop.sock_sendall(near, bytes(500))
            await loop.sock_recv(far, 1000)
        await self.ledger.settle(
            EntryEnd(id, State.COMPLETE, 200, USAGE, 45, 1234, 123_456_789, "USD", "genai-prices 0.2.3"),
            AttemptEnd(id, 1, State.COMPLETE, USAGE, status=200, duration=1234),
        )
        if self.busy:
            _burn(10e-6)


def _burn(seconds: float) -> None:
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        pass


async def measure(callers: int, calls: int, *, busy: bool) -> tuple[float, ...]:
    """Calls a second, µs of CPU a call on the loop and in the other threads, wait for `open` p50 and p99 in µs."""
    with tempfile.TemporaryDirectory() as folder:
        disk = Disk(Path(folder))
        load = Load(disk.ledger, busy=busy)
        await asyncio.gather(*[load.caller(max(calls // callers // 10, 50)) for _ in range(callers)])
        load.waits.clear()
        wall, loop_cpu, all_cpu = time.perf_counter(), time.thread_time(), time.process_time()
        await asyncio.gather(*[load.caller(calls // callers) for _ in range(callers)])
        wall, loop_cpu, all_cpu = (
            time.perf_counter() - wall,
            time.thread_time() - loop_cpu,
            time.process_time() - all_cpu,
        )
        await disk.close()
    waits = sorted(load.waits)
    microseconds = 1e6 / calls
    return (
        calls / wall,
        loop_cpu * microseconds,
        (all_cpu - loop_cpu) * microseconds,
        waits[len(waits) // 2] * 1e6,
        waits[len(waits) * 99 // 100] * 1e6,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    print(f"Python {sys.version.split()[0]}, medians of {rounds} rounds (spread of calls a second)")
    for busy in (False, True):
        for callers, calls in ((64, 64_000), (1, 4_000)):
            found = [uvloop.run(measure(callers, calls, busy=busy)) for _ in range(rounds)]
            rate, loop_cpu, rest_cpu, p50, p99 = (statistics.median(column) for column in zip(*found, strict=True))
            spread = f"{min(row[0] for row in found):.0f}..{max(row[0] for row in found):.0f}"
            print(
                f"{callers:3} callers, {'busy' if busy else 'idle'} loop: {rate:8.0f} calls/s ({spread}), "
                f"CPU a call: loop {loop_cpu:5.1f} µs, threads {rest_cpu:5.1f} µs; "
                f"open p50 {p50:5.0f} µs, p99 {p99:6.0f} µs"
            )


if __name__ == "__main__":
    main()
