"""A stream that waits for its first token is kept alive, in the words of its API."""

from collections.abc import Iterator

import msgspec
import pytest

from foz.testing.process import Served, start_gateway
from foz.testing.raw import RawConnection, request

CONFIG = """
[limits]
keep_alive = "50ms"
"""
CHAT = "/v1/chat/completions"
WAITING = {
    CHAT: b": waiting\n\n",
    "/v1/responses": b": waiting\n\n",
    "/v1/messages": b'event: ping\ndata: {"type":"ping"}\n\n',
    "/api/chat": b" ",
}
PATHS = tuple(WAITING)


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("gateway")
    with start_gateway(folder, config=CONFIG, environment={"TEST_MODE": "true"}) as running:
        yield running


def asked(gateway: Served, path: str, *, stream: bool = True, **simulate: str) -> RawConnection:
    said = [{"role": "user", "content": "hello"}]
    about = {"input": said} if path == "/v1/responses" else {"messages": said, "max_tokens": 50}
    body = {"model": "m", "stream": stream, **about}
    headers = tuple((f"x-simulate-{name}".encode(), value.encode()) for name, value in simulate.items())
    connection = gateway.connect()
    connection.send(request("POST", path, msgspec.json.encode(body), headers))
    return connection


@pytest.mark.parametrize("path", PATHS)
def test_a_stream_is_kept_alive_until_its_first_token(gateway: Served, path: str) -> None:
    """What keeps it alive comes again and again, then the answer, whole; the connection serves the next one."""
    with asked(gateway, path, delay="0.3") as connection:
        assert connection.head().status == 200
        chunks = list(iter(connection.chunk, b""))
        kept = [chunk for chunk in chunks if chunk == WAITING[path]]

        assert len(kept) >= 2
        assert chunks[: len(kept)] == kept
        assert b"simulated" in b"".join(chunks)
        assert connection.call("GET", "/v1/models").status == 200


@pytest.mark.parametrize("path", PATHS)
def test_a_fault_after_that_is_told_in_the_stream(gateway: Served, path: str) -> None:
    """The status is gone: the fault is the stream's last word, and the stream does not end as finished ones do."""
    with asked(gateway, path, delay="0.2", status="500") as connection:
        assert connection.head().status == 200
        left = connection.rest()

    assert left.count(WAITING[path]) >= 1
    assert b'"error":' in left
    assert not left.endswith(b"0\r\n\r\n")


@pytest.mark.parametrize("path", PATHS)
def test_a_whole_answer_is_waited_for_in_silence(gateway: Served, path: str) -> None:
    """Who asked for no stream gets one answer with its length, however late."""
    with asked(gateway, path, stream=False, delay="0.2") as connection:
        reply = connection.reply()

    assert (reply.status, reply.header(b"transfer-encoding")) == (200, None)
    assert msgspec.json.decode(reply.body)["model"] == "m"


@pytest.mark.parametrize("path", PATHS)
def test_a_fast_stream_brings_nothing_else(gateway: Served, path: str) -> None:
    """A stream whose first token comes at once has nothing in it that keeps it alive, also while it pauses."""
    with asked(gateway, path, pace="0.02") as connection:
        assert connection.head().status == 200
        chunks = list(iter(connection.chunk, b""))

    assert WAITING[path] not in chunks
    assert len(chunks) > 5
