"""`kill -9` where it could hurt the database: in a start-up, in the migrations, in a checkpoint."""

import random
import sqlite3
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest

from foz.store.database import migrations, prepare
from foz.testing.process import Child, Served, start_gateway, wait_until
from tests.e2e import writes
from tests.e2e.ground import Ledger, seeds
from tests.e2e.load import CHAT, body

SERVE = (sys.executable, "-m", "foz", "serve", "--port", "0")


def start(folder: Path) -> Child:
    return Child(SERVE, folder, {"FOZ_DATA": str(folder / "data"), "HOME": str(folder), "TEST_MODE": "true"})


def works(gateway: Served) -> bool:
    with gateway.connect() as connection:
        return connection.call("POST", CHAT, body("simulated", stream=False)).status == 200


def test_killed_while_starting(tmp_path: Path) -> None:
    """Killed at any moment of its start, five times in one folder, the gateway starts and serves all the same."""
    for seed in seeds(5):
        sys.stdout.write(f"FOZ_KILL_SEED={seed}\n")
        child = start(tmp_path)
        time.sleep(random.Random(seed).uniform(0, 1.0))
        child.kill()
    with start_gateway(tmp_path, environment={"TEST_MODE": "true"}) as gateway:
        assert works(gateway)
        assert Ledger(tmp_path).is_sound()
        owners = tmp_path / "data/owners"
        gateway.wait_for(lambda: len(list(owners.iterdir())) == 1, "the locks of the dead to be removed")


def test_killed_while_migrating(tmp_path: Path) -> None:
    """Killed in the first milliseconds of its database's life, it leaves one that comes to the newest format."""
    for seed in seeds(5):
        sys.stdout.write(f"FOZ_KILL_SEED={seed}\n")
        folder = tmp_path / str(seed)
        child = start(folder)
        data = folder / "data"
        try:
            child.wait_for((data / "migrating.lock").exists, "the migrations to begin")
            time.sleep(random.Random(seed).uniform(0, 0.02))
        finally:
            child.kill()
        prepare(data)
        ledger = Ledger(folder)
        assert ledger.rows("PRAGMA user_version") == [(migrations()[-1][0],)]
        assert ledger.rows("SELECT count(*) FROM entries") == [(0,)]
        assert ledger.is_sound()


@pytest.mark.parametrize("long", [False, True], ids=["short", "long"])
def test_killed_in_a_checkpoint(tmp_path: Path, long: bool) -> None:
    """What was durable is there after a kill amid checkpoints without pause, also of a WAL that a reader made long."""
    for seed in seeds(4):
        sys.stdout.write(f"FOZ_KILL_SEED={seed}\n")
        told = tmp_path / "told"
        told.unlink(missing_ok=True)
        write_and_be_killed(tmp_path, told, random.Random(seed).uniform(0, 0.03 if long else 0.2), long=long)
        assert (tmp_path / "data/foz.db").stat().st_size > 64 * 1024, "no checkpoint has moved anything yet"
        states = Ledger(tmp_path).states("writes")
        names = told.read_text().splitlines()
        assert len(names) > 100
        assert [name for name in names if states.get(name) != "complete"] == []
        assert Ledger(tmp_path).is_sound()


def write_and_be_killed(folder: Path, told: Path, moment: float, *, long: bool) -> None:
    """So many seconds after writing flows, or after a long WAL may be moved."""
    child = Child((sys.executable, writes.__file__, str(folder / "data"), str(told)), folder)
    try:
        child.wait_for(lambda: told.exists() and told.stat().st_size > 10_000, "writing to flow")
        if long:
            make_the_wal_long(folder / "data")
        time.sleep(moment)
    finally:
        child.kill()


def make_the_wal_long(data: Path) -> None:
    """Holds an old picture of the database until the WAL has grown to 4 MB; then a checkpoint has work to do."""
    with closing(sqlite3.connect(f"file:{data / 'foz.db'}?mode=ro", uri=True, isolation_level=None)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM entries").fetchone()
        wal = data / "foz.db-wal"
        wait_until(lambda: wal.stat().st_size > 4 * 1024 * 1024, "the WAL to grow", 30.0)
        reader.execute("COMMIT")
