"""Feature extraction of the `huggingface` dialect, and its refusals, as vendors were seen to write them."""

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from foz.canon.fault import Down, Fault, Garbled, Limited, NotFound, Refused, Timeout, Unsupported, UpstreamFault
from foz.canon.request import EmbedRequest
from foz.canon.usage import Usage
from foz.dialects.huggingface.faults import LOADING, decode_fault
from foz.dialects.huggingface.features import FeatureClient
from foz.wire.http import Headers, Reply

NUMBERS = st.floats(-1, 1, allow_nan=False)


def asked(*inputs: str) -> FeatureClient:
    return FeatureClient().asking(EmbedRequest("org/m", inputs), "org/m")


def test_inputs_are_asked_with_parameters_beside_them() -> None:
    """All inputs go in one call to the task's path; dimensions and the dialect's own fields stand beside them."""
    raw = {"normalize": msgspec.Raw(b"true")}
    request = EmbedRequest("m", ("a", "b"), dimensions=8, vendor={"huggingface": raw, "openai": raw})
    call = FeatureClient().encode_request(request, "BAAI/bge-small-en-v1.5")

    assert call.path == "/hf-inference/models/BAAI/bge-small-en-v1.5/pipeline/feature-extraction"
    assert msgspec.json.decode(call.body) == {"inputs": ["a", "b"], "dimensions": 8, "normalize": True}


def test_an_endpoint_of_its_own_is_asked_where_its_url_leads() -> None:
    """A dedicated endpoint has no path of the Hub's, whatever its model is called."""
    assert FeatureClient(dedicated=True).encode_request(EmbedRequest("m", ("a",)), "any name").path == ""


def test_tokens_and_odd_names_are_refused() -> None:
    """Inputs given as tokens are Unsupported, and a name that is no id is NotFound."""
    with pytest.raises(Unsupported, match="numbers") as caught:
        FeatureClient().encode_request(EmbedRequest("m", ((1, 2),)), "org/m")
    with pytest.raises(NotFound):
        FeatureClient().encode_request(EmbedRequest("m", ("a",)), "../m")

    assert caught.value.field == "input"


@pytest.mark.parametrize(
    ("inputs", "body", "expected"),
    [
        (("a",), b"[0.5,1]", ((0.5, 1.0),)),
        (("a",), b"[[0.5,1]]", ((0.5, 1.0),)),
        (("a",), b"[[0,1],[1,0],[2,2]]", ((1.0, 1.0),)),
        (("a",), b"[[[0,1],[1,0]]]", ((0.5, 0.5),)),
        (("a", "b"), b"[[0,1],[1,0]]", ((0.0, 1.0), (1.0, 0.0))),
        (("a", "b"), b"[[[0,1],[1,0]],[[2,2]]]", ((0.5, 0.5), (2.0, 2.0))),
    ],
)
def test_vectors_of_any_depth_are_one_for_each_input(
    inputs: tuple[str, ...], body: bytes, expected: tuple[tuple[float, ...], ...]
) -> None:
    """A vector alone, one for each input, or one for each token become one for each input; tokens by their mean."""
    assert asked(*inputs).decode_response(Reply(200, body=body)).vectors == expected


NO_ANSWERS = (
    b"[]", b"[[]]", b"[[1],[2],[3]]", b'[["1"],["2"]]', b"[[[1],[1,2]],[[1]]]", b"{}", b"[[1", b"[[[]],[[]]]",
    b"[[[1],2],[[1]]]",
)  # fmt: skip


@pytest.mark.parametrize("body", NO_ANSWERS)
def test_an_answer_that_is_none_is_garbled(body: bytes) -> None:
    """What is not one vector of numbers for each of two inputs is the upstream's fault."""
    with pytest.raises(Garbled):
        asked("a", "b").decode_response(Reply(200, body=body))


def test_an_error_under_200_is_a_fault() -> None:
    """A model that says under status 200 that it is loading is not ready."""
    with pytest.raises(Down) as caught:
        asked("a").decode_response(Reply(200, body=b'{"error":"Model x is currently loading","estimated_time":3}'))

    assert (caught.value.vendor_code, caught.value.retry_after) == (LOADING, 3.0)


@pytest.mark.parametrize("name", [b"x-prompt-tokens", b"x-compute-tokens"])
def test_tokens_are_counted_where_the_endpoint_counts(name: bytes) -> None:
    """A count in a header is the usage; without one the usage is unknown, which is not zero."""
    assert asked("a").decode_response(Reply(200, ((name, b"7"),), b"[[1]]")).usage == Usage(7, 0)
    assert asked("a").decode_response(Reply(200, ((name, b"many"),), b"[[1]]")).usage is None


@settings(max_examples=60)
@given(st.lists(st.lists(NUMBERS, min_size=3, max_size=3), min_size=1, max_size=4))
def test_pooled_vectors_come_as_they_are(vectors: list[list[float]]) -> None:
    """Whatever numbers come for however many inputs, they are the answer's, in order."""
    heard = asked(*["x"] * len(vectors)).decode_response(Reply(200, body=msgspec.json.encode(vectors)))

    assert [list(vector) for vector in heard.vectors] == vectors


# Refusals.


SLEEPS = b'{"error":"Model x is currently loading","estimated_time":20.5}'


@pytest.mark.parametrize(
    ("status", "body", "leaf", "expected"),
    [
        (400, b'{"error":"Invalid input"}', Refused, {"status": 400}),
        (400, b'{"error":["first","second"],"warnings":["w"]}', Refused, {"status": 400}),
        (401, b'{"error":"Invalid credentials: hf_abcdefghijklmnop"}', Refused, {"status": 502}),
        (403, b'{"error":{"message":"no"}}', Refused, {"status": 502}),
        (402, b'{"error":"No credits are left"}', Limited, {"vendor_code": "insufficient_quota"}),
        (404, b'{"error":"Not Found"}', Refused, {"status": 404, "field": "model", "vendor_code": "model_not_found"}),
        (404, b"Not Found", Refused, {"status": 404}),
        (408, b"", Timeout, {}),
        (422, b'{"error":"Input validation error: x","error_type":"validation"}', Refused, {"status": 422}),
        (424, b'{"error":"Request failed","error_type":"generation"}', Down, {}),
        (429, b'{"error":"Model is overloaded","error_type":"overloaded"}', Limited, {}),
        (500, b"<html>oops</html>", Down, {}),
        (503, b'{"error":"Service Unavailable"}', Down, {"vendor_code": None}),
        (503, SLEEPS, Down, {"vendor_code": LOADING, "status": 503, "retry_after": 20.5}),
        (503, b'{"error":"x","estimated_time":"soon"}', Down, {"vendor_code": None}),
        (504, b"", Timeout, {}),
        (302, b"", Refused, {"status": 502}),
    ],
)  # fmt: skip
def test_a_refusal_is_the_fault_that_its_status_means(
    status: int, body: bytes, leaf: type[Fault], expected: dict[str, object]
) -> None:
    """Each refusal seen in the wild becomes its leaf; `estimated_time` alone says that a model is loading."""
    fault = decode_fault(Reply(status, body=body))

    assert type(fault) is leaf
    assert {name: getattr(fault, name) for name in expected} == expected
    assert "hf_abc" not in str(fault)
    assert str(status) in fault.message or fault.vendor_code == LOADING


def test_the_hubs_words_in_headers_are_told() -> None:
    """Where the body says nothing, `X-Error-Message` does, and `retry-after` says how long to wait."""
    headers: Headers = ((b"x-error-message", b"Repository not found"), (b"retry-after", b"7"))

    assert "Repository not found" in decode_fault(Reply(404, headers)).message
    assert decode_fault(Reply(429, headers)).retry_after == 7.0


@given(
    st.integers(300, 599),
    st.binary(max_size=60) | st.sampled_from([b'{"error":' + b"[" * 300, b'{"error":1}', b"null"]),
)
def test_any_refusal_is_an_upstreams_fault(status: int, body: bytes) -> None:
    """Whatever an endpoint refuses with, the fault is the upstream's and has a status that an answer may have."""
    fault = decode_fault(Reply(status, body=body))

    assert isinstance(fault, UpstreamFault)
    assert 400 <= fault.status <= 599
