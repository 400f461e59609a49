"""
What is wrong with a request, as FastAPI said it to the callers of the older system: `{"detail": [{"type", "loc",
"msg"}]}` under 422, `{"detail": "..."}` under every other status.

A `BadRequest` carries it as it carries all: the sentence is `msg`, `field` the place, `vendor_code` pydantic's word.
"""

import re
from http import HTTPStatus

import msgspec

from foz.canon.fault import BadRequest, Fault, Unsupported, UpstreamFault
from foz.dialects.openai.faults import encode_fault as encode_openai
from foz.skins.nemotron.schema import Chat, Error, Problem
from foz.wire import json
from foz.wire.http import Reply

UNPROCESSABLE = HTTPStatus.UNPROCESSABLE_ENTITY
QUERY = frozenset({"mode", "wait", "until", "limit", "before", "after"})
"""Fields that stand behind the path; all others are of the body, but for the path's own."""
_PATH = frozenset({"job_id"})
_CHAT = msgspec.json.Decoder(Chat)
_AT = re.compile(r" - at `\$\.?([^`]*)`$")
_BYTE = re.compile(r"\(byte (\d+)\)")
_MISSING = re.compile(r"Object missing required field `([^`]*)`")
_TYPE = re.compile(r"Expected `([^`]*)`(?:, got `([^`]*)`)?$")
_RANGE = re.compile(r"Expected `(?:int|float)` (>=|<=) (\S+)$")
_LENGTH = re.compile(r"Expected `(str|array)` of length (>=|<=) (\d+)$")
_STEP = re.compile(r"[^.\[\]]+|\[\d+\]")
_TYPES = {
    "str": ("string_type", "Input should be a valid string"),
    "int": ("int_type", "Input should be a valid integer"),
    "float": ("float_type", "Input should be a valid number"),
    "bool": ("bool_type", "Input should be a valid boolean"),
    "array": ("list_type", "Input should be a valid list"),
    "object": (
        "model_attributes_type",
        "Input should be a valid dictionary or object to extract fields from",
    ),
}
_BOUNDS = {
    ">=": ("greater_than_equal", "Input should be greater than or equal to"),
    "<=": ("less_than_equal", "Input should be less than or equal to"),
}


def problem(field: str, kind: str, message: str) -> BadRequest:
    """One wrong field, in pydantic's words."""
    return BadRequest(message, field=field, vendor_code=kind, status=UNPROCESSABLE)


def missing(field: str) -> BadRequest:
    """A field that must be there."""
    return problem(field, "missing", "Field required")


def one_of(field: str, words: tuple[str, ...]) -> BadRequest:
    """A word that is none of those that are known."""
    *most, last = map(repr, words)
    return problem(field, "enum", f"Input should be {', '.join(most)} or {last}")


def read(body: bytes) -> Chat:
    """The body as the schema has it. Raises BadRequest."""
    if not body.strip():
        raise missing("")
    if json.too_deep(body):
        raise problem("", "recursion_loop", f"The body is nested deeper than {json.MAX_DEPTH} levels")
    try:
        if not body.isascii():
            body.decode()
        return _CHAT.decode(body)
    except msgspec.ValidationError as error:
        raise _explained(str(error)) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        at = _BYTE.search(str(error))
        raise problem(f"[{at[1]}]" if at else "", "json_invalid", f"JSON decode error: {error}") from None


def _explained(said: str) -> BadRequest:
    at = _AT.search(said)
    field = at[1] if at else ""
    said = said[: at.start()] if at else said
    gone = _MISSING.match(said)
    if gone is not None:
        return missing(f"{field}.{gone[1]}" if field else gone[1])
    bound = _RANGE.match(said)
    if bound is not None:
        kind, words = _BOUNDS[bound[1]]
        return problem(field, kind, f"{words} {bound[2].removesuffix('.0')}")
    return _measured(field, said) or _mistyped(field, said)


def _measured(field: str, said: str) -> BadRequest | None:
    length = _LENGTH.match(said)
    if length is None:
        return None
    kind, sign, most = length.groups()
    short = sign == ">="
    if kind == "str":
        word = "least" if short else "most"
        plural = "" if most == "1" else "s"
        told = f"String should have at {word} {most} character{plural}"
        return problem(field, "string_too_short" if short else "string_too_long", told)
    return problem(field, "too_short", f"List should have at least {most} item after validation, not 0")


def _mistyped(field: str, said: str) -> BadRequest:
    wrong = _TYPE.match(said)
    kinds = [kind for kind in wrong[1].split(" | ") if kind != "null"] if wrong else []
    if wrong is not None and kinds and kinds[0] in _TYPES:
        kind, message = _TYPES[kinds[0]]
        if kinds[0] == "int" and wrong[2] == "float":
            kind, message = "int_from_float", "Input should be a valid integer, got a number with a fractional part"
        return problem(field, kind, message)
    if said.startswith("Invalid enum value"):
        return one_of_roles(field)
    return problem(field, "value_error", said)


def one_of_roles(field: str) -> BadRequest:
    """A role that is none."""
    return problem(field, "literal_error", "Input should be 'system', 'user' or 'assistant'")


def location(field: str | None) -> list[str | int]:
    """Where a field is, as FastAPI says it: `messages[0].role` is `["body", "messages", 0, "role"]`."""
    if not field:
        return ["body"]
    if field in QUERY:
        return ["query", field]
    if field in _PATH:
        return ["path", field]
    return ["body", *(int(step[1:-1]) if step[0] == "[" else step for step in _STEP.findall(field))]


def _bare(fault: Fault) -> str:
    """The sentence without the field, which stands beside it."""
    return fault.message.removeprefix(f"{fault.field}: ")


def encode_fault(fault: Fault, request_id: str) -> Reply:
    """A fault before anything was sent, with the headers that tell programs whether and when to ask again."""
    reply = encode_openai(fault, request_id)
    if isinstance(fault, Unsupported) and fault.status == fault.default_status:
        told = Problem("unsupported", location(fault.field or "use_reasoning"), fault.message)
        return Reply(UNPROCESSABLE, reply.headers, json.encode(Error([told])))
    if fault.status == UNPROCESSABLE and not isinstance(fault, UpstreamFault):
        told = Problem(fault.vendor_code or "value_error", location(fault.field), _bare(fault))
        return Reply(UNPROCESSABLE, reply.headers, json.encode(Error([told])))
    message = fault.message
    if isinstance(fault, UpstreamFault) and fault.target and fault.target not in message:
        message = f"{message} (target {fault.target})"
    return Reply(fault.status, reply.headers, json.encode(Error(message)))
