"""
Faults in Anthropic's words, both ways.

To callers every leaf is `{"type": "error", "error": {"type", "message"}, "request_id"}`, before a stream as a reply and
in it as an event `error` that the SDKs raise on. From upstreams status decides the class; inside a stream, where there
is no status, the error's type does; words in a message never do.

What the SDKs do on their own: two retries on 408, 409, 429 and 5xx, unless `x-should-retry: false`, each after
`retry-after`, however long: newer ones sleep an hour if they are told to. So only what is soon over is left to them.
"""

import math
from http import HTTPStatus

import msgspec
from msgspec import Struct

from foz.canon.fault import (
    BadRequest,
    Bug,
    Conflict,
    Cut,
    Down,
    Draining,
    Fault,
    Forbidden,
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
    Unsupported,
    UpstreamFault,
)
from foz.canon.judging import Complaint, judge
from foz.wire import json, sse
from foz.wire.complaint import MAX_MESSAGE, clean, retry_after
from foz.wire.http import Reply

MAX_BODY = 256 * 1024
"""More of an upstream's error is not read."""
LONGEST_WAIT = 60.0
"""Seconds that an SDK may sleep before it asks again."""
OVERLOADED = 529
NO_THREADS = "thread_unsupported_request"
"""The code on which the SDKs' runners of tools send whole conversations in place of threads."""
_INVALID = "invalid_request_error"
_API = "api_error"
_OVERLOADED = "overloaded_error"
WORDS: dict[type[Fault], str] = {
    BadRequest: _INVALID,
    Unsupported: _INVALID,
    Unauthenticated: "authentication_error",
    Forbidden: "permission_error",
    NotFound: "not_found_error",
    Conflict: _INVALID,
    RateLimited: "rate_limit_error",
    OverBudget: "billing_error",
    Refused: _INVALID,
    Limited: "rate_limit_error",
    Down: _API,
    Timeout: "timeout_error",
    Garbled: _API,
    Cut: _API,
    NoRoute: _API,
    NoCapacity: _OVERLOADED,
    Draining: _OVERLOADED,
    Bug: _API,
}
"""Anthropic's `type` for each leaf."""
_BY_STATUS = {404: "not_found_error", 413: "request_too_large", 502: _API}
"""Where a status says more than the leaf."""
_SDK_MAY_RETRY = (RateLimited, NoCapacity, Draining)
_STATUS_OF = {
    _INVALID: 400,
    "authentication_error": 401,
    "billing_error": 402,
    "permission_error": 403,
    "not_found_error": 404,
    "request_too_large": 413,
    "rate_limit_error": 429,
    _API: 500,
    "timeout_error": 504,
    _OVERLOADED: OVERLOADED,
}
"""What a type says of a fault whose status was already 200."""


class _Error(Struct, frozen=True, omit_defaults=True):
    type: str
    message: str
    details: dict[str, str] | None = None


class _Envelope(Struct, frozen=True, omit_defaults=True, tag_field="type", tag="error"):
    error: _Error
    request_id: str | None = None


def _describe(fault: Fault, request_id: str | None = None) -> bytes:
    kind = WORDS[type(fault)]
    if isinstance(fault, Down) and fault.vendor_code == _OVERLOADED:
        kind = _OVERLOADED
    if isinstance(fault, BadRequest | Refused):
        kind = _BY_STATUS.get(fault.status, kind)
    message = fault.message
    if isinstance(fault, UpstreamFault) and fault.target is not None:
        message = f"{message} (target {fault.target})"
    details = {"error_code": NO_THREADS} if fault.vendor_code == NO_THREADS else None
    return json.encode(_Envelope(_Error(kind, message, details), request_id=request_id))


def encode_fault(fault: Fault, request_id: str) -> Reply:
    """A fault before anything was sent."""
    headers = [(b"content-type", b"application/json"), (b"request-id", request_id.encode("ascii", "replace"))]
    wait = fault.retry_after
    if wait is not None and math.isfinite(wait):
        headers.append((b"retry-after", b"%d" % math.ceil(max(wait, 0.0))))
    soon_over = isinstance(fault, _SDK_MAY_RETRY) or (isinstance(fault, NoRoute) and wait is not None)
    if not soon_over or (wait is not None and wait > LONGEST_WAIT):
        headers.append((b"x-should-retry", b"false"))
    if fault.status == HTTPStatus.UNAUTHORIZED:
        headers.append((b"www-authenticate", b"Bearer"))
    return Reply(fault.status, tuple(headers), _describe(fault, request_id))


def encode_fault_event(fault: Fault) -> bytes:
    """A fault in the middle of a stream; the SDKs raise on it."""
    return sse.encode(_describe(fault), b"error")


# From upstreams.


class _Told(Struct, frozen=True):
    type: str | None = None
    message: str | None = None


class _Said(Struct, frozen=True):
    error: _Told | str | None = None


_SAID = msgspec.json.Decoder(_Said)


def _told(body: bytes) -> _Told:
    """What an upstream's error says; nothing where it is not in this dialect, as a proxy's page."""
    if json.too_deep(body, 32):
        return _Told()
    try:
        error = _SAID.decode(body).error
    except (json.DecodeError, UnicodeDecodeError, RecursionError):
        return _Told()
    told = _Told(message=error) if isinstance(error, str) else error or _Told()
    return _Told(told.type, clean(told.message[: 2 * MAX_MESSAGE]) if told.message else None)


def _judged(status: int, told: _Told, wait: float | None, said: str) -> Fault:
    """The fault that a status means. What is not found is the model: nothing else is asked for by name."""
    code = None if status == HTTPStatus.NOT_FOUND else told.type
    return judge(status, Complaint(told.message, code), wait, said)


def decode_fault(reply: Reply) -> Fault:
    """What a non-2xx answer of an upstream means."""
    return _judged(reply.status, _told(reply.body[:MAX_BODY]), retry_after(reply), f"answered {reply.status}")


def fault_in_stream(data: bytes) -> Fault:
    """What an `error` event of a stream, or an error in place of an answer, means."""
    told = _told(data)
    return _judged(_STATUS_OF.get(told.type or "", 500), told, None, "broke off its answer with an error")
