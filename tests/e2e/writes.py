"""
A program that writes entries as fast as it can while its checkpoints run all the time, until it is killed.

`writes.py DATA TOLD`: the ids whose end is durable are appended to the file TOLD, a line each.
"""

import asyncio
import os
import sys
from pathlib import Path

from foz.canon.entry import Attempt, AttemptEnd, Entry, EntryEnd, State
from foz.canon.identity import Identities
from foz.canon.request import NOBODY
from foz.canon.usage import Usage
from foz.store.checkpoint import Checkpointer
from foz.store.database import connect, prepare
from foz.store.ledger import SqliteLedger
from foz.store.owner import Owner
from foz.store.writer import Writer
from foz.testing.clock import LoopClock

CALLERS = 32
USAGE = Usage(input=1, output=1)


async def write(ledger: SqliteLedger, identities: Identities, told: int) -> None:
    """Entry after entry."""
    while True:
        id = identities.new()
        name = f"writes-{id.hex()}"
        entry = Entry(id, 1, "p", "", NOBODY, "openai", "chat", "m" * 200, name, stream=False)
        await ledger.open(entry, Attempt(id, 1, "t", "api", 1))
        end = EntryEnd(id, State.COMPLETE, 200, USAGE, 1, 1, None, None, None)
        await ledger.settle(end, AttemptEnd(id, 1, State.COMPLETE, USAGE, status=200))
        os.write(told, f"{name}\n".encode())


async def run(data: Path, told: int) -> None:
    """All callers at once."""
    prepare(data)
    writer = Writer(connect(data))
    ledger = SqliteLedger(writer, Owner(data).id)
    Checkpointer(connect(data), writer, cap_frames=64, every_seconds=0.001)
    identities = Identities(LoopClock().now, os.urandom)
    async with asyncio.TaskGroup() as group:
        for _ in range(CALLERS):
            group.create_task(write(ledger, identities, told))


if __name__ == "__main__":
    asyncio.run(run(Path(sys.argv[1]), os.open(sys.argv[2], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)))
