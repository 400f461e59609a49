"""
A gateway's line to its liaison: the program is started, and started again where it ends; messages go out and answers
come back, in whatever order.
"""

import asyncio
import logging
import os
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from itertools import count

import msgspec
from msgspec import Raw, structs

from foz.canon.fault import Down
from foz.cluster.words import Ask, Link, Member, Told, encode
from foz.ports.clock import Clock

log = logging.getLogger("foz.cluster")

FIRST_PAUSE, LONGEST_PAUSE = 0.5, 10.0
_LONGEST_LINE = 1 << 24
_GRACE = 2.0


class Line:
    """`told` hears who is in the cluster; None: nobody can say."""

    def __init__(
        self,
        program: Sequence[str],
        environment: Mapping[str, str],
        link: Link,
        clock: Clock,
        told: Callable[[Sequence[Member] | None], None],
    ) -> None:
        self._program = program
        self._environment = environment
        self._link = link
        self._clock = clock
        self._told = told
        self._process: asyncio.subprocess.Process | None = None
        self._waiting: dict[int, asyncio.Future[Raw]] = {}
        self._numbers = count(1)
        self._said: deque[str] = deque(maxlen=20)
        self.up = False
        """Whether the liaison has found the cluster."""
        self._news = True
        """Whether nobody was told yet that it is not reached: an outage is told once, however long it lasts."""

    async def run(self) -> None:
        """Until cancelled."""
        pause = FIRST_PAUSE
        while True:
            began = self._clock.monotonic()
            try:
                (came,) = await asyncio.gather(self._live(), return_exceptions=True)
                reached = self.up
            finally:
                await self._end()
            if isinstance(came, BaseException):
                foreseen = isinstance(came, OSError)
                log.warning("no line to the cluster: %s", came, exc_info=None if foreseen else came)
            lasted = reached and self._clock.monotonic() - began > LONGEST_PAUSE  # only to look takes long, too
            pause = FIRST_PAUSE if lasted else min(pause * 2, LONGEST_PAUSE)
            level, self._news = logging.WARNING if self._news else logging.DEBUG, False
            log.log(level, "the cluster at %s is not reached: %s", self._link.address, self.trouble)
            await self._clock.sleep(pause)

    @property
    def trouble(self) -> str:
        """What the liaison said last, for people."""
        return self._said[-1] if self._said else "it said nothing"

    async def ask(self, node: str, method: str, body: bytes) -> Raw:
        """What a node's keeper answers. Raises Down where it cannot be reached."""
        process = self._process
        if process is None or process.stdin is None or process.stdin.is_closing() or not self.up:
            raise Down("the cluster is not reached just now")
        number = next(self._numbers)
        future: asyncio.Future[Raw] = asyncio.get_running_loop().create_future()
        self._waiting[number] = future
        try:
            with suppress(ConnectionError):  # it ended: then all who wait hear it
                process.stdin.write(encode(Ask(number, node, method, Raw(body))) + b"\n")
            return await future
        finally:
            self._waiting.pop(number, None)

    async def _live(self) -> None:
        process = self._process = await asyncio.create_subprocess_exec(
            *self._program,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env=dict(self._environment),
            start_new_session=True,  # Ctrl-C is its owner's
            limit=_LONGEST_LINE,
        )
        if process.stdin is None or process.stdout is None or process.stderr is None:
            return
        link = structs.replace(self._link, parent=os.getpid())
        if not process.stdin.is_closing():  # else it has ended, and says why
            process.stdin.write(encode(link) + b"\n")
        errors = asyncio.ensure_future(self._hear_errors(process.stderr))
        try:
            while line := await process.stdout.readline():
                self._hear(msgspec.json.decode(line, type=Told))
            await asyncio.wait((errors,), timeout=1.0)
        finally:
            errors.cancel()

    def _hear(self, told: Told) -> None:
        if told.members is not None:
            self.up = self._news = True
            self._told(told.members)
            return
        future = self._waiting.get(told.id)
        if future is None or future.done():
            return
        if told.gone is None:
            future.set_result(told.body)
        else:
            future.set_exception(Down(f"it is not reached: {told.gone}"))

    async def _hear_errors(self, stream: asyncio.StreamReader) -> None:
        while line := await stream.readline():
            said = line.decode("utf-8", "replace").strip()
            if said:
                self._said.append(said[:500])

    async def _end(self) -> None:
        process, self._process, self.up = self._process, None, False
        for future in self._waiting.values():
            if not future.done():
                future.set_exception(Down("the program that speaks with Ray has ended"))
        self._told(None)
        if process is None:
            return
        if process.stdin is not None:
            process.stdin.close()
        try:
            with suppress(TimeoutError):
                async with asyncio.timeout(_GRACE):
                    await process.wait()
        finally:  # also where nobody waits for it any more
            with suppress(ProcessLookupError):
                if process.returncode is None:
                    process.kill()
            await process.wait()
