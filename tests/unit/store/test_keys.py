"""Keys: shown once, hashed at rest, dead everywhere within a second."""

import asyncio
import hashlib
import time
from collections.abc import Iterator
from pathlib import Path

import apsw
import pytest

from foz.assembly.duty import every
from foz.canon.principal import Allowance, Role
from foz.store.database import connect, path_of, prepare
from foz.store.keys import POLL_SECONDS, NewKey, SqliteKeys, create, list_keys, revoke
from foz.store.writer import Writer

NOW = 1_700_000_000_000


@pytest.fixture
def connection(tmp_path: Path) -> Iterator[apsw.Connection]:
    """A database that may be written."""
    prepare(tmp_path)
    connection = connect(tmp_path)
    yield connection
    connection.close()


def keyring(data: Path, now: int = NOW, *, api_key: str | None = None, admin_key: str | None = None) -> SqliteKeys:
    return SqliteKeys(data, lambda: now, api_key=api_key, admin_key=admin_key)


def test_a_key_leads_to_its_principal(connection: apsw.Connection, tmp_path: Path) -> None:
    """What a key was made with comes back with it, and its id is not the key."""
    allowance = Allowance(60, 10_000, 5 * 10**12, 7)
    id, key = create(connection, NewKey("me", Role.ADMIN, "blue", ("gpt-*",), allowance), NOW)
    ring = keyring(tmp_path)

    found = ring.find(key)

    assert found is not None
    assert (found.id, found.role, found.project, found.models, found.allowance) == (
        id,
        Role.ADMIN,
        "blue",
        frozenset({"gpt-*"}),
        allowance,
    )
    assert ring.find(key) is found
    assert id not in key
    assert key not in id
    ring.close()


def test_an_id_leads_to_its_principal_while_the_key_lives(connection: apsw.Connection, tmp_path: Path) -> None:
    """By a key's id its principal is found, until the key is revoked; the keys of the settings have ids too."""
    id, key = create(connection, NewKey(project="blue"), NOW)
    ring = keyring(tmp_path, api_key="sk-one")

    assert ring.named(id) is ring.find(key) is not None
    assert ring.named(key) is None
    revoke(connection, id, NOW)
    ring.refresh()
    assert ring.named(id) is None
    assert ring.named("api-key") is ring.find("sk-one") is not None
    ring.close()


def test_the_key_is_nowhere_on_disk(connection: apsw.Connection, tmp_path: Path) -> None:
    """The database and its log hold the SHA-256 of a key, and neither the key nor its random part."""
    _, key = create(connection, NewKey(), NOW)

    written = b"".join(path.read_bytes() for path in tmp_path.iterdir() if path.is_file())

    assert hashlib.sha256(key.encode()).digest() in written
    assert key.encode() not in written
    assert key.removeprefix("foz_").encode() not in written
    assert len(key.removeprefix("foz_")) >= 43


@pytest.mark.parametrize("key", ["", "foz_", "foz_nope", "é", "\ud800", "x" * 100_000])
def test_what_is_no_key_finds_nobody(key: str, connection: apsw.Connection, tmp_path: Path) -> None:
    """A text that is no known key, however odd, finds nobody and is not remembered."""
    create(connection, NewKey(), NOW)
    ring = keyring(tmp_path)

    assert ring.find(key) is None
    assert ring._by_key == {}
    ring.close()


def test_a_keyring_is_open_only_while_no_key_was_ever_made(connection: apsw.Connection, tmp_path: Path) -> None:
    """Without keys it is open; a key, also a revoked one, and a key of the settings close it."""
    ring = keyring(tmp_path)
    openness = [ring.open, keyring(tmp_path, api_key="secret").open]

    id, _ = create(connection, NewKey(), NOW)
    ring.refresh()
    openness.append(ring.open)
    revoke(connection, id, NOW)
    ring.refresh()
    openness.append(ring.open)

    assert openness == [True, False, False, False]
    ring.close()


def test_the_seeds_one_key_is_administrator_until_there_is_another(connection: apsw.Connection, tmp_path: Path) -> None:
    """`API_KEY` alone is administrator; beside `FOZ_ADMIN_KEY` it is a user."""
    alone, beside = keyring(tmp_path, api_key="one"), keyring(tmp_path, api_key="one", admin_key="two")

    roles = [found.role for found in (alone.find("one"), beside.find("one"), beside.find("two")) if found]

    assert roles == [Role.ADMIN, Role.USER, Role.ADMIN]
    assert alone.find("two") is None


def test_a_change_is_seen_though_the_ledger_is_written_all_the_time(
    connection: apsw.Connection, tmp_path: Path
) -> None:
    """Other writes do not make a keyring read its table again; a key's change does."""
    id, key = create(connection, NewKey(), NOW)
    ring = keyring(tmp_path)
    before = ring._by_hash
    connection.execute("UPDATE keys SET last_used = 1")
    ring.refresh()
    assert ring._by_hash is before
    assert ring.find(key) is not None

    revoke(connection, id, NOW)
    ring.refresh()

    assert ring.find(key) is None
    ring.close()


def test_an_expired_key_dies_without_any_change_of_the_table(connection: apsw.Connection, tmp_path: Path) -> None:
    """A key is found until its time and not from then on, though nobody wrote anything."""
    _, key = create(connection, NewKey(expires=NOW + 1000), NOW)
    time_now = [NOW + 999]
    ring = SqliteKeys(tmp_path, lambda: time_now[0])
    assert ring.find(key) is not None

    time_now[0] = NOW + 1000
    ring.refresh()

    assert ring.find(key) is None
    assert SqliteKeys(tmp_path, lambda: NOW + 1001).find(key) is None
    ring.close()


def test_a_revoked_key_is_dead_within_a_second(connection: apsw.Connection, tmp_path: Path) -> None:
    """Two keyrings that found a key refuse it within a second of its being revoked elsewhere."""
    id, key = create(connection, NewKey(), NOW)

    async def story() -> float:
        rings = [SqliteKeys(tmp_path, lambda: NOW) for _ in range(2)]
        looked = asyncio.Condition()

        async def sleep(seconds: float) -> None:
            async with looked:
                looked.notify_all()
            await asyncio.sleep(seconds)

        keeping = [asyncio.ensure_future(every(POLL_SECONDS, ring.look_again, "blind", sleep)) for ring in rings]
        assert all(ring.find(key) for ring in rings)
        await asyncio.to_thread(revoke, connection, id, NOW)
        began = time.monotonic()
        async with looked:
            await looked.wait_for(lambda: not any(ring.find(key) for ring in rings))
        passed = time.monotonic() - began
        for task in keeping:
            task.cancel()
        await asyncio.gather(*keeping, return_exceptions=True)
        for ring in rings:
            ring.close()
        return passed

    assert asyncio.run(story()) < 1.0
    assert POLL_SECONDS <= 0.5


def test_when_a_key_was_used_is_written_down(connection: apsw.Connection, tmp_path: Path) -> None:
    """A key that was used bears the time; one that was not, none."""
    used, key = create(connection, NewKey(), NOW)
    create(connection, NewKey(), NOW)

    async def story() -> None:
        writer = Writer(connect(tmp_path))
        ring = SqliteKeys(tmp_path, lambda: NOW + 5, writer=writer)
        assert ring.find(key)
        await ring.note_used()
        await writer.close()
        ring.close()

    asyncio.run(story())

    assert {row.id: row.last_used for row in list_keys(connection) if row.last_used} == {used: NOW + 5}


def test_revoking_is_for_known_keys_and_for_good(connection: apsw.Connection, tmp_path: Path) -> None:
    """An unknown id is told apart, and a second revocation keeps the first one's time."""
    id, _ = create(connection, NewKey(), NOW)

    assert not revoke(connection, "key-nope", NOW)
    assert revoke(connection, id, NOW + 1)
    assert revoke(connection, id, NOW + 2)
    assert [row.revoked for row in list_keys(connection)] == [NOW + 1]
    assert path_of(tmp_path).exists()
