"""`TEST_MODE=true`: every name is answered by the simulated model, which misbehaves when a caller asks it to."""

import re
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from foz.testing.process import Served, start_gateway
from foz.testing.raw import request

CHAT = "/v1/chat/completions"
HELLO = b'{"model":"any-name:at/all","messages":[{"role":"user","content":"Hello there"}]}'
STREAM = HELLO[:-1] + b',"stream":true}'


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with start_gateway(tmp_path_factory.mktemp("gateway"), environment={"TEST_MODE": "true"}) as served:
        yield served


def test_any_name_is_answered(gateway: Served) -> None:
    """A model that nobody configured is answered by the simulated one, which says what it is."""
    with gateway.connect() as connection:
        reply = connection.call("POST", CHAT, HELLO)

    assert reply.status == 200
    assert "Foz's simulated model" in msgspec.json.decode(reply.body)["choices"][0]["message"]["content"]


def test_a_caller_can_ask_for_trouble(gateway: Served) -> None:
    """The headers of the simulated model reach it through the gateway: a status, and a stream that is cut."""
    with gateway.connect() as connection:
        refused = connection.call("POST", CHAT, HELLO, ((b"x-simulate-status", b"422"),))
    with gateway.connect() as connection:
        connection.send(request("POST", CHAT, STREAM, ((b"x-simulate-cut", b"3"),)))
        stream = connection.rest()

    assert refused.status == 422
    assert stream.startswith(b"HTTP/1.1 200 ")
    assert stream.count(b'"content":') >= 2
    assert b"[DONE]" not in stream


def test_statuses_arrive_as_the_reference_says(gateway: Served) -> None:
    """For each upstream status of the table in the reference the caller of the gateway gets the one beside it."""
    page = (Path(__file__).parents[2] / "docs/reference/simulated-model.md").read_text()
    rows = re.findall(r"^\| ([0-9, ]+) \| (the same status|[0-9]{3})", page, re.MULTILINE)
    expected = {given: got for given_, got in rows for given in given_.split(", ")}

    for given, got in expected.items():
        with gateway.connect() as connection:
            reply = connection.call("POST", CHAT, HELLO, ((b"x-simulate-status", given.encode()),))
        assert str(reply.status) == (given if got == "the same status" else got)
    assert len(expected) > 20


def test_nobody_asks_for_trouble_outside_test_mode(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Without TEST_MODE, where nothing else is configured, the simulated model answers and obeys no such header."""
    with start_gateway(tmp_path_factory.mktemp("plain")) as served, served.connect() as connection:
        body = HELLO.replace(b"any-name:at/all", b"simulated")

        assert connection.call("POST", CHAT, body, ((b"x-simulate-status", b"422"),)).status == 200
