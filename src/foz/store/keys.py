"""
Callers' keys: made here, shown once, kept as SHA-256.

A key is 256 random bits. Nobody can guess one or search through all, so a slow hash would protect nothing
and cost every process its start; a plain one is right. (Slow hashes are for passwords, which people choose.)

Keys are looked up by their hash, never compared letter by letter, so that time tells nothing about them:
whoever does not know a key cannot know how its hash begins. Keys that were found once are remembered by their text,
so that the hot path is one look into a dict. The memory is read anew when the table has changed, which is asked
at least twice a second (`PRAGMA data_version`, microseconds): a revoked or expired key is dead within a second.

The settings' own keys, `API_KEY` and `FOZ_ADMIN_KEY`, are known beside those of the table and cannot be revoked there.
"""

import asyncio
import hashlib
import secrets
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import apsw
import msgspec
from msgspec import Struct

from foz.canon.principal import Allowance, Principal, Role
from foz.store.database import connect_reader
from foz.store.queries import load
from foz.store.writer import Writer

PREFIX = "foz_"
POLL_SECONDS = 0.4
NOTE_SECONDS = 60.0
"""How often it is written down which keys were used."""
_SQL = load("keys")


class KeyRow(Struct, frozen=True):
    """A key as it may be shown: everything but the key."""

    id: str
    label: str
    role: Role
    project: str | None
    models: tuple[str, ...] | None
    allowance: Allowance
    created: int
    expires: int | None
    revoked: int | None
    last_used: int | None


class NewKey(Struct, frozen=True):
    """What a key shall be."""

    label: str = ""
    role: Role = Role.USER
    project: str | None = None
    models: tuple[str, ...] | None = None
    allowance: Allowance = Allowance()
    expires: int | None = None


def create(connection: apsw.Connection, new: NewKey, now: int) -> tuple[str, str]:
    """The key's id, and the key itself, which is never seen again."""
    id, key = f"key-{secrets.token_hex(6)}", PREFIX + secrets.token_urlsafe(32)
    allowance = new.allowance
    connection.execute(
        _SQL["create"],
        {
            "id": id,
            "hash": _hash(key),
            "label": new.label,
            "role": new.role,
            "project": new.project,
            "models": None if new.models is None else msgspec.json.encode(new.models).decode(),
            "requests_per_minute": allowance.requests_per_minute,
            "tokens_per_minute": allowance.tokens_per_minute,
            "budget": allowance.budget,
            "budget_days": allowance.budget_days,
            "created": now,
            "expires": new.expires,
        },
    )
    return id, key


def revoke(connection: apsw.Connection, id: str, now: int) -> bool:
    """Whether the key is known; one that is revoked already stays so."""
    connection.execute(_SQL["revoke"], {"id": id, "now": now})
    return connection.execute(_SQL["known"], {"id": id}).fetchone() is not None


def list_keys(connection: apsw.Connection) -> list[KeyRow]:
    """All keys, oldest first."""
    return [
        KeyRow(
            id,
            label,
            Role(role),
            project,
            _models(models),
            Allowance(requests, tokens, budget, days),
            created,
            expires,
            revoked,
            last_used,
        )
        for (
            id,
            label,
            role,
            project,
            models,
            requests,
            tokens,
            budget,
            days,
            created,
            expires,
            revoked,
            last_used,
        ) in connection.execute(_SQL["list"])
    ]


class _Seen:
    """A principal whose key is in memory, and whether it was used since that was last written down."""

    __slots__ = ("principal", "used")

    def __init__(self, principal: Principal) -> None:
        self.principal = principal
        self.used = False


Living = dict[bytes, Principal]


def _ids(by_hash: dict[bytes, _Seen]) -> dict[str, _Seen]:
    return {seen.principal.id: seen for seen in by_hash.values()}


class SqliteKeys:
    """Implements `ports.keys.Keyring`. `look_again` must be called every POLL_SECONDS."""

    def __init__(
        self,
        data: Path,
        now: Callable[[], int],
        *,
        api_key: str | None = None,
        admin_key: str | None = None,
        writer: Writer | None = None,
    ) -> None:
        self._reader = connect_reader(data)
        self._looking = threading.Lock()
        self._closed = False
        self._now = now
        self._writer = writer
        self._static = _settings_keys(api_key, admin_key)
        self._version = -1
        self._changes = -1
        self._by_key: dict[str, _Seen] = {}
        self._any = False
        self._next_expiry: int | None = None
        self._by_hash = {hash: _Seen(principal) for hash, principal in self._static.items()}
        self._by_id = _ids(self._by_hash)
        self.refresh()

    @property
    def open(self) -> bool:
        """True while no key is configured at all. A revoked key still counts: revoking the last one opens nothing."""
        return not self._any and not self._static

    def find(self, key: str) -> Principal | None:
        """The principal of a key, from memory; None is unknown, expired or revoked."""
        seen = self._by_key.get(key)
        if seen is None:
            seen = self._by_hash.get(_hash(key))
            if seen is None:
                return None
            self._by_key[key] = seen
        seen.used = True
        return seen.principal

    def named(self, id: str) -> Principal | None:
        """Whose key has this id, from memory; None is unknown, expired or revoked."""
        seen = self._by_id.get(id)
        if seen is None:
            return None
        seen.used = True
        return seen.principal

    def refresh(self) -> None:
        """Reads the table if it has changed, or a key has expired since."""
        self._take(self._look())

    async def look_again(self) -> None:
        """As `refresh`, without making the loop wait."""
        self._take(await asyncio.to_thread(self._look))  # taken on the loop, where `find` looks

    async def note_used(self) -> None:
        """Writes down when keys were last used."""
        used = [seen for seen in self._by_hash.values() if seen.used]
        if self._writer is None or not used:
            return
        rows = [{"id": seen.principal.id, "now": self._now()} for seen in used]
        for seen in used:
            seen.used = False

        def work(connection: apsw.Connection) -> None:
            connection.executemany(_SQL["used"], rows)

        noted = False
        try:
            await self._writer.call(work)
            noted = True
        finally:
            for seen in used:
                seen.used = seen.used or not noted

    def close(self) -> None:
        """Closes the connection, after a look that is under way."""
        with self._looking:
            self._closed = True
            self._reader.close()

    def _look(self) -> "_Found | None":
        """What the table says now; None where nothing has changed."""
        with self._looking:
            return None if self._closed else self._changed()

    def _changed(self) -> "_Found | None":
        now = self._now()
        version = self._reader.pragma("data_version")
        due = self._next_expiry is not None and now >= self._next_expiry
        if version == self._version and not due:
            return None
        with self._reader:  # one snapshot for all questions
            changes = self._reader.execute(_SQL["changes"]).get
            self._version = version
            if changes == self._changes and not due:
                return None
            self._changes = changes
            rows: list[tuple[Any, ...]] = self._reader.execute(_SQL["living"], {"now": now}).fetchall()
            known = bool(self._reader.execute(_SQL["any"]).get)
        self._next_expiry = min((row[-1] for row in rows if row[-1] is not None), default=None)
        return _Found(known, {row[0]: _principal(row) for row in rows})

    def _take(self, found: "_Found | None") -> None:
        if found is None:
            return
        used = {hash for hash, seen in self._by_hash.items() if seen.used}
        self._by_hash = {hash: _Seen(principal) for hash, principal in (found.living | self._static).items()}
        self._by_key = {}
        self._by_id = _ids(self._by_hash)
        for hash in used & self._by_hash.keys():
            self._by_hash[hash].used = True
        self._any = found.known


class _Found(Struct, frozen=True):
    """The table at one moment: whether it has any key, and those that live."""

    known: bool
    living: Living


def _principal(row: tuple[Any, ...]) -> Principal:
    _, id, role, project, models, requests, tokens, budget, days, _ = row
    names = _models(models)
    return Principal(
        id,
        Role(role),
        project,
        None if names is None else frozenset(names),
        Allowance(requests, tokens, budget, days),
    )


def _settings_keys(api_key: str | None, admin_key: str | None) -> Living:
    keys = {}
    if api_key:
        keys[_hash(api_key)] = Principal("api-key", Role.USER if admin_key else Role.ADMIN)
    if admin_key:
        keys[_hash(admin_key)] = Principal("admin-key", Role.ADMIN)
    return keys


def _hash(key: str) -> bytes:
    return hashlib.sha256(key.encode(errors="surrogatepass")).digest()


def _models(written: str | None) -> tuple[str, ...] | None:
    return None if written is None else msgspec.json.decode(written, type=tuple[str, ...])
