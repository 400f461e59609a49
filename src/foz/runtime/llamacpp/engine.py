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
import sys
import threading
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path

import msgspec

from foz.canon.fault import Bug, Cut, Down, Garbled, Timeout
from foz.canon.model import Patience
from foz.ports.clock import Clock
from foz.ports.engine import Load
from foz.ports.upstream import Upstream
from foz.runtime.llamacpp.orders import LOADING, READY, Order
from foz.wire.http import Call, Reply

NAME = "llama.cpp"
LOOK_SECONDS = 0.05
"""How often a load is looked at."""
TAIL = 200
"""Lines of standard error that are kept."""
_LONGEST_LINE = 2_000
_MOST = 1024 * 1024
_OK = 200
_PROBE = b'{"prompt":"a","max_tokens":1,"cache_prompt":false}'
_JSON = ((b"content-type", b"application/json"),)
_FIGURE = re.compile(rb"^llamacpp:(\w+) ([0-9.e+]+)$", re.MULTILINE)
_WORK = (b"prompt_tokens_total", b"tokens_predicted_total", b"n_decode_total")

Reach = Callable[[str, str], Upstream]
"""Makes a way to a URL, with a key."""


def missing() -> str | None:
    """Why it cannot be used on this machine, and what to do about it."""
    if find_spec("xllamacpp") is None:
        return "the package xllamacpp is not installed: pip install 'foz[local]'"
    return None


class LlamaCpp:
    """Implements `ports.engine.Engine`. `environment` is all that a process sees."""

    name = NAME

    def __init__(self, environment: Mapping[str, str], reach: Reach, clock: Clock) -> None:
        self._environment = {**environment, "GOMP_SPINCOUNT": "0"}  # spinning threads starve all others
        self._reach = reach
        self._clock = clock

    def missing(self) -> str | None:
        """Why it cannot be used."""
        return missing()

    async def start(self, load: Load) -> "LlamaProcess":
        """Starts a process that loads."""
        why = self.missing()
        if why is not None:
            raise Down(f"{NAME} cannot be used here: {why}.")
        if threading.current_thread() is not threading.main_thread():
            raise Bug("engines are started from the main thread: they end with the thread that started them")
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
        )
        try:
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "foz.runtime.llamacpp.child",
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                env=self._environment,
                start_new_session=True,  # Ctrl-C is its owner's
            )
        except OSError as error:
            raise Down(f"{NAME} cannot be started: {error}.") from error
        return LlamaProcess(process, order, load.weights.size, self._reach, self._clock)


class LlamaProcess:
    """Implements `ports.engine.Process`."""

    def __init__(
        self, process: asyncio.subprocess.Process, order: Order, size: int, reach: Reach, clock: Clock
    ) -> None:
        self.url = ""
        self.key = order.key
        self.pid = process.pid
        self._process = process
        self._order = order
        self._size = size
        self._reach = reach
        self._clock = clock
        self._upstream: Upstream | None = None
        self._said: deque[str] = deque(maxlen=TAIL)
        self._loading = False
        self._listens = asyncio.Event()
        self._worked: tuple[float, ...] = ()
        self._hearing = asyncio.ensure_future(self._hear())

    # -- its load ----------------------------------------------------------

    async def ready(self, told: Callable[[int, int | None], None], patience: float) -> None:
        """Until it answers."""
        stdin = self._process.stdin
        if stdin is None:
            raise Bug("an engine without a standard input")
        with suppress(ConnectionError, BrokenPipeError):  # it ended: that is said below
            stdin.write(msgspec.json.encode(self._order) + b"\n")
            await stdin.drain()
        before: int | None = None
        most, moved = 0, self._clock.monotonic()
        while not self._listens.is_set():
            if self._process.returncode is not None:
                await asyncio.wait((self._hearing,), timeout=1.0)
                raise Down(f"{NAME} ended while it loaded the model ({self._ending()}). {self._why()}")
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
                await asyncio.wait_for(self._listens.wait(), LOOK_SECONDS)
        told(self._size, self._size)
        self._upstream = self._reach(self.url, self.key)

    async def _hear(self) -> None:
        """Reads what it says until it has closed both."""
        await asyncio.gather(self._hear_words(), self._hear_errors())

    async def _hear_words(self) -> None:
        async for line in _lines(self._process.stdout):
            word, _, port = line.partition(" ")
            if word == LOADING:
                self._loading = True
            elif word == READY and port.isdecimal():
                self.url = f"http://127.0.0.1:{port}"
                self._listens.set()

    async def _hear_errors(self) -> None:
        async for line in _lines(self._process.stderr):
            self._said.append(line.replace(self.key, "***"))

    # -- its life ----------------------------------------------------------

    async def probe(self, patience: float) -> None:
        """That it works."""
        if await self._goes_on():
            return
        try:
            reply = await self._ask(Call("POST", "/v1/completions", headers=_JSON, body=_PROBE), patience)
        except Timeout:
            if await self._goes_on():
                return
            raise
        if reply.status != _OK:
            raise Garbled(f"{NAME} answers a probe with status {reply.status}: {reply.body[:200]!r}")

    async def busy(self) -> int:
        """Requests that run or wait there now."""
        said = await self._figures()
        return round(said.get(b"requests_processing", 0) + said.get(b"requests_deferred", 0))

    async def _goes_on(self) -> bool:
        """Whether its counters have moved since they were last looked at."""
        said = await self._figures()
        now = tuple(said.get(name, 0.0) for name in _WORK)
        worked, self._worked = self._worked, now
        return bool(worked) and now != worked

    async def _figures(self) -> dict[bytes, float]:
        reply = await self._ask(Call("GET", "/metrics"), 5.0)
        return {name: float(figure) for name, figure in _FIGURE.findall(reply.body)}

    async def _ask(self, call: Call, patience: float) -> Reply:
        if self._upstream is None or self._process.returncode is not None:
            raise Down(f"{NAME} does not run ({self._ending()}). {self._why()}")
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
        """What of main memory is its own."""
        try:
            text = Path(f"/proc/{self.pid}/status").read_text()
        except OSError:
            return None
        found = re.search(r"^VmRSS:\s*(\d+) kB", text, re.MULTILINE)
        return int(found[1]) * 1024 if found else None

    async def stop(self, grace: float) -> None:
        """It is gone when this returns."""
        for end, seconds in ((self._process.terminate, grace), (self._process.kill, None)):
            if self._process.returncode is None:
                with suppress(ProcessLookupError):
                    end()
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._process.wait(), seconds)
        if self._process.stdin is not None:
            self._process.stdin.close()
        await asyncio.wait((self._hearing,), timeout=1.0)
        self._hearing.cancel()
        if self._upstream is not None:
            await self._upstream.close()

    # -- words -------------------------------------------------------------

    def _ending(self) -> str:
        code = self._process.returncode
        return "it runs" if code is None else f"signal {-code}" if code < 0 else f"exit status {code}"

    def _why(self) -> str:
        """What it complained of, or its last words."""
        bad = [line for line in self._said if " E " in line or "rror" in line] or list(self._said)
        return f"It said: {' / '.join(line.strip() for line in bad[-3:])}" if bad else "It said nothing."


async def _lines(stream: asyncio.StreamReader | None) -> AsyncIterator[str]:
    """Lines as they come; of one that does not end, its beginning."""
    rest = b""
    while stream is not None and (piece := await stream.read(65_536)):
        *whole, rest = (rest + piece).split(b"\n")
        for line in whole:
            yield line[:_LONGEST_LINE].decode("utf-8", "replace").rstrip()
        rest = rest[:_LONGEST_LINE]
    if rest:
        yield rest.decode("utf-8", "replace").rstrip()


def _read_by(pid: int) -> int | None:
    """Bytes that a process has read so far."""
    try:
        text = Path(f"/proc/{pid}/io").read_text()
    except OSError:
        return None
    return int(text.split(maxsplit=2)[1])
