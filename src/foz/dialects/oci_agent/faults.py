"""
Errors of the agents' API as faults. Status decides; where one status means two things, the code does; words never do.

A body is `{"code", "message"}` with a word in `code`, or, from the inference service, the status once more; the
message may be a vendor's error written as JSON into a string, or the body is that error itself, or HTML, or nothing.
A 409 is worth another try unless its code says that it is final. A 401, a 403, and a 404 that will not say which, may
be about the gateway's own key or account: the words of the first two are dropped.
"""

import re
from http import HTTPStatus

import msgspec
from msgspec import Struct

from foz.canon.fault import Down, Fault, Limited, Refused, Timeout
from foz.wire import json
from foz.wire.complaint import MAX_MESSAGE, clean, retry_after
from foz.wire.http import Reply

MAX_BODY = 256 * 1024
MAX_CODE = 128
_OUR_KEY = (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN)
_TIMEOUTS = (HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.GATEWAY_TIMEOUT)
_FINAL = frozenset({"Conflict", "InvalidatedRetryToken"})
_QUOTA = frozenset({"QuotaExceeded", "LimitExceeded"})
_SIGNATURE = re.compile(r"(?i)(signature=\"|keyId=\"|ST\$)[\w.+/=:$*-]{8,}")
STATUS_OF: dict[str, int] = {
    "CannotParseRequest": 400,
    "InvalidParameter": 400,
    "MissingParameter": 400,
    "LimitExceeded": 400,
    "QuotaExceeded": 400,
    "NotAuthenticated": 401,
    "NotAuthorized": 403,
    "NotAllowed": 403,
    "SignUpRequired": 403,
    "NotAuthorizedOrNotFound": 404,
    "NotFound": 404,
    "MethodNotAllowed": 405,
    "Conflict": 409,
    "IncorrectState": 409,
    "InvalidatedRetryToken": 409,
    "LockConflict": 409,
    "NoEtagMatch": 412,
    "TooManyRequests": 429,
    "InternalServerError": 500,
    "ServiceUnavailable": 503,
}
"""The statuses of Oracle's codes, for an error that comes in a stream."""


class _Vendor(Struct):
    message: str | None = None
    param: str | None = None
    code: str | int | None = None
    type: str | None = None


class _Body(Struct):
    code: str | int | None = None
    message: str | None = None
    error: _Vendor | str | None = None


class Told(Struct, frozen=True):
    """What an error says."""

    message: str | None = None
    code: str | None = None
    param: str | None = None


_BODY = msgspec.json.Decoder(_Body)


def _clean(text: str | None) -> str | None:
    """Without anything that looks like a credential, and not without end."""
    return clean(_SIGNATURE.sub(r"\1***", text[: 2 * MAX_MESSAGE])) or None if text else None


def _word(code: str | int | None) -> str | None:
    return None if code is None or code == "" else str(code)[:MAX_CODE]


def read(body: bytes, *, nested: bool = True) -> Told | None:
    """What a body tells; None where it is not an error of this API."""
    if json.too_deep(body, 32):
        return None
    try:
        said = _BODY.decode(body)
    except (json.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    if isinstance(said.error, str):
        return Told(_clean(said.error), _word(said.code))
    if said.error is not None:
        code = _word(said.error.code) or _word(said.error.type)
        return Told(_clean(said.error.message), code, _word(said.error.param))
    if nested and said.message and said.message.lstrip().startswith("{"):
        inner = read(said.message.encode(), nested=False)
        if inner is not None and inner.message:
            return inner
    return Told(_clean(said.message), _word(said.code))


def judge(status: int, told: Told, wait: float | None, said: str) -> Fault:
    """The fault that a status and a code mean."""
    message = f"the upstream {said}: {told.message}" if told.message else f"the upstream {said}"
    code = None if told.code is None or told.code.isdigit() else told.code
    if status == HTTPStatus.TOO_MANY_REQUESTS or code in _QUOTA:
        return Limited(message, retry_after=wait, vendor_code=code)
    if status == HTTPStatus.CONFLICT and code not in _FINAL:
        return Limited(message, status=HTTPStatus.CONFLICT, retry_after=wait, vendor_code=code)
    if status in _TIMEOUTS:
        return Timeout(message, retry_after=wait, vendor_code=code)
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return Down(message, retry_after=wait, vendor_code=code)
    if status in _OUR_KEY:
        return Refused(
            f"the upstream refused the gateway's own key ({status}); its operator must check that provider's profile",
            status=HTTPStatus.BAD_GATEWAY,
            vendor_code=code,
        )
    if status < HTTPStatus.BAD_REQUEST:
        return Refused(f"{message}; is the provider's region right?", status=HTTPStatus.BAD_GATEWAY)
    return Refused(message, field=told.param, status=status, vendor_code=code)


def decode_fault(reply: Reply) -> Fault:
    """What a non-2xx answer means."""
    body = reply.body[:MAX_BODY].strip()
    told = read(body) or Told()
    return judge(reply.status, told, retry_after(reply), f"answered {reply.status}")


def fault_in_stream(data: bytes) -> Fault:
    """What an error in a stream means: its code says the status that it would have had."""
    told = read(data) or Told()
    code = told.code or ""
    status = int(code) if re.fullmatch("[45][0-9][0-9]", code) else STATUS_OF.get(code, 500)
    return judge(status, told, None, "broke off its stream with an error")
