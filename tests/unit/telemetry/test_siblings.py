"""How workers find each other's figures in the run directory."""

import subprocess
import sys
from pathlib import Path

import pytest

from foz.canon.entry import EntryEnd, State
from foz.canon.usage import Usage
from foz.telemetry.exposition import Exposition
from foz.telemetry.metrics import Counts
from foz.telemetry.siblings import STALE, Siblings
from foz.testing.clock import StillClock

END = EntryEnd(b"\x00" * 16, State.COMPLETE, 200, Usage(input=1), 1, 2, None, None, None)


class Worker:
    """Counts and files of one process."""

    def __init__(self, directory: Path, clock: StillClock, pid: int, run: str = "run-1") -> None:
        self.counts = Counts(run=run, pid=pid, clock=clock, known={"m"}.__contains__)
        self.siblings = Siblings(directory, run, pid)
        self.ask = Exposition(self.counts.snapshot, self.siblings)

    def serve(self, calls: int) -> None:
        for _ in range(calls):
            self.counts.began("m")
            self.counts.ended("openai", "m", "p/m", END)

    def write(self) -> None:
        self.siblings.write(self.counts.snapshot())

    def total(self) -> int:
        return sum(
            int(float(line.split(b" ")[-1]))
            for line in self.ask().split(b"\n")
            if line.startswith(b"foz_requests_total{")
        )


def test_whoever_answers_adds_the_others(tmp_path: Path) -> None:
    """Each of two workers tells the sum, with its own live figures and not its own file."""
    clock = StillClock()
    one, other = Worker(tmp_path, clock, 1), Worker(tmp_path, clock, 2)
    one.serve(3)
    other.serve(4)
    one.write()
    other.write()
    one.serve(1)

    assert one.total() == 8
    assert other.total() == 7


def test_files_of_another_run_are_not_read(tmp_path: Path) -> None:
    """What an earlier run left is ignored, and removed when the next one starts."""
    clock = StillClock()
    old = Worker(tmp_path, clock, 7, run="run-0")
    old.serve(5)
    old.write()
    one = Worker(tmp_path, clock, 1)
    assert one.total() == 0

    one.siblings.clear()
    assert list(tmp_path.iterdir()) == []


def test_the_dead_keep_their_counters(tmp_path: Path) -> None:
    """Figures of workers that died and were replaced stay, also where a number is used again, and no file is left."""
    clock = StillClock()
    supervisor = Worker(tmp_path, clock, 1)
    for _ in range(5):
        clock.shift(0.01)
        worker = Worker(tmp_path, clock, 2)
        worker.serve(2)
        worker.write()
        supervisor.siblings.bury(2)

    assert supervisor.total() == 10
    assert [path.name for path in tmp_path.iterdir()] == ["metrics-past.msgpack"]

    clock.shift(0.01)
    young = Worker(tmp_path, clock, 2)
    young.serve(1)
    young.write()
    assert young.total() == supervisor.total() == 11


def test_a_burial_that_was_cut_off_counts_nobody_twice(tmp_path: Path) -> None:
    """A file that is still there after its figures were added to the past is not added again."""
    clock = StillClock()
    supervisor, worker = Worker(tmp_path, clock, 1), Worker(tmp_path, clock, 2)
    worker.serve(2)
    worker.write()
    left = (tmp_path / "metrics-2.msgpack").read_bytes()
    supervisor.siblings.bury(2)
    (tmp_path / "metrics-2.msgpack").write_bytes(left)
    assert supervisor.total() == 2

    supervisor.siblings.bury(2)
    assert supervisor.total() == 2
    assert [path.name for path in tmp_path.iterdir()] == ["metrics-past.msgpack"]


def test_burying_one_that_never_wrote_is_nothing(tmp_path: Path) -> None:
    """A worker that died before its first file leaves the past as it was."""
    supervisor = Worker(tmp_path, StillClock(), 1)
    supervisor.siblings.bury(99)

    assert list(tmp_path.iterdir()) == []


def test_a_dead_workers_gauges_are_forgotten(tmp_path: Path) -> None:
    """In flight of a worker that stopped writing is dropped after a while, of a buried one at once."""
    clock = StillClock()
    one, hung, buried = (Worker(tmp_path, clock, pid) for pid in (1, 2, 3))
    for worker in (hung, buried):
        worker.counts.began("m")
        worker.write()
    assert b'foz_in_flight{model="m"} 2.0' in one.ask()

    one.siblings.bury(3)
    assert b'foz_in_flight{model="m"} 1.0' in one.ask()
    assert b"foz_workers 2.0" in one.ask()

    clock.shift((STALE + 1) / 1000)
    assert b'foz_in_flight{model="m"}' not in one.ask()
    assert b"foz_workers 1.0" in one.ask()


@pytest.mark.parametrize("junk", [b"", b"\xc1", b"\x80", b"\x81\xa3run\xa5run-1", b"x" * 1000])
def test_a_broken_file_is_left_out_and_said(tmp_path: Path, junk: bytes, caplog: pytest.LogCaptureFixture) -> None:
    """What is no file of figures does not stop a scrape, and the log names it."""
    (tmp_path / "metrics-5.msgpack").write_bytes(junk)
    one = Worker(tmp_path, StillClock(), 1)
    one.serve(1)

    assert one.total() == 1
    assert "metrics-5.msgpack is not a file of figures" in caplog.text


def test_a_directory_that_is_gone_is_said_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Figures that cannot be written are one warning, not one each second; the next success ends it."""
    place = tmp_path / "run"
    one = Worker(place, StillClock(), 1)
    for _ in range(3):
        one.write()
    assert caplog.text.count("cannot be written") == 1

    place.mkdir()
    one.write()
    assert (place / "metrics-1.msgpack").exists()


def test_a_writer_that_was_killed_leaves_nothing_behind(tmp_path: Path) -> None:
    """A file that was half written when its worker died is never read, and goes when the worker is buried."""
    clock = StillClock()
    supervisor, worker = Worker(tmp_path, clock, 1), Worker(tmp_path, clock, 2)
    worker.serve(2)
    worker.write()
    (tmp_path / "metrics-2.new").write_bytes(b"half")
    assert supervisor.total() == 2

    supervisor.siblings.bury(2)
    assert supervisor.total() == 2
    assert [path.name for path in tmp_path.iterdir()] == ["metrics-past.msgpack"]


_WRITER = """
import os, sys
from pathlib import Path
from foz.canon.entry import EntryEnd, State
from foz.canon.usage import Usage
from foz.telemetry.metrics import Counts
from foz.telemetry.siblings import Siblings
from foz.testing.clock import LoopClock
counts = Counts(run="run-1", pid=os.getpid(), clock=LoopClock(), known={"m"}.__contains__)
siblings = Siblings(Path(sys.argv[1]), "run-1", os.getpid())
end = EntryEnd(b"", State.COMPLETE, 200, Usage(input=1), 1, 2, None, None, None)
while True:
    counts.began("m")
    counts.ended("openai", "m", "p/m", end)
    siblings.write(counts.snapshot())
    print("one", flush=True)
"""


def test_a_worker_killed_while_it_writes_leaves_whole_figures(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """After kill -9 at any moment, what the dead had said is in the sum, and no file is broken."""
    supervisor = Worker(tmp_path, StillClock(), 1)
    told = 0
    for rounds in (1, 7, 30):
        path = str(Path(__file__).parents[3] / "src")
        with subprocess.Popen(
            [sys.executable, "-c", _WRITER, str(tmp_path)], env={"PYTHONPATH": path}, stdout=subprocess.PIPE
        ) as worker:
            assert worker.stdout is not None
            for _ in range(rounds):
                assert worker.stdout.readline() == b"one\n"
            worker.kill()
            told += rounds + len(worker.stdout.readlines())
        supervisor.siblings.bury(worker.pid)

        assert 0 <= supervisor.total() - told <= 1
        told = supervisor.total()
    assert caplog.text == ""
    assert [path.name for path in tmp_path.iterdir()] == ["metrics-past.msgpack"]
