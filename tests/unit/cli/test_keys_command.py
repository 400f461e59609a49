"""`foz keys` on the command line."""

import os
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner, Result

from foz.canon.money import PICO
from foz.canon.principal import Role
from foz.cli.main import main
from foz.store.keys import SqliteKeys

Run = Callable[..., Result]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """The command in an empty directory, with its data beside."""
    for name in list(os.environ):
        if name.startswith("FOZ_") or name.endswith("_KEY"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("FOZ_DATA", str(tmp_path / "data"))
    monkeypatch.chdir(tmp_path)
    return lambda *words: CliRunner().invoke(main, ["keys", *words])


def test_a_made_key_works_and_ends(run: Run, tmp_path: Path) -> None:
    """The key that `create` prints finds its principal; after `revoke` it finds nobody."""
    made = run("create", "--name", "me", "--project", "blue", "--model", "gpt-*", "--rate", "60", "--budget", "0.50")
    assert made.exit_code == 0, made.output
    key = made.stdout.strip()
    ring = SqliteKeys(tmp_path / "data", lambda: 0)
    found = ring.find(key)
    assert found is not None
    assert (found.role, found.project, found.allowance.requests_per_minute) == (Role.USER, "blue", 60)
    assert found.allowance.budget == PICO // 2
    assert found.may_call("gpt-5")
    assert not found.may_call("other")

    ended = run("revoke", found.id)

    ring.refresh()
    assert ended.exit_code == 0
    assert ring.find(key) is None
    ring.close()


def test_a_list_shows_everything_but_the_key(run: Run) -> None:
    """Neither the table nor the JSON of `list` holds a key."""
    made = msgspec.json.decode(run("create", "--role", "admin", "--expires", "90d", "--json").stdout)

    table, as_json = run("list").stdout, run("list", "--json").stdout

    assert made["id"] in table
    assert "admin" in table
    assert msgspec.json.decode(as_json)[0]["id"] == made["id"]
    assert made["key"] not in table + as_json


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["revoke", "key-nope"], "No key has the id 'key-nope'"),
        (["create", "--expires", "2001-01-01"], "has passed already"),
        (["create", "--expires", "soon"], "expected a date"),
        (["create", "--budget", "lots"], "expected an amount of US dollars"),
        (["create", "--budget", "-1"], "expected an amount from 0"),
        (["create", "--rate", "0"], "--rate"),
        (["create", "--role", "king"], "--role"),
        (["create", "--model", ""], "an empty name allows no model"),
    ],
)
def test_what_cannot_be_done_is_said(run: Run, words: list[str], said: str) -> None:
    """A wrong argument ends with a message that names it, and makes nothing."""
    result = run(*words)

    assert result.exit_code != 0
    assert said in result.output
    assert run("list").stdout.startswith("No keys.")


def test_a_key_given_for_its_id_is_not_repeated(run: Run) -> None:
    """Who passes the key itself to `revoke` is told so, without the key being shown again."""
    key = run("create").stdout.strip()

    result = run("revoke", key)

    assert result.exit_code != 0
    assert "not a key's id" in result.output
    assert key not in result.output


def test_an_unusable_data_directory_is_said_in_one_line(run: Run, tmp_path: Path) -> None:
    """A file where the data directory should be is named in the message."""
    (tmp_path / "data").write_text("")

    result = run("list")

    assert result.exit_code == 1
    assert result.output.startswith(f"Error: {tmp_path / 'data'}: ")


def test_a_key_is_made_where_the_named_settings_say(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`create --config` writes to that file's data directory, says so, and the others find it."""
    monkeypatch.delenv("FOZ_DATA")
    (tmp_path / "other.toml").write_text("data = 'elsewhere'")
    config = ["--config", "other.toml"]

    made = run("create", *config)
    id = msgspec.json.decode(run("list", "--json", *config).stdout)[0]["id"]

    assert str(tmp_path / "elsewhere") in made.stderr
    assert run("revoke", id, *config).exit_code == 0
