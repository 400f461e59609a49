"""
What a caller's body must look like, and how a wrong one is told: OpenAI's sentences, naming the field as OpenAI does.

Shapes and ranges are in the schemas (msgspec checks them in C while it decodes); this file only translates
msgspec's words (`$.messages[0].role`) into a `BadRequest` whose `field` is OpenAI's `param` (`messages[0].role`)
and whose `vendor_code` is OpenAI's `code`.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Annotated, TypeVar

import msgspec
from msgspec import Meta, Raw

from foz.canon.fault import BadRequest
from foz.wire.json import MAX_DEPTH, decode_known, too_deep

T = TypeVar("T")

MOST = 2**31 - 1
"""Nothing is counted further: a limit beyond it is a mistake, and reckoning with it would be another."""
Whole = Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)]
"""A number that is no count, such as a seed: what OpenAI and everybody's machines hold."""

Words = Mapping[str, Sequence[str]]
"""Which words a field takes, by its path without positions (`messages[].role`)."""

NO_WORDS: Words = {}

_OBJECT = msgspec.json.Decoder(dict[str, Raw])
_PATH = re.compile(r" - at (?:`key` in )?`\$\.?([^`]*)`$")
_MISSING = re.compile(r"^Object missing required field `([^`]*)`")
_WRONG_TYPE = re.compile(r"^Expected `([^`]*)`(?:, got `([^`]*)`)?$")
_RANGE = re.compile(r"^Expected `(int|float)` (>=|<=) (\S+)$")
_LENGTH = re.compile(r"^Expected `(str|array|object)` of length (>=|<=) (\d+)$")
_WORD = re.compile(r"^Invalid (?:enum )?value (.*)$", re.DOTALL)
_LONE = re.compile(
    rb"(?<!\\)(?:\\\\)*(\\u[dD](?:[89abAB][0-9a-fA-F]{2}(?!\\u[dD][c-fC-F])"
    rb"|(?<!\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD])[c-fC-F][0-9a-fA-F]{2}))"
)
"""An escape that is half of a surrogate pair, the other half missing."""
_KINDS = {
    "str": "a string",
    "int": "an integer",
    "float": "a number",
    "bool": "a boolean",
    "array": "an array",
    "object": "an object",
    "null": "null",
}
_POSITION = re.compile(r"\[\d+\]")


def refusal(message: str, field: str | None = None, code: str | None = None) -> BadRequest:
    """A request that is not as it must be; `code` is OpenAI's word for how."""
    return BadRequest(message, field=field, vendor_code=code)


def invalid(field: str, why: str, code: str | None = "invalid_value") -> BadRequest:
    """A field whose value cannot be, and why."""
    return refusal(f"Invalid value for '{field}': {why}", field, code)


def decode(
    decoder: "msgspec.json.Decoder[T]",
    body: bytes,
    words: Words = NO_WORDS,
    known: "msgspec.json.Decoder[T] | None" = None,
) -> T:
    """The body as the schema has it, or `known` where that takes it. Raises BadRequest, naming the field."""
    if too_deep(body):
        raise _deep()
    try:
        if not body.isascii():
            body.decode()
        return decode_known(known, decoder, body)
    except msgspec.ValidationError as error:
        raise explain(str(error), words) from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise _unreadable(body, error) from None
    except RecursionError:
        raise _deep() from None


def extras(body: bytes, known: frozenset[str]) -> dict[str, Raw]:
    """The top-level fields of a body that was decoded before which are not known, verbatim."""
    return {name: value for name, value in _OBJECT.decode(body).items() if name not in known}


def with_model(body: bytes, model: str) -> bytes:
    """The body for this model, whatever it says itself: where the path says the model. Raises BadRequest."""
    said = decode(_OBJECT, body)
    said["model"] = Raw(msgspec.json.encode(model))
    return msgspec.json.encode(said)


def explain(said: str, words: Words = NO_WORDS) -> BadRequest:
    """What msgspec said, as OpenAI says it."""
    path = _PATH.search(said)
    field = path[1].replace("[...]", "") if path else ""
    if path:
        said = said[: path.start()]
    missing = _MISSING.match(said)
    if missing:
        field = f"{field}.{missing[1]}" if field else missing[1]
        return refusal(f"Missing required parameter: '{field}'.", field, "missing_required_parameter")
    if not field:
        return refusal(f"The body of your request must be a JSON object: {said}.")
    word = _WORD.match(said)
    if word:
        supported = words.get(_POSITION.sub("[]", field), ())
        listed = f" Supported values are: {', '.join(map(repr, supported))}." if supported else ""
        return refusal(f"Invalid value for '{field}': {word[1]}.{listed}", field, "invalid_value")
    return _measure(field, said) or _mistyped(field, said)


def _mistyped(field: str, said: str) -> BadRequest:
    wrong = _WRONG_TYPE.match(said)
    if wrong is None:
        return refusal(f"Invalid value for '{field}': {said}.", field, "invalid_value")
    expected = " or ".join(_KINDS.get(kind, kind) for kind in wrong[1].split(" | ") if kind != "null")
    got = f", but got {_KINDS.get(wrong[2], wrong[2])} instead" if wrong[2] else ""
    return refusal(f"Invalid type for '{field}': expected {expected}{got}.", field, "invalid_type")


def _measure(field: str, said: str) -> BadRequest | None:
    ranged = _RANGE.match(said)
    if ranged:
        kind = "integer" if ranged[1] == "int" else "decimal"
        low = ranged[2] == ">="
        return refusal(
            f"Invalid '{field}': {kind} {'below minimum' if low else 'above maximum'} value. "
            f"Expected a value {ranged[2]} {ranged[3].removesuffix('.0')}.",
            field,
            f"{kind}_{'below_min' if low else 'above_max'}_value",
        )
    sized = _LENGTH.match(said)
    if sized:
        kind = {"str": "string"}.get(sized[1], sized[1])
        low = sized[2] == ">="
        if low and sized[3] == "1":
            return refusal(
                f"Invalid '{field}': empty {kind}. Expected {'a' if kind == 'string' else 'an'} {kind} "
                "with minimum length 1, but got an empty one instead.",
                field,
                f"empty_{kind}",
            )
        return refusal(
            f"Invalid '{field}': {kind} too {'short' if low else 'long'}. Expected a length {sized[2]} {sized[3]}.",
            field,
            f"{kind}_{'below_min' if low else 'above_max'}_length",
        )
    return None


def _unreadable(body: bytes, error: Exception) -> BadRequest:
    """A body that is no JSON, and why."""
    if not body.strip():
        return refusal("The body is empty. The API expects a JSON object, in UTF-8.")
    lone = _LONE.search(body)
    why = f"{lone[1].decode()} is half of a surrogate pair, which is no character" if lone else str(error)
    return refusal(f"We could not parse the JSON body of your request: {why}. The API expects a JSON object, in UTF-8.")


def _deep() -> BadRequest:
    return refusal(f"The JSON body of your request is nested too deeply: at most {MAX_DEPTH} levels are read.")
