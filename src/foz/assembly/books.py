"""What is kept on disk: the ledger, the callers' keys, what is left of their allowances, files, sessions and jobs."""

import asyncio
import logging
import os
from collections.abc import Sequence
from contextlib import AsyncExitStack

from pydantic import SecretStr

from foz.assembly.cache import Opened, opened
from foz.assembly.duty import every, tried
from foz.config.refusal import ConfigError
from foz.config.settings import Settings
from foz.ports.cache import Cache
from foz.ports.clock import Clock
from foz.sessions.keeper import Keeper
from foz.store.cache import FORGET_SECONDS as FORGET_ANSWERS
from foz.store.content import ContentFiles
from foz.store.database import StoreError, connect_reader, path_of, prepare
from foz.store.deployments import SqliteDeployments
from foz.store.disk import SWEEP_SECONDS, Disk
from foz.store.files import FORGET_SECONDS as FORGET_FILES
from foz.store.files import Room, SqliteFiles
from foz.store.jobs import FORGET_SECONDS as FORGET_JOBS
from foz.store.jobs import SqliteJobs
from foz.store.keys import NOTE_SECONDS, POLL_SECONDS, SqliteKeys
from foz.store.lanes import SqliteQueue
from foz.store.leases import RETURN_SECONDS, SqliteBook
from foz.store.lookups import Lookups
from foz.store.posting import Posting
from foz.store.responses import FORGET_SECONDS as FORGET_RESPONSES
from foz.store.responses import Room as ResponsesRoom
from foz.store.responses import SqliteResponses
from foz.store.sessions import FORGET_SECONDS, SqliteSessions

log = logging.getLogger("foz.books")

_UNNOTED = "when keys were last used is not noted for now"


class Books:
    """
    Made in the loop that uses it; `linger` is its writer's. Raises StoreError where the data directory cannot be used.
    """

    def __init__(self, settings: Settings, clock: Clock, linger: float = 0.0) -> None:
        kept = settings.ledger
        self._disk = Disk(settings.data, kept.durability, kept.busy_timeout, linger=linger)
        self._clock = clock
        self.ledger = self._disk.ledger
        self.keys = _keys(settings, clock, self._disk)
        self.content = ContentFiles(settings.data, clock.now, limit=kept.capture_limit, days=kept.content_days)
        self.files = SqliteFiles(settings.data, self._disk.writer, clock.now, _room(settings))
        self._sessions = SqliteSessions(self._disk.writer)
        self.keeper = Keeper(self._sessions, clock, os.urandom)
        self.book = SqliteBook(self._disk.writer, self._disk.owner.id, clock.now)
        self._lookups = Lookups(connect_reader(settings.data))
        self.posting = Posting(self._disk.writer, self._lookups)
        self.responses = SqliteResponses(self._disk.writer, self._lookups, clock.now, _responses_room(settings))
        self.jobs = SqliteJobs(self._disk.writer, self._lookups)
        self.queue = SqliteQueue(self._disk.writer, self._lookups, clock.now)
        self.deployments = SqliteDeployments(self._disk.writer, self._lookups)
        self._cache: Opened | None = None

    def cache(self, settings: Settings) -> Cache | None:
        """Where answers are kept, from when a model wants it on. Where it cannot be used, calls go on without."""
        if self._cache is None and any(row.cache_ttl is not None for row in settings.model):
            try:
                self._cache = opened(settings)
            except (StoreError, ConfigError) as error:
                log.warning("answers are not kept: %s", error)
        if self._cache is not None:
            self._cache.size = settings.cache.max_size
        return self._cache

    @property
    def name(self) -> str:
        """The name of this data directory, which no other has."""
        return self._disk.name

    @property
    def waiting(self) -> int:
        """Rows that are not durable yet."""
        return self._disk.writer.waiting

    def troubles(self) -> Sequence[str]:
        """Why nothing can be written, where it cannot."""
        return [] if self._disk.writer.alive else ["the ledger's writer has died: nothing can be accounted for"]

    async def keep(self) -> None:
        """Everything that is done from time to time, until cancelled."""
        duties = (
            (SWEEP_SECONDS, self._disk.sweep, "what dead processes left open stays open for now"),
            (POLL_SECONDS, self.keys.look_again, "new and revoked keys are not seen for now"),
            (NOTE_SECONDS, self.keys.note_used, _UNNOTED),
            (FORGET_SECONDS, self._forget, "sessions that are long over are kept for now"),
            (FORGET_FILES, self.files.forget, "files that are over their time are kept for now"),
            (FORGET_RESPONSES, self.responses.forget, "responses that are over their time are kept for now"),
            (FORGET_JOBS, self._forget_jobs, "jobs that are over their time are kept for now"),
            (FORGET_ANSWERS, self._forget_answers, "answers that are over their time are kept for now"),
            (RETURN_SECONDS, self.book.return_idle, "what was lent of budgets is not given back for now"),
        )
        async with asyncio.TaskGroup() as group:
            for seconds, do, meaning in duties:
                group.create_task(every(seconds, do, meaning, self._clock.sleep))

    async def _forget(self) -> None:
        await self._sessions.forget(self._clock.now())

    async def _forget_jobs(self) -> None:
        await self.jobs.forget(self._clock.now())

    async def _forget_answers(self) -> None:
        if self._cache is not None:
            await self._cache.forget(self._clock.now())

    async def close(self) -> None:
        """Writes what waits. Each step is done, whatever the one before came to."""
        async with AsyncExitStack() as last_first:
            last_first.push_async_callback(self._disk.close)
            last_first.push_async_callback(self._lookups.close)
            last_first.push_async_callback(self.jobs.close)
            last_first.push_async_callback(self.queue.close)
            if self._cache is not None:
                last_first.push_async_callback(self._cache.close)
            last_first.push_async_callback(asyncio.to_thread, self.content.close)
            last_first.callback(self.keys.close)
            last_first.push_async_callback(tried, _UNNOTED, self.keys.note_used)


def _room(settings: Settings) -> Room:
    kept = settings.files
    return Room(kept.max_size, kept.max_files, kept.max_total, kept.days * 24 * 3600)


def _responses_room(settings: Settings) -> ResponsesRoom:
    kept = settings.responses
    return ResponsesRoom(kept.ttl, kept.max_responses, kept.max_total, kept.max_turns, kept.max_length)


def _keys(settings: Settings, clock: Clock, disk: Disk | None) -> SqliteKeys:
    auth = settings.auth
    return SqliteKeys(
        settings.data,
        clock.now,
        api_key=_shown(auth.api_key),
        admin_key=_shown(auth.admin_key),
        writer=disk.writer if disk else None,
    )


def _shown(secret: SecretStr | None) -> str | None:
    return secret.get_secret_value() if secret is not None else None


def has_keys(settings: Settings, clock: Clock) -> bool:
    """Whether any caller's key is configured or kept. Looks, and makes nothing."""
    if settings.auth.api_key is not None or settings.auth.admin_key is not None:
        return True
    if not path_of(settings.data).exists():
        return False
    prepare(settings.data)
    keys = _keys(settings, clock, None)
    try:
        return not keys.open
    finally:
        keys.close()


__all__ = ["Books", "StoreError", "has_keys"]
