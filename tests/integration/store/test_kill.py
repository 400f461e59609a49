"""What was awaited is in the file, whatever is killed; and only the dead are buried."""

import asyncio
import random
import subprocess
import sys
from pathlib import Path

import pytest

from foz.store.database import connect_reader
from foz.store.disk import Disk

CALLER = Path(__file__).with_name("caller.py")
ROOT = Path(__file__).parents[3]
MOST_LINES = 4_000


def start(data: Path, *words: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, str(CALLER), str(data), *words],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={"PYTHONPATH": str(ROOT / "src")},
    )


def lines_until_killed(process: subprocess.Popen[bytes], lines: int) -> list[tuple[str, bytes]]:
    """Kills with SIGKILL after so many lines; all that it said until it died."""
    assert process.stdout is not None
    said = [process.stdout.readline() for _ in range(lines)]
    process.kill()
    rest = process.stdout.read()
    gone(process)
    whole = b"".join(said) + rest[: rest.rfind(b"\n") + 1]
    return [(line.split()[0].decode(), bytes.fromhex(line.split()[1].decode())) for line in whole.splitlines()]


def gone(process: subprocess.Popen[bytes]) -> None:
    process.wait(timeout=30)
    for stream in (process.stdin, process.stdout):
        if stream is not None:
            stream.close()


def sweep(data: Path) -> int:
    async def run() -> int:
        disk = Disk(data)
        count = await disk.sweep()
        await disk.close()
        return count

    return asyncio.run(run())


def states(data: Path) -> tuple[dict[bytes, str], dict[tuple[bytes, int], str]]:
    reader = connect_reader(data)
    try:
        assert reader.pragma("integrity_check") == "ok"
        return (
            {id: str(state) for id, state in reader.execute("SELECT id, state FROM entries")},
            {
                (id, number): str(state)
                for id, number, state in reader.execute("SELECT entry_id, number, state FROM attempts")
            },
        )
    finally:
        reader.close()


@pytest.mark.parametrize("seed", range(4))
def test_nothing_that_was_awaited_is_lost(seed: int, tmp_path: Path) -> None:
    """After kill -9 at a random moment every line said is in the file, which is whole; what was open is interrupted."""
    lines = random.Random(seed).randint(1, MOST_LINES)
    processes = [start(tmp_path) for _ in range(1 + seed % 2)]

    said = [fact for process in processes for fact in lines_until_killed(process, lines)]

    entries, attempts = states(tmp_path)
    assert {id for _, id in said} <= entries.keys()
    assert all(entries[id] == "complete" for word, id in said if word == "settle")
    assert all((id, 1) in attempts for _, id in said)
    assert all((id, 2) in attempts for word, id in said if word == "next")
    left_open = {id for id, state in entries.items() if state == "open"}

    assert sweep(tmp_path) == len(left_open)

    entries, attempts = states(tmp_path)
    assert {entries[id] for id in left_open} <= {"interrupted"}
    assert "open" not in {*entries.values(), *attempts.values()}
    assert all(state in {"complete", "interrupted"} for state in entries.values())


def test_the_living_are_never_buried(tmp_path: Path) -> None:
    """Sweeps leave the entries of a living process open, and interrupt all of them once it is killed."""
    living, dying = start(tmp_path, "hold"), start(tmp_path, "hold")
    assert living.stdout is not None
    held = [bytes.fromhex(living.stdout.readline().split()[1].decode()) for _ in range(10)]
    lost = [id for _, id in lines_until_killed(dying, 10)]
    assert len(list((tmp_path / "owners").iterdir())) == 2

    counts = [sweep(tmp_path) for _ in range(2)]

    entries, _ = states(tmp_path)
    assert counts == [10, 0]
    assert {entries[id] for id in lost} == {"interrupted"}
    assert {entries[id] for id in held} == {"open"}
    living.kill()
    gone(living)
    assert sweep(tmp_path) == 10
    assert {states(tmp_path)[0][id] for id in held} == {"interrupted"}


def test_lock_files_of_the_dead_are_removed(tmp_path: Path) -> None:
    """After a sweep only the locks of the living remain, of many sweepers at once too."""
    dead = [start(tmp_path, "hold") for _ in range(3)]
    for process in dead:
        lines_until_killed(process, 10)

    async def run() -> tuple[list[int], int]:
        disks = [Disk(tmp_path) for _ in range(4)]
        counts = await asyncio.gather(*[disk.sweep() for disk in disks])
        remaining = len(list((tmp_path / "owners").iterdir()))
        for disk in disks:
            await disk.close()
        return counts, remaining

    counts, remaining = asyncio.run(run())

    assert sum(counts) == 30
    assert remaining == 4


def test_an_entry_whose_owner_has_no_lock_file_is_a_dead_ones(tmp_path: Path) -> None:
    """Where somebody removed the lock file of a dead owner, its entries are interrupted all the same."""
    process = start(tmp_path, "hold")
    lines_until_killed(process, 10)
    for path in (tmp_path / "owners").iterdir():
        path.unlink()

    assert sweep(tmp_path) == 10


def test_what_lies_beside_the_locks_is_left_alone(tmp_path: Path) -> None:
    """A file in the owners' folder that is no owner's lock is neither read as one nor removed."""
    (tmp_path / "owners").mkdir()
    for name in ("notes.txt", "nope.lock", f"{'G' * 32}.lock"):
        (tmp_path / "owners" / name).touch()

    sweep(tmp_path)

    assert {path.name for path in (tmp_path / "owners").iterdir()} >= {"notes.txt", "nope.lock", f"{'G' * 32}.lock"}
