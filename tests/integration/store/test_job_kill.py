"""Jobs whose processes are killed: what was acknowledged stands, and what was left is finished once."""

import random
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from foz.store.database import connect_reader

JOBBER = Path(__file__).with_name("jobber.py")
ROOT = Path(__file__).parents[3]
MOST_LINES = 600
PROCESSES = 3
LOG = """
SELECT pieces FROM job_log, jobs
WHERE id = ? AND place BETWEEN number << 28 AND (number << 28) + 268435455 ORDER BY place
"""
Said = list[tuple[str, bytes, list[int]]]


def start(data: Path, *words: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, str(JOBBER), str(data), *words]
    return subprocess.Popen(command, stdout=subprocess.PIPE, env={"PYTHONPATH": str(ROOT / "src")})


def said(process: subprocess.Popen[bytes], lines: int | None) -> Said:
    """All that it said: killed with SIGKILL after so many lines, or at its end."""
    assert process.stdout is not None
    first = [process.stdout.readline() for _ in range(lines or 0)]
    if lines is not None:
        process.kill()
    rest = process.stdout.read()
    process.stdout.close()
    assert process.wait(timeout=60) == (0 if lines is None else -9)
    whole = b"".join(first) + rest[: rest.rfind(b"\n") + 1]
    parts = [line.decode().split() for line in whole.splitlines()]
    return [(word, bytes.fromhex(id), [int(fact) for fact in facts]) for word, id, *facts in parts]


@pytest.mark.parametrize("seed", range(4))
def test_no_acknowledged_job_is_lost_or_ended_twice(seed: int, tmp_path: Path) -> None:
    """
    Three processes share jobs and are killed one after another at drawn moments: what they said stands, and a fourth
    finishes each job that is left, once, in at most one attempt more than there were kills.
    """
    dice = random.Random(seed)
    processes = [start(tmp_path) for _ in range(PROCESSES)]
    facts = [fact for process in processes for fact in said(process, dice.randint(1, MOST_LINES))]
    reader = connect_reader(tmp_path)
    try:
        assert reader.pragma("integrity_check") == "ok"
        kept = {id: (state, epoch) for id, state, epoch in reader.execute("SELECT id, state, epoch FROM jobs")}
        (counted,) = reader.execute("SELECT coalesce(sum(waiting), 0) FROM job_lanes").fetchall()
        assert counted == (sum(state == "pending" for state, _ in kept.values()),)
        for word, id, numbers in facts:
            state, epoch = kept[id]
            assert word == "add" or epoch >= numbers[0]
            assert word != "end" or (state, epoch) == ("completed", numbers[0])
            if word == "append" and epoch == numbers[0]:
                assert reader.execute(LOG, (id,)).fetchone() is not None

        facts += said(start(tmp_path, "drain"), None)

        ends = Counter(id for word, id, _ in facts if word == "end")
        assert set(ends.values()) <= {1}
        for id, state, epoch, attempts in reader.execute("SELECT id, state, epoch, attempts FROM jobs"):
            assert (state, epoch) == ("completed", attempts)
            assert int(str(attempts)) <= 1 + PROCESSES
            log = b"".join(bytes(row[0]) for row in reader.execute(LOG, (id,)))
            assert log.count(b"%d." % epoch) == log.count(b";") == 3
        assert reader.execute("SELECT count(*) FROM job_orders").get == 0
    finally:
        reader.close()
