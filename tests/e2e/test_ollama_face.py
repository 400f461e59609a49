"""Ollama's face of `foz serve`: its own port, its root, what is answered at once, and what servers say themselves."""

import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from foz.testing.process import (
    Served,
    Upstream,
    clean_environment,
    free_port,
    start_gateway,
    start_upstream,
    wait_until,
)
from foz.testing.raw import RawConnection, request
from foz.wire.http import Headers, Reply
from tests.e2e.ground import Ledger

CONFIG = """
[server]
ollama_port = {port}

[[provider]]
name = "ollama"
forwards = ["x-simulate-"]

[[provider]]
name = "far"
base_url = "http://127.0.0.1:1/v1"
models = ""

[[model]]
name = "house"
targets = ["ollama/simulated"]
"""
RUNNING = b"Ollama is running"
HELLO = {"model": "simulated", "messages": [{"role": "user", "content": "Hello"}]}


class Ground(msgspec.Struct):
    """A gateway with Ollama's port, before a fake Ollama server."""

    gateway: Served
    fake: Upstream
    port: int

    def connect(self) -> RawConnection:
        """To Ollama's port."""
        return RawConnection(self.port)

    def post(self, path: str, body: object, headers: Headers = ()) -> Reply:
        """At Ollama's port."""
        with self.connect() as connection:
            return connection.call("POST", path, msgspec.json.encode(body), headers)

    def listed(self) -> list[str]:
        """The names that programs are told."""
        with self.connect() as connection:
            return [row["name"] for row in msgspec.json.decode(connection.call("GET", "/api/tags").body)["models"]]


def _heard(ground: Ground) -> dict[str, int]:
    return {path: count for path, count in ground.fake.seen()["requests"].items() if path.startswith("/api/")}


def _entries(ground: Ground) -> object:
    return Ledger(ground.gateway.folder).rows("SELECT count(*) FROM entries")


@pytest.fixture(scope="module")
def ground(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ground]:
    port = free_port()
    with start_upstream(tmp_path_factory.mktemp("fake"), program="foz.testing.ollama") as fake:
        environment = {"OLLAMA_HOST": f"127.0.0.1:{fake.port}"}
        config = CONFIG.format(port=port)
        with start_gateway(tmp_path_factory.mktemp("foz"), config=config, environment=environment) as gateway:
            made = Ground(gateway, fake, port)
            wait_until(lambda: len(made.listed()) > 1, "the server's models to be found")
            yield made


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_programs_see_that_it_runs(ground: Ground, method: str) -> None:
    """At Ollama's port anybody, and elsewhere Ollama's programs by their name, are told what Ollama's root tells."""
    with ground.connect() as connection:
        connection.send(request(method, "/"))
        at_port = connection.reply(bodiless=method == "HEAD")
    with ground.gateway.connect() as connection:
        connection.send(request(method, "/", b"", ((b"user-agent", b"ollama-python/0.6.3 (x86_64 linux)"),)))
        by_name = connection.reply(bodiless=method == "HEAD")
        connection.send(request(method, "/"))
        other = connection.reply(bodiless=method == "HEAD")

    for reply in (at_port, by_name):
        assert (reply.status, reply.header(b"content-length")) == (200, b"17")
        assert reply.body == (b"" if method == "HEAD" else RUNNING)
    assert other.header(b"content-type") == b"application/json"


def test_its_port_is_one_more(ground: Ground) -> None:
    """Foz says that it listens there, and all its other paths are there as well."""
    gateway = ground.gateway
    gateway.wait_for(lambda: f"http://127.0.0.1:{ground.port}" in gateway.stdout, "the port to be told")
    with ground.connect() as connection:
        assert connection.call("GET", "/v1/models").status == 200


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_port_that_is_taken_is_said_clearly(ground: Ground, tmp_path: Any, workers: str) -> None:
    """Where somebody listens there, Foz does not start, and says what to do about it."""
    environment = {"FOZ_DATA": str(tmp_path), "HOME": str(tmp_path), "FOZ_OLLAMA_PORT": str(ground.port)}
    command = [sys.executable, "-m", "foz", "serve", "--port", "0", "--workers", workers]
    ran = subprocess.run(
        command,
        cwd=tmp_path,
        env=clean_environment(environment),
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )

    assert ran.returncode != 0
    assert f"cannot listen on 127.0.0.1:{ground.port}: address already in use" in ran.stderr
    assert "stop the Ollama server that has it, or leave out [server] ollama_port (FOZ_OLLAMA_PORT)" in ran.stderr


def test_an_ollama_server_at_its_own_port_would_be_itself(tmp_path: Any) -> None:
    """Who listens where Ollama's server is looked for does not take itself for one."""
    port = free_port()
    environment = {"OLLAMA_HOST": f"127.0.0.1:{port}", "FOZ_OLLAMA_PORT": str(port)}
    with start_gateway(tmp_path, environment=environment) as gateway:
        assert "is our own address: asking it would go in circles" in gateway.stderr
        with gateway.connect() as connection:
            assert connection.call("GET", "/api/tags").status == 200


def test_every_models_name_has_a_tag(ground: Ground) -> None:
    """Models of the settings and of the server are listed with tags, and found with and without `:latest`."""
    names = ["house:latest", "simulated-embed:latest", "simulated-plain:latest", "simulated:latest"]

    assert ground.listed() == names
    for name in (*names[:1], *names[2:], "house", "simulated", "far/x", "far/x:latest", "ollama/simulated"):
        assert ground.post("/api/show", {"model": name}).status == 200, name
    assert ground.post("/api/show", {"name": "house"}).status == 200
    assert ground.post("/api/show", {"model": "nobody"}).status == 404


def test_a_servers_own_figures_pass(ground: Ground) -> None:
    """Relayed, times of lines and durations are the server's, to the nanosecond, under the name that was asked for."""
    reply = ground.post("/api/chat", {**HELLO, "model": "house:latest"})
    lines = [msgspec.json.decode(line) for line in reply.body.splitlines()]

    assert reply.header(b"content-type") == b"application/x-ndjson"
    assert {line["model"] for line in lines} == {"house:latest"}
    assert all(line["created_at"].endswith("000789Z") for line in lines)
    assert lines[-1]["load_duration"] == 1_000_000
    assert [line["done"] for line in lines] == [False] * (len(lines) - 1) + [True]


def test_the_older_vectors_come_from_their_own_path(ground: Ground) -> None:
    """A server that has no such path is said to have none; nothing is asked of another path instead."""
    reply = ground.post("/api/embeddings", {"model": "simulated-embed", "prompt": "x"})

    assert reply.status == 502
    assert b"is the provider's base URL right?" in reply.body


def test_who_asks_nothing_asks_nobody(ground: Ground) -> None:
    """A load is answered with one body, is no entry of the ledger, and the server hears nothing of it."""
    before = _heard(ground), _entries(ground)
    bodies: list[tuple[str, Any]] = [("/api/chat", {}), ("/api/generate", {"keep_alive": 0}), ("/api/embed", {})]
    replies = [ground.post(path, {"model": "house", **body}) for path, body in bodies]

    assert [reply.status for reply in replies] == [200] * 3
    told = [msgspec.json.decode(reply.body) for reply in replies]
    assert [one.get("done_reason") for one in told] == ["load", "unload", None]
    assert told[2]["embeddings"] == []
    assert ground.post("/api/generate", {"model": "nobody"}).status == 404
    assert (_heard(ground), _entries(ground)) == before


def test_bodies_as_curl_names_them_are_json(ground: Ground) -> None:
    """What `curl -d` sends without a word on its type is read, as in Ollama's own examples; other types are refused."""
    form: Headers = ((b"content-type", b"application/x-www-form-urlencoded"),)

    assert ground.post("/api/chat", {**HELLO, "stream": False}, form).status == 200
    assert ground.post("/api/show", {"model": "house"}, form).status == 200
    assert ground.post("/api/chat", HELLO, ((b"content-type", b"text/xml"),)).status == 415


def test_a_page_of_another_site_is_kept_out(ground: Ground) -> None:
    """Without keys, a form that another site's page sends in a browser is refused, though its type would do."""
    sent: Headers = (
        (b"content-type", b"application/x-www-form-urlencoded"),
        (b"origin", b"https://elsewhere.example"),
    )

    assert [ground.post(path, HELLO, sent).status for path in ("/api/chat", "/api/show", "/api/pull")] == [403] * 3
