"""
The real programs as children of a test: `foz serve` and the simulated upstream, each on a free port.

A child gets a clean environment (nothing of the tester's keys or settings), a data directory of its own, and files
for what it says; its words are part of every error. It is ready when it answers, never after a while.
"""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import msgspec

import foz
from foz.testing.raw import RawConnection

READY_WITHIN = 20.0
STOP_WITHIN = 10.0
_KEPT = ("LANG", "LC_ALL", "PATH", "SYSTEMROOT", "TMPDIR", "TZ", "COVERAGE_PROCESS_START")
"""What of the tester's environment a child may see."""


_QUIET = {"FOZ_LOCAL_TINY": "false"}
"""No engine where a test has nothing to ask of it."""


class ChildFailed(AssertionError):
    """A child did not do what was expected of it; what it said is in the message."""


def free_port() -> int:
    """A port of 127.0.0.1 that nobody listened on a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def wait_until(is_so: Callable[[], bool], what: str, within: float = 10.0) -> None:
    """Looks until it is so. Raises TimeoutError that says what was waited for."""
    end = time.monotonic() + within
    while not is_so():
        if time.monotonic() > end:
            raise TimeoutError(f"waited {within:g} s for {what}")
        time.sleep(0.005)


def clean_environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """What a child sees: a path, a language, where this very `foz` lies, no gRPC unless the test says so."""
    kept = {name: os.environ[name] for name in _KEPT if name in os.environ}  # noqa: TID251 - a child's environment is made of ours
    source = str(Path(foz.__file__).parents[1])
    return {**kept, **_QUIET, "PYTHONPATH": source, "PYTHONUNBUFFERED": "1", "FOZ_GRPC_PORT": "0", **(extra or {})}


class Child:
    """A running program. Leaving the `with` stops it."""

    def __init__(self, arguments: Sequence[str], folder: Path, environment: Mapping[str, str] | None = None) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.arguments = tuple(arguments)
        self.environment = clean_environment(environment)
        self._out = folder / "stdout.txt"
        self._err = folder / "stderr.txt"
        with self._out.open("ab") as out, self._err.open("ab") as err:
            self.process = subprocess.Popen(  # noqa: S603 - our own programs
                self.arguments, cwd=folder, env=self.environment, stdin=subprocess.DEVNULL,
                stdout=out, stderr=err, start_new_session=True,
            )  # fmt: skip

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, raised: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
        if raised is not None:
            raised.add_note(self.said())

    @property
    def pid(self) -> int:
        """The process id."""
        return self.process.pid

    @property
    def stdout(self) -> str:
        """All it has printed."""
        return self._out.read_text("utf-8", "replace")

    @property
    def stderr(self) -> str:
        """All it has complained about."""
        return self._err.read_text("utf-8", "replace")

    def said(self) -> str:
        """The tail of both, for an error."""
        how = "still running" if self.process.poll() is None else f"exited with {self.process.returncode}"
        return (
            f"{' '.join(self.arguments)} ({how})\n--- stdout\n{self.stdout[-8000:]}\n--- stderr\n{self.stderr[-8000:]}"
        )

    def wait_for(self, is_so: Callable[[], bool], what: str, within: float = READY_WITHIN) -> None:
        """Looks until it is so; fails at once where the program has ended."""

        def look() -> bool:
            if self.process.poll() is not None:
                raise ChildFailed(f"it ended while the test waited for {what}\n{self.said()}")
            return is_so()

        try:
            wait_until(look, what, within)
        except TimeoutError as late:
            raise ChildFailed(f"{late}\n{self.said()}") from late

    def wait(self, within: float = STOP_WITHIN) -> int:
        """The exit status, once it ends by itself."""
        try:
            return self.process.wait(within)
        except subprocess.TimeoutExpired as late:
            raise ChildFailed(f"it did not end within {within:g} s\n{self.said()}") from late

    def kill(self) -> None:
        """`kill -9`, it and all that it started."""
        self._signal(signal.SIGKILL)
        self.process.wait(STOP_WITHIN)

    def stop(self, within: float = STOP_WITHIN) -> int:
        """SIGTERM, and SIGKILL for whoever is left then. Gives the exit status."""
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(within)
            except subprocess.TimeoutExpired:
                self._signal(signal.SIGKILL)
                self.process.wait(STOP_WITHIN)
        self._signal(signal.SIGKILL)
        return self.process.returncode

    def _signal(self, number: signal.Signals) -> None:
        try:
            os.killpg(self.process.pid, number)
        except ProcessLookupError:
            return
        except PermissionError:  # macOS, for a group of zombies only
            return


def answers(port: int, path: str, status: int = 200) -> bool:
    """Whether a GET of this path gives that status, now."""
    try:
        with RawConnection(port, deadline=2.0) as connection:
            return connection.call("GET", path).status == status
    except (OSError, EOFError, ValueError):
        return False


class Served(Child):
    """A program that listens on `port`."""

    def __init__(
        self, arguments: Sequence[str], folder: Path, port: int, environment: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(arguments, folder, environment)
        self.port = port
        self.grpc_port = 0
        """Where it listens for gRPC, where it does."""

    @property
    def url(self) -> str:
        """Its origin."""
        return f"http://127.0.0.1:{self.port}"

    def connect(self, deadline: float = 10.0) -> RawConnection:
        """A raw connection to it."""
        return RawConnection(self.port, deadline=deadline)


class Upstream(Served):
    """`python -m foz.testing.server`, or a fake of a vendor's server."""

    def seen(self) -> dict[str, Any]:
        """Its counters: see `foz.testing.seen`."""
        with self.connect() as connection:
            seen: dict[str, Any] = msgspec.json.decode(connection.call("GET", "/_seen").body)
            return seen

    def logged(self) -> list[tuple[str, str, str]]:
        """Path, `x-request-id` and `x-foz-entry` of every request that reached it, in order."""
        lines = (self.folder / "seen.log").read_text().splitlines()
        rows = [line.split("\t") for line in lines]
        return [(row[0], row[1], row[2]) for row in rows]


def start_upstream(
    folder: Path,
    *arguments: str,
    port: int = 0,
    within: float = READY_WITHIN,
    program: str = "foz.testing.server",
) -> Upstream:
    """The simulated upstream, or another fake, as a process; it logs to `seen.log` in the folder."""
    command = (sys.executable, "-m", program, "--port", str(port), "--log", str(folder / "seen.log"))
    upstream = Upstream((*command, *arguments), folder, port)

    def listens() -> bool:
        _, said, rest = upstream.stdout.partition("listening on http://127.0.0.1:")
        line, ended, _ = rest.partition("\n")
        if said and ended:
            upstream.port = int(line)
        return bool(said and ended)

    try:
        upstream.wait_for(listens, "the line that says where it listens", within)
    except BaseException:
        upstream.stop()
        raise
    return upstream


def start_gateway(
    folder: Path,
    *arguments: str,
    config: str | None = None,
    environment: Mapping[str, str] | None = None,
    port: int | None = None,
    grpc_port: int = 0,
    within: float = READY_WITHIN,
    by: Sequence[str] = (),
) -> Served:
    """
    `foz serve` on a free port, ready: `GET /ready` answers 200; with a `grpc_port` it listens there too.
    `config` is written as the folder's `foz.toml`. Started again in the same folder (and on the same port) it finds
    its data. `by` is a command that becomes it, once it has made its world.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if config is not None:
        (folder / "foz.toml").write_text(config)
    port = port or free_port()
    settings = {"FOZ_DATA": str(folder / "data"), "HOME": str(folder), "FOZ_GRPC_PORT": str(grpc_port)}
    command = (*by, sys.executable, "-m", "foz", "serve", "--port", str(port), *arguments)
    gateway = Served(command, folder, port, {**settings, **(environment or {})})
    gateway.grpc_port = grpc_port
    try:
        gateway.wait_for(lambda: answers(gateway.port, "/ready"), "GET /ready to answer 200", within)
        if grpc_port:
            gateway.wait_for(lambda: "gRPC: " in gateway.stdout, "gRPC to listen", within)
    except BaseException:
        gateway.stop()
        raise
    return gateway


def forget(folder: Path) -> None:
    """Removes all that a child left behind."""
    shutil.rmtree(folder, ignore_errors=True)
