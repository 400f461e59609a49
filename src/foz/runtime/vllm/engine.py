"""
vLLM, by its own command `vllm serve`: a process of its own with processes of its own, all kept by `runtime/keeper.py`,
on a port that was free a moment ago, with a key that only we know.

Its load is told by what it says (parts of the weights that it has read), and stands still when it says nothing for a
while: after the weights it compiles, for minutes. It is ready when it answers that it is. Whether it works is asked as
of llama.cpp (`runtime/pulse.py`).
"""

import asyncio
import os
import re
import secrets
import shutil
import signal
import socket
import sys
import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import msgspec

from foz.canon.deployment import Form
from foz.canon.fault import Bug, Cut, Down, Fault, Timeout
from foz.canon.model import Patience
from foz.ports.clock import Clock
from foz.ports.devices import Device
from foz.ports.engine import VLLM, Load
from foz.ports.upstream import Upstream
from foz.runtime.keeper import Kept, family
from foz.runtime.pulse import Held, Pulse, nobody_knows
from foz.runtime.saying import TAIL, ending, lines, ordered
from foz.runtime.vllm.command import HOST, command, environment
from foz.wire.http import Call, Reply

LOOK_SECONDS = 0.1
"""How often its load, and its end, is looked at."""
_LAST_SECONDS = 3.0
"""For the keeper to end all that it keeps."""
_MOST = 4 * 1024 * 1024
_OK = 200
_WORK = (b"vllm:prompt_tokens_total", b"vllm:generation_tokens_total")
_WAITS = (b"vllm:num_requests_running", b"vllm:num_requests_waiting")
_PARTS = re.compile(r"Completed \| (\d+)/(\d+)")
_BAD = re.compile(r"rror\b|rror:|ERROR|Exception")

Reach = Callable[[str, str], Upstream]
"""Makes a way to a URL, with a key."""


class Installed(msgspec.Struct, frozen=True):
    """How vLLM is installed here, as its operator says."""

    program: str = "vllm"
    """Its command: a name on the PATH, or a path."""
    options: tuple[str, ...] = ()
    """More words for its command line."""
    on_cpu: bool = False
    """It is its build for processors, and GPUs are nothing to it."""


def missing(installed: Installed, path: str | None) -> str | None:
    """Why it cannot be used on this machine, and what to do about it."""
    if shutil.which(installed.program, path=path) is None:
        return (
            f"there is no program '{installed.program}': install vLLM (pip install vllm, in an environment of its "
            "own), and say where it is with [local] vllm"
        )
    return None


class Vllm:
    """
    Implements `ports.engine.Engine`. `seen` is all of our environment that it sees, `host` where its processes listen,
    `thread` the one that they are to end with: the main one, unless it is said.
    """

    name = VLLM
    reads = frozenset({Form.SAFETENSORS})

    def __init__(
        self,
        installed: Installed,
        seen: Mapping[str, str],
        reach: Reach,
        clock: Clock,
        held: Held = nobody_knows,
        *,
        host: str = HOST,
        thread: threading.Thread | None = None,
    ) -> None:
        self._installed = installed
        self._seen = seen
        self._reach = reach
        self._clock = clock
        self._held = held
        self._host = host
        self._thread = thread or threading.main_thread()
        self.on_gpus_only = not installed.on_cpu

    def missing(self) -> str | None:
        """Why it cannot be used."""
        return missing(self._installed, self._seen.get("PATH"))

    def usable(self, devices: Sequence[Device]) -> Sequence[Device]:
        """All, where it is built for them."""
        return () if self._installed.on_cpu else devices

    async def start(self, load: Load) -> "VllmProcess":
        """Starts it; it loads at once."""
        program = shutil.which(self._installed.program, path=self._seen.get("PATH"))
        if program is None:
            raise Down(f"{VLLM} cannot be used here: {self.missing()}.")
        if threading.current_thread() is not self._thread:
            raise Bug(f"engines are started from {self._thread.name}: they end with the thread that started them")
        key = secrets.token_urlsafe(24)
        place = self._host, _free_port(self._host)
        kept = Kept(
            parent=os.getpid(),
            command=tuple(command(program, load, place, self._installed.options)),
            environment=environment(self._seen, load, program, key, self._host),
        )
        try:
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "foz.runtime.keeper",
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                env=dict(self._seen),
                start_new_session=True,  # Ctrl-C is its owner's; and so all of them are one group
            )
        except OSError as error:
            raise Down(f"{VLLM} cannot be started: {error}.") from error
        return VllmProcess(process, kept, load, place, key, (self._reach, self._clock, self._held))


class VllmProcess:
    """Implements `ports.engine.Process`."""

    def __init__(
        self,
        process: asyncio.subprocess.Process,
        kept: Kept,
        load: Load,
        place: tuple[str, int],
        key: str,
        means: tuple[Reach, Clock, Held],
    ) -> None:
        reach, self._clock, self._held = means
        self._host, self._port = place
        self.url = f"http://{self._host}:{self._port}"
        self.key = key
        self.pid = process.pid
        self.provider = self.model = ""
        self._process = process
        self._kept = kept
        self._size = load.weights.size
        self._on_gpus = bool(load.gpus)
        self._on_gpu: int | None = None
        self._upstream = reach(self.url, key)
        self._said: deque[str] = deque(maxlen=TAIL)
        self._read = 0
        self._moved = self._clock.monotonic()
        probe = msgspec.json.encode({"model": load.model_id, "prompt": "a", "max_tokens": 1})
        self._pulse = Pulse(VLLM, self._ask, probe, _WORK, _WAITS)
        self._hearing = asyncio.ensure_future(self._hear())

    # -- its load ----------------------------------------------------------

    async def ready(self, told: Callable[[int, int | None], None], patience: float) -> None:
        """Until it answers that it is."""
        await ordered(self._process, self._kept)
        self._moved = self._clock.monotonic()
        before = 0
        while not await self._answers():
            if self._process.returncode is not None:
                await asyncio.wait((self._hearing,), timeout=1.0)
                raise Down(
                    f"{VLLM} ended while it loaded the model ({ending(self._process.returncode)}). {self._why()}"
                )
            if self._read > before:
                before = self._read
                told(before, self._size)
            if self._clock.monotonic() - self._moved > patience:
                raise Timeout(
                    f"{VLLM} said nothing for {patience:g} seconds: {before} of {self._size} bytes were read. "
                    f"{self._why()}"
                )
            await self._clock.sleep(LOOK_SECONDS)
        told(self._size, self._size)

    async def _answers(self) -> bool:
        """Whether it says that it is well; it listens only then."""
        try:
            _, writer = await asyncio.open_connection(self._host, self._port)
        except OSError:
            return False
        writer.close()
        try:
            return (await self._ask(Call("GET", "/health"), 5.0)).status == _OK
        except Fault:
            return False

    async def _hear(self) -> None:
        """Reads what it says until it has closed both."""
        await asyncio.gather(*(self._hear_lines(one) for one in (self._process.stdout, self._process.stderr)))

    async def _hear_lines(self, stream: asyncio.StreamReader | None) -> None:
        async for line in lines(stream):
            self._said.append(line.replace(self.key, "***"))
            self._moved = self._clock.monotonic()
            found = _PARTS.search(line)
            if found and 0 < int(found[2]) < 10**6:
                self._read = max(self._read, min(self._size * int(found[1]) // int(found[2]), self._size))

    # -- its life ----------------------------------------------------------

    async def probe(self, patience: float) -> None:
        """That it works."""
        await self._pulse.feel(patience)
        if self._on_gpus:
            self._on_gpu = await asyncio.to_thread(self._held, self.pids())

    async def busy(self) -> int:
        """Requests that run or wait there now."""
        return await self._pulse.busy()

    async def _ask(self, call: Call, patience: float) -> Reply:
        if self._process.returncode is not None:
            raise Down(f"{VLLM} does not run ({ending(self._process.returncode)}). {self._why()}")
        answer = await self._upstream.send(call, Patience(patience, patience, patience, patience))
        try:
            return await answer.whole(_MOST)
        except Cut as cut:
            raise Down(f"{VLLM} closed the connection. {self._why()}") from cut
        finally:
            answer.close()

    async def wait(self) -> int:
        """Its exit status, once it ends."""
        while self._process.returncode is None:  # its own `wait` also waits for who still holds its pipes
            await self._clock.sleep(LOOK_SECONDS)
        return self._process.returncode

    def tail(self) -> Sequence[str]:
        """The last lines that it said."""
        return tuple(self._said)

    def pids(self) -> Sequence[int]:
        """All its processes."""
        parents = family()
        found, nearest = [], [self.pid]
        while nearest:
            nearest = [pid for pid, parent in parents.items() if parent in nearest]
            found += nearest
        return found

    def memory(self) -> int | None:
        """What its processes hold of main memory, what they share once, and of GPUs when it was last asked."""
        sizes = [_held(pid) for pid in self.pids()]
        known = [size for size in sizes if size is not None]
        return sum(known) + (self._on_gpu or 0) if known else None

    async def stop(self, grace: float) -> None:
        """It is gone when this returns, with all that it started."""
        ends: tuple[tuple[Callable[[], None], float | None], ...] = (
            (self._process.terminate, grace),
            (self._let_go, _LAST_SECONDS),
            (self._kill, None),
        )
        for end, seconds in ends:
            if self._process.returncode is None:
                with suppress(ProcessLookupError):
                    end()
                with suppress(TimeoutError):
                    async with asyncio.timeout(seconds):
                        await self.wait()
        if self._process.returncode == -signal.SIGKILL:  # the keeper could not: whoever is left of its group
            with suppress(ProcessLookupError, PermissionError):
                self._kill()
        self._let_go()
        await asyncio.wait((self._hearing,), timeout=1.0)
        self._hearing.cancel()
        await self._upstream.close()

    def _let_go(self) -> None:
        if self._process.stdin is not None:
            self._process.stdin.close()

    def _kill(self) -> None:
        os.killpg(self.pid, signal.SIGKILL)

    # -- words -------------------------------------------------------------

    def _why(self) -> str:
        """What it complained of, or its last words."""
        bad = [line for line in self._said if _BAD.search(line)] or list(self._said)
        return f"It said: {' / '.join(line.strip() for line in bad[-3:])}" if bad else "It said nothing."


def _free_port(host: str) -> int:
    """Now. Should somebody else take it meanwhile, vLLM ends and says so."""
    with socket.socket() as probe:
        probe.bind((host, 0))
        port: int = probe.getsockname()[1]
        return port


def _held(pid: int) -> int | None:
    try:
        text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    except OSError:
        return None
    found = re.search(r"^Pss:\s*(\d+) kB", text, re.MULTILINE)
    return int(found[1]) * 1024 if found else None
