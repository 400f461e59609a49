"""
A program that keeps another one, with all that it starts: vLLM's own processes outlive it where it is killed, and keep
the GPU's memory.

One line of JSON on standard input says what to run; keys are in it. What it says goes where the keeper's own words go.
All of them end together: when the owner closes the keeper's standard input or dies, when the program ends by itself, or
soon after SIGTERM, which is passed on. The keeper adopts whoever loses its parent (Linux), so that nobody is forgotten.
"""

import ctypes
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import msgspec
from msgspec import Struct

_PR_SET_PDEATHSIG, _PR_SET_CHILD_SUBREAPER = 1, 36
_LINUX = sys.platform == "linux"


class Kept(Struct, frozen=True):
    """What to run."""

    parent: int
    """Process id of whoever starts the keeper."""
    command: tuple[str, ...]
    environment: dict[str, str]


def main() -> None:
    """Keeps it until the end."""
    order = msgspec.json.decode(sys.stdin.buffer.readline(), type=Kept)
    signal.signal(signal.SIGHUP, lambda *_: _end_all())
    if _LINUX:
        _prctl(_PR_SET_PDEATHSIG, signal.SIGHUP)
        _prctl(_PR_SET_CHILD_SUBREAPER, 1)
    if os.getppid() != order.parent:  # it died before the kernel was told
        sys.exit(1)
    try:
        with subprocess.Popen(  # noqa: S603 - what its owner says
            order.command,
            env=order.environment,
            stdin=subprocess.DEVNULL,
            preexec_fn=_die_with_keeper,  # noqa: PLW1509 - no thread runs yet
        ) as child:
            signal.signal(signal.SIGTERM, lambda *_: child.terminate())
            threading.Thread(target=_follow, daemon=True).start()
            code = child.wait()
    except OSError as error:
        print(f"{order.command[0]} cannot be started: {error.strerror}", file=sys.stderr)  # noqa: T201 - its owner reads it
        sys.exit(127)
    _kill(_descendants())
    if code < 0:
        signal.signal(-code, signal.SIG_DFL) if -code != signal.SIGKILL else None
        os.kill(os.getpid(), -code)
    sys.exit(code)


def _prctl(what: int, value: int) -> None:
    ctypes.CDLL(None, use_errno=True).prctl(what, value)


def _die_with_keeper() -> None:
    if _LINUX:
        _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _follow() -> None:
    while os.read(0, 1):  # not through the buffer: its lock would be held at the end
        pass
    _end_all()


def _end_all() -> None:
    _kill(_descendants())
    os.killpg(os.getpgrp(), signal.SIGKILL)


def _kill(pids: Sequence[int]) -> None:
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def _descendants() -> list[int]:
    """All that come from here, the nearest first."""
    found: list[int] = []
    parents = family()
    nearest = [os.getpid()]
    while nearest:
        nearest = [pid for pid, parent in parents.items() if parent in nearest]
        found += nearest
    return found


def family() -> dict[int, int]:
    """Who is whose child, of all processes."""
    found = {}
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError, ValueError, IndexError):
            found[int(folder.name)] = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
    return found


if __name__ == "__main__":
    main()
