"""
Programs under measurement: started on named cores, watched through `/proc`, ended with their whole group.

Linux only, as `/proc`, `taskset` and `setpriv` are. A program dies with the bench (`PDEATHSIG`), so that a bench
that was killed leaves nothing behind that would disturb the next one.
"""

import os
import signal
import socket
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import msgspec

TICK = os.sysconf("SC_CLK_TCK")
KEEPS = ("PATH", "LANG", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "LD_LIBRARY_PATH")
"""All that a contestant sees of the bench's own environment: no key and no setting of the user's leaks in."""


ALLOWED = tuple(sorted(os.sched_getaffinity(0)))
"""The cores there are, asked before the bench pins itself to its own."""


class Cores(msgspec.Struct, frozen=True):
    """Who runs where."""

    gateway: tuple[int, ...]
    load: tuple[int, ...]
    mock: tuple[int, ...]


def cores(gateways: int = 1) -> Cores | None:
    """One core for the load, one for the mock where there are enough, the first ones for the gateway."""
    have = ALLOWED
    if gateways == 1 and len(have) == 1:
        return Cores(gateway=(have[0],), load=(have[0],), mock=(have[0],))
    if len(have) < gateways + 1 or (gateways > 1 and len(have) < gateways + 2):
        return None
    spare = have[gateways:]
    return Cores(gateway=have[:gateways], load=(spare[0],), mock=(spare[min(1, len(spare) - 1)],))


def tree(pid: int) -> list[int]:
    """A process and all that descend from it."""
    found: list[int] = []
    waiting = [pid]
    while waiting:
        pid = waiting.pop()
        found.append(pid)
        for children in Path(f"/proc/{pid}/task").glob("*/children"):
            with suppress(FileNotFoundError, ProcessLookupError):
                waiting += map(int, children.read_text().split())
    return found


def cpu_seconds(pid: int) -> float:
    """User and system time of a process and all that descend from it, so far."""
    ticks = 0
    for one in tree(pid):
        with suppress(FileNotFoundError, ProcessLookupError):
            fields = Path(f"/proc/{one}/stat").read_text().rpartition(")")[2].split()
            ticks += int(fields[11]) + int(fields[12])
    return ticks / TICK


class Program:
    """One started program and all its children."""

    def __init__(
        self, name: str, command: Sequence[str], on: Sequence[int], folder: Path, env: Mapping[str, str] | None = None
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.name = name
        self.log = folder / f"{name}.log"
        kept = {key: os.environ[key] for key in KEEPS if key in os.environ}
        pinned = ["taskset", "-c", ",".join(map(str, on)), "setpriv", "--pdeathsig", "TERM", *command]
        self.began = time.perf_counter()
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                pinned,
                cwd=folder,
                env={**kept, "HOME": str(folder), **(env or {})},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        return self._process.pid

    def alive(self) -> bool:
        return self._process.poll() is None

    def pause(self) -> None:
        """Takes it off its core, so that it cannot disturb another one's turn."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        self._signal(signal.SIGCONT)

    def stop(self) -> None:
        """Asks, waits, and then insists."""
        self._signal(signal.SIGCONT)
        self._signal(signal.SIGTERM)
        try:
            self._process.wait(15)
        except subprocess.TimeoutExpired:
            self._signal(signal.SIGKILL)
            self._process.wait()

    def _signal(self, number: signal.Signals) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self.pid, number)

    def tail(self) -> str:
        """What it last said, for an error message."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-15:])

    def tree(self) -> list[int]:
        """Its process and all that descend from it."""
        return tree(self.pid)

    def cpu_seconds(self) -> float:
        """User and system time of the whole tree so far."""
        return cpu_seconds(self.pid)

    def memory(self) -> "Memory":
        """Resident memory of the whole tree, shared pages counted once per process (rss) or by share (pss)."""
        totals = dict.fromkeys(("Rss", "Pss", "Anonymous"), 0)
        for pid in self.tree():
            with suppress(FileNotFoundError, ProcessLookupError):
                for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
                    key, _, rest = line.partition(":")
                    if key in totals:
                        totals[key] += int(rest.split()[0])
        return Memory(rss=totals["Rss"] / 1024, pss=totals["Pss"] / 1024, anonymous=totals["Anonymous"] / 1024)

    def descriptors(self) -> dict[str, int]:
        """Open file descriptors of the whole tree, by kind."""
        kinds: dict[str, int] = {}
        for pid in self.tree():
            for link in Path(f"/proc/{pid}/fd").glob("*"):
                with suppress(FileNotFoundError, ProcessLookupError):
                    target = str(link.readlink())
                    kind = target.partition(":")[0] if ":[" in target or ":" in target else "file"
                    kinds[kind] = kinds.get(kind, 0) + 1
        return dict(sorted(kinds.items()))


class Memory(msgspec.Struct, frozen=True):
    """MiB."""

    rss: float
    pss: float
    anonymous: float


class Busy:
    """How busy cores were between two looks."""

    def __init__(self, on: Sequence[int]) -> None:
        self._on = {f"cpu{core}" for core in on}
        self._before = self._look()

    def _look(self) -> tuple[int, int]:
        total = idle = 0
        for line in Path("/proc/stat").read_text().splitlines():
            name, *fields = line.split()
            if name in self._on:
                numbers = [int(field) for field in fields[:8]]
                total += sum(numbers)
                idle += numbers[3] + numbers[4]
        return total, idle

    def share(self) -> float:
        """The busy share since the start, 0 to 1."""
        total, idle = self._look()
        spent = max(1, total - self._before[0])
        return 1 - (idle - self._before[1]) / spent


def free_port() -> int:
    """A port that nobody has now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def wait_for(program: Program, port: int, path: str, limit: float, pause: float = 0.005) -> float:
    """Seconds until GET answers 200, from this call on. A program that ends first is an error with its last words."""
    began = time.perf_counter()
    while time.perf_counter() - began < limit:
        if not program.alive():
            raise RuntimeError(f"{program.name} ended before it was ready:\n{program.tail()}")
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), 2) as line:
            line.sendall(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n\r\n".encode())
            if line.recv(64).startswith(b"HTTP/1.1 200"):
                return time.perf_counter() - began
        time.sleep(pause)
    raise RuntimeError(f"{program.name} did not answer {path} with 200 within {limit:g} s:\n{program.tail()}")
