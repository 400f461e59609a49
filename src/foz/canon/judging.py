"""
What a status of an upstream means, whatever it speaks: status and code decide, words in a message never do.

A 401 or 403 is about the gateway's own key: what is told of it may show the key, and is dropped. It and a redirect
are not the caller's doing: 502.
"""

from http import HTTPStatus

from msgspec import Struct

from foz.canon.fault import Down, Fault, Limited, Refused, Timeout

QUOTA = "insufficient_quota"
_OUR_KEY = (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN)
_TIMEOUTS = (HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.GATEWAY_TIMEOUT)


class Complaint(Struct, frozen=True):
    """What an upstream's error says, in whatever words."""

    message: str | None = None
    code: str | None = None
    """The vendor's word for it."""
    field: str | None = None


def judge(status: int, told: Complaint, wait: float | None, said: str) -> Fault:
    """The fault that a status and a code mean; `said` is what the upstream did."""
    message = f"the upstream {said}: {told.message}" if told.message else f"the upstream {said}"
    code = told.code
    if code == QUOTA or status == HTTPStatus.PAYMENT_REQUIRED:
        return Limited(message, retry_after=wait, vendor_code=QUOTA)
    if status == HTTPStatus.TOO_MANY_REQUESTS:
        return Limited(message, retry_after=wait, vendor_code=code)
    if status in _TIMEOUTS:
        return Timeout(message, retry_after=wait, vendor_code=code)
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR or status == HTTPStatus.FAILED_DEPENDENCY:
        return Down(message, retry_after=wait, vendor_code=code)
    if status in _OUR_KEY:
        return Refused(
            f"the upstream refused the gateway's own key ({status}); its operator must check that provider's key",
            status=HTTPStatus.BAD_GATEWAY,
            vendor_code=code,
        )
    if status < HTTPStatus.BAD_REQUEST:
        return Refused(f"{message}; is the provider's base URL right?", status=HTTPStatus.BAD_GATEWAY)
    if status == HTTPStatus.NOT_FOUND:
        code = code or "model_not_found"
    return Refused(message, field=told.field, status=status, vendor_code=code)
