"""The gRPC process starts with its first call: by one or by many, over TLS, and while we are being stopped."""

import signal
import socket
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import grpc
import pytest

from foz.config.certificates import make_pair
from foz.net.clock import SystemClock
from foz.skins.model_grpc import model_pb2 as pb
from foz.skins.model_grpc.skin import path_of
from foz.testing.process import Child, Served, free_port, start_gateway, wait_until
from foz.testing.service import Service

OK = grpc.StatusCode.OK
ASKED = pb.ChatCompletionRequest(model_id="simulated", messages=[pb.Message(role="user", content="Hello!")])
CALLERS = 20
ANSWERED_WITHIN = 15.0
"""Seconds that a first call may take here: 0.6 s on a machine with nothing else to do, which these have not."""


def started(folder: Path, port: int, *arguments: str, config: str = "") -> Served:
    return start_gateway(folder, *arguments, config=config, environment={"TEST_MODE": "true"}, grpc_port=port)


def processes(gateway: Child) -> list[int]:
    """Those that serve gRPC."""
    threads = Path(f"/proc/{gateway.pid}/task").iterdir()
    children = [int(child) for thread in threads for child in (thread / "children").read_text().split()]
    return [child for child in children if b"--grpc\0" in Path(f"/proc/{child}/cmdline").read_bytes()]


def led(process: int) -> int:
    """First callers that are passed on to it just now."""
    said = Path(f"/proc/{process}/cmdline").read_bytes().split(b"\0")
    inner = "@" + said[said.index(b"--inner") + 1].decode()
    rows = [row.split() for row in Path("/proc/net/unix").read_text().splitlines()]
    return sum(row[-1] == inner and row[5] == "03" for row in rows)


def test_many_first_callers_are_all_answered(tmp_path: Path) -> None:
    """Nothing runs until somebody calls; twenty who call at once are answered by one process, and led to its port."""
    port = free_port()
    with started(tmp_path, port) as gateway:
        assert processes(gateway) == []
        assert gateway.stdout.count(f"gRPC: 127.0.0.1:{port}, without TLS") == 1

        with ExitStack() as open_lines, ThreadPoolExecutor(CALLERS) as pool:
            services = [open_lines.enter_context(Service(port)) for _ in range(CALLERS)]
            ended = pool.map(lambda one: one.call("CreateChatCompletion", ASKED, deadline=ANSWERED_WITHIN), services)
            assert {one.code for one in ended} == {OK}
            (process,) = processes(gateway)
            wait_until(lambda: not led(process), "the first callers to be asked to come to the port")
            again = [one.call("CreateChatCompletion", ASKED, deadline=ANSWERED_WITHIN).code for one in services]
            assert set(again) == {OK}
            assert not led(process)
        assert gateway.stdout.count("gRPC: ") == 1


def test_a_first_stream_is_told_to_its_end(tmp_path: Path) -> None:
    """A stream of the first caller that lasts longer than its way in is cut by nobody."""
    port = free_port()
    with started(tmp_path, port) as gateway, Service(port) as service:
        metadata = (("x-simulate-pace", "0.1"), ("x-simulate-words", "30"))
        stream = service.channel.unary_stream(path_of("CreateChatCompletionStream"), bytes, bytes)(
            ASKED.SerializeToString(), timeout=30, metadata=metadata
        )
        told = [pb.ChatCompletionChunk.FromString(piece) for piece in stream]
        assert stream.code() is OK
        assert told[-1].usage.completion_tokens > 0
        assert len(told) > 20
        assert len(processes(gateway)) == 1


def test_the_first_call_may_come_over_tls_and_to_a_gateway_of_workers(tmp_path: Path) -> None:
    """With a certificate and two workers: the first caller sees the certificate and is answered."""
    port = free_port()
    pair = make_pair((), SystemClock().now(), 30)
    (tmp_path / "ca.pem").write_bytes(pair.ca)
    (tmp_path / "server.pem").write_bytes(pair.certificate)
    (tmp_path / "key.pem").write_bytes(pair.key)
    files = f'tls_cert = "{tmp_path}/server.pem"\ntls_key = "{tmp_path}/key.pem"'
    (tmp_path / "foz.toml").write_text(f"[server]\nworkers = 2\n{files}\n")
    environment = {"TEST_MODE": "true", "FOZ_DATA": str(tmp_path / "data"), "HOME": str(tmp_path)}
    command = [sys.executable, "-m", "foz", "serve", "--port", str(free_port()), "--grpc-port", str(port)]
    with Child(command, tmp_path, environment) as gateway:
        gateway.wait_for(lambda: "listens on" in gateway.stdout, "the gateway to listen")
        assert f"gRPC: 127.0.0.1:{port}\n" in gateway.stdout
        assert processes(gateway) == []
        with Service(port, ca=tmp_path / "ca.pem", host="localhost") as service:
            assert service.call("CreateChatCompletion", ASKED, deadline=ANSWERED_WITHIN).code is OK
        assert len(processes(gateway)) == 1


@pytest.mark.parametrize("called", [False, True])
def test_stopping_waits_for_no_first_caller(tmp_path: Path, called: bool) -> None:
    """Told to stop before anybody called, or while somebody who says nothing waits: it stops, and leaves nothing."""
    port = free_port()
    with started(tmp_path, port) as gateway:
        if called:
            with socket.create_connection(("127.0.0.1", port)):
                wait_until(lambda: len(processes(gateway)) == 1, "the process to be started")
                gateway.process.send_signal(signal.SIGTERM)
                assert gateway.wait() == 0
        else:
            gateway.process.send_signal(signal.SIGTERM)
            assert gateway.wait() == 0
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port))


def test_who_listens_for_others_is_there_at_once(tmp_path: Path) -> None:
    """On an address of others the process starts with the gateway."""
    port = free_port()
    config = f'[auth]\napi_key = "sk-first-0123456789"\n[grpc]\nhost = "0.0.0.0"\nport = {port}\nplaintext = true\n'
    with started(tmp_path, port, config=config) as gateway:
        assert len(processes(gateway)) == 1
