"""Where a command finds the gateway that it asks."""

from pathlib import Path

import click
import pytest

from foz.cli.calling import place
from foz.config.load import load


@pytest.mark.parametrize(
    ("host", "found"),
    [("0.0.0.0", "http://127.0.0.1:8000"), ("::", "http://[::1]:8000"), ("box", "http://box:8000")],
)
def test_the_gateway_of_the_settings_is_asked_where_it_listens(tmp_path: Path, host: str, found: str) -> None:
    """Every address of the machine is this machine, and its key is the settings'."""
    there = place(load({"FOZ_HOST": host, "API_KEY": "the-key-of-all"}, tmp_path), None, None)
    assert (there.url, there.key) == (found, "the-key-of-all")
    assert "the-key" not in repr(there)


@pytest.mark.parametrize("said", ["box:9000", "http://box:9000/", "http://box:9000/v1"])
def test_an_address_is_read_as_people_write_it(tmp_path: Path, said: str) -> None:
    """Without a scheme it is http, the path of the API may stand there, and the settings' key is not shown to it."""
    there = place(load({"API_KEY": "the-key-of-all"}, tmp_path), said, None)
    assert (there.url, there.key) == ("http://box:9000", None)


@pytest.mark.parametrize(
    ("url", "key", "port", "words"),
    [
        (None, None, "0", "name its address with --url"),
        ("http://user:secret@box", None, "1", "expected an address"),
        ("box", "two words", "1", "was it copied whole"),
        ("http://box/\r\nx", None, "1", "expected an address"),
    ],
)
def test_what_is_no_place_is_refused(tmp_path: Path, url: str | None, key: str | None, port: str, words: str) -> None:
    """A free port, a password in an address and a key with a space are refused in words."""
    with pytest.raises(click.ClickException, match=words):
        place(load({"FOZ_PORT": port}, tmp_path), url, key)
