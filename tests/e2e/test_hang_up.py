"""A caller that leaves: the upstream sees its connection closed within 100 ms, and the entry says so."""

import shutil
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing

import msgspec
import pytest

from foz.testing.process import Child, Served, Upstream, free_port, start_gateway, start_upstream, wait_until
from foz.testing.raw import RawConnection, request

CHAT = "/v1/chat/completions"
WITHIN = 0.1
CONFIG = """
[[provider]]
name = "far"
base_url = "http://127.0.0.1:{port}/v1"
auth = "none"
forwards = ["x-simulate-"]

[[model]]
name = "public"
targets = ["far/upstream-name"]
"""
NGINX = """
daemon off; worker_processes 1; pid {folder}/nginx.pid; error_log stderr;
events {{ worker_connections 256; }}
http {{
  access_log off;
  client_body_temp_path {folder}/a; proxy_temp_path {folder}/b; fastcgi_temp_path {folder}/c;
  uwsgi_temp_path {folder}/d; scgi_temp_path {folder}/e;
  server {{
    listen 127.0.0.1:{port};
    location / {{ proxy_pass http://127.0.0.1:{behind}; proxy_http_version 1.1; proxy_buffering off;
                  proxy_set_header Connection ""; proxy_set_header Host localhost; }}
  }}
}}
"""


@pytest.fixture(scope="module")
def upstream(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Upstream]:
    with start_upstream(tmp_path_factory.mktemp("upstream")) as served:
        yield served


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory, upstream: Upstream) -> Iterator[Served]:
    with start_gateway(tmp_path_factory.mktemp("gateway"), config=CONFIG.format(port=upstream.port)) as served:
        yield served


@pytest.fixture(scope="module")
def nginx(tmp_path_factory: pytest.TempPathFactory, gateway: Served) -> Iterator[int]:
    program = shutil.which("nginx") or "/usr/sbin/nginx"
    folder, port = tmp_path_factory.mktemp("nginx"), free_port()
    (folder / "nginx.conf").write_text(NGINX.format(folder=folder, port=port, behind=gateway.port))
    with Child([program, "-p", str(folder), "-c", str(folder / "nginx.conf")], folder) as child:

        def listens() -> bool:
            try:
                RawConnection(port).close()
            except OSError:
                return False
            return True

        child.wait_for(listens, "nginx to listen")
        yield port


def body(*, stream: bool, tools: bool = False) -> bytes:
    asked: dict[str, object] = {"model": "public", "stream": stream, "messages": [{"role": "user", "content": "hello"}]}
    if tools:
        schema = {"type": "object", "properties": {"text": {"type": "string", "minLength": 2000}}, "required": ["text"]}
        asked["tools"] = [{"type": "function", "function": {"name": "write", "parameters": schema}}]
    return msgspec.json.encode(asked)


def in_first_byte(connection: RawConnection, upstream: Upstream, name: str) -> None:
    wait_until(lambda: name in upstream.seen()["request_ids"], "the upstream to see the request")


def in_stream(connection: RawConnection, upstream: Upstream, name: str) -> None:
    assert connection.head().status == 200
    for _ in range(3):
        connection.chunk()


CASES: dict[str, tuple[bytes, str, Callable[[RawConnection, Upstream, str], None]]] = {
    "before the first byte, streamed": (body(stream=True), "delay", in_first_byte),
    "before the first byte, whole": (body(stream=False), "delay", in_first_byte),
    "in the stream": (body(stream=True), "endless", in_stream),
    "in a tool call": (body(stream=True, tools=True), "pace", in_stream),
}
MISCHIEF = {
    "delay": ((b"x-simulate-delay", b"30"),),
    "endless": ((b"x-simulate-endless", b"1"), (b"x-simulate-pace", b"0.01")),
    "pace": ((b"x-simulate-pace", b"0.02"),),
}


def leave(port: int, upstream: Upstream, case: str, name: str) -> float:
    """Seconds from the caller's leaving to the upstream's seeing it."""
    asked, mischief, wait = CASES[case]
    headers = (*MISCHIEF[mischief], (b"x-request-id", name.encode()))
    with RawConnection(port) as connection:
        connection.send(request("POST", CHAT, asked, headers, host="localhost"))
        wait(connection, upstream, name)
        left = time.monotonic()
        connection.close()

    def gone() -> list[float]:
        return [float(cut["at"]) / 1000 for cut in upstream.seen()["cut"] if cut["request_id"] == name]

    wait_until(lambda: bool(gone()), "the upstream to see its connection closed", 5.0)
    return gone()[0] - left


def entry(gateway: Served, name: str) -> tuple[str, int]:
    """State and output tokens of a request's settled entry."""
    database = f"file:{gateway.folder / 'data' / 'foz.db'}?mode=ro"
    with closing(sqlite3.connect(database, uri=True)) as connection:

        def found() -> list[tuple[str, int]]:
            query = "SELECT state, output FROM entries WHERE request_id = ? AND state <> 'open'"
            return connection.execute(query, (name,)).fetchall()

        wait_until(lambda: bool(found()), "the entry to be settled")
        return found()[0]


@pytest.mark.parametrize("case", CASES)
def test_the_upstream_is_left_at_once(gateway: Served, upstream: Upstream, case: str) -> None:
    """Within 100 ms of the caller's leaving the upstream's connection is closed, and the entry says caller_gone."""
    name = f"direct-{list(CASES).index(case)}"
    took = leave(gateway.port, upstream, case, name)
    state, output = entry(gateway, name)

    assert took < WITHIN
    assert state == "caller_gone"
    assert (output == 0) == case.startswith("before")


def test_the_upstream_is_left_at_once_behind_nginx(gateway: Served, upstream: Upstream, nginx: int) -> None:
    """The same holds where the caller speaks to nginx, and nginx to us."""
    took = leave(nginx, upstream, "in the stream", "behind-nginx")

    assert took < WITHIN
    assert entry(gateway, "behind-nginx")[0] == "caller_gone"
