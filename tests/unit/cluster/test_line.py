"""The line to the liaison: a real program, which is not Ray's."""

import asyncio
import logging
import os
import sys
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

import pytest
from typing_extensions import override

from foz.canon.fault import Down
from foz.cluster.line import Line
from foz.cluster.words import Link, Member
from foz.ports.clock import Clock
from foz.testing.clock import LoopClock

PROGRAM = """
import json, os, sys
link = json.loads(sys.stdin.readline())
print(json.dumps({"members": [{"name": link["space"], "address": str(link["parent"])}]}), flush=True)
for line in sys.stdin:
    ask = json.loads(line)
    if ask["node"] == "late":
        continue
    if ask["node"] == "end":
        print("last words", file=sys.stderr, flush=True)
        os._exit(3)
    if ask["node"] == "gone":
        print(json.dumps({"id": ask["id"], "gone": "nobody is there"}), flush=True)
        continue
    print(json.dumps({"id": ask["id"], "body": [ask["method"], ask["body"]]}), flush=True)
"""


class Town:
    def __init__(self, *program: str, clock: Clock | None = None) -> None:
        self.members: list[Sequence[Member] | None] = []
        command = program or (sys.executable, "-c", PROGRAM)
        link = Link("10.0.0.1:1", "mine", 0)
        self.line = Line(command, {"PATH": os.environ["PATH"]}, link, clock or LoopClock(), self.members.append)

    async def until(self, is_so: Callable[[], bool]) -> None:
        while not is_so():  # noqa: ASYNC110 - nobody tells it
            await asyncio.sleep(0.001)


def _run(town: Town, work: Callable[[Town], Awaitable[None]]) -> None:
    async def there() -> None:
        running = asyncio.ensure_future(town.line.run())
        try:
            async with asyncio.timeout(20):
                await work(town)
        finally:
            running.cancel()
            await asyncio.wait((running,))

    asyncio.run(there())


def test_messages_and_answers() -> None:
    """Messages are answered each with its own answer, many at once; who is not reached is Down with the reason."""

    async def work(town: Town) -> None:
        await town.until(lambda: town.line.up)
        assert town.members == [(Member("mine", str(os.getpid())),)]
        said = await asyncio.gather(*(town.line.ask("a", "work", b"%d" % number) for number in range(50)))
        assert [bytes(one).replace(b" ", b"") for one in said] == [b'["work",%d]' % number for number in range(50)]
        with pytest.raises(Down, match="nobody is there"):
            await town.line.ask("gone", "beat", b"null")

    _run(Town(), work)


def test_a_liaison_that_ends(caplog: pytest.LogCaptureFixture) -> None:
    """Who waits when the program ends hears it at once; its last words are told, and it is started again."""

    async def work(town: Town) -> None:
        await town.until(lambda: town.line.up)
        late = asyncio.ensure_future(town.line.ask("late", "beat", b"null"))
        ends = asyncio.ensure_future(town.line.ask("end", "beat", b"null"))
        for one in (late, ends):
            with pytest.raises(Down, match="has ended"):
                await one
        assert town.members[-1] is None
        assert town.line.trouble == "last words"
        with pytest.raises(Down, match="not reached just now"):
            await town.line.ask("a", "beat", b"null")
        await town.until(lambda: town.line.up)
        assert bytes(await town.line.ask("a", "beat", b"1")).replace(b" ", b"") == b'["beat",1]'

    _run(Town(), work)
    assert "the cluster at 10.0.0.1:1 is not reached: last words" in caplog.text


@pytest.mark.parametrize("program", [("/nonexistent/program",), (sys.executable, "-c", "print('no line of ours')")])
def test_a_program_that_is_none(program: tuple[str, ...], caplog: pytest.LogCaptureFixture) -> None:
    """A program that cannot be started, or says what it must not, is told and tried again; nothing else ends of it."""

    async def work(town: Town) -> None:
        await town.until(lambda: caplog.text.count("no line to the cluster") > 1)
        assert not town.line.up

    with caplog.at_level(logging.WARNING):
        _run(Town(*program), work)


def test_an_outage_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    """However often a cluster is looked for in vain, whoever reads the log hears of it once, and why."""

    async def work(town: Town) -> None:
        await town.until(lambda: town.members.count(None) > 1)

    with caplog.at_level(logging.WARNING):
        _run(Town(sys.executable, "-c", "import sys; sys.exit('nobody is there')"), work)
    told = [record.getMessage() for record in caplog.records]
    assert told == ["the cluster at 10.0.0.1:1 is not reached: nobody is there"]


class Hurried(LoopClock):
    """A clock of a machine where each program takes a minute to end, and no pause takes any time."""

    def __init__(self) -> None:
        self.pauses: list[float] = []
        self._minutes = 0.0

    @override
    def monotonic(self) -> float:
        self._minutes += 60.0
        return self._minutes

    @override
    async def sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)
        await asyncio.sleep(0)


def test_looking_in_vain_for_long_is_no_success() -> None:
    """Pauses grow while no cluster is found, however long each look takes; after one that was found they are short."""
    clock = Hurried()

    async def work(town: Town) -> None:
        await town.until(lambda: len(clock.pauses) > 6)

    _run(Town(sys.executable, "-c", "import sys; sys.exit('nobody is there')", clock=clock), work)
    assert clock.pauses[:7] == [1.0, 2.0, 4.0, 8.0, 10.0, 10.0, 10.0]

    clock.pauses.clear()
    _run(Town(sys.executable, "-c", "print('{\"members\": []}', flush=True)", clock=clock), work)
    assert set(clock.pauses) == {0.5}


def test_who_is_stopped_while_a_program_ends(tmp_path: Path) -> None:
    """A program that says no more and does not end is no process any more once its line was stopped meanwhile."""
    mine = tmp_path / "pid"
    program = f"import os, time; open({str(mine)!r}, 'w').write(str(os.getpid())); os.close(1); time.sleep(60)"

    async def work(town: Town) -> None:
        await town.until(lambda: town.members == [None])

    _run(Town(sys.executable, "-c", program), work)
    assert not Path(f"/proc/{mine.read_text()}").exists()
