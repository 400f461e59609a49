"""Errors, vectors and lists of an Ollama server: what each means."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from foz.canon.fault import Down, Fault, Garbled, Limited, Refused, Timeout
from foz.canon.usage import Usage
from foz.dialects.ollama.answer import seconds
from foz.dialects.ollama.client import EmbedClient, WordsClient
from foz.dialects.ollama.faults import decode_fault
from foz.dialects.ollama.models import read_tags
from foz.wire.http import Headers, Reply
from tests.strategies import JSON

CLIENT = WordsClient()
JSON_TYPE: Headers = ((b"content-type", b"application/json; charset=utf-8"),)


def _reply(status: int, body: bytes, headers: Headers = JSON_TYPE) -> Reply:
    return Reply(status, headers, body)


def _heard(line: bytes) -> str:
    """`done`, or the code of the fault that a stream of this line ends with."""
    decoder = CLIENT.decoder()
    try:
        decoder.feed(line + b"\n")
        decoder.close()
    except Fault as fault:
        return fault.code
    return "done"


@pytest.mark.parametrize(
    ("status", "body", "kind", "shown", "words"),
    [
        (400, b'{"error":"\\"m\\" does not support thinking"}', Refused, 400, '"m" does not support thinking'),
        (400, b'{"error":{"message":"in an object"}}', Refused, 400, "in an object"),
        (400, b"", Refused, 400, "answered 400"),
        (401, b'{"error":"unauthorized","signin_url":"https://ollama.com/connect?key=x"}', Refused, 502, "sign in"),
        (403, b'{"error":"cloud is disabled"}', Refused, 502, "refused the gateway"),
        (404, b'{"error":"model \'x\' not found"}', Refused, 404, "model 'x' not found"),
        (404, b"404 page not found", Refused, 502, "base URL"),
        (405, b"405 method not allowed", Refused, 405, "method not allowed"),
        (302, b"", Refused, 502, "base URL"),
        (402, b'{"error":"no credit"}', Limited, 429, "no credit"),
        (408, b"", Timeout, 504, "answered 408"),
        (429, b'{"error":"too many"}', Limited, 429, "too many"),
        (499, b'{"error":"request canceled"}', Down, 502, "request canceled"),
        (500, b'{"error":"CUDA error"}', Down, 502, "CUDA error"),
        (502, b"<html>bad gateway</html>", Down, 502, "answered 502"),
        (503, b'{"error":"server busy, please try again"}', Down, 502, "server busy"),
        (504, b"\xff\x00\n", Timeout, 504, "answered 504"),
    ],
)  # fmt: skip
def test_a_status_decides_whose_fault_it_is(
    status: int, body: bytes, kind: type[Fault], shown: int, words: str
) -> None:
    """Each status of the server is its class of fault, with its text, and no page or link in it."""
    fault = CLIENT.decode_fault(_reply(status, body))

    assert type(fault) is kind
    assert fault.status == shown
    assert words in fault.message
    assert "signin_url" not in fault.message
    assert "connect?key" not in fault.message
    assert "<" not in fault.message


def test_how_long_to_wait_is_heard() -> None:
    """`retry-after` of a busy server is kept, and so is the code of a model that is not there."""
    fault = decode_fault(_reply(503, b'{"error":"busy"}', ((b"retry-after", b"7"),)))

    assert fault.retry_after == 7
    assert decode_fault(_reply(404, b'{"error":"model"}')).vendor_code == "model_not_found"


def test_what_looks_like_a_key_is_struck_out() -> None:
    """A key in an error's text reaches nobody."""
    assert "abcdefgh12345" not in decode_fault(_reply(500, b'{"error":"Bearer abcdefgh12345"}')).message


@given(st.integers(300, 599), st.binary(max_size=200) | JSON.map(msgspec.json.encode))
def test_whatever_an_error_says_it_is_a_fault(status: int, body: bytes) -> None:
    """Any status with any body is a fault of the upstream that can be shown."""
    fault = decode_fault(_reply(status, body))

    assert 400 <= fault.status < 600
    assert fault.message
    assert fault.message.isprintable() or "\n" in fault.message or msgspec.json.decode(body)


@given(st.binary(max_size=200) | JSON.map(msgspec.json.encode))
def test_whatever_a_line_says_it_is_heard_or_a_fault(line: bytes) -> None:
    """Any line of a stream gives events or a fault of the canon, never another error."""
    assert _heard(line) in {"done", "upstream_garbled", "upstream_down", "upstream_cut"}


def test_a_line_without_end_is_refused() -> None:
    """A stream that is one endless line is garbled once it is longer than any line may be."""
    decoder = CLIENT.decoder()
    piece = b"x" * (1 << 20)
    with pytest.raises(Garbled, match="longer than"):  # noqa: PT012 - which of the pieces is too much does not matter
        for _ in range(18):
            decoder.feed(piece)


def test_vectors_come_in_the_order_of_their_texts() -> None:
    """An answer's vectors, count and durations are read; what is embedded has no output, which is known."""
    body = b'{"model":"m","embeddings":[[0.5,-1],[1,2e-3]],"total_duration":5,"load_duration":2,"prompt_eval_count":7}'
    answer = EmbedClient(2).decode_response(_reply(200, body))

    assert answer.model == "m"
    assert answer.vectors == ((0.5, -1.0), (1.0, 0.002))
    assert answer.usage == Usage(input=7, output=0)
    assert set(answer.vendor["ollama"]) == {"total_duration", "load_duration"}


def test_a_count_that_was_left_out_is_unknown() -> None:
    """Without `prompt_eval_count` nothing is known of what it took."""
    assert EmbedClient().decode_response(_reply(200, b'{"model":"m","embeddings":[[1]]}')).usage is None


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b'{"model":"m","embeddings":[[1],[2],[3]]}', Garbled),
        (b'{"model":"m","embeddings":[]}', Garbled),
        (b'{"model":"m"}', Garbled),
        (b'{"model":"m","embeddings":[["a"]]}', Garbled),
        (b'{"model":"m","embeddings":[[1e999]]}', Garbled),
        (b"no", Garbled),
        (b'{"error":"this model does not support embeddings"}', Down),
    ],
)
def test_vectors_that_are_none_are_the_upstreams_fault(body: bytes, kind: type[Fault]) -> None:
    """A missing, miscounted or malformed list of vectors, or an error with status 200, is a fault of the upstream."""
    with pytest.raises(kind):
        EmbedClient(2).decode_response(_reply(200, body))


@pytest.mark.parametrize(
    ("body", "names"),
    [
        (b'{"models":[{"name":"a:latest","model":"a:latest","size":1},{"name":"b:7b"}]}', ["a:latest", "b:7b"]),
        (b'{"models":[{"model":"only-model:1"},{"name":""}]}', ["only-model:1"]),
        (b'{"models":null}', []),
        (b"{}", []),
    ],
)
def test_a_list_names_what_the_server_has(body: bytes, names: list[str]) -> None:
    """The names of `/api/tags` are read with their tags, by whichever field says them."""
    assert read_tags(body) == names


@pytest.mark.parametrize(
    ("written", "then"),
    [
        ("2026-01-02T03:04:05.678901234Z", 1767323045),
        ("2026-01-02T03:04:05Z", 1767323045),
        ("2026-01-02T03:04:05.6789-07:00", 1767348245),
        ("2026-01-02T03:04:05.6", 1767323045),
        ("0001-01-01T00:00:00Z", -62135596800),
        ("yesterday", 0),
        ("", 0),
        (1767323045.5, 1767323045),
        (None, 0),
    ],
)
def test_moments_are_read_as_the_server_writes_them(written: str | float | None, then: int) -> None:
    """RFC 3339 with up to nine digits of a second and any zone is seconds since the epoch; what is none is 0."""
    assert seconds(written) == then
