"""
Redis, asked by scripts: each is one step, done wholly or not at all.

An answer comes within the deadline or NoCapacity does. A connection that was lost is made anew by the next question;
till the deadline it is tried again, for a script that is run twice is the same as once (`lua/jobs.lua`).
"""

import asyncio
import hashlib
import logging
import re
from collections.abc import Mapping
from pathlib import Path

from redis import exceptions
from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from foz.canon.fault import NoCapacity
from foz.scale.trouble import DEADLINE, within

log = logging.getLogger("foz.scale")

WHO = "The job store"
CONNECTIONS = 32
FIRST_PAUSE, LONGEST_PAUSE = 0.01, 0.2
_NAME = re.compile(r"^-- name: (\w+)\n", re.MULTILINE)
_FOLDER = Path(__file__).parent / "lua"

Answer = int | bytes | None | list["Answer"]
Argument = bytes | str | int


class Script:
    """One script."""

    def __init__(self, name: str, source: str) -> None:
        self.name = name
        self.source = source
        self.sha = hashlib.sha1(source.encode(), usedforsecurity=False).hexdigest()  # Redis names scripts so


def scripts(subject: str) -> Mapping[str, Script]:
    """The scripts of a file, by name; each begins with the file's prelude."""
    _, *parts = _NAME.split((_FOLDER / f"{subject}.lua").read_text(encoding="utf-8"))
    named = dict(zip(parts[::2], parts[1::2], strict=True))
    prelude = named.pop("prelude")
    return {name: Script(name, prelude + source) for name, source in named.items()}


class Pool:
    """
    Connections to one Redis, of one loop. `name` comes before all keys, in braces: a cluster keeps them together; then
    what is kept there.
    """

    def __init__(
        self, url: str, name: str, deadline: float = DEADLINE, connections: int = CONNECTIONS, kept: str = "jobs"
    ) -> None:
        self.prefix = f"{{{name}}}:{kept}"
        self.deadline = deadline
        pool = BlockingConnectionPool.from_url(
            url,
            max_connections=connections,
            timeout=deadline,
            socket_timeout=None,  # `run` has the deadline; with one here, Python 3.11's `wait_for` loses cancellations
            socket_connect_timeout=deadline,
            retry=Retry(NoBackoff(), 0),
            protocol=2,
            decode_responses=False,
            client_name="foz",
        )
        self.client = Redis(connection_pool=pool)
        self._well = True

    @staticmethod
    def clock() -> float:
        """Seconds that only go forward."""
        return asyncio.get_running_loop().time()

    async def run(self, script: Script, *arguments: Argument) -> Answer:
        """What a script answers. Raises NoCapacity."""
        pause = FIRST_PAUSE
        try:
            async with within(self.deadline, WHO, exceptions.RedisError, OSError):
                while True:
                    try:
                        answer = await self._once(script, arguments)
                    except exceptions.ConnectionError as error:
                        if isinstance(error, exceptions.AuthenticationError | exceptions.MaxConnectionsError):
                            raise
                        await asyncio.sleep(pause)
                        pause = min(pause * 2, LONGEST_PAUSE)
                        continue
                    break
        except NoCapacity as fault:
            if self._well:
                self._well = False
                log.warning("Redis does not do %s: %s", script.name, fault.__cause__)
            raise
        self._well = True
        return answer

    async def _once(self, script: Script, arguments: tuple[Argument, ...]) -> Answer:
        answer: Answer
        try:
            answer = await self.client.evalsha(script.sha, 1, self.prefix, *arguments)
        except exceptions.NoScriptError:
            answer = await self.client.eval(script.source, 1, self.prefix, *arguments)
        return answer

    async def close(self) -> None:
        """Closes what is open."""
        await self.client.aclose()
        await self.client.connection_pool.disconnect()
