"""Faults in Anthropic's words, both ways: every leaf of the tree to callers, every status and type from upstreams."""

from typing import Any

import msgspec
import pytest

from foz.canon.fault import (
    LEAVES,
    BadRequest,
    Down,
    Draining,
    Fault,
    Limited,
    NoCapacity,
    NotFound,
    OverBudget,
    RateLimited,
    Refused,
    Timeout,
    Unauthenticated,
)
from foz.dialects.anthropic.faults import (
    WORDS,
    decode_fault,
    encode_fault,
    encode_fault_event,
    fault_in_stream,
)
from foz.wire import sse
from foz.wire.http import Reply


def said(body: bytes) -> Any:
    return msgspec.json.decode(body)


def refusal(status: int, kind: str = "api_error", *headers: tuple[bytes, bytes]) -> Reply:
    body = msgspec.json.encode({"type": "error", "error": {"type": kind, "message": "no sk-ant-0123456789abcdef"}})
    return Reply(status, headers, body)


@pytest.mark.parametrize("leaf", LEAVES)
def test_every_leaf_is_said_before_a_stream(leaf: type[Fault]) -> None:
    """Each leaf becomes Anthropic's error object with its own status, words and request id, in header and body."""
    reply = encode_fault(leaf("it broke here"), "req-1")
    told = said(reply.body)

    assert reply.status == leaf.default_status
    assert reply.header(b"request-id") == b"req-1"
    assert reply.header(b"content-type") == b"application/json"
    assert (told["type"], told["request_id"]) == ("error", "req-1")
    assert told["error"] == {"type": WORDS[leaf], "message": "it broke here"}


@pytest.mark.parametrize("leaf", LEAVES)
def test_every_leaf_is_said_in_a_stream(leaf: type[Fault]) -> None:
    """Each leaf becomes one frame named `error`, with the reply's own error, and never looks finished."""
    fault = leaf("it broke\nhere")
    event = encode_fault_event(fault)
    (frame,) = sse.Decoder().feed(event)

    assert frame.event == b"error"
    assert said(frame.data)["error"] == said(encode_fault(fault, "r").body)["error"]
    assert b"message_stop" not in event


@pytest.mark.parametrize("leaf", LEAVES)
def test_sdks_retry_only_what_is_soon_over(leaf: type[Fault]) -> None:
    """`x-should-retry: false` is on every fault but the caller's own rate, no capacity and draining."""
    told = encode_fault(leaf("no"), "r").header(b"x-should-retry")

    assert told == (None if leaf in {RateLimited, NoCapacity, Draining} else b"false")


@pytest.mark.parametrize(("wait", "retries"), [(1.2, None), (60.0, None), (61.0, b"false"), (3600.0, b"false")])
def test_nobody_is_sent_to_sleep_for_long(wait: float, retries: bytes | None) -> None:
    """A long `retry-after` is told with `x-should-retry: false`: newer SDKs would sleep for all of it."""
    reply = encode_fault(RateLimited("no", retry_after=wait), "r")

    assert int(reply.header(b"retry-after") or b"") >= wait
    assert reply.header(b"x-should-retry") == retries


def test_words_name_every_leaf_and_nothing_else() -> None:
    """The table of words has exactly the leaves of the tree."""
    assert set(WORDS) == set(LEAVES)


@pytest.mark.parametrize(
    ("fault", "status", "kind"),
    [
        (BadRequest("no"), 400, "invalid_request_error"),
        (BadRequest("no", status=413), 413, "request_too_large"),
        (BadRequest("no", status=405), 405, "invalid_request_error"),
        (Unauthenticated("no"), 401, "authentication_error"),
        (NotFound("no"), 404, "not_found_error"),
        (OverBudget("no"), 429, "billing_error"),
        (Refused("no", status=404), 404, "not_found_error"),
        (Refused("no", status=502), 502, "api_error"),
        (Limited("no"), 429, "rate_limit_error"),
        (Timeout("no"), 504, "timeout_error"),
        (NoCapacity("no"), 503, "overloaded_error"),
    ],
)
def test_types_are_anthropics(fault: Fault, status: int, kind: str) -> None:
    """The type is the word that Anthropic's own API uses for the same thing."""
    reply = encode_fault(fault, "r")

    assert (reply.status, said(reply.body)["error"]["type"]) == (status, kind)


@pytest.mark.parametrize(
    ("status", "kind", "leaf", "told"),
    [
        (400, "invalid_request_error", Refused, 400),
        (401, "authentication_error", Refused, 502),
        (402, "billing_error", Limited, 429),
        (403, "permission_error", Refused, 502),
        (404, "not_found_error", Refused, 404),
        (413, "request_too_large", Refused, 413),
        (429, "rate_limit_error", Limited, 429),
        (500, "api_error", Down, 502),
        (504, "timeout_error", Timeout, 504),
        (529, "overloaded_error", Down, 502),
        (307, "api_error", Refused, 502),
    ],
)
def test_a_status_decides_what_an_upstream_means(status: int, kind: str, leaf: type[Fault], told: int) -> None:
    """Each status of an upstream is its leaf; nothing that looks like a key is in the message."""
    fault = decode_fault(refusal(status, kind))

    assert (type(fault), fault.status) == (leaf, told)
    assert "0123456789abcdef" not in fault.message


@pytest.mark.parametrize("kind", ["overloaded_error", "rate_limit_error", "timeout_error", "invalid_request_error"])
def test_a_type_decides_within_a_stream(kind: str) -> None:
    """An error in a stream is what the same error is before one."""
    statuses = {"overloaded_error": 529, "rate_limit_error": 429, "timeout_error": 504, "invalid_request_error": 400}

    assert type(fault_in_stream(refusal(0, kind).body)) is type(decode_fault(refusal(statuses[kind], kind)))


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b'{"error": 3}', b'{"error": {"type": 7}}', b"[" * 5000])
def test_a_refusal_in_no_dialect_is_told_by_its_status(body: bytes) -> None:
    """Pages of proxies and broken bodies are the status's fault, with no words of theirs."""
    fault = decode_fault(Reply(503, ((b"retry-after", b"7"),), body))

    assert (type(fault), fault.message, fault.retry_after) == (Down, "the upstream answered 503", 7.0)


@pytest.mark.parametrize(("kind", "told"), [("overloaded_error", "overloaded_error"), ("api_error", "api_error")])
def test_a_stream_that_was_too_much_says_so_on(kind: str, told: str) -> None:
    """A stream that an upstream broke off as overloaded ends as overloaded for the caller, and no other one does."""
    fault = fault_in_stream(b'{"type":"error","error":{"type":"%s","message":"no"}}' % kind.encode())
    assert b'"type":"%s"' % told.encode() in encode_fault_event(fault)
