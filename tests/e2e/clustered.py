"""A cluster for tests, from outside: its program is another process, so that nothing of Ray's is in the tests' own."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Self

from foz.cluster.starting import environment, make_token
from foz.testing.process import clean_environment, wait_until
from tests.e2e.ground import gone

PROGRAM = Path(__file__).with_name("ray_program.py")


class Town:
    """A cluster with these nodes, and one more that has no name, where the gateway is."""

    def __init__(self, folder: Path, names: Sequence[str]) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.token = folder / "token"
        make_token(self.token)
        with (folder / "ray.txt").open("ab") as said:
            self._process = subprocess.Popen(
                (sys.executable, str(PROGRAM), str(folder)),
                env=clean_environment(environment(self.token, "127.0.0.1")),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=said,
                text=True,
            )
        self.address = self._line()
        for name in names:
            self.add(name)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def config(self) -> str:
        """What a gateway must know of it."""
        return f'[cluster]\naddress = "{self.address}"\ntoken = "{self.token}"\n'

    def add(self, name: str) -> None:
        """A machine joins."""
        assert self._order(f"add {name}") == f"add {name}"

    def kill(self, name: str) -> None:
        """A machine is gone, with all that ran on it."""
        assert self._order(f"kill {name}") == f"kill {name}"

    def stop(self) -> None:
        """All of it ends."""
        if self._process.stdin is not None:
            self._process.stdin.close()
        try:
            self._process.wait(20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()

    def engines(self, *names: str) -> list[int]:
        """The processes of llama.cpp that run on these nodes."""
        return self._processes(b"foz.runtime.llamacpp.child", names)

    def keepers(self, *names: str) -> list[int]:
        """The actors on these nodes."""
        return self._processes(b"ray::Keeper", names)

    def _processes(self, word: bytes, names: Sequence[str]) -> list[int]:
        found = []
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                command, seen = (folder / "cmdline").read_bytes(), (folder / "environ").read_bytes()
            except OSError:
                continue
            homes = [f"HOME={self.folder / name}\0".encode() for name in names]
            if word in command and any(home in seen for home in homes) and not gone(int(folder.name)):
                found.append(int(folder.name))
        return found

    def _order(self, line: str) -> str:
        assert self._process.stdin is not None
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()
        return self._line()

    def _line(self) -> str:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line, f"Ray ended: {(self.folder / 'ray.txt').read_text()[-4000:]}"
        return line.strip()


def murder(pids: Sequence[int]) -> float:
    """`kill -9` to each; the moment when that was done."""
    assert pids
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
    return time.monotonic()


def none_left(town: Town, *names: str, within: float = 5) -> float:
    """Seconds until no engine runs on these nodes any more."""
    began = time.monotonic()
    wait_until(lambda: not town.engines(*names), "the last engine to be gone", within)
    return time.monotonic() - began
