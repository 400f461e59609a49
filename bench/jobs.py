"""
What jobs cost the embedded store on one core: `taskset -c 0 python bench/jobs.py`, with `PYTHONPATH=src`.

So many callers each add a job and publish it; so many workers take, claim, append to the log and end. Every job's life
is complete: it was accepted, published, claimed, written to, ended. Beside it: the wait for an acceptance, and looks at
a job while all this goes on; and again with a million jobs kept.
"""

import argparse
import asyncio
import os
import statistics
import tempfile
import time
from pathlib import Path

import uvloop

from foz.canon.identity import Identities
from foz.canon.job import Job, JobEnd, JobState
from foz.canon.model import Placement
from foz.canon.principal import Principal
from foz.canon.request import Mode
from foz.ports.jobs import Claim
from foz.store.database import connect, connect_reader
from foz.store.disk import Disk
from foz.store.jobs import SqliteJobs
from foz.store.lanes import SqliteQueue
from foz.store.lookups import Lookups

ORDER = bytes(600)
PIECES = [bytes(400)]
LEASE = 10_000


def _now() -> int:
    return time.time_ns() // 1_000_000


IDENTITIES = Identities(_now, os.urandom)
PRINCIPAL = Principal("key-0123456789", project="project-1")


def _job(id: bytes, now: int) -> Job:
    return Job(
        id=id, at=now, principal=PRINCIPAL, project="project-1", skin="nemotron", model="nemotron", mode=Mode.AUTO,
        lane=Placement.API, key=id.hex(), stream=False, digest=bytes(32), due=now,
    )  # fmt: skip


class Load:
    """Callers and workers of one store."""

    def __init__(self, store: SqliteJobs, queue: SqliteQueue) -> None:
        self.store = store
        self.queue = queue
        self.waits: list[float] = []
        self.looks: list[float] = []
        self.ended = 0

    async def caller(self, jobs: int) -> None:
        for _ in range(jobs):
            now, began = _now(), time.perf_counter()
            job = await self.store.add(_job(IDENTITIES.new(), now), ORDER)
            await self.queue.publish(job.lane, job.id)
            await self.store.published(job.id, now)
            self.waits.append(time.perf_counter() - began)

    async def worker(self, last: asyncio.Event, total: int) -> None:
        while True:
            delivery = await self.queue.take(Placement.API)
            now = _now()
            claim = await self.store.claim(delivery.id, now, now + LEASE)
            if isinstance(claim, Claim):
                job = claim.job
                await self.store.append(job.id, job.epoch, 0, PIECES)
                await self.store.end(job.id, job.epoch, JobEnd(JobState.COMPLETED, _now()), 1, PIECES)
                self.ended += 1
            await delivery.done()
            if self.ended >= total:
                last.set()

    async def looker(self) -> None:
        while True:
            await asyncio.sleep(0.005)
            began = time.perf_counter()
            await self.store.listed(PRINCIPAL.id, 10)
            self.looks.append(time.perf_counter() - began)


async def measure(data: Path, callers: int, workers: int, jobs: int) -> None:
    """Prints one line."""
    disk, lookups = Disk(data), Lookups(connect_reader(data))
    store = SqliteJobs(disk.writer, lookups)
    load = Load(store, SqliteQueue(disk.writer, lookups, _now))
    last, total = asyncio.Event(), callers * (jobs // callers)
    cpu, began = time.process_time(), time.perf_counter()
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(load.worker(last, total)) for _ in range(workers)]
        tasks.append(group.create_task(load.looker()))
        await asyncio.gather(*(load.caller(jobs // callers) for _ in range(callers)))
        await last.wait()
        for task in tasks:
            task.cancel()
    took, busy = time.perf_counter() - began, time.process_time() - cpu
    waits, looks = (statistics.quantiles(some, n=100) for some in (load.waits, load.looks))
    print(
        f"{callers:4} callers {workers:4} workers:"
        f" {total / took:8,.0f} jobs/s, {busy / total * 1e6:6.0f} µs of CPU a job;"
        f" accepted in p50 {waits[49] * 1e3:.2f} p99 {waits[98] * 1e3:.2f} ms;"
        f" ten listed in p50 {looks[49] * 1e3:.2f} p99 {looks[98] * 1e3:.2f} ms"
    )
    await load.queue.close()
    await store.close()
    await lookups.close()
    await disk.close()


def _fill(data: Path, jobs: int) -> None:
    """So many jobs, one in ten waiting, written as the store would have."""
    connection = connect(data)
    with connection:
        connection.execute(_FILL, (jobs, _now(), bytes(32)))
        connection.execute("INSERT INTO job_orders SELECT number, ? FROM jobs WHERE state = 'pending'", (ORDER,))
    connection.wal_checkpoint(mode=2)
    connection.close()


_FILL = """
WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < ?1)
INSERT INTO jobs (id, at, principal, caller, project, skin, model, mode, stream, lane, key, digest, state, epoch,
    attempts, due, publish, ended, dead)
SELECT CAST(unhex(printf('%012x', ?2 - 1000000 + n)) || randomblob(10) AS BLOB),
    ?2 - 1000000 + n, printf('key-%04d', n % 1000),
    '{"id":"key"}', 'project-1', 'nemotron', 'nemotron', 'auto', 0, 'gpu', printf('%032x', n), ?3,
    iif(n % 10, 'completed', 'pending'), 1, 1, ?2 - 1000000 + n, ?2 + 600000, iif(n % 10, ?2, NULL), 0 FROM n
"""


async def main() -> None:
    """All lines."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--jobs", type=int, default=20_000)
    arguments.add_argument("--kept", type=int, default=1_000_000)
    asked = arguments.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder)
        await Disk(data).close()
        for callers, workers in ((1, 1), (16, 16), (64, 64)):
            await measure(data, callers, workers, asked.jobs if callers > 1 else asked.jobs // 4)
        _fill(data, asked.kept)
        print(f"with {asked.kept:,} jobs more:")
        for callers in (16, 64):
            await measure(data, callers, callers, asked.jobs)


if __name__ == "__main__":
    uvloop.run(main())
