"""
What callers say in headers, the same for every skin that has no place of its own for it: their key, and whom a call
is for.
"""

from foz.canon.fault import BadRequest
from foz.canon.request import NOBODY, Attribution
from foz.wire.http import Call

MAX_WORD = 128
HEADERS = (
    ("X-Foz-Project", "The project that the call is for. A key that has a project of its own decides it."),
    ("X-Foz-Process-Id", "What the call is part of, such as a run of your program. Kept in the ledger."),
    ("X-Foz-Subprocess-Id", "Which part of that."),
    ("X-Foz-User-Key", "Which of your users the call is for. Kept in the ledger."),
)
"""Whom a call is for: each at most 128 printable characters."""
_ATTRIBUTION = frozenset(name.lower().encode() for name, _ in HEADERS)
_BEARER = b"bearer "


def key_of(call: Call) -> str | None:
    """`Authorization: Bearer`, else `X-API-Key`; an empty one is none."""
    said = call.header(b"authorization") or b""
    key = said[len(_BEARER) :].strip() if said[: len(_BEARER)].lower() == _BEARER else b""
    key = key or (call.header(b"x-api-key") or b"").strip()
    return key.decode("latin-1") or None


def attribution_of(call: Call) -> Attribution:
    """From the `X-Foz-...` headers. Raises BadRequest, naming the header."""
    if call.named.keys().isdisjoint(_ATTRIBUTION):
        return NOBODY
    return Attribution(
        project=_word(call, "X-Foz-Project"),
        process_id=_word(call, "X-Foz-Process-Id"),
        subprocess_id=_word(call, "X-Foz-Subprocess-Id"),
        user_key=_word(call, "X-Foz-User-Key"),
    )


def _word(call: Call, header: str) -> str | None:
    """A header's word; None where it is not there or empty."""
    value = call.header(header.lower().encode())
    if not value:
        return None
    try:
        word = value.decode().strip()
    except UnicodeDecodeError:
        word = "\0"
    if len(word) > MAX_WORD or not word.isprintable():
        raise BadRequest(
            f"The header {header} must be at most {MAX_WORD} printable characters, in UTF-8.",
            field=header,
            vendor_code="invalid_value",
        )
    return word or None
