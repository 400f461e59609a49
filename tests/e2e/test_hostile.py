"""What raw sockets get that speak HTTP badly, slowly, too much or not at all."""

import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from foz.testing.process import Served, start_gateway
from foz.testing.raw import request

BODY = b'{"model":"simulated","messages":[{"role":"user","content":"hello"}]}'
CHAT = "/v1/chat/completions"
LIMITS = """
[limits]
header_timeout = 0.4
body_timeout = 0.4
idle_timeout = 0.6
max_header = "16KiB"
max_body = "64KiB"
"""


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder: Path = tmp_path_factory.mktemp("hostile")
    with start_gateway(folder, config=LIMITS, environment={"TEST_MODE": "true"}) as served:
        yield served


def sent(gateway: Served, *pieces: bytes) -> bytes:
    """Everything that comes back until the gateway closes."""
    with gateway.connect() as connection:
        for piece in pieces:
            connection.send(piece)
        return connection.rest()


def chat(headers: bytes, body: bytes = BODY, host: bytes = b"host: localhost\r\n") -> bytes:
    return (
        b"POST "
        + CHAT.encode()
        + b" HTTP/1.1\r\n"
        + host
        + b"content-type: application/json\r\n"
        + headers
        + b"\r\n"
        + body
    )


def status(answer: bytes) -> int:
    assert answer.startswith(b"HTTP/1.1 "), answer[:200]
    return int(answer[9:12])


SMUGGLED = {
    "length and chunks": b"content-length: 5\r\ntransfer-encoding: chunked\r\n",
    "two lengths": b"content-length: 5\r\ncontent-length: 68\r\n",
    "list of lengths": b"content-length: 68, 68\r\n",
    "signed length": b"content-length: +68\r\n",
    "negative length": b"content-length: -1\r\n",
    "length in hex": b"content-length: 0x44\r\n",
    "chunks not last": b"transfer-encoding: chunked, identity\r\n",
    "space before colon": b"content-length : 68\r\n",
    "folded header": b"content-length: 68\r\nx-a: b\r\n c\r\n",
    "bare CR": b"content-length: 68\r\nx-a: b\rc: d\r\n",
    "NUL in a value": b"content-length: 68\r\nx-a: b\x00c\r\n",
}


@pytest.mark.parametrize("headers", SMUGGLED.values(), ids=SMUGGLED)
def test_a_smuggled_request_is_refused(gateway: Served, headers: bytes) -> None:
    """A request whose end two servers could see differently gets 400 and a closed connection."""
    answer = sent(gateway, chat(headers))

    assert status(answer) == 400
    assert len(re.findall(rb"HTTP/1\.1 [0-9]{3} ", answer)) == 1


@pytest.mark.parametrize(
    "body",
    [
        b"5 \r\nhello\r\n0\r\n\r\n",
        b"0x5\r\nhello\r\n0\r\n\r\n",
        b"fffffffffffffffff\r\nx",
        b"5\r\nhelloXX0\r\n\r\n",
        b"-1\r\n\r\n",
    ],
)
def test_broken_chunks_are_refused(gateway: Served, body: bytes) -> None:
    """A chunk whose size or end is not as the standard says gets 400 and a closed connection."""
    answer = sent(gateway, chat(b"transfer-encoding: chunked\r\n", body))

    assert status(answer) == 400
    assert len(re.findall(rb"HTTP/1\.1 [0-9]{3} ", answer)) == 1


def test_a_chunked_body_is_served(gateway: Served) -> None:
    """A well-formed chunked body is a body like any other."""
    chunks = b"".join(b"%x\r\n%s\r\n" % (len(BODY[i : i + 7]), BODY[i : i + 7]) for i in range(0, len(BODY), 7))
    with gateway.connect() as connection:
        connection.send(chat(b"transfer-encoding: chunked\r\n", chunks + b"0\r\n\r\n"))

        assert connection.reply().status == 200


def test_a_pipelined_request_is_never_answered(gateway: Served) -> None:
    """Two requests in one breath: the first is answered, then the connection closes."""
    one = request("POST", CHAT, BODY)
    answer = sent(gateway, one + one)

    assert status(answer) == 200
    assert len(re.findall(rb"HTTP/1\.1 [0-9]{3} ", answer)) == 1
    assert b"connection: close" in answer


def test_one_after_the_other_is_served(gateway: Served) -> None:
    """A connection is kept for the next request, data plane and control plane in turn."""
    with gateway.connect() as connection:
        statuses = [
            connection.call("POST", CHAT, BODY).status,
            connection.call("GET", "/health").status,
            connection.call("POST", CHAT, BODY).status,
            connection.call("GET", "/v1/models").status,
            connection.call("GET", "/ready").status,
        ]

    assert statuses == [200] * 5


@pytest.mark.parametrize("host", [b"", b"host: localhost\r\nhost: localhost\r\n"], ids=["none", "two"])
@pytest.mark.parametrize("path", [CHAT, "/health"])
def test_a_request_needs_one_host(gateway: Served, host: bytes, path: str) -> None:
    """No Host, or two, gets 400 on both planes."""
    answer = sent(gateway, b"GET " + path.encode() + b" HTTP/1.1\r\n" + host + b"\r\n")

    assert status(answer) == 400


def test_a_foreign_host_is_refused_without_keys(gateway: Served) -> None:
    """Without any key a name that is not this machine's gets 403, so that DNS rebinding leads nowhere."""
    with gateway.connect() as connection:
        connection.send(request("POST", CHAT, BODY, host="evil.example"))

        assert connection.reply().status == 403


def test_a_foreign_page_is_refused_without_keys(tmp_path: Path) -> None:
    """Without any key a web page of another origin gets 403."""
    with start_gateway(tmp_path) as gateway, gateway.connect() as connection:
        reply = connection.call("POST", CHAT, BODY, ((b"origin", b"https://evil.example"),))

    assert reply.status == 403


def test_fifty_megabytes_of_headers_are_cut_off(gateway: Served) -> None:
    """Headers without end get 431 long before they are through, and memory stays where it was."""
    line = b"x-filler: " + b"a" * 1000 + b"\r\n"
    seen = b""
    with gateway.connect() as connection:
        connection.send(b"GET /health HTTP/1.1\r\nhost: localhost\r\n")
        try:
            for _ in range(50):
                connection.send(line * 1000)
        except (BrokenPipeError, ConnectionResetError):
            pass
        seen = connection.rest()

    assert seen == b"" or status(seen) == 431


def test_large_headers_get_their_status(gateway: Served) -> None:
    """A head just beyond the limit gets 431 and is told the limit."""
    answer = sent(gateway, chat(b"content-length: 0\r\nx-filler: " + b"a" * 17_000 + b"\r\n", b""))

    assert status(answer) == 431
    assert b"16384" in answer


def test_a_large_body_is_refused_before_it_is_sent(gateway: Served) -> None:
    """A length beyond the limit gets 413 though no byte of the body was sent."""
    answer = sent(gateway, chat(b"content-length: 70000\r\n", b""))

    assert status(answer) == 413
    assert b"65536" in answer


def test_a_large_chunked_body_is_refused(gateway: Served) -> None:
    """Chunks beyond the limit get 413 though no length was told."""
    chunk = b"1000\r\n" + b"a" * 4096 + b"\r\n"
    answer = sent(gateway, chat(b"transfer-encoding: chunked\r\n", chunk * 20))

    assert status(answer) == 413


@pytest.mark.parametrize(
    ("half", "expected"),
    [(b"POST /v1/chat/comp", 408), (chat(b"content-length: 68\r\n", BODY[:20]), 408), (b"", None)],
    ids=["half a head", "half a body", "silence"],
)
def test_whoever_stops_halfway_is_closed_in_time(gateway: Served, half: bytes, expected: int | None) -> None:
    """Half a request gets 408 within its timeout; a silent connection is closed without a word."""
    began = time.monotonic()
    answer = sent(gateway, half) if half else sent(gateway)

    assert time.monotonic() - began < 3
    assert (status(answer) if answer else None) == expected


def test_a_dripping_head_is_closed_in_time(gateway: Served) -> None:
    """A header that comes byte by byte does not hold its connection beyond the timeout."""
    began = time.monotonic()
    with gateway.connect() as connection:
        try:
            for byte in b"GET /health HTTP/1.1\r\nhost: localhost\r\nx: " + b"y" * 500:
                connection.send(bytes([byte]))
                time.sleep(0.01)  # the pace of the attack
        except (BrokenPipeError, ConnectionResetError):
            pass

    assert time.monotonic() - began < 4


def test_an_idle_connection_is_closed(gateway: Served) -> None:
    """A kept connection without a next request is closed after the idle timeout, without a word."""
    with gateway.connect() as connection:
        assert connection.call("POST", CHAT, BODY).status == 200
        assert connection.rest() == b""


@pytest.mark.parametrize(
    "garbage", [b"\x16\x03\x01\x02\x00\x01\x00", b"\x00" * 100, b"hello\r\n\r\n", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"]
)
def test_garbage_is_refused(gateway: Served, garbage: bytes) -> None:
    """TLS, zeros, words and HTTP/2 on a plain HTTP/1.1 port get 400 and a closed connection."""
    assert status(sent(gateway, garbage)) == 400


@pytest.mark.parametrize("offer", [b"websocket", b"h2c"])
def test_an_offered_upgrade_is_passed_over(gateway: Served, offer: bytes) -> None:
    """Who offers another protocol is served in this one, and nothing is read after it."""
    head = b"GET /v1/models HTTP/1.1\r\nhost: localhost\r\nconnection: upgrade\r\nupgrade: " + offer
    answer = sent(gateway, head + b"\r\n\r\n\x00\x01\x02")

    assert status(answer) == 200
    assert b"connection: close" in answer


def test_an_offered_upgrade_with_a_body_is_refused(gateway: Served) -> None:
    """A body that comes with such an offer is not skipped in silence: 400 says what to leave out."""
    answer = sent(gateway, chat(b"connection: upgrade\r\nupgrade: h2c\r\ncontent-length: %d\r\n" % len(BODY)))

    assert status(answer) == 400
    assert b"Upgrade" in answer


def test_expect_continue_is_honoured(gateway: Served) -> None:
    """A caller that waits for 100 Continue gets it, and then the answer."""
    with gateway.connect() as connection:
        connection.send(chat(b"expect: 100-continue\r\ncontent-length: %d\r\n" % len(BODY), b""))
        assert connection.until(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.send(BODY)

        assert connection.reply().status == 200


def test_http_1_0_is_answered_without_chunks(gateway: Served) -> None:
    """An HTTP/1.0 caller gets the stream as it is and the end of the connection as its end."""
    body = BODY[:-1] + b',"stream":true}'
    head = b"POST %s HTTP/1.0\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n"
    answer = sent(gateway, head % (CHAT.encode(), len(body)) + body)

    assert status(answer) == 200
    assert b"transfer-encoding" not in answer
    assert answer.endswith(b"data: [DONE]\n\n")


def test_the_process_stays_up_and_frees_all(gateway: Served) -> None:
    """After all of this the gateway answers, and no connection of ours is left open in it."""
    with gateway.connect() as connection:
        assert connection.call("POST", CHAT, BODY).status == 200


def test_trailers_without_end_are_cut_off(gateway: Served) -> None:
    """Fields after the last chunk are not kept, and beyond the limit of a head they get 431."""
    with gateway.connect() as connection:
        connection.send(chat(b"transfer-encoding: chunked\r\n", b"%x\r\n%s\r\n0\r\n" % (len(BODY), BODY)))
        seen = b""
        try:
            for _ in range(200):
                connection.send(b"x-trailer: " + b"a" * 1000 + b"\r\n")
        except (BrokenPipeError, ConnectionResetError):
            pass
        seen = connection.rest()

    assert seen == b"" or status(seen) == 431


def test_trailers_reach_nobody(gateway: Served) -> None:
    """A trailer that looks like a header of mischief is served as if it were not there."""
    chunks = b"%x\r\n%s\r\n0\r\nx-simulate-status: 500\r\n\r\n" % (len(BODY), BODY)
    with gateway.connect() as connection:
        connection.send(chat(b"transfer-encoding: chunked\r\n", chunks))

        assert connection.reply().status == 200


def test_a_pipelined_request_lends_no_headers(gateway: Served) -> None:
    """The headers of a request that is never looked at do not become those of the one before it."""
    first = b"GET /metrics HTTP/1.1\r\nhost: localhost\r\n\r\n"
    second = b"GET /metrics HTTP/1.1\r\nhost: localhost\r\norigin: https://evil.example\r\n\r\n"

    assert status(sent(gateway, first + second)) == 200


def test_a_body_in_tiny_chunks_is_one_body(gateway: Served) -> None:
    """A body of one-byte chunks is put together and served."""
    chunks = b"".join(b"1\r\n%c\r\n" % byte for byte in BODY)
    with gateway.connect() as connection:
        connection.send(chat(b"transfer-encoding: chunked\r\n", chunks + b"0\r\n\r\n"))

        assert connection.reply().status == 200


@pytest.mark.parametrize(
    ("target", "expected"),
    [(b"http://localhost/v1/chat/completions", 200), (b"http://evil.example/v1/chat/completions", 403), (b"*", 400)],
)
def test_an_absolute_target_counts_with_its_authority(gateway: Served, target: bytes, expected: int) -> None:
    """`POST http://host/path` is served as that host's path, whatever Host says; another form of target gets 400."""
    request_ = chat(b"connection: close\r\ncontent-length: %d\r\n" % len(BODY)).replace(CHAT.encode(), target, 1)

    assert status(sent(gateway, request_)) == expected


def test_a_late_body_does_not_bring_a_second_answer(gateway: Served) -> None:
    """Whoever was answered before the body came is not answered again when it never comes."""
    answer = sent(gateway, b"POST /health HTTP/1.1\r\nhost: localhost\r\ncontent-length: 5\r\n\r\n")

    assert len(re.findall(rb"HTTP/1\.1 [0-9]{3} ", answer)) == 1


@pytest.mark.parametrize(
    "header", [b"content-encoding: gzip", b"content-type: application/json; charset=latin-1"], ids=["gzip", "latin-1"]
)
def test_a_body_that_is_no_plain_json_is_refused(gateway: Served, header: bytes) -> None:
    """A body that says it is packed, or not UTF-8, gets 415 instead of a guess."""
    name, _, value = header.partition(b": ")
    with gateway.connect() as connection:
        assert connection.call("POST", CHAT, BODY, ((name, value),)).status == 415


def test_head_on_a_path_of_posts_has_no_body(gateway: Served) -> None:
    """HEAD gets the status and the length, never the body."""
    answer = sent(gateway, b"HEAD " + CHAT.encode() + b" HTTP/1.1\r\nhost: localhost\r\n\r\n")

    assert status(answer) == 405
    assert answer.endswith(b"\r\n\r\n")


def test_a_body_that_comes_after_its_answer_may_bring_the_next_request(gateway: Served) -> None:
    """Whoever was refused before the body came and sends it together with the next request gets that one served."""
    with gateway.connect() as connection:
        head = b"content-type: application/json\r\ncontent-length: 2\r\n\r\n"
        connection.send(b"POST /v1/nothing HTTP/1.1\r\nhost: localhost\r\n" + head)
        assert connection.reply().status == 404
        connection.send(b"{}" + request("POST", CHAT, BODY))

        assert connection.reply().status == 200
