"""The simulated upstream behind a real socket, byte by byte."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from foz.testing.process import Upstream, start_upstream, wait_until
from foz.testing.raw import RawConnection, request
from foz.wire import sse

CHAT = "/v1/chat/completions"
HELLO = b'{"model":"m","messages":[{"role":"user","content":"Hello there"}]}'
STREAM = HELLO[:-1] + b',"stream":true,"stream_options":{"include_usage":true}}'


@pytest.fixture(scope="module")
def upstream(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Upstream]:
    with start_upstream(tmp_path_factory.mktemp("upstream")) as running:
        yield running


def _header(**named: str) -> tuple[tuple[bytes, bytes], ...]:
    return tuple((f"x-simulate-{name.replace('_', '-')}".encode(), value.encode()) for name, value in named.items())


def _frames(body: bytes) -> list[bytes]:
    decoder = sse.Decoder()
    return [frame.data for frame in (*decoder.feed(body), *decoder.close())]


def _until_closed(upstream: Upstream, data: bytes) -> bytes:
    with upstream.connect() as connection:
        connection.send(data)
        return connection.rest()


def test_one_connection_serves_many_requests(upstream: Upstream) -> None:
    """Whole answers, streams and errors follow one another over one connection, pipelined ones in order."""
    with upstream.connect() as connection:
        whole = connection.call("POST", CHAT, HELLO)
        stream = connection.call("POST", CHAT, STREAM)
        missing = connection.call("GET", "/v1/nothing")
        connection.send(request("POST", CHAT, HELLO) + request("GET", "/v1/models"))
        first, second = connection.reply(), connection.reply()

    assert [whole.status, stream.status, missing.status] == [200, 200, 404]
    text = msgspec.json.decode(whole.body)["choices"][0]["message"]["content"]
    chunks = [msgspec.json.decode(frame) for frame in _frames(stream.body)[:-1]]
    assert _frames(stream.body)[-1] == b"[DONE]"
    assert "".join(choice["delta"].get("content", "") for chunk in chunks for choice in chunk["choices"]) == text
    assert chunks[-1]["usage"] == msgspec.json.decode(whole.body)["usage"]
    assert first == whole
    assert msgspec.json.decode(second.body)["data"][0]["id"] == "simulated"


def test_a_request_id_comes_back(upstream: Upstream) -> None:
    """The caller's `x-request-id` is echoed; who brought none gets one."""
    with upstream.connect() as connection:
        echoed = connection.call("POST", CHAT, HELLO, ((b"x-request-id", b"abc"),))
        made = connection.call("POST", CHAT, HELLO)

    assert echoed.header(b"x-request-id") == b"abc"
    assert (made.header(b"x-request-id") or b"").startswith(b"req_")


def test_what_was_asked_is_logged_before_it_is_answered(upstream: Upstream) -> None:
    """A request that never gets an answer is in the log and in the counters, with its request id and ledger entry."""
    headers = (*_header(hang="0"), (b"x-request-id", b"id-1"), (b"x-foz-entry", b"entry-1"))
    with upstream.connect() as connection:
        connection.send(request("POST", CHAT, HELLO, headers))
        wait_until(lambda: (CHAT, "id-1", "entry-1") in upstream.logged(), "the line in the log")

        assert "id-1" in upstream.seen()["request_ids"]


def test_the_upstream_says_when_its_peer_left(upstream: Upstream) -> None:
    """A stream whose reader leaves is noted with its request id, how far it was, and the moment, within 100 ms."""
    with upstream.connect() as connection:
        connection.send(request("POST", CHAT, STREAM, (*_header(hang="3"), (b"x-request-id", b"id-cut"))))
        connection.head()
        for _ in range(3):
            connection.chunk()
        left = time.monotonic() * 1000
    found: list[dict[str, Any]] = []

    def noted() -> bool:
        found[:] = [cut for cut in upstream.seen()["cut"] if cut["request_id"] == "id-cut"]
        return bool(found)

    wait_until(noted, "the cut to be noted")
    assert found[0]["pieces"] == 3
    assert found[0]["path"] == CHAT
    assert 0 <= found[0]["at"] - left < 100


def test_leaving_before_the_first_byte_is_noted(upstream: Upstream) -> None:
    """A peer that leaves while the upstream has not answered at all is noted with no piece written."""
    with upstream.connect() as connection:
        connection.send(request("POST", CHAT, HELLO, (*_header(hang="0"), (b"x-request-id", b"id-early"))))
        wait_until(lambda: "id-early" in upstream.seen()["request_ids"], "the request to be seen")

    wait_until(lambda: any(cut["request_id"] == "id-early" for cut in upstream.seen()["cut"]), "the cut")
    assert [cut["pieces"] for cut in upstream.seen()["cut"] if cut["request_id"] == "id-early"] == [0]


def test_nothing_is_left_of_those_who_left(upstream: Upstream) -> None:
    """Connections closed by their peers, idle or in an endless stream, are no longer open and nothing is answered."""
    connections = [upstream.connect() for _ in range(5)]
    for connection in connections:
        connection.send(request("POST", CHAT, STREAM, _header(endless="1", pace="0.001")))
        connection.head()
    for connection in connections:
        connection.reset()

    wait_until(lambda: upstream.seen()["connections"]["open"] == 1, "only the connection that asks to be open")
    assert upstream.seen()["answering"] == 0


def test_an_endless_stream_waits_for_its_reader(upstream: Upstream) -> None:
    """A peer that does not read stops the stream: the server stays small and answers others."""
    with upstream.connect() as silent, upstream.connect() as other:
        silent.send(request("POST", CHAT, STREAM, _header(endless="1")))
        silent.head()

        assert other.call("POST", CHAT, HELLO).status == 200
        assert b" and on" in silent.exactly(3_000_000)


@pytest.mark.parametrize("body", [HELLO, STREAM], ids=["whole", "stream"])
@pytest.mark.parametrize("width", ["1", "7", "1000"])
def test_fragments_change_nothing(upstream: Upstream, body: bytes, width: str) -> None:
    """An answer written in pieces of any size is the same answer."""
    with upstream.connect() as connection:
        plain = connection.call("POST", CHAT, body)

        assert connection.call("POST", CHAT, body, _header(fragment=width)) == plain


def test_close_before_any_byte(upstream: Upstream) -> None:
    """`x-simulate-socket: close` closes without an answer."""
    assert _until_closed(upstream, request("POST", CHAT, HELLO, _header(socket="close"))) == b""


@pytest.mark.parametrize("body", [HELLO, STREAM], ids=["whole", "stream"])
def test_reset_in_the_middle(upstream: Upstream, body: bytes) -> None:
    """`x-simulate-socket: reset` ends the connection in the middle of an answer that began well."""
    with upstream.connect() as connection:
        connection.send(request("POST", CHAT, body, _header(socket="reset")))
        with pytest.raises(EOFError):
            connection.reply()


def test_a_content_length_that_is_too_long(upstream: Upstream) -> None:
    """`x-simulate-socket: length` promises more bytes than come."""
    answer = _until_closed(upstream, request("POST", CHAT, HELLO, _header(socket="length")))
    head, _, body = answer.partition(b"\r\n\r\n")

    assert b"content-length: %d" % (len(body) + 100) in head


@pytest.mark.parametrize("body", [HELLO, STREAM], ids=["whole", "stream"])
def test_a_broken_chunk(upstream: Upstream, body: bytes) -> None:
    """`x-simulate-socket: chunk` sends a chunk whose size is no number."""
    with upstream.connect() as connection:
        connection.send(request("POST", CHAT, body, _header(socket="chunk")))
        with pytest.raises(ValueError, match="invalid literal for int"):
            connection.reply()


@pytest.mark.parametrize("body", [HELLO, STREAM], ids=["whole", "stream"])
def test_a_cut_never_looks_finished(upstream: Upstream, body: bytes) -> None:
    """A cut closes the connection before the promised length, or without the last chunk."""
    with upstream.connect() as connection:
        connection.send(request("POST", CHAT, body, _header(cut="2")))
        with pytest.raises(EOFError):
            connection.reply()


def test_a_delay_and_a_pace_are_kept(upstream: Upstream) -> None:
    """The head comes no earlier than the delay, and the pieces no closer than the pace."""
    began = time.monotonic()
    with upstream.connect() as connection:
        connection.send(request("POST", CHAT, STREAM, _header(delay="0.05", pace="0.01", words="5")))
        connection.head()
        head = time.monotonic()
        pieces = list(iter(connection.chunk, b""))
    end = time.monotonic()

    assert head - began >= 0.05
    assert end - head >= 0.01 * (len(pieces) - 1)


def test_garbage_gets_an_error_and_a_close(upstream: Upstream) -> None:
    """What is no HTTP gets a 400 and a closed connection, and the server lives on."""
    answer = _until_closed(upstream, b"\x16\x03\x01 nonsense\r\n\r\n")

    assert answer.startswith(b"HTTP/1.1 400 ")
    assert upstream.process.poll() is None


def test_counters_can_be_forgotten(tmp_path: Path) -> None:
    """`DELETE /_seen` sets the counters back; what is open stays counted."""
    with start_upstream(tmp_path) as upstream, RawConnection(upstream.port) as connection:
        connection.call("POST", CHAT, HELLO)
        connection.call("DELETE", "/_seen")
        seen = msgspec.json.decode(connection.call("GET", "/_seen").body)

        assert seen["requests"] == {"/_seen": 1}
        assert seen["connections"] == {"opened": 1, "open": 1}


def test_sigterm_ends_it_at_once(tmp_path: Path) -> None:
    """SIGTERM ends the server while a stream hangs, with status 0 and nothing on stderr."""
    with start_upstream(tmp_path) as upstream, upstream.connect() as connection:
        connection.send(request("POST", CHAT, STREAM, _header(hang="1")))
        connection.head()

        assert upstream.stop(5) == 0
        assert upstream.stderr == ""
