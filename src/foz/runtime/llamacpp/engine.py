"""
llama.cpp, by the package `xllamacpp`: one process for each model (`child.py`), started from the main thread, for it is
that thread's end with which the kernel ends the process.

Progress of a load is the kernel's own count of what the process has read. Whether it works is asked of its counters
first: an engine that makes tokens for others is well, however long the line before it is; only one that does nothing is
made to make a token.
"""

import asyncio
import os
import re
import secrets
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path

from foz.canon.deployment import Form
from foz.canon.fault import Bug, Cut, Down, Timeout
from foz.canon.model import Patience
from foz.ports.clock import Clock
from foz.ports.devices import Device
from foz.ports.engine import LLAMA_CPP, Load
from foz.ports.upstream import Upstream
from foz.runtime.llamacpp.orders import GPUS, LOADING, LOOPBACK, READY, Order
from foz.runtime.pulse import COMPLETIONS, Held, Pulse, nobody_knows
from foz.runtime.saying import TAIL, ending, lines, ordered
from foz.wire.http import Call, Reply

NAME = LLAMA_CPP
LOOK_PATIENCE = 20.0
"""Seconds for the first look at what its build can use."""
LOOK_SECONDS = 0.05
"""How often a load is looked at."""
_MOST = 1024 * 1024
_TOLD = 3
"""Complaints of a load that failed which are told."""
_PROBE = b'{"prompt":"a","max_tokens":1,"cache_prompt":false}'
_EMBEDS = b'{"input":"a"}'
_WORK = (b"llamacpp:prompt_tokens_total", b"llamacpp:tokens_predicted_total", b"llamacpp:n_decode_total")
_WAITS = (b"llamacpp:requests_processing", b"llamacpp:requests_deferred")

Reach = Callable[[str, str], Upstream]
"""Makes a way to a URL, with a key."""


def missing() -> str | None:
    """Why it cannot be used on this machine, and what to do about it."""
    if find_spec("xllamacpp") is None:
        return "the package xllamacpp is not installed: pip install 'foz[local]'"
    return None


def built_for_gpus(environment: Mapping[str, str]) -> bool:
    """Whether the build that is installed finds a GPU; a process of its own looks, for that loads native code."""
    try:
        ran = subprocess.run(  # noqa: S603 - our own program
            (sys.executable, "-m", "foz.runtime.llamacpp.child", GPUS),
            env=dict(environment), stdin=subprocess.DEVNULL, capture_output=True, timeout=LOOK_PATIENCE, check=False,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired):
        return False
    said = ran.stdout.strip()
    return ran.returncode == 0 and said.isdigit() and int(said) > 0


def only(gpus: Sequence[int]) -> dict[str, str]:
    """Which GPUs a process sees, counted as the driver counts them."""
    if not gpus:
        return {}
    return {"CUDA_DEVICE_ORDER": "PCI_BUS_ID", "CUDA_VISIBLE_DEVICES": ",".join(map(str, gpus))}


class LlamaCpp:
    """
    Implements `ports.engine.Engine`. `environment` is all that a process sees, `host` the address it listens at.
    `thread` is the one that starts processes, and with which they end; None is the main one.
    """

    name = NAME
    reads = frozenset({Form.GGUF})
    on_gpus_only = False

    def __init__(
        self,
        environment: Mapping[str, str],
        reach: Reach,
        clock: Clock,
        held: Held = nobody_knows,
        *,
        host: str = LOOPBACK,
        thread: threading.Thread | None = None,
    ) -> None:
        self._host = host
        self._thread = thread or threading.main_thread()
        self._environment = {**environment, "GOMP_SPINCOUNT": "0"}  # spinning threads starve all others
        self._reach = reach
        self._clock = clock
        self._held = held
        self._on_gpus: bool | None = None

    def missing(self) -> str | None:
        """Why it cannot be used."""
        return missing()

    def usable(self, devices: Sequence[Device]) -> Sequence[Device]:
        """All, where it is built for GPUs."""
        if devices and self._on_gpus is None:
            self._on_gpus = built_for_gpus(self._environment)
        return devices if self._on_gpus else ()

    async def start(self, load: Load) -> "LlamaProcess":
        """Starts a process that loads."""
        why = self.missing()
        if why is not None:
            raise Down(f"{NAME} cannot be used here: {why}.")
        if threading.current_thread() is not self._thread:
            raise Bug("engines are started from one thread: they end with the thread that started them")
        key = secrets.token_urlsafe(24)
        order = Order(
            parent=os.getpid(),
            path=load.weights.path,
            name=load.model_id,
            key=key,
            slots=load.slots,
            context=load.context,
            threads=load.threads,
            flash=load.flash,
            layers_on_gpu=load.layers_on_gpu,
            split=load.split,
            pooling=load.weights.pooling,
            host=self._host,
        )
        try:
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "foz.runtime.llamacpp.child",
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                env={**self._environment, **only(load.gpus)},
                start_new_session=True,  # Ctrl-C is its owner's
            )
        except OSError as error:
            raise Down(f"{NAME} cannot be started: {error}.") from error
        return LlamaProcess(process, order, load, (self._reach, self._clock, self._held))


class LlamaProcess:
    """Implements `ports.engine.Process`."""

    def __init__(
        self, process: asyncio.subprocess.Process, order: Order, load: Load, means: tuple[Reach, Clock, Held]
    ) -> None:
        self._reach, self._clock, self._held = means
        self.url = ""
        self.key = order.key
        self.pid = process.pid
        self.provider = self.model = ""
        self._process = process
        self._order = order
        self._size = load.weights.size
        self._on_gpus = bool(load.gpus)
        self._on_gpu: int | None = None
        self._upstream: Upstream | None = None
        self._said: deque[str] = deque(maxlen=TAIL)
        self._loading = False
        self._listens = asyncio.Event()
        path, probe = ("/v1/embeddings", _EMBEDS) if order.pooling else (COMPLETIONS, _PROBE)
        self._pulse = Pulse(NAME, self._ask, probe, _WORK, _WAITS, path)
        self._hearing = asyncio.ensure_future(self._hear())

    # -- its load ----------------------------------------------------------

    async def ready(self, told: Callable[[int, int | None], None], patience: float) -> None:
        """Until it answers."""
        await ordered(self._process, self._order)
        before: int | None = None
        most, moved = 0, self._clock.monotonic()
        while not self._listens.is_set():
            if self._process.returncode is not None:
                await asyncio.wait((self._hearing,), timeout=1.0)
                raise Down(
                    f"{NAME} ended while it loaded the model ({ending(self._process.returncode)}). {self._why()}"
                )
            read = _read_by(self.pid) if self._loading else None
            if read is not None:
                before = read if before is None else before
                done = min(read - before, self._size)
                if done > most:
                    most, moved = done, self._clock.monotonic()
                    told(done, self._size)
            if self._clock.monotonic() - moved > patience:
                where = f"{most} of {self._size} bytes were read" if self._loading else "it had not begun to read"
                raise Timeout(f"{NAME} made no progress for {patience:g} seconds: {where}. {self._why()}")
            with suppress(TimeoutError):
                async with asyncio.timeout(LOOK_SECONDS):
                    await self._listens.wait()
        told(self._size, self._size)
        self._upstream = self._reach(self.url, self.key)

    async def _hear(self) -> None:
        """Reads what it says until it has closed both."""
        await asyncio.gather(self._hear_words(), self._hear_errors())

    async def _hear_words(self) -> None:
        async for line in lines(self._process.stdout):
            word, _, port = line.partition(" ")
            if word == LOADING:
                self._loading = True
            elif word == READY and port.isdecimal():
                host = self._order.host
                self.url = f"http://{f'[{host}]' if ':' in host else host}:{port}"
                self._listens.set()

    async def _hear_errors(self) -> None:
        async for line in lines(self._process.stderr):
            self._said.append(line.replace(self.key, "***"))

    # -- its life ----------------------------------------------------------

    async def probe(self, patience: float) -> None:
        """That it works."""
        await self._pulse.feel(patience)
        if self._on_gpus:
            self._on_gpu = await asyncio.to_thread(self._held, (self.pid,))

    async def busy(self) -> int:
        """Requests that run or wait there now."""
        return await self._pulse.busy()

    async def _ask(self, call: Call, patience: float) -> Reply:
        if self._upstream is None or self._process.returncode is not None:
            raise Down(f"{NAME} does not run ({ending(self._process.returncode)}). {self._why()}")
        answer = await self._upstream.send(call, Patience(patience, patience, patience, patience))
        try:
            return await answer.whole(_MOST)
        except Cut as cut:
            raise Down(f"{NAME} closed the connection. {self._why()}") from cut
        finally:
            answer.close()

    async def wait(self) -> int:
        """Its exit status, once it ends."""
        return await self._process.wait()

    def tail(self) -> Sequence[str]:
        """The last lines that it said."""
        return tuple(self._said)

    def memory(self) -> int | None:
        """What of main memory is its own, and what it held of GPUs when it was last asked."""
        try:
            text = Path(f"/proc/{self.pid}/status").read_text()
        except OSError:
            return None
        found = re.search(r"^VmRSS:\s*(\d+) kB", text, re.MULTILINE)
        return int(found[1]) * 1024 + (self._on_gpu or 0) if found else None

    async def stop(self, grace: float) -> None:
        """It is gone when this returns."""
        for end, seconds in ((self._process.terminate, grace), (self._process.kill, None)):
            if self._process.returncode is None:
                with suppress(ProcessLookupError):
                    end()
                with suppress(TimeoutError):
                    async with asyncio.timeout(seconds):
                        await self._process.wait()
        if self._process.stdin is not None:
            self._process.stdin.close()
        await asyncio.wait((self._hearing,), timeout=1.0)
        self._hearing.cancel()
        if self._upstream is not None:
            await self._upstream.close()

    # -- words -------------------------------------------------------------

    def _why(self) -> str:
        """What it complained of, or its last words."""
        bad = [line for line in self._said if " E " in line or "rror" in line] or list(self._said)
        told = bad if len(bad) <= _TOLD else [*bad[: _TOLD - 1], bad[-1]]  # the cause comes first
        return f"It said: {' / '.join(line.strip() for line in told)}" if bad else "It said nothing."


def _read_by(pid: int) -> int | None:
    """Bytes that a process has read so far."""
    try:
        text = Path(f"/proc/{pid}/io").read_text()
    except OSError:
        return None
    return int(text.split(maxsplit=2)[1])
