"""
JSON schemas made plain: references followed, `allOf` met into one, choices (`anyOf`, `oneOf`, `if`) set apart.

A plain schema has no keyword that holds alternatives; `plain` gives it with a list of choices, each a list of schemas
of which one must hold too. What cannot be met (two patterns) keeps the first: `check` tells whether it was enough.
"""

import math
from collections.abc import Callable
from fractions import Fraction
from typing import Any, TypeGuard
from urllib.parse import unquote

Schema = dict[str, Any]
NEVER: Schema = {"enum": []}
DEEPEST = 32
"""References and `allOf` within each other that are followed."""
_APART = frozenset(
    {"$ref", "allOf", "anyOf", "oneOf", "if", "then", "else", "dependentSchemas", "$defs", "definitions"}
)
_GREATEST = ("minimum", "exclusiveMinimum", "minLength", "minItems", "minProperties", "minContains")
_LEAST = ("maximum", "exclusiveMaximum", "maxLength", "maxItems", "maxProperties", "maxContains")
_BOTH = ("items", "additionalProperties", "propertyNames", "contains")
TYPES = ("object", "array", "string", "integer", "number", "boolean", "null")


def as_schema(value: object) -> Schema:
    """Any value as a schema: true and nonsense allow all, false allows nothing."""
    if value is False:
        return NEVER
    return value if isinstance(value, dict) else {}


def list_of(value: object) -> list[Any]:
    """The value where it is a list, else none."""
    return value if isinstance(value, list) else []


def dict_of(value: object) -> Schema:
    """The value where it is an object, else none."""
    return value if isinstance(value, dict) else {}


def types_of(schema: Schema) -> list[str]:
    """The types a schema names; none is any."""
    named = schema.get("type")
    return [named] if isinstance(named, str) else [each for each in list_of(named) if each in TYPES]


def is_number(value: object) -> TypeGuard[int | float]:
    """A number, and no boolean."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def same(one: Any, other: Any) -> bool:
    """Equality as JSON has it: 1 is 1.0, true is not 1."""
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same, one, other))
    return bool(one == other)


def follow(root: Schema, reference: object) -> Schema:
    """What a local reference (`#/$defs/x`) points to; anything else allows all."""
    if not isinstance(reference, str) or not reference.startswith("#"):
        return {}
    at: Any = root
    for step in reference[1:].split("/")[1:]:
        key = unquote(step).replace("~1", "/").replace("~0", "~")
        if isinstance(at, dict) and key in at:
            at = at[key]
        elif isinstance(at, list) and key.isdigit() and int(key) < len(at):
            at = at[int(key)]
        else:
            return {}
    return as_schema(at)


class Patience:
    """How many looks may still be taken; shared by all that one answer takes, so that no schema runs away."""

    def __init__(self, looks: int = 200_000) -> None:
        self.looks = looks


def plain(
    schema: Schema, root: Schema, patience: Patience | None = None, depth: int = 0
) -> tuple[Schema, list[list[Schema]]]:
    """The schema without alternatives, and the alternatives."""
    patience = patience or Patience()
    patience.looks -= 1
    if depth > DEEPEST or patience.looks < 0:
        return NEVER, []
    base = {key: value for key, value in schema.items() if key not in _APART}
    choices: list[list[Schema]] = []
    inner = [follow(root, schema["$ref"])] if "$ref" in schema else []
    inner += [as_schema(each) for each in list_of(schema.get("allOf"))]
    for each in inner:
        other, more = plain(each, root, patience, depth + 1)
        base = meet(base, other)
        choices += more
    for key in ("anyOf", "oneOf"):
        if key in schema:
            choices.append([as_schema(each) for each in list_of(schema[key])])
    if "if" in schema:
        choices.append(
            [
                {"allOf": [schema["if"], schema.get("then", True)]},
                {"allOf": [{"not": schema["if"]}, schema.get("else", True)]},
            ]
        )
    choices += [[{}, as_schema(each)] for each in dict_of(schema.get("dependentSchemas")).values()]
    return base, choices


def meet(one: Schema, other: Schema) -> Schema:
    """A schema for what satisfies both."""
    met = {**other, **one}
    for key in one.keys() & other.keys():
        met[key] = _meet_keyword(key, one[key], other[key])
    if "enum" in met and "const" in met:
        met["enum"] = [each for each in list_of(met["enum"]) if same(each, met["const"])]
    return met


def _meet_keyword(key: str, one: Any, other: Any) -> Any:
    if key in _GREATEST or key in _LEAST:
        if not (is_number(one) and is_number(other)):
            return one if is_number(one) else other
        return max(one, other) if key in _GREATEST else min(one, other)
    if key in _BOTH:
        return {"allOf": [one, other]}
    return _MEETINGS[key](one, other) if key in _MEETINGS else one


def _meet_types(left: Any, right: Any) -> list[str]:
    one, other = types_of({"type": left}), types_of({"type": right})
    met = [each for each in one if each in other or (each == "integer" and "number" in other)]
    met += ["integer" for each in other if each == "integer" and "number" in one and "integer" not in met]
    return met or ["never"]


def _meet_enum(one: Any, other: Any) -> list[Any]:
    return [each for each in list_of(one) if any(same(each, known) for known in list_of(other))]


def _meet_required(one: Any, other: Any) -> list[Any]:
    return [*list_of(one), *(each for each in list_of(other) if each not in list_of(one))]


def _meet_properties(one: Any, other: Any) -> Schema:
    met = {**dict_of(one), **dict_of(other)}
    for name in dict_of(one).keys() & dict_of(other).keys():
        met[name] = {"allOf": [one[name], other[name]]}
    return met


def _meet_dependent(one: Any, other: Any) -> Schema:
    names = dict_of(one).keys() | dict_of(other).keys()
    return {name: [*list_of(dict_of(one).get(name)), *list_of(dict_of(other).get(name))] for name in names}


def _meet_prefix(one: Any, other: Any) -> list[Schema]:
    longer, shorter = sorted((list_of(one), list_of(other)), key=len, reverse=True)
    return [{"allOf": [each, *shorter[at : at + 1]]} for at, each in enumerate(longer)]


def exact(value: float) -> Fraction:
    """A number as it is written in decimals."""
    return Fraction(str(value))


def _common_multiple(one: Any, other: Any) -> Any:
    if not (is_number(one) and is_number(other)) or min(one, other) <= 0:
        return one
    first, second = exact(one), exact(other)
    met = Fraction(math.lcm(first.numerator, second.numerator), math.gcd(first.denominator, second.denominator))
    return int(met) if met.denominator == 1 else float(met)


_MEETINGS: dict[str, Callable[[Any, Any], Any]] = {
    "type": _meet_types,
    "enum": _meet_enum,
    "multipleOf": _common_multiple,
    "required": _meet_required,
    "properties": _meet_properties,
    "patternProperties": _meet_properties,
    "dependentRequired": _meet_dependent,
    "prefixItems": _meet_prefix,
    "uniqueItems": lambda one, other: one or other,
    "not": lambda one, other: {"anyOf": [one, other]},
}
