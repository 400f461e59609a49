"""The ModelService against whoever means no good, or knows no better: the right status, and the process goes on."""

import socket
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import grpc
import msgspec
import pytest

from foz.config.certificates import make_pair
from foz.net.clock import SystemClock
from foz.skins.model_grpc import model_pb2 as pb
from foz.testing.authority import Authority
from foz.testing.frames import DATA, END_STREAM, SETTINGS, Wire, frame
from foz.testing.process import Child, Served, free_port, start_gateway, wait_until
from foz.testing.service import Service

KEY = "sk-hostile-0123456789"
OK = grpc.StatusCode.OK
ENVIRONMENT = {"TEST_MODE": "true", "API_KEY": KEY}
CONFIG = """
[limits]
max_body = "256 KiB"
max_header = "16 KiB"
body_timeout = "6s"
max_connections = 20000
write_timeout = "2s"
"""
ASKED = pb.ChatCompletionRequest(model_id="any", messages=[pb.Message(role="user", content="Hello!")])
STREAMS, LINES = 1000, 10


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Served, int]]:
    port = free_port()
    folder = tmp_path_factory.mktemp("gateway")
    with start_gateway(folder, config=CONFIG, environment=ENVIRONMENT, grpc_port=port) as served:
        yield served, port


def serves(port: int, key: str = KEY) -> bool:
    """Whether a plain call is answered."""
    with Service(port, key=key) as service:
        return service.call("CreateChatCompletion", ASKED).code is OK


@pytest.fixture(autouse=True)
def _stays_up(gateway: tuple[Served, int]) -> Iterator[None]:
    """After each case the same process answers, and has logged no defect."""
    served, port = gateway
    yield
    assert serves(port)
    assert "the gRPC process ended" not in served.stderr
    assert "defect" not in served.stderr
    assert "Traceback" not in served.stderr


# -- keys ------------------------------------------------------------------


@pytest.mark.parametrize(
    "method", ["ListModels", "CreateChatCompletion", "CreateChatCompletionStream", "DeployLocalModel"]
)
@pytest.mark.parametrize("key", [None, "sk-unknown-000000"])
def test_no_key_and_an_unknown_key_are_unauthenticated(
    gateway: tuple[Served, int], method: str, key: str | None
) -> None:
    """Without a key, or with one that nobody knows, each method is UNAUTHENTICATED and names the request."""
    with Service(gateway[1], key=key) as service:
        ended = service.raw(method, b"", ("x-request-id", "who"))

    assert ended.code is grpc.StatusCode.UNAUTHENTICATED
    assert ended.trailers["x-request-id"] == "who"


def test_who_may_not_ask_is_told_before_a_message_came(gateway: tuple[Served, int]) -> None:
    """A call without a key ends at once, though its message was never sent."""
    with Wire(gateway[1]) as wire:
        wire.begin(1, "CreateChatCompletion")

        assert wire.ended(1) == {1}


def test_a_revoked_key_is_dead_within_seconds(gateway: tuple[Served, int]) -> None:
    """A key of `foz keys create` opens calls until `foz keys revoke`, and then no more."""
    served, port = gateway

    def foz(*words: str) -> str:
        ran = subprocess.run(
            [sys.executable, "-m", "foz", *words],
            cwd=served.folder, env=served.environment, check=True, capture_output=True, text=True,
        )  # fmt: skip
        return ran.stdout

    made = msgspec.json.decode(foz("keys", "create", "--json"))
    key = made["key"]
    wait_until(lambda: serves(port, key), "the key to be known")
    foz("keys", "revoke", made["id"])
    wait_until(lambda: not serves(port, key), "the key to be dead", 3.0)


# -- messages --------------------------------------------------------------


def test_a_message_that_is_too_large_is_refused(gateway: tuple[Served, int]) -> None:
    """A message larger than `[limits] max_body` is RESOURCE_EXHAUSTED; one that fits is answered."""
    large = pb.ChatCompletionRequest(model_id="any", messages=[pb.Message(role="user", content="x" * 2**20)])
    with Service(gateway[1], key=KEY) as service:
        ended = service.call("CreateChatCompletion", large)

    assert ended.code is grpc.StatusCode.RESOURCE_EXHAUSTED


def test_a_gigabyte_is_refused_by_its_length(gateway: tuple[Served, int]) -> None:
    """A message that says it has 1 GiB ends its call when its length is read, not when it has come."""
    with Wire(gateway[1]) as wire:
        wire.begin(1, "CreateChatCompletion", ("authorization", f"Bearer {KEY}"))
        wire.send(frame(DATA, 0, 1, b"\0" + (2**30).to_bytes(4) + b"x" * 1000))

        assert wire.ended(1) == {1}


@pytest.mark.parametrize("message", [b"\x0a\x02\xff\xfe", b"\x12\x04\x12\x02\xc3\x28", b"\xff" * 64, b"\x0a\x7f"])
def test_what_is_no_message_is_an_invalid_argument(gateway: tuple[Served, int], message: bytes) -> None:
    """Invalid UTF-8, a broken tag, a length beyond the end: INVALID_ARGUMENT."""
    with Service(gateway[1], key=KEY) as service:
        ended = service.raw("CreateChatCompletionStream", message)

    assert ended.code is grpc.StatusCode.INVALID_ARGUMENT


def test_fields_that_nobody_knows_are_no_fault(gateway: tuple[Served, int]) -> None:
    """A message with fields of a later proto is answered."""
    with Service(gateway[1], key=KEY) as service:
        ended = service.raw("CreateChatCompletion", ASKED.SerializeToString() + b"\xfa\x3f\x02hi")

    assert ended.code is OK


def test_metadata_that_is_wrong_or_too_much_is_refused(gateway: tuple[Served, int]) -> None:
    """A project of 1,000 characters is INVALID_ARGUMENT by its name; 64 KiB of metadata are RESOURCE_EXHAUSTED."""
    with Service(gateway[1], key=KEY) as service:
        long = service.call("CreateChatCompletion", ASKED, ("x-foz-project", "p" * 1000))
        much = service.call("CreateChatCompletion", ASKED, ("x-much", "m" * 65536))

    assert long.code is grpc.StatusCode.INVALID_ARGUMENT
    assert "X-Foz-Project" in long.message
    assert much.code is grpc.StatusCode.RESOURCE_EXHAUSTED


# -- connections -----------------------------------------------------------


def test_ten_thousand_idle_streams_are_borne_and_left(gateway: tuple[Served, int]) -> None:
    """With 10,000 calls begun that never send their message another is served meanwhile, and all are ended in time."""
    wires = [Wire(gateway[1]) for _ in range(LINES)]
    try:
        for wire in wires:
            for number in range(STREAMS):
                wire.begin(2 * number + 1, "CreateChatCompletion", ("authorization", f"Bearer {KEY}"))
        wait_until(lambda: serves(gateway[1]), "another call to be served", 30.0)
        ended = [len(wire.ended(STREAMS)) for wire in wires]
    finally:
        for wire in wires:
            wire.__exit__(None, None, None)

    assert ended == [STREAMS] * LINES


@pytest.mark.parametrize(
    "said", [b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n", b"\x16\x03\x01" + b"\0" * 64, b"PRI * HTTP/2.0\r\n\r\nSM"]
)
def test_who_speaks_something_else_is_left(gateway: tuple[Served, int], said: bytes) -> None:
    """HTTP/1.1, TLS where there is none, half a preface: the connection ends or waits, and nothing else happens."""
    with socket.create_connection(("127.0.0.1", gateway[1]), 10) as line:
        line.sendall(said)


def test_a_frame_that_lies_ends_its_connection(gateway: tuple[Served, int]) -> None:
    """Settings whose length cannot be end the connection."""
    with Wire(gateway[1]) as wire:
        wire.send(frame(SETTINGS, 0, 0, b"12345"))

        assert SETTINGS in {one.kind for one in wire.frames()}


def test_who_takes_nothing_is_left(gateway: tuple[Served, int]) -> None:
    """A caller who opens no window for an endless answer: its upstream is left when `write_timeout` has passed."""
    served, port = gateway
    with Wire(port) as wire:
        wire.begin(1, "CreateChatCompletionStream", ("authorization", f"Bearer {KEY}"), ("x-simulate-endless", "1"))
        message = ASKED.SerializeToString()
        wire.send(frame(DATA, END_STREAM, 1, b"\0" + len(message).to_bytes(4) + message))
        wait_until(lambda: _state(served, "open"), "the answer to begin")

        wait_until(lambda: _state(served, "caller_gone"), "the answer to be given up", 15.0)


def _state(served: Served, state: str) -> bool:
    """Whether the last streamed entry is in this state."""
    with closing(sqlite3.connect(f"file:{served.folder}/data/foz.db?mode=ro", uri=True)) as books:
        rows = books.execute("SELECT state FROM entries WHERE stream ORDER BY id DESC LIMIT 1").fetchall()
    return rows == [(state,)]


# -- TLS -------------------------------------------------------------------


def _server(folder: Path, more: str = "") -> None:
    """Settings with the files of `foz tls init`."""
    pair = make_pair((), SystemClock().now(), 30)
    for name, text in (("ca.pem", pair.ca), ("server.pem", pair.certificate), ("key.pem", pair.key)):
        (folder / name).write_bytes(text)
    tls = f'tls_cert = "{folder}/server.pem"\ntls_key = "{folder}/key.pem"'
    (folder / "foz.toml").write_text(f"[server]\n{tls}\n{more}")


def _started(folder: Path, port: int) -> Child:
    environment = {**ENVIRONMENT, "FOZ_DATA": str(folder / "data"), "HOME": str(folder), "FOZ_GRPC_PORT": str(port)}
    child = Child([sys.executable, "-m", "foz", "serve", "--port", str(free_port())], folder, environment)
    try:
        child.wait_for(lambda: "gRPC: " in child.stdout, "gRPC to listen")
    except BaseException:
        child.stop()
        raise
    return child


def _asked(port: int, ca: Path | None, pair: tuple[Path, Path] | None = None) -> grpc.StatusCode:
    with Service(port, key=KEY, ca=ca, pair=pair, host="localhost") as service:
        return service.call("CreateChatCompletion", ASKED, deadline=10).code


def test_tls_serves_whom_its_authority_vouches_for(tmp_path: Path) -> None:
    """With a certificate: who trusts its authority is served, who trusts another or speaks plainly is not."""
    port = free_port()
    _server(tmp_path)
    (tmp_path / "other.pem").write_bytes(make_pair((), SystemClock().now(), 30).ca)
    with _started(tmp_path, port) as child:
        assert "without TLS" not in child.stdout
        assert _asked(port, tmp_path / "ca.pem") is OK
        assert _asked(port, tmp_path / "other.pem") is grpc.StatusCode.UNAVAILABLE
        assert _asked(port, None) is grpc.StatusCode.UNAVAILABLE
        assert _asked(port, tmp_path / "ca.pem") is OK


def test_with_an_authority_of_clients_each_must_show_a_certificate(tmp_path: Path) -> None:
    """With `[grpc] client_ca` a client with a certificate of it is served, one without is not let in."""
    port = free_port()
    authority = Authority(tmp_path, SystemClock().now())
    pair = authority.client("billing")
    _server(tmp_path, f'[grpc]\nclient_ca = "{authority.path}"\n')
    with _started(tmp_path, port):
        assert _asked(port, tmp_path / "ca.pem", pair) is OK
        assert _asked(port, tmp_path / "ca.pem") is grpc.StatusCode.UNAVAILABLE


def test_more_calls_than_there_may_be_are_refused(tmp_path: Path) -> None:
    """With room for three calls, three that say nothing keep the fourth out; when they have left, others are served."""
    port = free_port()
    bearer = ("authorization", f"Bearer {KEY}")
    config = "[limits]\nmax_connections = 3\n"
    with start_gateway(tmp_path, config=config, environment=ENVIRONMENT, grpc_port=port):
        wait_until(lambda: serves(port), "the process to serve")
        with Wire(port) as wire:
            for number in (1, 3, 5, 7):
                wire.begin(number, "CreateChatCompletion", bearer)
            assert wire.ended(1) == {7}
        wait_until(lambda: serves(port), "the calls to have left")
