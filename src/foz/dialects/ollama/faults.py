"""
Faults in Ollama's words, both ways: `{"error": "text"}` with a status, or as a line of a stream, where there is none.

From a server the status decides; the text is only told. A 401 or 403 is about the gateway's own key or sign-in, so its
text, which may show them, is dropped. A 404 that is no JSON is no model that is missing: something else answers there.
"""

import math
from http import HTTPStatus

import msgspec
from msgspec import Raw, Struct

from foz.canon.fault import Down, Fault, Limited, NotFound, Refused, Timeout, UpstreamFault
from foz.dialects.ollama.frames import BROKEN
from foz.wire import json, ndjson
from foz.wire.complaint import MAX_MESSAGE, clean, retry_after
from foz.wire.http import Reply

MAX_BODY = 256 * 1024
"""More of an upstream's error is not read."""
NULL = b"null"
NO_ERROR = frozenset({NULL, b'""', b"{}", b"false"})
CLIENT_CLOSED = 499
"""What Ollama answers where a load was given up: nobody's request is wrong."""
_TIMEOUTS = (HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.GATEWAY_TIMEOUT)
_OUR_KEY = (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN)


# To callers.


def words(fault: Fault) -> str:
    """What a fault says."""
    message = fault.message
    if isinstance(fault, NotFound) and fault.field == "model":
        return f"model not found: {message}"
    if isinstance(fault, UpstreamFault) and fault.target and fault.target not in message:
        return f"{message} (target {fault.target})"
    return message


def encode_fault(fault: Fault, request_id: str) -> Reply:
    """A fault before anything was sent."""
    headers = [(b"content-type", b"application/json"), (b"x-request-id", request_id.encode("ascii", "replace"))]
    if fault.retry_after is not None and math.isfinite(fault.retry_after):
        headers.append((b"retry-after", b"%d" % math.ceil(max(fault.retry_after, 0.0))))
    if fault.status == HTTPStatus.UNAUTHORIZED:
        headers.append((b"www-authenticate", b"Bearer"))
    return Reply(fault.status, tuple(headers), json.encode({"error": words(fault)}))


def encode_fault_event(fault: Fault) -> bytes:
    """A fault in the middle of a stream; Ollama's SDKs raise on it."""
    return ndjson.encode(json.encode({"error": words(fault)}))


# From servers.


class _Worded(Struct):
    """An error as an object, as proxies in front of the server write it."""

    message: str | None = None


class _Error(Struct):
    error: str | _Worded | None = None


_ERROR = msgspec.json.Decoder(_Error)
_WORDS = msgspec.json.Decoder(str | _Worded | None)


def _text(said: str | _Worded | None) -> str:
    return clean((said.message if isinstance(said, _Worded) else said) or "")


def _told(body: bytes) -> str | None:
    """The text of an error's body; None where it is not Ollama's."""
    if json.too_deep(body, 32):
        return None
    try:
        return _text(_ERROR.decode(body).error)
    except BROKEN:
        return None


def _plain(body: bytes) -> str:
    """The text of a body that is no JSON, unless it is a page."""
    text = body[:MAX_MESSAGE].decode("utf-8", "replace").strip()
    return "" if text.startswith("<") else clean("".join(char if char.isprintable() else " " for char in text))


def decode_fault(reply: Reply) -> Fault:
    """What a non-2xx answer means."""
    body = reply.body[:MAX_BODY].strip()
    told = _told(body)
    text = _plain(body) if told is None else told
    status, wait = reply.status, retry_after(reply)
    message = f"the Ollama server answered {status}" + (f": {text}" if text else "")
    if status in _OUR_KEY:
        return Refused(
            f"the Ollama server refused the gateway ({status}); its operator must check that provider's key, "
            "or sign in on that server",
            status=HTTPStatus.BAD_GATEWAY,
        )
    if status < HTTPStatus.BAD_REQUEST or (status == HTTPStatus.NOT_FOUND and told is None):
        return Refused(f"{message}; is the provider's base URL right?", status=HTTPStatus.BAD_GATEWAY)
    if status == HTTPStatus.PAYMENT_REQUIRED:
        return Limited(message, retry_after=wait, vendor_code="insufficient_quota")
    if status == HTTPStatus.TOO_MANY_REQUESTS:
        return Limited(message, retry_after=wait)
    if status in _TIMEOUTS:
        return Timeout(message, retry_after=wait)
    if status >= CLIENT_CLOSED:
        return Down(message, retry_after=wait)
    code = "model_not_found" if status == HTTPStatus.NOT_FOUND else None
    return Refused(message, status=status, vendor_code=code)


def fault_in_stream(error: Raw) -> Fault:
    """What the `error` of a line means: the server began and could not go on."""
    try:
        text = _text(_WORDS.decode(error))
    except BROKEN:
        text = ""
    return Down("the Ollama server broke off with an error" + (f": {text}" if text else ""))
