"""
Oracle's request signature (draft-cavage HTTP signatures, version 1), proven byte for byte against Oracle's own SDK.

Signed are `date`, `(request-target)` and `host`, and where there is a body also `content-length`, `content-type` and
`x-content-sha256`: the exact bytes that are sent. So a call is signed last, and nobody changes it after.
Pure: the key's bytes, the token and the date are given.
"""

from base64 import b64encode
from email.utils import formatdate
from hashlib import sha256

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_pem_private_key, load_pem_public_key
from msgspec import Struct
from typing_extensions import override

from foz.wire.http import Headers

_PLAIN = "date (request-target) host"
_WITH_BODY = f"{_PLAIN} content-length content-type x-content-sha256"
_BODIED = frozenset({"POST", "PUT", "PATCH"})
_JSON = b"application/json"


class UnusableKey(ValueError):
    """Why a key file cannot sign, and what was expected."""


class OciKey(Struct, frozen=True):
    """Who signs, and with what. Its repr shows neither."""

    id: str
    key: RSAPrivateKey

    @override
    def __repr__(self) -> str:
        return "OciKey(...)"


def token_id(token: str) -> str:
    """Who signs with a session's token."""
    return f"ST${token.strip()}"


def load_key(pem: bytes, pass_phrase: str | None, where: str) -> RSAPrivateKey:
    """The private key of a PEM file; a pass phrase that it does not need is no mistake. Raises UnusableKey."""
    pem = pem.strip()
    secret = pass_phrase.encode() if pass_phrase else None
    try:
        key = _read(pem, secret, where)
    except (ValueError, UnsupportedAlgorithm) as error:
        if isinstance(error, UnusableKey):
            raise
        if _is_public(pem):
            raise UnusableKey(f"{where}: this is a public key; expected the private one that belongs to it") from None
        what = "the pass phrase is wrong, or this is" if pass_phrase else "this is"
        raise UnusableKey(f"{where}: {what} not a private key in PEM form") from None
    if not isinstance(key, RSAPrivateKey):
        raise UnusableKey(f"{where}: expected an RSA key, the only kind that Oracle takes for its API")
    return key


def _read(pem: bytes, secret: bytes | None, where: str) -> object:
    try:
        return load_pem_private_key(pem, secret)
    except TypeError:
        if secret is None:
            raise UnusableKey(f"{where}: the key is encrypted; expected its pass_phrase in the profile") from None
        return load_pem_private_key(pem, None)


def _is_public(pem: bytes) -> bool:
    try:
        load_pem_public_key(pem)
    except (ValueError, UnsupportedAlgorithm):
        return False
    return True


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
    signature = b64encode(key.key.sign("\n".join(lines).encode("ascii"), PKCS1v15(), SHA256())).decode()
    shown = f'Signature algorithm="rsa-sha256",headers="{named}",keyId="{key.id}",signature="{signature}",version="1"'
    return (*headers, (b"authorization", shown.encode("ascii")))
