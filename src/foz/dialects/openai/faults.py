"""
Faults in OpenAI's words, both ways.

To callers every leaf is an object `{"error": {"message", "type", "param", "code"}}`, before a stream as a reply and
in it as a frame that the SDKs raise on. From upstreams status decides the class; inside a stream, where there is no
status, the code does; words in a message never do. Upstreams that only resemble OpenAI put the message in
`error` (object, string, list), `message`, `detail` or `title`, a number in `code`, or send HTML or nothing.

What the SDKs do on their own: two retries on 408, 409, 429, 5xx, unless `x-should-retry: false`. The gateway has
tried already, so the header is sent for every upstream's fault and for all that a retry cannot help. Only what is
soon over (the caller's own rate, no capacity, draining, targets that are left alone for a while) is left to the SDK,
with `retry-after` where it is known.
"""

import math
import re
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
from foz.canon.judging import QUOTA, Complaint, judge
from foz.wire import json, sse
from foz.wire.complaint import MAX_MESSAGE, clean, retry_after
from foz.wire.http import Reply

MAX_BODY = 256 * 1024
"""More of an upstream's error is not read."""
MAX_CODE = 128

_INVALID = "invalid_request_error"
_SERVER = "server_error"
WORDS: dict[type[Fault], tuple[str, str | None]] = {
    BadRequest: (_INVALID, None),
    Unsupported: (_INVALID, "unsupported_parameter"),
    Unauthenticated: (_INVALID, "invalid_api_key"),
    Forbidden: (_INVALID, "insufficient_permissions"),
    NotFound: (_INVALID, "not_found"),
    Conflict: (_INVALID, "conflict"),
    RateLimited: ("rate_limit_error", "rate_limit_exceeded"),
    OverBudget: (QUOTA, QUOTA),
    Refused: (_INVALID, "upstream_refused"),
    Limited: ("rate_limit_error", "rate_limit_exceeded"),
    Down: (_SERVER, "upstream_down"),
    Timeout: (_SERVER, "upstream_timeout"),
    Garbled: (_SERVER, "upstream_garbled"),
    Cut: (_SERVER, "upstream_cut"),
    NoRoute: (_SERVER, "no_route"),
    NoCapacity: (_SERVER, "no_capacity"),
    Draining: (_SERVER, "draining"),
    Bug: (_SERVER, "internal_error"),
}
"""OpenAI's `type` and `code` for each leaf."""
_SDK_MAY_RETRY = (RateLimited, NoCapacity, Draining)

_METHOD = "method_not_allowed"
_ERROR_STATUS = re.compile("[45][0-9][0-9]")


# To callers.


class _Error(Struct, frozen=True):
    message: str
    type: str
    param: str | None
    code: str | None


class _Envelope(Struct, frozen=True):
    error: _Error


def _describe(fault: Fault) -> _Envelope:
    kind, code = WORDS[type(fault)]
    message = fault.message
    if isinstance(fault, NotFound) and fault.field == "model":
        code = "model_not_found"
    elif isinstance(fault, Refused) and fault.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        kind = _SERVER
    else:
        code = fault.vendor_code or (_METHOD if fault.status == HTTPStatus.METHOD_NOT_ALLOWED else code)
    if isinstance(fault, Limited) and fault.vendor_code == QUOTA:
        kind = QUOTA
    if isinstance(fault, UpstreamFault) and fault.target and fault.target not in message:
        message = f"{message} (target {fault.target})"
    return _Envelope(_Error(message, kind, fault.field, code))


def encode_fault(fault: Fault, request_id: str) -> Reply:
    """A fault before anything was sent."""
    headers = [(b"content-type", b"application/json"), (b"x-request-id", request_id.encode("ascii", "replace"))]
    if fault.retry_after is not None and math.isfinite(fault.retry_after):
        wait = max(fault.retry_after, 0.0)
        headers.append((b"retry-after", b"%d" % math.ceil(wait)))
        headers.append((b"retry-after-ms", b"%d" % math.ceil(wait * 1000)))
    soon_over = isinstance(fault, NoRoute) and fault.retry_after is not None
    if not soon_over and not isinstance(fault, _SDK_MAY_RETRY):
        headers.append((b"x-should-retry", b"false"))
    if fault.status == HTTPStatus.UNAUTHORIZED:
        headers.append((b"www-authenticate", b"Bearer"))
    return Reply(fault.status, tuple(headers), json.encode(_describe(fault)))


def describe(fault: Fault) -> bytes:
    """A fault as OpenAI's object."""
    return json.encode(_describe(fault))


def encode_fault_event(fault: Fault) -> bytes:
    """A fault in the middle of a stream; the SDKs raise on it."""
    return sse.encode(describe(fault))


# From upstreams.


class _Told(Struct, frozen=True):
    """What an upstream's error says, wherever it says it."""

    message: str | None = None
    param: str | None = None
    code: str | None = None
    type: str | None = None


def _word(value: object) -> str | None:
    """A code or a field's name: a string or a number; other things are none."""
    if isinstance(value, bool) or not isinstance(value, str | int) or value == "":
        return None
    return clean(str(value)[:MAX_CODE])


def _from_items(items: list[object]) -> _Told:
    """A list of errors: strings, OpenAI's objects, or pydantic's `{"loc", "msg"}`."""
    told = [_from_value(item) for item in items[:8]]
    first = told[0] if told else _Told()
    message = "; ".join(item.message for item in told if item.message)
    return _Told(message or None, first.param, first.code, first.type)


def _location(value: object) -> str | None:
    """Pydantic's `loc` as a dotted path, without the word `body`."""
    if not isinstance(value, list):
        return None
    return ".".join(str(step) for step in value[:8] if step != "body")[:MAX_CODE] or None


def _from_value(value: object) -> _Told:
    if isinstance(value, str):
        return _Told(clean(value) or None)
    if isinstance(value, list):
        return _from_items(value)
    if not isinstance(value, dict):
        return _Told()
    inner = _Told()
    for name in ("error", "message", "detail", "msg", "errors", "title"):
        inner = _from_value(value[name]) if value.get(name) else inner
        if inner.message:
            break
    return _Told(
        inner.message,
        inner.param or _word(value.get("param")) or _location(value.get("loc")),
        inner.code or _word(value.get("code")),
        inner.type or _word(value.get("type")) or _word(value.get("error_type")),
    )


def _parse(data: bytes) -> _Told | None:
    """What JSON tells; None where it is not JSON."""
    if json.too_deep(data, 32):
        return None
    try:
        return _from_value(msgspec.json.decode(data))
    except (json.DecodeError, UnicodeDecodeError):
        return None


def _from_body(reply: Reply) -> _Told:
    body = reply.body[:MAX_BODY].strip()
    told = _parse(body)
    if told is None:
        kind = (reply.header(b"content-type") or b"").lower()
        if not body or body.startswith(b"<") or b"html" in kind:
            told = _Told()
        else:
            text = body[:MAX_MESSAGE].decode("utf-8", "replace")
            told = _Told(clean("".join(char if char.isprintable() else " " for char in text)) or None)
    named = reply.header(b"x-error-code")  # the Hugging Face Hub's
    if named and told.code is None:
        told = _Told(told.message, told.param, _word(named.decode("latin-1")), told.type)
    return told


def _judged(status: int, told: _Told, wait: float | None, said: str) -> Fault:
    """The fault that a status and a code mean. Some write the vendor's word for no quota as the type."""
    code = QUOTA if QUOTA in (told.code, told.type) else _not_a_number(told.code)
    return judge(status, Complaint(told.message, code, told.param), wait, said)


def _not_a_number(code: str | None) -> str | None:
    """A vendor's code, unless it only repeats a status."""
    return None if code is None or code.isdigit() else code


def decode_fault(reply: Reply) -> Fault:
    """What a non-2xx answer of an upstream means."""
    return _judged(reply.status, _from_body(reply), retry_after(reply), f"answered {reply.status}")


_STATUS_OF: dict[str, int] = {
    "authentication_error": 401,
    "invalid_api_key": 401,
    "permission_error": 403,
    "permission_denied": 403,
    "badrequesterror": 400,
    "bad_request": 400,
    "bad_request_error": 400,
    "content_filter": 400,
    "content_policy_violation": 400,
    "context_length_exceeded": 400,
    "exceed_context_size_error": 400,
    "invalid_request_error": 400,
    "not_supported_error": 400,
    "unprocessable_entity": 422,
    "validation": 422,
    "not_found_error": 404,
    "notfounderror": 404,
    "model_not_found": 404,
    "rate_limit_error": 429,
    "rate_limit_exceeded": 429,
    "ratelimiterror": 429,
    "too_many_requests": 429,
    "requests": 429,
    "tokens": 429,
    "timeout": 504,
    "timeout_error": 504,
    "upstream_timeout": 504,
}
"""What code and type words say of a fault whose status was already 200."""


def _status_in_stream(told: _Told) -> int:
    for word in (told.code, told.type):
        if word is None:
            continue
        if _ERROR_STATUS.fullmatch(word):
            return int(word)
        if word.lower() in _STATUS_OF:
            return _STATUS_OF[word.lower()]
    return 500


def fault_in_stream(error: object) -> Fault:
    """What the `error` of a stream's frame means: JSON bytes as they came (bytes, `Raw`), or the decoded value."""
    told = (_parse(bytes(error)) or _Told()) if isinstance(error, bytes | msgspec.Raw) else _from_value(error)
    return _judged(_status_in_stream(told), told, None, "broke off its stream with an error")
