"""One gateway process that asks for calls of one principal until it is refused: `asker.py DATA RATE`."""

import asyncio
import sys
from pathlib import Path

from foz.canon.fault import RateLimited
from foz.canon.principal import Allowance, Principal
from foz.store.disk import Disk
from foz.store.leases import SqliteBook

NOW = 1_700_000_000_000


async def main(data: Path, rate: int) -> int:
    disk = Disk(data)
    book = SqliteBook(disk.writer, disk.owner.id, lambda: NOW)
    principal = Principal("key-1", allowance=Allowance(requests_per_minute=rate))
    admitted = 0

    try:
        while True:
            waiting = book.reserve(principal, 0)
            if waiting is not None:
                await waiting
            admitted += 1
    except RateLimited:
        await disk.close()
        return admitted


if __name__ == "__main__":
    print(asyncio.run(main(Path(sys.argv[1]), int(sys.argv[2]))))  # noqa: T201 - its answer
