"""Faults in OpenAI's words: every leaf to callers, every vendor's error shape from upstreams."""

from email.utils import formatdate

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from foz.canon.fault import (
    LEAVES,
    BadRequest,
    Bug,
    Conflict,
    Cut,
    Down,
    Draining,
    Fault,
    Garbled,
    Limited,
    NoCapacity,
    NoRoute,
    NotFound,
    OverBudget,
    RateLimited,
    Refused,
    Timeout,
    Unauthenticated,
    UpstreamFault,
)
from foz.dialects.openai.faults import WORDS, decode_fault, encode_fault, encode_fault_event, fault_in_stream
from foz.wire import sse
from foz.wire.http import Reply


def _error(body: bytes) -> dict[str, object]:
    return msgspec.json.decode(body, type=dict[str, dict[str, object]])["error"]


def _leaf(fault: Fault) -> type[Fault]:
    return type(fault)


@pytest.mark.parametrize("leaf", LEAVES)
def test_every_leaf_is_said_before_a_stream(leaf: type[Fault]) -> None:
    """Each leaf becomes OpenAI's error object with its own status, message, field and request id."""
    reply = encode_fault(leaf("it broke here", field="top_p"), "req-1")
    error = _error(reply.body)

    assert reply.status == leaf.default_status
    assert reply.header(b"x-request-id") == b"req-1"
    assert reply.header(b"content-type") == b"application/json"
    assert set(error) == {"message", "type", "param", "code"}
    assert error["message"] == "it broke here"
    assert error["param"] == "top_p"
    assert error["type"] == WORDS[leaf][0]


@pytest.mark.parametrize("leaf", LEAVES)
def test_every_leaf_is_said_in_a_stream(leaf: type[Fault]) -> None:
    """Each leaf becomes one frame with a truthy top-level `error`, equal to the reply's, and never looks finished."""
    fault = leaf("it broke\nhere", field="stop")
    event = encode_fault_event(fault)
    frames = sse.Decoder().feed(event)

    assert len(frames) == 1
    assert _error(frames[0].data) == _error(encode_fault(fault, "r").body)
    assert b"[DONE]" not in event


@pytest.mark.parametrize("leaf", LEAVES)
def test_sdks_retry_only_what_is_soon_over(leaf: type[Fault]) -> None:
    """`x-should-retry: false` is on every fault but the caller's own rate, no capacity and draining; `true` never."""
    told = encode_fault(leaf("no"), "r").header(b"x-should-retry")

    assert told == (None if leaf in {RateLimited, NoCapacity, Draining} else b"false")


def test_words_name_every_leaf_and_nothing_else() -> None:
    """The table of words has exactly the leaves of the tree."""
    assert set(WORDS) == set(LEAVES)


@pytest.mark.parametrize(
    ("fault", "status", "kind", "code"),
    [
        (BadRequest("no", field="n"), 400, "invalid_request_error", None),
        (BadRequest("no", field="n", vendor_code="invalid_type"), 400, "invalid_request_error", "invalid_type"),
        (BadRequest("no", status=413), 413, "invalid_request_error", None),
        (Unauthenticated("no"), 401, "invalid_request_error", "invalid_api_key"),
        (NotFound("no", field="model"), 404, "invalid_request_error", "model_not_found"),
        (NotFound("no"), 404, "invalid_request_error", "not_found"),
        (Conflict("no"), 409, "invalid_request_error", "conflict"),
        (RateLimited("no"), 429, "rate_limit_error", "rate_limit_exceeded"),
        (OverBudget("no"), 429, "insufficient_quota", "insufficient_quota"),
        (Refused("no", status=422, vendor_code="string_above_max_length"), 422, "invalid_request_error", None),
        (Refused("no", status=502, vendor_code="invalid_api_key"), 502, "server_error", "upstream_refused"),
        (Limited("no", vendor_code="insufficient_quota"), 429, "insufficient_quota", "insufficient_quota"),
        (Limited("no"), 429, "rate_limit_error", "rate_limit_exceeded"),
        (Bug("no"), 500, "server_error", "internal_error"),
    ],
)
def test_types_and_codes_are_openais(fault: Fault, status: int, kind: str, code: str | None) -> None:
    """Type and code are the words that OpenAI's own API uses for the same thing; a vendor's code is kept."""
    reply = encode_fault(fault, "r")
    error = _error(reply.body)

    assert (reply.status, error["type"]) == (status, kind)
    assert error["code"] == (code or fault.vendor_code)


def test_waiting_is_rounded_up() -> None:
    """`retry-after` is whole seconds, rounded up; `retry-after-ms` is exact to the millisecond."""
    reply = encode_fault(RateLimited("slow down", retry_after=1.2345), "r")

    assert reply.header(b"retry-after") == b"2"
    assert reply.header(b"retry-after-ms") == b"1235"
    assert encode_fault(RateLimited("slow down"), "r").header(b"retry-after") is None


def test_an_upstreams_fault_names_its_target() -> None:
    """The message of an upstream's fault says which target, once."""
    assert _error(encode_fault(Down("gone", target="openai/gpt"), "r").body)["message"] == "gone (target openai/gpt)"
    named = Down("openai/gpt is gone", target="openai/gpt")
    assert _error(encode_fault(named, "r").body)["message"] == "openai/gpt is gone"


def test_a_401_asks_for_a_bearer() -> None:
    """A missing key is answered with `www-authenticate: Bearer`."""
    assert encode_fault(Unauthenticated("no key"), "r").header(b"www-authenticate") == b"Bearer"


def _reply(status: int, body: bytes = b"", **headers: bytes) -> Reply:
    pairs = tuple((name.replace("_", "-").encode(), value) for name, value in headers.items())
    return Reply(status, pairs, body)


BODIES: list[tuple[int, bytes, type[Fault], str | None, str | None, str]] = [
    (
        400,
        b'{"error":{"message":"bad n","type":"invalid_request_error","param":"n","code":"integer_below_min_value"}}',
        Refused,
        "n",
        "integer_below_min_value",
        "bad n",
    ),
    (400, b'{"error":{"message":"bad","type":"BadRequestError","param":null,"code":400}}', Refused, None, None, "bad"),
    (400, b'{"object":"error","message":"bad","type":"BadRequestError","code":400}', Refused, None, None, "bad"),
    (400, b'{"error":"\'input_type\' parameter is required"}', Refused, None, None, "'input_type' parameter"),
    (400, b'{"error":["first","second"]}', Refused, None, None, "first; second"),
    (
        422,
        b'{"detail":[{"loc":["body","messages",0,"role"],"msg":"Field required","type":"missing"}]}',
        Refused,
        "messages.0.role",
        None,
        "Field required",
    ),
    (400, b'{"detail":"too long"}', Refused, None, None, "too long"),
    (
        400,
        (
            b'{"type":"urn:inference-service:problem-details:bad-request","title":"Bad Request","status":400,'
            b'"detail":"invalid x","instance":"/v2/nvcf","requestId":"1"}'
        ),
        Refused,
        None,
        None,
        "invalid x",
    ),
    (422, b'{"error":"Input validation error: x","error_type":"validation"}', Refused, None, None, "Input validation"),
    (
        404,
        b'{"status":404,"title":"Not Found","detail":"Function: Not found"}',
        Refused,
        None,
        "model_not_found",
        "Fun",
    ),
    (
        404,
        b'{"error":{"message":"model \'x\' not found","type":"not_found_error","param":null,"code":null}}',
        Refused,
        None,
        "model_not_found",
        "model 'x' not found",
    ),
    (
        400,
        b'{"error":{"message":"not supported","param":"model","code":"model_not_supported"}}',
        Refused,
        "model",
        "model_not_supported",
        "not supported",
    ),
    (413, b"<html><body>Request Entity Too Large</body></html>", Refused, None, None, "answered 413"),
    (429, b'{"error":{"message":"slow","code":"rate_limit_exceeded"}}', Limited, None, "rate_limit_exceeded", "slow"),
    (429, b'{"error":{"message":"pay","code":"insufficient_quota"}}', Limited, None, "insufficient_quota", "pay"),
    (429, b'{"error":{"message":"pay","type":"insufficient_quota"}}', Limited, None, "insufficient_quota", "pay"),
    (402, b'{"error":{"message":"Insufficient credits","code":402}}', Limited, None, "insufficient_quota", "credits"),
    (408, b"", Timeout, None, None, "answered 408"),
    (504, b"<html>504 Gateway Time-out</html>", Timeout, None, None, "answered 504"),
    (424, b'{"error":"generation failed","error_type":"generation"}', Down, None, None, "generation failed"),
    (500, b"", Down, None, None, "answered 500"),
    (502, b"<html>nginx</html>", Down, None, None, "answered 502"),
    (503, b'{"error":"Model is currently loading","estimated_time":20.0}', Down, None, None, "loading"),
    (529, b"overloaded, sorry", Down, None, None, "overloaded, sorry"),
    (302, b"", Refused, None, None, "base URL"),
    (400, b"[" * 5000, Refused, None, None, "answered 400"),
    (400, b'{"error":{"error":{"error":{"message":"deep"}}}}', Refused, None, None, "deep"),
    (400, b'{"error":{"message":{"a":1},"code":[1],"param":{"b":2}}}', Refused, None, None, "answered 400"),
    (400, b"null", Refused, None, None, "answered 400"),
    (400, b'{"error":[]}', Refused, None, None, "answered 400"),
    (400, b"\xff\xfe\x00", Refused, None, None, "answered 400"),
]


@pytest.mark.parametrize(("status", "body", "leaf", "field", "code", "words"), BODIES)
def test_status_and_code_decide_the_class(
    status: int, body: bytes, leaf: type[Fault], field: str | None, code: str | None, words: str
) -> None:
    """Every vendor's error shape gives the class of its status, with message, field and code where they are told."""
    fault = decode_fault(_reply(status, body))

    assert _leaf(fault) is leaf
    assert (fault.field, fault.vendor_code) == (field, code)
    assert words in fault.message
    assert "<" not in fault.message


def test_words_in_a_message_decide_nothing() -> None:
    """A 500 that talks of rate limits and keys is still the target's being down."""
    body = b'{"error":{"message":"rate limit exceeded: invalid api key, model not found"}}'

    assert _leaf(decode_fault(_reply(500, body))) is Down


@pytest.mark.parametrize("status", [401, 403])
def test_our_key_refused_is_not_the_callers_fault(status: int) -> None:
    """An upstream's 401 or 403 is a 502 that names the target, and repeats nothing of a text that shows the key."""
    body = b'{"error":{"message":"Incorrect API key provided: opaque-secret-1234","code":"invalid_api_key"}}'
    fault = decode_fault(_reply(status, body))
    fault.target = "acme/large"
    reply = encode_fault(fault, "r")

    assert _leaf(fault) is Refused
    assert reply.status == 502
    assert reply.header(b"x-should-retry") == b"false"
    assert b"opaque-secret" not in reply.body
    assert b"acme/large" in reply.body
    assert _error(reply.body)["code"] == "upstream_refused"


@pytest.mark.parametrize(
    "secret",
    ["sk-proj-abcdefgh12345678", "nvapi-abcdefgh12345678", "hf_abcdefghijklmnop", "gsk_abcdefghijklm", "xai-abcdefgh1"],
)
def test_what_looks_like_a_key_is_struck_out(secret: str) -> None:
    """A key that an upstream repeats, in a message or after `Bearer`, does not reach the fault."""
    body = msgspec.json.encode(
        {"error": {"message": f"bad {secret} and Authorization: Bearer {secret}", "code": secret}}
    )
    fault = decode_fault(_reply(400, body))

    assert secret not in fault.message
    assert secret not in (fault.vendor_code or "")
    assert "bad" in fault.message


@pytest.mark.parametrize(
    ("headers", "wait"),
    [
        ({"retry_after": b"7"}, 7.0),
        ({"retry_after": b"0.5"}, 0.5),
        ({"retry_after_ms": b"250", "retry_after": b"7"}, 0.25),
        ({"retry_after_ms": b"soon", "retry_after": b"7"}, 7.0),
        ({"retry_after": b"-3"}, 0.0),
        ({"retry_after": b"nan"}, None),
        ({"retry_after": b"inf"}, None),
        ({"retry_after": b"never"}, None),
        ({"retry_after": b""}, None),
        ({"retry_after": formatdate(1030, usegmt=True).encode(), "date": formatdate(1000, usegmt=True).encode()}, 30.0),
        ({"retry_after": formatdate(990, usegmt=True).encode(), "date": formatdate(1000, usegmt=True).encode()}, 0.0),
        ({"retry_after": formatdate(1030, usegmt=True).encode()}, None),
        ({"retry_after": b"Fri, 31 Feb 2031 00:00:00 GMT", "date": formatdate(0, usegmt=True).encode()}, None),
        ({"retry_after": b"Mon, 99 Foo 99999 99:99:99 GMT", "date": formatdate(0, usegmt=True).encode()}, None),
        ({}, None),
    ],
)
def test_retry_after_is_read_in_all_its_forms(headers: dict[str, bytes], wait: float | None) -> None:
    """Milliseconds win over seconds; a date counts from the reply's own; nonsense is no answer."""
    assert decode_fault(_reply(429, b"", **headers)).retry_after == wait


@pytest.mark.parametrize(
    ("error", "leaf", "code"),
    [
        (b'{"object":"error","message":"m","type":"BadRequestError"}', Refused, None),
        (b'{"message":"m","type":"BadRequestError","code":400}', Refused, None),
        (b'{"message":"m","code":"429"}', Limited, None),
        (b'{"message":"m","code":"rate_limit_exceeded","type":"tokens"}', Limited, "rate_limit_exceeded"),
        (b'{"message":"m","type":"insufficient_quota","code":"insufficient_quota"}', Limited, "insufficient_quota"),
        (b'{"message":"m","code":408}', Timeout, None),
        (b'{"message":"m","code":"upstream_timeout","type":"server_error"}', Timeout, "upstream_timeout"),
        (b'{"message":"m","type":"server_error","code":null}', Down, None),
        (b'{"message":"m","code":502,"metadata":{}}', Down, None),
        (b'"m"', Down, None),
        (b'{"message":"m","code":7}', Down, None),
        (b'{"message":"m","code":200}', Down, None),
        (b'{"message":"m","code":"model_not_found"}', Refused, "model_not_found"),
    ],
)
def test_in_a_stream_the_code_decides(error: bytes, leaf: type[Fault], code: str | None) -> None:
    """A frame's error is judged by its code, then its type, as bytes or decoded; an unknown one is the target's."""
    for fault in (fault_in_stream(error), fault_in_stream(msgspec.json.decode(error))):
        assert _leaf(fault) is leaf
        assert fault.vendor_code == code
        assert fault.message == "the upstream broke off its stream with an error: m"


@pytest.mark.parametrize("leaf", [leaf for leaf in LEAVES if issubclass(leaf, UpstreamFault)])
def test_an_upstreams_fault_survives_a_second_gateway(leaf: type[Fault]) -> None:
    """What one gateway says of its upstream, another behind it reads as an upstream's fault of the same blame."""
    through = decode_fault(encode_fault(leaf("m"), "r"))

    assert isinstance(through, UpstreamFault)
    assert _leaf(through) is (Down if leaf in {Garbled, Cut} else leaf)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(["error", "message", "detail", "code", "param", "type", "loc", "msg", "title", "x"]), inner
        )
    ),
    max_leaves=12,
)


@given(status=st.integers(300, 599), value=json_values)
def test_any_json_is_read(status: int, value: object) -> None:
    """No JSON body, however odd, keeps an upstream's fault from being one that can be said to a caller."""
    fault = decode_fault(_reply(status, msgspec.json.encode(value)))

    assert isinstance(fault, UpstreamFault)
    assert 400 <= encode_fault(fault, "r").status <= 599
    assert isinstance(fault_in_stream(value), UpstreamFault)


@given(status=st.integers(300, 599), body=st.binary(max_size=200), kind=st.binary(max_size=20))
def test_any_bytes_are_read(status: int, body: bytes, kind: bytes) -> None:
    """No body, however broken, keeps an upstream's fault from being one that can be said to a caller."""
    fault = decode_fault(_reply(status, body, content_type=kind, retry_after=kind, x_error_code=kind))

    assert _error(encode_fault(fault, "r").body)["message"]


@pytest.mark.parametrize(("wait", "told"), [(3.2, True), (None, False)])
def test_targets_that_are_left_alone_are_worth_waiting_for(wait: float | None, told: bool) -> None:
    """A model whose targets may soon be asked again says when and lets the SDK retry; else it says not to."""
    reply = encode_fault(NoRoute("no target", retry_after=wait), "req")

    assert (reply.header(b"retry-after") == b"4") is told
    assert (reply.header(b"x-should-retry") is None) is told
