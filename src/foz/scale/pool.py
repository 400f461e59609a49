"""
Redis, asked by scripts: each is one step, done wholly or not at all.

An answer comes within the deadline or NoCapacity does. A connection that was lost is made anew by the next question;
till the deadline it is tried again, for a script that is run twice is the same as once (`lua/jobs.lua`).
"""

import asyncio
import hashlib
import logging
import re
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path

from redis import exceptions
from redis.asyncio import Connection, ConnectionPool

from foz.canon.fault import NoCapacity
from foz.scale.line import Answer, Argument, Line, connected, packed
from foz.scale.trouble import DEADLINE, within

log = logging.getLogger("foz.scale")

WHO = "The job store"
FIRST_PAUSE, LONGEST_PAUSE = 0.01, 0.2
_NAME = re.compile(r"^-- name: (\w+)\n", re.MULTILINE)
_FOLDER = Path(__file__).parent / "lua"


class Script:
    """One script."""

    def __init__(self, name: str, source: str) -> None:
        self.name = name
        sha = hashlib.sha1(source.encode(), usedforsecurity=False).hexdigest()  # Redis names scripts so
        self.again = packed("EVALSHA", sha)
        self.first = packed("EVAL", source)


def scripts(subject: str) -> Mapping[str, Script]:
    """The scripts of a file, by name; each begins with the file's prelude."""
    _, *parts = _NAME.split((_FOLDER / f"{subject}.lua").read_text(encoding="utf-8"))
    named = dict(zip(parts[::2], parts[1::2], strict=True))
    prelude = named.pop("prelude")
    return {name: Script(name, prelude + source) for name, source in named.items()}


class Pool:
    """
    The way to one Redis, of one loop. `name` comes before all keys, in braces: a cluster keeps them together; then what
    is kept there.
    """

    def __init__(self, url: str, name: str, deadline: float = DEADLINE, kept: str = "jobs") -> None:
        self.prefix = f"{{{name}}}:{kept}"
        self.deadline = deadline
        pool = ConnectionPool.from_url(url)
        address = pool.connection_class(**pool.connection_kwargs)
        if not isinstance(address, Connection):
            raise TypeError("Redis is reached by redis:// or rediss://")
        self._address = address
        self._line: Line | None = None
        self._opening: asyncio.Task[Line] | None = None
        self._named = packed(1, self.prefix)
        self._well = True
        self._closed = False

    @staticmethod
    def clock() -> float:
        """Seconds that only go forward."""
        return asyncio.get_running_loop().time()

    async def run(self, script: Script, *arguments: Argument) -> Answer:
        """What a script answers. Raises NoCapacity."""
        pause = FIRST_PAUSE
        line = self._line
        heard = 0.0 if line is None else line.heard
        lost: exceptions.ConnectionError | None = None
        try:
            async with within(self.deadline, WHO, exceptions.RedisError, OSError):
                while True:
                    try:
                        answer = await self._once(script, arguments)
                    except exceptions.ConnectionError as error:
                        if isinstance(error, exceptions.AuthenticationError):
                            raise
                        lost = error
                        await asyncio.sleep(pause)
                        pause = min(pause * 2, LONGEST_PAUSE)
                        continue
                    break
        except NoCapacity as fault:
            if line is not None and line.heard == heard:  # it has said nothing since: a new one may do better
                line.drop()
            if self._well and not self._closed:
                self._well = False
                where = f"{self._address.host}:{self._address.port}"
                log.warning("Redis at %s does not do %s: %s", where, script.name, lost or repr(fault.__cause__))
            raise
        self._well = True
        return answer

    async def _once(self, script: Script, arguments: tuple[Argument, ...]) -> Answer:
        line = self._line
        if line is None or not line.alive:
            line = await self._open()
        said = b"%b%b" % (self._named, packed(*arguments))
        number = len(arguments) + 4
        try:
            return await line.ask(b"*%d\r\n%b%b" % (number, script.again, said))
        except exceptions.NoScriptError:
            return await line.ask(b"*%d\r\n%b%b" % (number, script.first, said))

    async def _open(self) -> Line:
        """One line for all who want one now; none once it is closed, for nobody would end it."""
        if self._closed:
            raise NoCapacity(f"{WHO} is closed.")
        if self._opening is None or self._opening.done():
            self._opening = asyncio.ensure_future(self._connect())
            self._opening.add_done_callback(_heard)
        return await asyncio.shield(self._opening)

    async def _connect(self) -> Line:
        try:
            async with asyncio.timeout(self.deadline):
                self._line = line = await connected(self._address)
        except OSError as error:  # of which TimeoutError is one
            raise exceptions.ConnectionError(str(error) or "no connection within the deadline") from error
        return line

    def listening(self, told: Callable[[Answer], None]) -> Awaitable[Line]:
        """A line of one's own, to hear what channels say. Raises RedisError or OSError."""
        return connected(self._address, told)

    async def close(self) -> None:
        """Closes what is open, for good."""
        self._closed = True
        if self._opening is not None:
            self._opening.cancel()
            await asyncio.wait({self._opening})
        if self._line is not None:
            self._line.drop()


def _heard(opening: "asyncio.Task[Line]") -> None:
    """Whoever waited for it may have left by now: what it came to is nobody's then."""
    if not opening.cancelled():
        opening.exception()
