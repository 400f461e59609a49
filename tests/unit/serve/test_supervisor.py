"""The supervisor of small programs that stand for workers: who is started again, who is told what, and who is not."""

import asyncio
import os
import signal
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
import uvloop

from foz.serve.supervisor import READY, UNUSABLE, Plan, supervise
from foz.testing.process import wait_until

READY_LINE = f"os.write(lifeline, {READY!r})"
WORKER = """
import os, signal, sys, time
lifeline, _, herald = sys.argv[-1].split(":")
lifeline = int(lifeline)
places = os.environ["PLACES"]
def tell(word):
    with open(places, "a") as file:
        file.write(f"{word}\\n")
tell("started" + ("+herald" if herald else ""))
lives = open(places).read().count("started")
"""


class Scene:
    """A supervisor of so many workers that run this program."""

    def __init__(self, folder: Path, program: str, monkeypatch: pytest.MonkeyPatch) -> None:
        self.log = folder / "told"
        monkeypatch.setenv("PLACES", str(self.log))
        self.command: tuple[str, ...] = (sys.executable, "-S", "-c", WORKER + program)
        self.buried: list[int] = []

    @property
    def told(self) -> list[str]:
        return self.log.read_text().split() if self.log.exists() else []

    async def until(self, is_so: Callable[[], bool]) -> None:
        await asyncio.to_thread(wait_until, is_so, "the workers to come so far")

    def run(
        self,
        story: Callable[[], Awaitable[None]],
        *,
        bury: Callable[[int], None] | None = None,
        count: int = 1,
        beside: str | None = None,
    ) -> int:
        """Has the story run beside a supervisor, then stops that: its status."""

        async def both() -> int:
            plan = Plan(self.command, ((),) * count, drain=0.0, buried=bury or self.buried.append)
            others = (
                [] if beside is None else [Plan((*self.command[:-1], beside), ((),), 0.0, self.buried.append, "it")]
            )
            supervising = asyncio.ensure_future(supervise(plan, *others))
            await story()
            os.kill(os.getpid(), signal.SIGTERM)
            return await supervising

        return uvloop.run(both())


def test_what_was_not_announced_is_left_to_the_successor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A first process that dies before it is ready hands on what it was to announce; one that was ready does not."""
    program = f"if lives == 1: sys.exit(3)\n{READY_LINE}\nif lives == 2: sys.exit(3)\ntime.sleep(60)"
    scene = Scene(tmp_path, program, monkeypatch)

    assert scene.run(lambda: scene.until(lambda: len(scene.told) == 3)) == 0

    assert scene.told == ["started+herald", "started+herald", "started"]
    assert len(scene.buried) == 3


def test_a_worker_that_can_never_serve_ends_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a worker ends with UNUSABLE before any has served, all end with that status, and none is started again."""
    scene = Scene(tmp_path, f"if not herald: time.sleep(60)\nsys.exit({UNUSABLE})", monkeypatch)

    assert scene.run(lambda: scene.until(lambda: len(scene.buried) == 2), count=2) == UNUSABLE

    assert scene.told.count("started+herald") == 1
    assert len(scene.buried) == 2


def test_one_beside_that_can_never_serve_ends_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A process of a plan beside that says that it can never serve is not started again, and the workers go on."""
    scene = Scene(tmp_path, f"{READY_LINE}\ntime.sleep(60)", monkeypatch)
    other = f"{WORKER}\ntell('beside')\nsys.exit({UNUSABLE})"

    assert scene.run(lambda: scene.until(lambda: "goes on without it" in caplog.text), beside=other) == 0

    assert scene.told.count("beside") == 1
    assert "it cannot serve, see above; the rest goes on without it" in caplog.text


def test_a_full_disk_ends_no_supervisor(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Where a dead worker's figures cannot be kept, that is said, and its successor starts."""
    scene = Scene(tmp_path, "if lives == 1: sys.exit(3)\ntime.sleep(60)", monkeypatch)

    def bury(_: int) -> None:
        raise OSError("no space left")

    assert scene.run(lambda: scene.until(lambda: len(scene.told) == 2), bury=bury) == 0

    assert "no space left" in caplog.text


def test_a_program_that_cannot_be_started_is_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A start that the system refuses is said and tried again, until the supervisor is told to stop."""
    scene = Scene(tmp_path, "", monkeypatch)
    scene.command = (str(tmp_path / "missing"),)

    assert scene.run(lambda: scene.until(lambda: caplog.text.count("cannot be started") == 2)) == 0


def test_a_process_that_is_being_started_does_not_outlive_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Told to stop while it starts a process, the supervisor ends that process before it ends itself."""
    scene = Scene(tmp_path, "time.sleep(60)", monkeypatch)

    for turns in range(1, 6):

        async def begin(turns: int = turns) -> None:
            for _ in range(turns):
                await asyncio.sleep(0)

        assert scene.run(begin) == 0

    children = Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children").read_text().split()
    assert [pid for pid in children if int(pid) in scene.buried] == []
    assert len(scene.buried) == 5


def test_settings_are_read_anew_by_who_can_hear_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """SIGHUP reaches a process once it is ready, also where it was sent before; it ends none."""
    program = f"""
if lives == 1:
    time.sleep(0.3)
signal.signal(signal.SIGHUP, lambda *_: tell("reread"))
{READY_LINE}
while True: time.sleep(60)
"""
    scene = Scene(tmp_path, program, monkeypatch)

    async def story() -> None:
        await scene.until(lambda: len(scene.told) == 1)
        os.kill(os.getpid(), signal.SIGHUP)
        await scene.until(lambda: len(scene.told) == 2)
        os.kill(os.getpid(), signal.SIGHUP)
        await scene.until(lambda: len(scene.told) == 3)

    assert scene.run(story) == 0

    assert scene.told == ["started+herald", "reread", "reread"]
