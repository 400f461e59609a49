"""`/v1/embeddings` in all its roles: golden cases in both lanes, inverses, and what bad bodies get."""

import struct
from base64 import b64encode
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw

from foz.canon.fault import BadRequest, Fault, Garbled, Limited
from foz.canon.request import Ask, EmbedRequest, Operation
from foz.canon.response import EmbedResponse
from foz.canon.usage import Usage
from foz.dialects.openai.embeddings.client import EmbeddingClient
from foz.dialects.openai.embeddings.relay import EmbeddingRelay
from foz.dialects.openai.embeddings.server import EmbeddingServer
from foz.wire.http import Reply

GOLDEN = sorted((Path(__file__).parents[1] / "golden/openai/embeddings").iterdir())
SERVER, CLIENT, RELAY = EmbeddingServer(), EmbeddingClient(), EmbeddingRelay()
ASK = Ask(Operation.EMBED, "public")


def _named(case: Path) -> str:
    return case.name


golden = pytest.mark.parametrize("case", GOLDEN, ids=_named)


def _bytes(case: Path, name: str) -> bytes:
    return (case / name).read_bytes()


@golden
def test_a_request_is_read_into_our_words(case: Path) -> None:
    """Each golden body is the golden canonical request; its facts name operation, model, and a width that it needs."""
    body = _bytes(case, "request.json")
    wanted = msgspec.json.decode(_bytes(case, "canon.json"), type=EmbedRequest)

    assert SERVER.decode_request(body) == wanted
    needs = frozenset[str]() if wanted.dimensions is None else frozenset({"dimensions"})
    assert SERVER.read(body) == msgspec.structs.replace(ASK, needs=needs)


@golden
def test_an_answer_is_read_into_our_words(case: Path) -> None:
    """Each golden upstream body is the golden canonical answer, numbers or base64, in the order of the inputs."""
    answer = CLIENT.decode_response(Reply(200, (), _bytes(case, "response.json")))

    assert answer == msgspec.json.decode(_bytes(case, "answer.json"), type=EmbedResponse)


@golden
def test_both_lanes_give_the_same_answer(case: Path) -> None:
    """What the relay passes and what the translation says are one canonical answer, and one tally, by public name."""
    reply = Reply(200, (), _bytes(case, "response.json"))
    request = SERVER.decode_request(_bytes(case, "request.json"))
    translated = SERVER.encode_response(CLIENT.decode_response(reply), request, "public")
    passed, tally = RELAY.whole(reply, ASK)
    answer = CLIENT.decode_response(Reply(200, (), passed))

    assert CLIENT.decode_response(Reply(200, (), translated)) == answer
    assert answer.model == "public"
    assert (tally.usage, tally.finished, tally.pieces) == (answer.usage, True, 1)


@golden
def test_the_relay_changes_the_model_and_nothing_else(case: Path) -> None:
    """The upstream gets the caller's body under its own model name, unknown fields and all."""
    body = _bytes(case, "request.json")
    call = RELAY.retarget(body, ASK, "upstream-small")
    sent = msgspec.json.decode(call.body, type=dict[str, Raw])

    assert (call.method, call.path) == ("POST", "/embeddings")
    assert sent == {**msgspec.json.decode(body, type=dict[str, Raw]), "model": Raw(b'"upstream-small"')}


def test_the_relay_passes_vectors_byte_for_byte() -> None:
    """A vector reaches the caller as the upstream wrote it, and a body that needs no change is the same body."""
    vector = b"[0.10, 1E-3,-0.0 ]"
    body = b'{"data":[{"embedding":%b,"index":0,"x":1}],"model":"up","y":2}' % vector

    passed, _ = RELAY.whole(Reply(200, (), body), ASK)
    assert vector in passed
    assert msgspec.json.decode(passed) == {**msgspec.json.decode(body), "model": "public"}
    assert RELAY.whole(Reply(200, (), body), Ask(Operation.EMBED, "up"))[0] is body


requests = st.builds(
    EmbedRequest,
    model=st.text(min_size=1),
    inputs=st.lists(st.text(min_size=1), min_size=1, max_size=3).map(tuple)
    | st.lists(st.lists(st.integers(0, 2**31 - 1), min_size=1, max_size=4).map(tuple), min_size=1, max_size=3).map(
        tuple
    ),
    dimensions=st.none() | st.integers(1, 4096),
    encoding=st.sampled_from(["float", "base64"]),
    user=st.none() | st.text(),
    vendor=st.sampled_from([{}, {"openai": {"truncate": Raw(b'"END"')}}]),
)
float32 = st.floats(width=32, allow_nan=False, allow_infinity=False)


@given(request=requests)
def test_what_the_client_asks_the_server_reads(request: EmbedRequest) -> None:
    """`encode_request` and `decode_request` are inverses."""
    assert SERVER.decode_request(CLIENT.encode_request(request, request.model).body) == request


@given(
    vectors=st.lists(st.lists(float32, max_size=4).map(tuple), min_size=1, max_size=4).map(tuple),
    request=requests,
    usage=st.none() | st.builds(Usage, input=st.integers(0, 2**40), output=st.just(0)),
)
def test_what_the_server_says_the_client_reads(
    vectors: tuple[tuple[float, ...], ...], request: EmbedRequest, usage: Usage | None
) -> None:
    """`encode_response` and `decode_response` are inverses, bit for bit in float32, whatever the encoding."""
    answer = EmbedResponse("m", vectors, usage, {"openai": {"id": Raw(b'"e"')}})
    read = CLIENT.decode_response(Reply(200, (), SERVER.encode_response(answer, request, "m")))

    assert read == answer
    assert [struct.pack(f"<{len(v)}f", *v) for v in read.vectors] == [struct.pack(f"<{len(v)}f", *v) for v in vectors]


@given(numbers=st.lists(float32, max_size=6))
def test_base64_is_little_endian_float32(numbers: list[float]) -> None:
    """What callers get for `base64` is the base64 of little-endian float32, as the SDKs unpack it."""
    request = EmbedRequest("m", ("a",), encoding="base64")
    body = SERVER.encode_response(EmbedResponse("m", (tuple(numbers),)), request, "m")
    written = b64encode(struct.pack(f"<{len(numbers)}f", *numbers)).decode()

    assert msgspec.json.decode(body)["data"][0]["embedding"] == written


BAD: list[tuple[bytes, str | None, str | None]] = [
    (b"", None, None),
    (b"[]", None, None),
    (b"{", None, None),
    (b'{"input":"a"}', "model", "missing_required_parameter"),
    (b'{"model":"m"}', "input", "missing_required_parameter"),
    (b'{"model":"","input":"a"}', "model", "empty_string"),
    (b'{"model":7,"input":"a"}', "model", "invalid_type"),
    (b'{"model":"m","input":null}', "input", "invalid_type"),
    (b'{"model":"m","input":[]}', "input", "empty_array"),
    (b'{"model":"m","input":[[]]}', "input[0]", "empty_array"),
    (b'{"model":"m","input":""}', "input", "empty_string"),
    (b'{"model":"m","input":["a",""]}', "input", "empty_string"),
    (b'{"model":"m","input":["a",1]}', "input[1]", "invalid_type"),
    (b'{"model":"m","input":[1,"a"]}', "input[0]", "invalid_type"),
    (b'{"model":"m","input":[[1],"a"]}', "input[1]", "invalid_type"),
    (b'{"model":"m","input":[1.5]}', "input[0]", "invalid_type"),
    (b'{"model":"m","input":[true]}', "input[0]", "invalid_type"),
    (b'{"model":"m","input":{"a":1}}', "input", "invalid_type"),
    (b'{"model":"m","input":[-1]}', "input[0]", "integer_below_min_value"),
    (b'{"model":"m","input":["a"],"dimensions":0}', "dimensions", "integer_below_min_value"),
    (b'{"model":"m","input":["a"],"encoding_format":"int8"}', "encoding_format", "invalid_value"),
    (b'{"model":"m","input":[%b"a"]}' % (b'"a",' * 2048), "input", "array_above_max_length"),
    (b'{"model":"m","input":%b' % (b"[" * 5000), None, None),
    (b'{"model":"m","input":"\xff"}', None, None),
]


@pytest.mark.parametrize(("body", "field", "code"), BAD)
def test_a_bad_body_is_refused_naming_its_field(body: bytes, field: str | None, code: str | None) -> None:
    """Both readings of a bad body raise the same BadRequest, with field and code in OpenAI's words."""
    faults: list[Fault] = []
    for reading in (SERVER.read, SERVER.decode_request):
        with pytest.raises(BadRequest) as caught:
            reading(body)
        faults.append(caught.value)

    assert [(fault.field, fault.vendor_code) for fault in faults] == [(field, code)] * 2


GARBLED = [
    b"",
    b"<html>",
    b"[]",
    b"{}",
    b'{"data":[]}',
    b'{"data":null}',
    b'{"data":[{}]}',
    b'{"data":[{"embedding":null}]}',
    b'{"data":[{"embedding":7}]}',
    b'{"data":"' + b"x" * 10 + b'"}',
    b'{"data":[{"embedding":[1.0]',
    b"[" * 5000,
]


@pytest.mark.parametrize("body", GARBLED)
def test_a_garbled_answer_is_garbled_in_both_lanes(body: bytes) -> None:
    """An answer without vectors is the upstream's fault, translated or relayed."""
    with pytest.raises(Garbled):
        CLIENT.decode_response(Reply(200, (), body))
    with pytest.raises(Garbled):
        RELAY.whole(Reply(200, (), body), ASK)


@pytest.mark.parametrize(
    "item",
    [
        b'{"embedding":"?"}',
        b'{"embedding":"AAA="}',
        b'{"embedding":"AACAfw=="}',
        b'{"embedding":["a"]}',
        b'{"embedding":[1e999]}',
        b'{"embedding":[1],"index":3}',
        b'{"embedding":[1],"index":0},{"embedding":[1],"index":0}',
        b'{"embedding":[1],"index":0},{"embedding":[1]}',
    ],
)
def test_a_vector_that_is_none_is_garbled(item: bytes) -> None:
    """Broken base64, half a number, infinity, words, and indexes that miss a position never become a vector."""
    with pytest.raises(Garbled):
        CLIENT.decode_response(Reply(200, (), b'{"data":[%b]}' % item))


def test_an_error_in_a_200_is_the_upstreams_fault() -> None:
    """A 2xx body that is an error object raises the fault it means, in both lanes."""
    reply = Reply(200, (), b'{"error":{"message":"slow down","code":"rate_limit_exceeded"}}')

    with pytest.raises(Limited):
        CLIENT.decode_response(reply)
    with pytest.raises(Limited):
        RELAY.whole(reply, ASK)


def test_a_number_beyond_float32_is_not_said_as_base64() -> None:
    """A vector that float32 cannot hold is refused, not said as infinity."""
    with pytest.raises(Garbled):
        SERVER.encode_response(EmbedResponse("m", ((1e300,),)), EmbedRequest("m", ("a",), encoding="base64"), "m")
