"""
Faults as gRPC's statuses, with google.rpc's details.

Each has an ErrorInfo (the fault's code, the domain `foz`; target, HTTP status and vendor's code as its metadata) and a
RequestInfo; a BadRequest where a field is to blame, a RetryInfo where it is known when to ask again. Whom asking again
cannot help is told `grpc-retry-pushback-ms: -1`: the gateway has tried already, and clients' own retries would only
multiply that.

The messages are written by hand: they are small, and long settled.
"""

from http import HTTPStatus

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
from foz.wire.protobuf import blob, whole

INVALID_ARGUMENT, DEADLINE_EXCEEDED, NOT_FOUND, PERMISSION_DENIED = 3, 4, 5, 7
RESOURCE_EXHAUSTED, FAILED_PRECONDITION, INTERNAL, UNAVAILABLE, UNAUTHENTICATED = 8, 9, 13, 14, 16

CODES: dict[type[Fault], int] = {
    BadRequest: INVALID_ARGUMENT,
    Unsupported: FAILED_PRECONDITION,
    Unauthenticated: UNAUTHENTICATED,
    Forbidden: PERMISSION_DENIED,
    NotFound: NOT_FOUND,
    Conflict: FAILED_PRECONDITION,
    RateLimited: RESOURCE_EXHAUSTED,
    OverBudget: RESOURCE_EXHAUSTED,
    Refused: INVALID_ARGUMENT,
    Limited: RESOURCE_EXHAUSTED,
    Down: UNAVAILABLE,
    Timeout: DEADLINE_EXCEEDED,
    Garbled: INTERNAL,
    Cut: UNAVAILABLE,
    NoRoute: UNAVAILABLE,
    NoCapacity: UNAVAILABLE,
    Draining: UNAVAILABLE,
    Bug: INTERNAL,
}
"""The status of each leaf."""
_BY_STATUS: dict[int, int] = {
    HTTPStatus.NOT_FOUND: NOT_FOUND,
    HTTPStatus.REQUEST_TIMEOUT: DEADLINE_EXCEEDED,
    HTTPStatus.CONFLICT: FAILED_PRECONDITION,
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: RESOURCE_EXHAUSTED,
    HTTPStatus.TOO_MANY_REQUESTS: RESOURCE_EXHAUSTED,
}
"""What a refusal's HTTP status says more exactly."""
_SOON_OVER = (RateLimited, NoCapacity, Draining)
_MOST_TEXT = 1000
"""Bytes of a message: it travels as a header, twice, and clients take 8 kB of those."""
_MOST_WORD = 200
DOMAIN = b"foz"
DETAILS = "grpc-status-details-bin"
PUSHBACK = "grpc-retry-pushback-ms"
REQUEST_ID = "x-request-id"
_TYPES = b"type.googleapis.com/google.rpc."
_NANOS = 10**9


class Status(Struct, frozen=True):
    """How a call ended."""

    code: int
    message: str
    trailers: tuple[tuple[str, str | bytes], ...]
    """Metadata that goes with it."""


def code_of(fault: Fault) -> int:
    """The status code."""
    if isinstance(fault, BadRequest | Refused):
        if fault.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            return FAILED_PRECONDITION  # the gateway's own key or address: nothing of this request is to blame
        return _BY_STATUS.get(fault.status, INVALID_ARGUMENT)
    return CODES[type(fault)]


def status_of(fault: Fault, request_id: str) -> Status:
    """A fault, for a request."""
    code = code_of(fault)
    message = fault.message
    if isinstance(fault, UpstreamFault) and fault.target and fault.target not in message:
        message = f"{message} (target {fault.target})"
    text = _short(message, _MOST_TEXT)
    said = whole(1, code) + blob(2, text) + b"".join(blob(3, one) for one in _details(fault, code, request_id))
    trailers: list[tuple[str, str | bytes]] = [(REQUEST_ID, request_id), (DETAILS, said)]
    if fault.retry_after is not None and fault.retry_after >= 0 and isinstance(fault, (*_SOON_OVER, NoRoute)):
        trailers.append((PUSHBACK, str(round(min(fault.retry_after, 3600) * 1000))))
    elif not isinstance(fault, _SOON_OVER):
        trailers.append((PUSHBACK, "-1"))
    return Status(code, text.decode(), tuple(trailers))


def field_of(fault: Fault) -> str | None:
    """The field to blame, by its name here."""
    return "model_id" if fault.field == "model" else fault.field


def _details(fault: Fault, code: int, request_id: str) -> list[bytes]:
    facts = (
        (b"http_status", str(fault.status)),
        (b"target", fault.target),
        (b"field", field_of(fault)),
        (b"vendor_code", fault.vendor_code),
    )
    info = blob(1, fault.code.upper().encode()) + blob(2, DOMAIN)
    info += b"".join(blob(3, blob(1, name) + blob(2, _short(word, _MOST_WORD))) for name, word in facts if word)
    found = [_any(b"ErrorInfo", info), _any(b"RequestInfo", blob(1, request_id.encode()))]
    field = field_of(fault)
    if field is not None and code == INVALID_ARGUMENT:
        violation = blob(1, _short(field, _MOST_WORD)) + blob(2, _short(fault.message, _MOST_WORD))
        found.append(_any(b"BadRequest", blob(1, violation)))
    if fault.retry_after is not None and 0 <= fault.retry_after < _NANOS:
        seconds, nanos = divmod(round(fault.retry_after * _NANOS), _NANOS)
        found.append(_any(b"RetryInfo", blob(1, whole(1, seconds) + whole(2, nanos))))
    return found


def _any(kind: bytes, message: bytes) -> bytes:
    return blob(1, _TYPES + kind) + blob(2, message)


def _short(text: str, most: int) -> bytes:
    """At most so many bytes, whole characters."""
    data = text.encode("utf-8", "replace")
    return data if len(data) <= most else data[:most].decode("utf-8", "ignore").encode()
