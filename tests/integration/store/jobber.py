"""
A process that accepts jobs and works at them until it is killed: `jobber.py DATA [drain]`.

After each wait it says what is durable, one line at once: `add ID`, `claim ID EPOCH`, `append ID EPOCH PIECES`,
`end ID EPOCH`. With `drain` it accepts none, works at what is there, and ends when nothing is left.
"""

import asyncio
import os
import sys
import time
from pathlib import Path

from foz.canon.identity import Identities
from foz.canon.job import Job, JobEnd, JobState
from foz.canon.model import Placement
from foz.canon.principal import Principal
from foz.canon.request import Mode
from foz.jobs.working import sweep
from foz.ports.jobs import Claim
from foz.store.database import connect_reader
from foz.store.disk import Disk
from foz.store.jobs import MOST_LISTED, SqliteJobs
from foz.store.lanes import SqliteQueue
from foz.store.lookups import Lookups

LEASE = 300


def now() -> int:
    return time.time_ns() // 1_000_000


IDENTITIES = Identities(now, os.urandom)


def say(word: str, id: bytes, *facts: int) -> None:
    os.write(1, f"{' '.join([word, id.hex(), *map(str, facts)])}\n".encode())


def piece(epoch: int, number: int) -> bytes:
    return b"%d.%d;" % (epoch, number)


async def accept_for_ever(store: SqliteJobs, queue: SqliteQueue) -> None:
    while True:
        id, at = IDENTITIES.new(), now()
        job = Job(
            id=id, at=at, principal=Principal("key-1"), project="", skin="s", model="m", mode=Mode.AUTO,
            lane=Placement.API, key=id.hex(), stream=False, digest=b"", due=at,
        )  # fmt: skip
        await store.add(job, id * 8)
        say("add", id)
        await queue.publish(Placement.API, id)


async def work_for_ever(store: SqliteJobs, queue: SqliteQueue) -> None:
    while True:
        delivery = await queue.take(Placement.API)
        claim = await store.claim(delivery.id, now(), now() + LEASE)
        if isinstance(claim, Claim):
            id, epoch = claim.job.id, claim.job.epoch
            assert claim.order == id * 8
            say("claim", id, epoch)
            if await store.append(id, epoch, 0, [piece(epoch, 0), piece(epoch, 1)]):
                say("append", id, epoch, 2)
            if await store.end(id, epoch, JobEnd(JobState.COMPLETED, now()), 2, [piece(epoch, 2)]):
                say("end", id, epoch)
        await delivery.done()


async def drained(store: SqliteJobs, queue: SqliteQueue) -> None:
    while not await all_over(store):
        await sweep(store, queue, now())
        await asyncio.sleep(0.05)


async def all_over(store: SqliteJobs) -> bool:
    before = None
    while some := await store.listed(None, MOST_LISTED, before):
        if not all(job.over for job in some):
            return False
        before = some[-1].id
    return True


async def main(data: Path, *, drain: bool) -> None:
    disk, lookups = Disk(data), Lookups(connect_reader(data))
    store = SqliteJobs(disk.writer, lookups)
    queue = SqliteQueue(disk.writer, lookups, now)
    workers = [asyncio.ensure_future(work_for_ever(store, queue)) for _ in range(8)]
    if not drain:
        await asyncio.gather(*workers, *(accept_for_ever(store, queue) for _ in range(8)))
    await drained(store, queue)
    for worker in workers:
        worker.cancel()
    await asyncio.gather(*workers, return_exceptions=True)
    for one in (queue, store, lookups, disk):
        await one.close()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), drain="drain" in sys.argv))
