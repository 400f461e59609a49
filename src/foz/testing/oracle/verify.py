"""Whether a call is signed as Oracle's API demands: the signature is computed again, with the caller's public key."""

import re
from base64 import b64decode, b64encode
from binascii import Error
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from hashlib import sha256

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.hashes import SHA256

from foz.wire.http import Call

SKEW = 300.0
_PARAMETER = re.compile(r'(\w+)="([^"]*)"')
_BODIED = {"POST", "PUT", "PATCH"}
_PLAIN = ["date", "(request-target)", "host"]
_OF_BODY = ["content-length", "content-type", "x-content-sha256"]


def why_not(call: Call, keys: Mapping[str, RSAPublicKey], now: float) -> str | None:
    """What is wrong with a call's signature; None where it is right. `keys` are by key id, `now` is UTC seconds."""
    shown = (call.header(b"authorization") or b"").decode("latin-1")
    if not shown.startswith("Signature "):
        return "there is no signature"
    said = dict(_PARAMETER.findall(shown))
    key = keys.get(said.get("keyId", ""))
    if key is None:
        return "nobody has this key id"
    if said.get("algorithm") != "rsa-sha256" or said.get("version") != "1":
        return "the algorithm or the version is wrong"
    demanded = _PLAIN + (_OF_BODY if call.method in _BODIED else [])
    if said.get("headers", "").split() != demanded:
        return f"signed must be: {' '.join(demanded)}"
    wrong = _content(call) or _date(call, now)
    if wrong is not None:
        return wrong
    target = f"{call.path}?{call.query}" if call.query else call.path
    lines = [
        f"(request-target): {call.method.lower()} {target}" if name == "(request-target)" else _line(call, name)
        for name in demanded
    ]
    try:
        signature = b64decode(said.get("signature", ""), validate=True)
        key.verify(signature, "\n".join(lines).encode("latin-1"), PKCS1v15(), SHA256())
    except (InvalidSignature, Error):
        return "the signature is not of this call"
    return None


def _line(call: Call, name: str) -> str:
    return f"{name}: {(call.header(name.encode()) or b'').decode('latin-1')}"


def _content(call: Call) -> str | None:
    if call.method not in _BODIED:
        return None
    if call.header(b"x-content-sha256") != b64encode(sha256(call.body).digest()):
        return "x-content-sha256 is not of this body"
    if call.header(b"content-length") != b"%d" % len(call.body):
        return "content-length is not of this body"
    return None


def _date(call: Call, now: float) -> str | None:
    try:
        said = parsedate_to_datetime((call.header(b"date") or b"").decode("latin-1"))
    except ValueError:
        return "there is no date"
    return None if abs(said.timestamp() - now) <= SKEW else "the date is more than five minutes off"
