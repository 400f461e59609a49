"""
Refusals of Hugging Face's task endpoints.

Status decides; in a stream, and where an error comes under status 200, `error_type` does. `estimated_time` is said by
models that are still loading, and by nobody else. `error` is a text, a list of texts or an object; the Hub puts words
into headers. What a 401 says may show our key and is dropped.
"""

import math
from http import HTTPStatus
from typing import Any

import msgspec
from msgspec import Struct

from foz.canon.fault import Down, Fault, Limited, Refused, Timeout
from foz.wire import json
from foz.wire.complaint import clean, retry_after
from foz.wire.http import Reply

LOADING = "model_loading"
"""The code of a fault whose model is not ready yet."""
MAX_BODY = 256 * 1024
MAX_DEPTH = 32
_OUR_KEY = (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN)
_TIMEOUTS = (HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.GATEWAY_TIMEOUT)
_STATUS_OF = {
    "overloaded": HTTPStatus.TOO_MANY_REQUESTS,
    "validation": HTTPStatus.UNPROCESSABLE_ENTITY,
    "empty_input": HTTPStatus.UNPROCESSABLE_ENTITY,
    "template_error": HTTPStatus.UNPROCESSABLE_ENTITY,
    "tool_error": HTTPStatus.UNPROCESSABLE_ENTITY,
}
"""What TGI's words say of a fault whose status was already 200; all others are its own doing."""


class Complaint(Struct):
    """An error's body."""

    error: Any = None
    error_type: str | None = None
    estimated_time: float | None = None
    message: Any = None


_COMPLAINT = msgspec.json.Decoder(Complaint)


def _text(value: object, depth: int = 0) -> str:
    """The words in a text, a list or an object."""
    if isinstance(value, str):
        return value
    if depth < MAX_DEPTH and isinstance(value, list):
        return "; ".join(filter(None, (_text(item, depth + 1) for item in value[:8])))
    if depth < MAX_DEPTH and isinstance(value, dict):
        return next(filter(None, (_text(value.get(name), depth + 1) for name in ("message", "error", "detail"))), "")
    return ""


def complaint(body: bytes) -> Complaint | None:
    """What an error's body says; None where it is none."""
    if json.too_deep(body, MAX_DEPTH):
        return None
    try:
        said = _COMPLAINT.decode(body)
    except (json.DecodeError, UnicodeDecodeError):
        return None
    return said if said.error or said.message else None


def waiting(said: Complaint | None) -> float | None:
    """How many seconds until the model is loaded, where it is loading."""
    if said is None or said.estimated_time is None or not math.isfinite(said.estimated_time):
        return None
    return max(said.estimated_time, 0.0)


def loading(reply: Reply) -> float | None:
    """How many seconds until the model of a refusal is loaded, where that is what it says."""
    return waiting(complaint(reply.body[:MAX_BODY]))


def _judge(status: int, text: str, wait: float | None, said: str) -> Fault:
    message = f"Hugging Face {said}: {clean(text)}" if text else f"Hugging Face {said}"
    if status == HTTPStatus.PAYMENT_REQUIRED:
        return Limited(message, retry_after=wait, vendor_code="insufficient_quota")
    if status == HTTPStatus.TOO_MANY_REQUESTS:
        return Limited(message, retry_after=wait)
    if status in _TIMEOUTS:
        return Timeout(message, retry_after=wait)
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR or status == HTTPStatus.FAILED_DEPENDENCY:
        return Down(message, retry_after=wait)
    if status in _OUR_KEY:
        return Refused(
            f"Hugging Face refused the gateway's own key ({status}); its operator must check HUGGINGFACE_API_KEY",
            status=HTTPStatus.BAD_GATEWAY,
        )
    if status < HTTPStatus.BAD_REQUEST:
        return Refused(f"{message}; is the provider's base URL right?", status=HTTPStatus.BAD_GATEWAY)
    if status == HTTPStatus.NOT_FOUND:
        hint = "not every model of the Hub is served by its Inference API"
        return Refused(f"{message} ({hint})", field="model", status=status, vendor_code="model_not_found")
    return Refused(message, status=status)


def still_loading(said: Complaint | None, wait: float) -> Down:
    """The model is not ready."""
    text = clean(_text(said.error or said.message)) if said else ""
    return Down(
        f"the model is still loading at Hugging Face, about {wait:g} s more{f': {text}' if text else ''}",
        status=HTTPStatus.SERVICE_UNAVAILABLE,
        retry_after=wait,
        vendor_code=LOADING,
    )


def decode_fault(reply: Reply) -> Fault:
    """What a non-2xx answer means."""
    body = reply.body[:MAX_BODY].strip()
    said = complaint(body)
    wait = waiting(said)
    if wait is not None and reply.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return still_loading(said, wait)
    text = _text(said.error or said.message) if said else (reply.header(b"x-error-message") or b"").decode("latin-1")
    return _judge(reply.status, text, retry_after(reply), f"answered {reply.status}")


def fault_in_answer(said: Complaint) -> Fault:
    """An error under status 200, whole or in a stream."""
    wait = waiting(said)
    if wait is not None:
        return still_loading(said, wait)
    status = _STATUS_OF.get((said.error_type or "").lower(), HTTPStatus.INTERNAL_SERVER_ERROR)
    return _judge(status, _text(said.error or said.message), None, "broke off its answer with an error")
