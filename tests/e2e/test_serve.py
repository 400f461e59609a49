"""`foz serve` as an operator meets it: where it listens, what it says, how it stops, changes and comes back."""

import shlex
import signal
import socket
import sqlite3
import ssl
import subprocess
import sys
import time
import tomllib
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path

import msgspec
import pytest

from foz.testing.process import (
    Child,
    Served,
    Upstream,
    clean_environment,
    free_port,
    start_gateway,
    start_upstream,
    wait_until,
)

CHAT = "/v1/chat/completions"
BODY = b'{"model":"simulated","messages":[{"role":"user","content":"hello"}]}'
PROVIDER = """
[[provider]]
name = "far"
base_url = "http://127.0.0.1:{port}/v1"
auth = "none"
forwards = ["x-simulate-"]

[[model]]
name = "{model}"
targets = ["far/upstream-name"]
"""


@pytest.fixture(scope="module")
def upstream(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Upstream]:
    with start_upstream(tmp_path_factory.mktemp("upstream")) as served:
        yield served


def asked(gateway: Served, model: str = "simulated", key: str | None = None) -> int:
    """The status of a chat."""
    body = msgspec.json.encode({"model": model, "messages": [{"role": "user", "content": "hello"}]})
    headers = ((b"authorization", b"Bearer " + key.encode()),) if key else ()
    with gateway.connect() as connection:
        return connection.call("POST", CHAT, body, headers).status


def foz(folder: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    settings = clean_environment({"FOZ_DATA": str(folder / "data"), "HOME": str(folder), **environment})
    command = [sys.executable, "-m", "foz", *arguments]
    return subprocess.run(command, cwd=folder, env=settings, capture_output=True, text=True, check=False, timeout=30)


def test_the_line_to_try_works_as_it_stands(tmp_path: Path) -> None:
    """The `curl` line that `foz serve` prints gets an answer that says what it is, without a key or a network."""
    with start_gateway(tmp_path) as gateway:
        gateway.wait_for(lambda: "curl" in gateway.stdout, "the line to try")
        line = next(line for line in gateway.stdout.splitlines() if "curl" in line)
        words = shlex.split(line)
        body = words[words.index("-d") + 1].encode()
        with gateway.connect() as connection:
            reply = connection.call("POST", CHAT, body)

    assert f"http://127.0.0.1:{gateway.port}{CHAT}" in words
    assert "Models: simulated" in gateway.stdout
    assert reply.status == 200
    assert b"simulated model" in reply.body


def test_a_taken_port_is_told_in_one_line(tmp_path: Path) -> None:
    """A port in use says so in one line, names it and the way out; a variable that sets nothing is warned of."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        told = foz(tmp_path, "serve", "--port", str(port), FOZ_PROT="1")

    warning, error = told.stderr.splitlines()
    assert told.returncode == 1
    assert "FOZ_PROT sets nothing, did you mean FOZ_PORT?" in warning
    assert error == (f"Error: cannot listen on 127.0.0.1:{port}: address already in use; choose another with --port")


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_taken_port_is_seen_by_every_kind_of_start(tmp_path: Path, workers: str) -> None:
    """A second gateway on the port of a first one is refused, with one worker and with two."""
    with start_gateway(tmp_path / "first", "--workers", workers) as gateway:
        told = foz(tmp_path, "serve", "--port", str(gateway.port), "--workers", workers)

    assert told.returncode == 1
    assert "cannot listen" in told.stderr


def test_without_a_key_it_stays_on_this_machine(tmp_path: Path) -> None:
    """Another address than loopback is refused without a key, saying how to set one."""
    told = foz(tmp_path, "serve", "--host", "0.0.0.0", "--port", str(free_port()))

    assert told.returncode == 1
    assert "API_KEY" in told.stderr


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[server]\nport = 'x'\n", ["foz.toml:2", "server.port", "found"]),
        ("[server]\nprot = 1\n", ["foz.toml:2", "prot", "port"]),
        ("[server\n", ["foz.toml:1"]),
    ],
)
def test_a_wrong_file_is_told_with_its_line_and_key(tmp_path: Path, text: str, expected: list[str]) -> None:
    """A wrong `foz.toml` names file, line, key and what was expected, and nothing starts."""
    (tmp_path / "foz.toml").write_text(text)
    told = foz(tmp_path, "serve")

    assert told.returncode == 1
    assert "Traceback" not in told.stderr
    for word in expected:
        assert word in told.stderr


@pytest.mark.parametrize(("workers", "status"), [("1", 1), ("2", 78)])
def test_what_no_worker_can_use_ends_the_start(tmp_path: Path, workers: str, status: int) -> None:
    """A file of authorities that is missing is named in a line and nothing runs, with one worker and with two."""
    (tmp_path / "foz.toml").write_text('[outbound]\nca_file = "missing.pem"\n')
    told = foz(tmp_path, "serve", "--port", str(free_port()), "--workers", workers, OPENAI_API_KEY="sk-made-up")

    assert told.returncode == status
    said = "the authorities to trust cannot be read: No such file or directory."
    for line in told.stderr.strip().splitlines():
        assert f"missing.pem: {said} Correct [outbound] ca_file or SSL_CERT_FILE." in line
    assert said in told.stderr


def test_a_key_is_needed_once_there_is_one(tmp_path: Path) -> None:
    """With API_KEY set, no key and a wrong key get 401, the right one an answer; health stays open."""
    with start_gateway(tmp_path, environment={"API_KEY": "sk-made-up", "TEST_MODE": "true"}) as gateway:
        assert [asked(gateway), asked(gateway, key="wrong"), asked(gateway, key="sk-made-up")] == [401, 401, 200]
        with gateway.connect() as connection:
            assert connection.call("GET", "/health").status == 200
            assert connection.call("GET", "/metrics").status == 401


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_key_lives_and_dies_while_the_gateway_runs(tmp_path: Path, workers: str) -> None:
    """A key made while it runs opens its models and no others, in every worker; revoked, it is dead everywhere."""
    environment = {"API_KEY": "sk-made-up", "TEST_MODE": "true"}
    with start_gateway(tmp_path, "--workers", workers, environment=environment) as gateway:
        made = foz(tmp_path, "keys", "create", "--model", "allowed", "--project", "p", "--rate", "1000", "--json")
        assert made.returncode == 0, made.stderr
        new = msgspec.json.decode(made.stdout)
        wait_until(lambda: {asked(gateway, "allowed", new["key"]) for _ in range(8)} == {200}, "the key to open")
        assert asked(gateway, "other", new["key"]) == 403
        assert foz(tmp_path, "keys", "revoke", new["id"]).returncode == 0
        wait_until(lambda: {asked(gateway, "allowed", new["key"]) for _ in range(8)} == {401}, "the key to close", 2.0)


def test_a_rate_is_kept_over_two_workers(tmp_path: Path) -> None:
    """A key of three requests a minute gets at most three answers of two workers, and 429 for all others."""
    environment = {"API_KEY": "sk-made-up", "TEST_MODE": "true"}
    key = msgspec.json.decode(foz(tmp_path, "keys", "create", "--rate", "3", "--json").stdout)["key"]
    with start_gateway(tmp_path, "--workers", "2", environment=environment) as gateway:
        wait_until(lambda: time.time() % 60 < 50, "a minute that is not about to end", 11.0)
        statuses = [asked(gateway, key=key) for _ in range(12)]

    assert 1 <= statuses.count(200) <= 3
    assert set(statuses) == {200, 429}


@pytest.mark.parametrize("stream", ["true", "false"])
def test_what_was_said_is_kept_where_capture_is_on(tmp_path: Path, stream: str) -> None:
    """A captured skin's call leaves its messages and its answer's text in the day's file, and nothing in the log."""
    config = '[ledger]\ncapture = ["openai"]\n'
    body = BODY[:-1] + f',"stream":{stream}}}'.encode()
    with start_gateway(tmp_path, config=config) as gateway:
        with gateway.connect() as connection:
            assert connection.call("POST", CHAT, body).status == 200

        def kept() -> list[tuple[str, str]]:
            found = []
            for path in (tmp_path / "data" / "content").glob("*/content.db"):
                with (
                    suppress(sqlite3.OperationalError),  # it is just being made
                    closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as database,
                ):
                    found += database.execute("SELECT input, output FROM content").fetchall()
            return found

        wait_until(lambda: bool(kept()), "the content to be kept")
        ((heard, said),) = kept()

    assert msgspec.json.decode(heard) == [{"role": "user", "content": "hello"}]
    assert "simulated model" in said
    assert "simulated model" not in gateway.stderr


def test_a_reload_brings_new_models(tmp_path: Path, upstream: Upstream) -> None:
    """SIGHUP reads providers and models anew and names what waits for a restart; a broken file keeps the old ones."""
    with start_gateway(tmp_path, config=PROVIDER.format(port=upstream.port, model="first")) as gateway:
        assert [asked(gateway, "first"), asked(gateway, "second")] == [200, 404]
        (tmp_path / "foz.toml").write_text(PROVIDER.format(port=upstream.port, model="second"))
        gateway.process.send_signal(signal.SIGHUP)
        wait_until(lambda: asked(gateway, "second") == 200, "the new model")
        assert asked(gateway, "first") == 404
        assert "wait for a restart" not in gateway.stderr
        later = "[local]\nthreads = 1\nstall = '9s'\n" + PROVIDER.format(port=upstream.port, model="second")
        (tmp_path / "foz.toml").write_text(later)
        gateway.process.send_signal(signal.SIGHUP)
        gateway.wait_for(lambda: "wait for a restart: [local] stall" in gateway.stderr, "what waits in the log")
        (tmp_path / "foz.toml").write_text("[server\n")
        gateway.process.send_signal(signal.SIGHUP)
        gateway.wait_for(lambda: "not read anew" in gateway.stderr, "the refusal in the log")
        assert asked(gateway, "second") == 200


def test_two_workers_serve_one_port_and_come_back(tmp_path: Path) -> None:
    """Two workers answer on one port; one that is killed is replaced, and all the while callers are served."""
    with start_gateway(tmp_path, "--workers", "2", environment={"TEST_MODE": "true"}) as gateway:

        def workers() -> set[int]:
            children = Path(f"/proc/{gateway.pid}/task/{gateway.pid}/children").read_text().split()
            return set(map(int, children))

        def both_answer() -> bool:
            with gateway.connect() as connection:
                return b"foz_workers 2.0" in connection.call("GET", "/metrics").body

        wait_until(both_answer, "two workers' figures")
        before = workers()
        victim = min(before)
        subprocess.run(["kill", "-9", str(victim)], check=True)
        wait_until(lambda: len(workers() - before) == 1, "a successor")
        wait_until(both_answer, "two workers' figures again")

        assert {asked(gateway) for _ in range(8)} == {200}


def test_it_stops_when_told_and_finishes_what_it_does(tmp_path: Path, upstream: Upstream) -> None:
    """SIGTERM lets a running stream come to its end, then the process ends with status 0."""
    body = b'{"model":"m","stream":true,"messages":[{"role":"user","content":"hello"}]}'
    with start_gateway(tmp_path, config=PROVIDER.format(port=upstream.port, model="m")) as gateway:
        with gateway.connect() as connection:
            connection.send(
                b"POST %s HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\nx-simulate-pace: 0.05\r\n"
                b"content-length: %d\r\n\r\n%s" % (CHAT.encode(), len(body), body)
            )
            assert connection.head().status == 200
            gateway.process.terminate()
            said = b"".join(iter(connection.chunk, b""))

        assert said.endswith(b"data: [DONE]\n\n")
        assert gateway.wait() == 0


def test_tls_serves_whom_its_authority_vouches_for(tmp_path: Path) -> None:
    """`foz tls init` makes files with which `foz serve` speaks TLS; a client with another authority refuses it."""
    made = foz(tmp_path, "tls", "init")
    assert made.returncode == 0, made.stderr
    start = made.stdout.index("[server]")
    settings = tomllib.loads("\n".join(line.strip() for line in made.stdout[start:].splitlines()[:3]))["server"]
    config = f"[server]\ntls_cert = {settings['tls_cert']!r}\ntls_key = {settings['tls_key']!r}\n"
    (tmp_path / "foz.toml").write_text(config)
    authority = Path(settings["tls_cert"]).with_name("ca.pem")
    port = free_port()
    environment = {"FOZ_DATA": str(tmp_path / "data"), "HOME": str(tmp_path)}
    with Child([sys.executable, "-m", "foz", "serve", "--port", str(port)], tmp_path, environment) as child:
        child.wait_for(lambda: "curl" in child.stdout, "the line to try")
        trusting = ssl.create_default_context(cafile=str(authority))
        with (
            socket.create_connection(("127.0.0.1", port)) as plain,
            trusting.wrap_socket(plain, server_hostname="localhost") as secure,
        ):
            secure.sendall(
                b"POST %s HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\nconnection: close\r\n"
                b"content-length: %d\r\n\r\n%s" % (CHAT.encode(), len(BODY), BODY)
            )
            answer = b"".join(iter(lambda: secure.recv(65536), b""))
        with (
            socket.create_connection(("127.0.0.1", port)) as plain,
            pytest.raises(ssl.SSLCertVerificationError),
        ):
            ssl.create_default_context().wrap_socket(plain, server_hostname="localhost")

    assert answer.startswith(b"HTTP/1.1 200 ")
    assert "https://" in child.stdout


def test_a_page_of_an_allowed_origin_may_call(tmp_path: Path) -> None:
    """CORS is closed unless an origin is named: then its preflight and its calls are answered with that origin."""
    named = (b"origin", b"https://app.example")
    config = '[cors]\norigins = ["https://app.example"]\n'
    with start_gateway(tmp_path, config=config) as gateway:
        with gateway.connect() as connection:
            preflight = connection.call("OPTIONS", CHAT, b"", (named, (b"access-control-request-method", b"POST")))
        with gateway.connect() as connection:
            allowed = connection.call("POST", CHAT, BODY, (named,))
            refused = connection.call("POST", CHAT, BODY, ((b"origin", b"https://evil.example"),))

    assert preflight.status == 204
    assert b"POST" in (preflight.header(b"access-control-allow-methods") or b"")
    assert preflight.header(b"access-control-allow-origin") == b"https://app.example"
    assert allowed.status == 200
    assert allowed.header(b"access-control-allow-origin") == b"https://app.example"
    assert refused.status == 403
    assert refused.header(b"access-control-allow-origin") is None
