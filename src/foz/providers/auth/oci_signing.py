"""
Oracle's request signature (draft-cavage HTTP signatures, version 1), proven byte for byte against Oracle's own SDK.

Signed are `date`, `(request-target)` and `host`, and where there is a body also `content-length`, `content-type` and
`x-content-sha256`: the exact bytes that are sent. So a call is signed last, and nobody changes it after.
Pure: who signs, the key and the date are given. The key is a function, so that only who has one loads a library for it
(`oci_keys`).
"""

from base64 import b64encode
from collections.abc import Callable
from email.utils import formatdate
from hashlib import sha256

from msgspec import Struct
from typing_extensions import override

from foz.wire.http import Headers

Key = Callable[[bytes], bytes]
"""Signs bytes: RSA, PKCS #1 v1.5, SHA-256."""
_PLAIN = "date (request-target) host"
_WITH_BODY = f"{_PLAIN} content-length content-type x-content-sha256"
_BODIED = frozenset({"POST", "PUT", "PATCH"})
_JSON = b"application/json"


class OciKey(Struct, frozen=True):
    """Who signs, and with what. Its repr shows neither."""

    id: str
    key: Key

    @override
    def __repr__(self) -> str:
        return "OciKey(...)"


def token_id(token: str) -> str:
    """Who signs with a session's token."""
    return f"ST${token.strip()}"


def date_of(now: int) -> str:
    """UTC milliseconds as HTTP writes a date."""
    return formatdate(now / 1000, usegmt=True)


def sign(key: OciKey, method: str, target: str, host: str, body: bytes, date: str) -> Headers:
    """
    The headers that a call bears beside `host` and `content-length`. `target` is the path with its query as it is
    sent, `host` the header's value. The call's content type is JSON.
    """
    method = method.upper()
    lines = [f"date: {date}", f"(request-target): {method.lower()} {target}", f"host: {host}"]
    headers: list[tuple[bytes, bytes]] = [(b"date", date.encode("ascii"))]
    named = _PLAIN
    if method in _BODIED:
        named = _WITH_BODY
        digest = b64encode(sha256(body).digest())
        lines += [
            f"content-length: {len(body)}",
            f"content-type: {_JSON.decode()}",
            f"x-content-sha256: {digest.decode()}",
        ]
        headers.append((b"x-content-sha256", digest))
    signature = b64encode(key.key("\n".join(lines).encode("ascii"))).decode()
    shown = f'Signature algorithm="rsa-sha256",headers="{named}",keyId="{key.id}",signature="{signature}",version="1"'
    return (*headers, (b"authorization", shown.encode("ascii")))
