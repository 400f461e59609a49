"""
Answers that answer again, in Redis, shared by all gateways that use it (`ports.cache.Cache`).

Their size is counted here and bounded by us: a Redis that keeps jobs evicts nothing by itself (`noeviction`), so that a
cache that grew would stop the jobs. Time is the callers'; Redis' own expiry only takes away what nobody has forgotten
long after it was over. What cannot be asked within a moment is left alone for a while: a call waits once at most.
"""

import asyncio
import logging

from foz.canon.fault import NoCapacity
from foz.ports.cache import MOST
from foz.scale.line import Answer, Argument
from foz.scale.pool import Pool, scripts
from foz.scale.topology import NAME

log = logging.getLogger("foz.cache")

DEADLINE = 0.25
"""Seconds that a call waits for what may be known."""
REST = 2.0
"""Seconds for which a Redis that did not answer is left alone."""
MOST_WAITING = 16 * MOST
"""Bytes that wait to be written."""
_KEPT = 24 * 3600 * 1000
"""Milliseconds after its end at which Redis itself removes an answer."""
_FORGOTTEN = 200
_SCRIPTS = scripts("cache")


class RedisCache:
    """
    Implements `ports.cache.Cache` in one Redis, with `size` bytes of its memory, for the loop it is used in. `forget`
    should be called every now and then. `name` comes before all keys.
    """

    def __init__(
        self, url: str, size: int, *, deadline: float = DEADLINE, rest: float = REST, name: str = NAME
    ) -> None:
        self.size = size
        self._rest = rest
        self._pool = Pool(url, name, deadline, "cache")
        self._waiting: dict[bytes, tuple[bytes, int]] = {}
        self._unwritten = 0
        self._writing: asyncio.Task[None] | None = None
        self._resting = 0.0
        self._full = False
        self._closed = False

    async def find(self, key: bytes, now: int) -> bytes | None:
        """What was kept under this key and has not expired."""
        waiting = self._waiting.get(key)
        if waiting is not None:
            return waiting[0] if waiting[1] > now else None
        if self._closed:
            return None
        try:
            found = await self._ask("find", key.hex(), now)
        except NoCapacity:
            return None
        return found if isinstance(found, bytes) else None

    def keep(self, key: bytes, data: bytes, expires: int) -> None:
        """Takes it and returns at once."""
        if self._closed or self._rests():
            return
        full = self._unwritten + len(data) > MOST_WAITING
        if full and not self._full:
            log.warning("answers are not kept: more of them come than can be written")
        self._full = full
        if full:
            return
        self._forget(key)
        self._waiting[key] = (data, expires)
        self._unwritten += len(data)
        if self._writing is None:
            self._writing = asyncio.ensure_future(self._write())

    async def forget(self, now: int) -> None:
        """Removes what has expired, and what is too much. Raises NoCapacity."""
        while await self._pool.run(_SCRIPTS["forget"], now, self.size, _FORGOTTEN) != 0:
            continue

    async def close(self) -> None:
        """Writes what waits, if Redis takes it."""
        self._closed = True
        if self._writing is not None:
            await self._writing
        await self._pool.close()

    async def _write(self) -> None:
        while self._waiting:
            key, kept = next(iter(self._waiting.items()))
            data, expires = kept
            try:
                await self._ask("keep", key.hex(), expires, data, self.size, _KEPT)
            except NoCapacity:  # the pool has told it; the others would wait as long
                self._waiting.clear()
                self._unwritten = 0
            if self._waiting.get(key) is kept:
                self._forget(key)
        self._writing = None

    def _forget(self, key: bytes) -> None:
        data, _ = self._waiting.pop(key, (b"", 0))
        self._unwritten -= len(data)

    async def _ask(self, name: str, *arguments: Argument) -> Answer:
        if self._rests():
            raise NoCapacity("Redis is left alone for a moment.")
        try:
            return await self._pool.run(_SCRIPTS[name], *arguments)
        except NoCapacity:
            self._resting = self._pool.clock() + self._rest
            raise

    def _rests(self) -> bool:
        return self._pool.clock() < self._resting
