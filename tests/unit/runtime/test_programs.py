"""Programs that are told by their standard input what to do, and may be gone before they are."""

import asyncio
import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import uvloop
from msgspec import Struct

from foz.canon.fault import Down
from foz.runtime.saying import ordered
from foz.runtime.shelf import programs

Loop = Callable[[], asyncio.AbstractEventLoop]
LOOPS = pytest.mark.parametrize("loop", [uvloop.new_event_loop, asyncio.new_event_loop], ids=["uvloop", "asyncio"])


class Order(Struct):
    what: str = "nothing"


@LOOPS
def test_who_has_ended_is_told_in_vain(loop: Loop) -> None:
    """To order something of a program that has ended is no error: its exit status says what happened."""

    async def there() -> int | None:
        pipe = asyncio.subprocess.PIPE
        process = await asyncio.create_subprocess_exec(sys.executable, "-c", "raise SystemExit(7)", stdin=pipe)
        assert process.stdin is not None
        await process.wait()
        while not process.stdin.is_closing():  # noqa: ASYNC110 - nobody tells it
            await asyncio.sleep(0)
        await ordered(process, Order())
        return process.returncode

    with asyncio.Runner(loop_factory=loop) as runner:
        assert runner.run(there()) == 7


@LOOPS
def test_a_program_that_is_killed_is_down(loop: Loop, tmp_path: Path) -> None:
    """A program that a signal ends before it has read its order is Down, and the fault names the signal."""
    (tmp_path / "mortal.py").write_text("import os, signal\nos.kill(os.getpid(), signal.SIGKILL)\n")

    async def there() -> None:
        with pytest.raises(Down, match="mortal was ended by signal 9"):
            await programs.run("mortal", Order(), Order, print, {**os.environ, "PYTHONPATH": str(tmp_path)}, 20)

    with asyncio.Runner(loop_factory=loop) as runner:
        runner.run(there())
