"""
What a caller's body must look like, and how a wrong one is told: the path with dots, as Anthropic writes it, and why.

Shapes and ranges are in the schemas (msgspec checks them in C while it decodes); this file only translates msgspec's
words (`$.messages[0].role`) into a `BadRequest` whose `field` is Anthropic's (`messages.0.role`).
"""

import re
from typing import TypeVar

import msgspec

from foz.canon.fault import BadRequest
from foz.wire.json import MAX_DEPTH, decode_known, too_deep

T = TypeVar("T")

_PATH = re.compile(r" - at (?:`key` in )?`\$\.?([^`]*)`$")
_MISSING = re.compile(r"^Object missing required field `([^`]*)`")
_WRONG_TYPE = re.compile(r"^Expected `([^`]*)`(?:, got `([^`]*)`)?$")
_KINDS = {
    "str": "a string",
    "int": "an integer",
    "float": "a number",
    "bool": "a boolean",
    "array": "a list",
    "object": "an object",
    "null": "null",
}
_NO_JSON = "The request body is not valid JSON"


def invalid(field: str, why: str) -> BadRequest:
    """A field that cannot be so, and why."""
    return BadRequest(f"{field}: {why}" if field else why, field=field or None)


def decode(
    decoder: "msgspec.json.Decoder[T]", body: bytes, at: str = "", known: "msgspec.json.Decoder[T] | None" = None
) -> T:
    """
    The body, or the part of it `at` this place, as the schema has it, or `known` where that takes it. Raises
    BadRequest, naming the field.
    """
    if not at and too_deep(body):
        raise _deep()
    try:
        if not at and not body.isascii():
            body.decode()
        return decode_known(known, decoder, body)
    except msgspec.ValidationError as error:
        raise explain(str(error), at) from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        why = error if bytes(body).strip() else "it is empty"
        raise BadRequest(f"{_NO_JSON}: {why}. Send a JSON object, in UTF-8.") from None
    except RecursionError:
        raise _deep() from None


def explain(said: str, at: str = "") -> BadRequest:
    """What msgspec said, as Anthropic says it."""
    found = _PATH.search(said)
    path = at
    if found:
        said = said[: found.start()]
        inner = found[1].replace("[...]", "").replace("[", ".").replace("]", "").strip(".")
        path = ".".join(filter(None, (at, inner)))
    missing = _MISSING.match(said)
    if missing:
        return invalid(".".join(filter(None, (path, missing[1]))), "Field required")
    wrong = _WRONG_TYPE.match(said)
    if wrong:
        expected = " or ".join(_KINDS.get(kind, kind) for kind in wrong[1].split(" | ") if kind != "null")
        got = f", but got {_KINDS.get(wrong[2], wrong[2])}" if wrong[2] else ""
        said = f"Input should be {expected}{got}"
    return invalid(path, said if path else f"The request body must be a JSON object: {said}")


def _deep() -> BadRequest:
    return BadRequest(f"The request body is nested too deeply: at most {MAX_DEPTH} levels are read.")
