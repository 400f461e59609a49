"""
What vendors want back of a model's thoughts, as `encrypted_content`.

It is not ours to read nor the caller's to change, so it is wrapped, not encrypted: the vendors' own signatures guard
it. What somebody else has sealed is left out.
"""

from base64 import urlsafe_b64decode, urlsafe_b64encode

import msgspec
from msgspec import Struct

_MARK = "foz1."


class Sealed(Struct, frozen=True, array_like=True):
    """One block of thinking."""

    text: str
    signature: str | None = None
    sealed: str | None = None


_DECODER = msgspec.msgpack.Decoder(Sealed)


def closed(text: str, signature: str | None, sealed: str | None) -> str:
    """As callers keep it."""
    return _MARK + urlsafe_b64encode(msgspec.msgpack.encode(Sealed(text, signature, sealed))).decode()


def opened(content: str | None) -> Sealed | None:
    """What was sealed here; None where it was not, or was changed."""
    if content is None or not content.startswith(_MARK):
        return None
    try:
        return _DECODER.decode(urlsafe_b64decode(content[len(_MARK) :].encode("ascii")))
    except (msgspec.DecodeError, ValueError):
        return None
