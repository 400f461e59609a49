"""Whether a value satisfies a JSON schema: the keywords of draft 2020-12 that schemas of tools and answers use."""

from collections.abc import Callable
from typing import Any

from foz.testing.simulated.pattern import matches
from foz.testing.simulated.schema import (
    DEEPEST,
    NEVER,
    Patience,
    Schema,
    as_schema,
    dict_of,
    exact,
    follow,
    is_number,
    list_of,
    same,
    types_of,
)

Holds = Callable[..., bool]


def satisfies(value: Any, schema: Schema, root: Schema, patience: Patience | None = None, depth: int = 0) -> bool:
    """Whether it does. What is written wrong in a schema, or unknown to us, forbids nothing."""
    patience = patience or Patience()
    patience.looks -= 1
    if depth > DEEPEST * 4 or patience.looks < 0:
        return False

    def holds(inner: object, part: Any = value) -> bool:
        return satisfies(part, as_schema(inner), root, patience, depth + 1)

    if "$ref" in schema and not holds(follow(root, schema["$ref"])):
        return False
    if not (_named(value, schema) and _composites(schema, holds)):
        return False
    if isinstance(value, str):
        return _string(value, schema)
    if is_number(value):
        return _number(value, schema)
    if isinstance(value, list):
        return _array(value, schema, holds)
    return not isinstance(value, dict) or _object(value, schema, holds)


def _named(value: Any, schema: Schema) -> bool:
    """Type, enum and const."""
    if "type" in schema and not any(is_of(value, each) for each in types_of(schema)):
        return False
    if "enum" in schema and not any(same(value, each) for each in list_of(schema["enum"])):
        return False
    return "const" not in schema or same(value, schema["const"])


def is_of(value: Any, type: str) -> bool:
    """Whether a value is of a type of JSON schema's; 1.0 is an integer there."""
    match type:
        case "object":
            return isinstance(value, dict)
        case "array":
            return isinstance(value, list)
        case "string":
            return isinstance(value, str)
        case "boolean":
            return isinstance(value, bool)
        case "null":
            return value is None
        case "number":
            return is_number(value)
        case "integer":
            return is_number(value) and (isinstance(value, int) or value.is_integer())
        case _:
            return False


def _composites(schema: Schema, holds: Holds) -> bool:
    if not all(holds(each) for each in list_of(schema.get("allOf"))):
        return False
    if "anyOf" in schema and not any(holds(each) for each in list_of(schema["anyOf"])):
        return False
    if "oneOf" in schema and sum(holds(each) for each in list_of(schema["oneOf"])) != 1:
        return False
    if "not" in schema and holds(schema["not"]):
        return False
    return "if" not in schema or holds(schema.get("then" if holds(schema["if"]) else "else", True))


def _within(size: Any, schema: Schema, least: str, most: str) -> bool:
    low, high = schema.get(least), schema.get(most)
    return not (is_number(low) and size < low) and not (is_number(high) and size > high)


def _string(value: str, schema: Schema) -> bool:
    pattern = schema.get("pattern")
    if isinstance(pattern, str) and matches(pattern, value) is False:
        return False
    return _within(len(value), schema, "minLength", "maxLength")


def _number(value: float, schema: Schema) -> bool:
    above, below, step = (schema.get(key) for key in ("exclusiveMinimum", "exclusiveMaximum", "multipleOf"))
    if is_number(above) and value <= above:
        return False
    if is_number(below) and value >= below:
        return False
    if is_number(step) and step > 0 and not is_multiple(value, step):
        return False
    return _within(value, schema, "minimum", "maximum")


def is_multiple(value: float, step: float) -> bool:
    """Whether it is, for those who reckon in decimals and for those who reckon in floats."""
    if exact(value) % exact(step):
        return False
    return isinstance(step, int) or (value / step).is_integer()


def _array(value: list[Any], schema: Schema, holds: Holds) -> bool:
    first = list_of(schema.get("prefixItems"))
    rest = schema.get("items", True)
    contained = schema.get("contains")
    if not _within(len(value), schema, "minItems", "maxItems"):
        return False
    if schema.get("uniqueItems") is True and any(
        same(one, other) for at, one in enumerate(value) for other in value[:at]
    ):
        return False
    if not all(holds(first[at] if at < len(first) else rest, item) for at, item in enumerate(value)):
        return False
    if contained is None:
        return True
    found = sum(holds(contained, item) for item in value)
    return _within(found, {"minContains": 1, **schema}, "minContains", "maxContains")


def _object(value: Schema, schema: Schema, holds: Holds) -> bool:
    if not _within(len(value), schema, "minProperties", "maxProperties"):
        return False
    if any(name not in value for name in list_of(schema.get("required"))):
        return False
    for name, needed in dict_of(schema.get("dependentRequired")).items():
        if name in value and any(each not in value for each in list_of(needed)):
            return False
    if not all(holds(inner, value) for name, inner in dict_of(schema.get("dependentSchemas")).items() if name in value):
        return False
    return all(
        holds(schema.get("propertyNames", True), name) and all(holds(inner, item) for inner in for_name(schema, name))
        for name, item in value.items()
    )


def for_name(schema: Schema, name: str) -> list[Schema]:
    """The schemas that a property of this name must satisfy."""
    found = []
    properties = dict_of(schema.get("properties"))
    if name in properties:
        found.append(as_schema(properties[name]))
    for pattern, inner in dict_of(schema.get("patternProperties")).items():
        if matches(pattern, name):
            found.append(as_schema(inner))
    if not found and "additionalProperties" in schema:
        found.append(NEVER if schema["additionalProperties"] is False else as_schema(schema["additionalProperties"]))
    return found
