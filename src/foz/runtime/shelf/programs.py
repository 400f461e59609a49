"""
Programs that do one thing for the shelf in a process of their own: they can be ended in the middle, and what they load
is not loaded here.

One line of JSON on standard input says what is to be done, so that no list of processes shows a token; lines of JSON on
standard output are the answer. A program ends with whoever started it: it leaves when its standard input closes.
"""

import asyncio
import os
import sys
import threading
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from typing import Any, TypeVar

import msgspec

from foz.canon.fault import Bug, Down, Timeout
from foz.runtime import saying

T = TypeVar("T")
LONGEST_LINE = 32 * 2**20
TAIL = 2000


async def run(
    module: str, order: msgspec.Struct, line: type[T], told: Callable[[T], None], environment: Mapping[str, str],
    silence: float,
) -> int:  # fmt: skip
    """
    Runs it to its end; each line that it says is told. Its exit status. Raises Timeout where it says nothing for so
    many seconds, Down where a signal ends it, and Bug with its last words where it fails in a way of its own.
    """
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", module,
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        env=dict(environment), limit=LONGEST_LINE, start_new_session=True,
    )  # fmt: skip
    stdin, stdout, stderr = process.stdin, process.stdout, process.stderr
    if stdin is None or stdout is None or stderr is None:
        raise Bug("a program without standard streams")
    last = asyncio.ensure_future(stderr.read())
    try:
        await saying.ordered(process, order)
        while said := await _within(silence, stdout.readline()):
            told(msgspec.json.decode(said, type=line))
        code = await _within(silence, process.wait())
        words = (await last)[-TAIL:].decode("utf-8", "replace").strip()
    except TimeoutError:
        raise Timeout(f"{module.rpartition('.')[2]} said nothing for {silence:g} s") from None
    finally:
        if process.returncode is None:
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()
        last.cancel()
        stdin.close()
    if code < 0:
        raise Down(f"{module.rpartition('.')[2]} was ended by signal {-code} before it was done")
    if code == 1:
        raise Bug(f"{module} failed ({code}): {words.splitlines()[-1] if words else 'it said nothing'}")
    return code


async def _within(seconds: float, work: Awaitable[T]) -> T:
    """Not `asyncio.wait_for`: on Python 3.11 that forgets a cancellation which comes with the result."""
    async with asyncio.timeout(seconds):
        return await work


def ordered(kind: type[T]) -> T:
    """In the program: what is to be done. From now on it ends when its starter does."""
    order = msgspec.json.decode(sys.stdin.buffer.readline(), type=kind)
    threading.Thread(target=_follow, daemon=True).start()
    return order


def say(line: Any) -> None:
    """In the program: one line of the answer."""
    sys.stdout.buffer.write(msgspec.json.encode(line) + b"\n")
    sys.stdout.buffer.flush()


def _follow() -> None:
    while os.read(0, 1):  # not through the buffer: its lock would be held at the end
        pass
    os._exit(2)
