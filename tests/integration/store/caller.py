"""
A gateway process that writes its ledger until it is killed: `caller.py DATA`.

After each wait it says what is durable, one line at once: `open ID`, `next ID`, `settle ID`.
`hold` as a second argument opens ten entries, says so, and leaves them open until its input ends.
"""

import asyncio
import os
import sys
import time
from pathlib import Path

from foz.canon.entry import Attempt, AttemptEnd, Entry, EntryEnd, State
from foz.canon.identity import Identities
from foz.canon.request import NOBODY
from foz.canon.usage import Usage
from foz.store.disk import Disk


def now() -> int:
    return time.time_ns() // 1_000_000


IDENTITIES = Identities(now, os.urandom)
USAGE = Usage(input=3, output=4)


def say(word: str, id: bytes) -> None:
    os.write(1, f"{word} {id.hex()}\n".encode())


async def open_entry(disk: Disk) -> bytes:
    id = IDENTITIES.new()
    entry = Entry(id, now(), "key-1", "blue", NOBODY, "openai", "chat", "m", "req", stream=True)
    await disk.ledger.open(entry, Attempt(id, 1, "one/m", "api", now()))
    say("open", id)
    return id


async def call_for_ever(disk: Disk, turn: int) -> None:
    while True:
        turn += 1
        id, number = await open_entry(disk), 1
        if turn % 5 == 0:
            await disk.ledger.next_attempt(
                AttemptEnd(id, 1, State.FAILED, Usage()), Attempt(id, 2, "two/m", "api", now())
            )
            say("next", id)
            number = 2
        await disk.ledger.settle(
            EntryEnd(id, State.COMPLETE, 200, USAGE, 1, 2, 3, "USD", "v"), AttemptEnd(id, number, State.COMPLETE, USAGE)
        )
        say("settle", id)


async def main(data: Path, *, hold: bool) -> None:
    disk = Disk(data)
    if hold:
        for _ in range(10):
            await open_entry(disk)
        await asyncio.to_thread(sys.stdin.read)
    else:
        await asyncio.gather(*[call_for_ever(disk, turn) for turn in range(32)])


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), hold="hold" in sys.argv))
