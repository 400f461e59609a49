"""Somebody else holds the database locked: what needs it is refused, and the gateway goes on."""

import sqlite3
from contextlib import closing
from pathlib import Path

from foz.store.database import prepare
from foz.testing.process import Served, start_gateway
from tests.e2e.load import CHAT, body

CONFIG = "[ledger]\nbusy_timeout = 0.2\n"


def status(gateway: Served) -> int:
    with gateway.connect() as connection:
        return connection.call("POST", CHAT, body("simulated", stream=False)).status


def test_a_locked_database_ends_no_gateway(tmp_path: Path) -> None:
    """While another program holds the write lock calls get 503; once it lets go the same process serves again."""
    data = tmp_path / "data"
    prepare(data)
    (data / "owners").mkdir()
    (data / "owners" / f"{'0' * 32}.lock").touch()  # a dead process's: the first sweep has something to write
    with closing(sqlite3.connect(data / "foz.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with start_gateway(tmp_path, config=CONFIG, environment={"TEST_MODE": "true"}) as gateway:
            gateway.wait_for(lambda: "stays open for now" in gateway.stderr, "the sweep to fail")
            assert status(gateway) == 503
            other.execute("ROLLBACK")
            assert status(gateway) == 200
            other.execute("BEGIN IMMEDIATE")
            assert gateway.stop() == 0
    assert "Traceback" not in gateway.stderr
