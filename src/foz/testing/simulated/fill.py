"""
A value that satisfies a JSON schema and says what the prompt said.

What is required is there, and of the rest only what the prompt gives. Every value is checked against its schema;
where it does not fit, another is tried, and another branch where there is a choice. What may be null is null
unless the prompt gives something for it. Work is bounded: a schema that cannot be satisfied, or only after more
tries than `TRIES`, gets the last value that was tried.
"""

from collections.abc import Sequence
from typing import Any

import msgspec

from foz.canon.request import ResponseFormat
from foz.testing.simulated.check import for_name, satisfies
from foz.testing.simulated.facts import Facts, read
from foz.testing.simulated.pattern import make
from foz.testing.simulated.scalar import Supply, boolean, listed, number, string
from foz.testing.simulated.schema import (
    NEVER,
    Patience,
    Schema,
    as_schema,
    dict_of,
    is_number,
    list_of,
    plain,
    same,
    types_of,
)
from foz.wire import json

TRIES = 4000
"""Values made for one answer."""
MOST_ITEMS = 1000
"""Items of an array, and properties of an object, that are made even if more are demanded."""
DEEP = 6
"""From this depth on only what is demanded is made."""
DEEPEST = 40
_VARIANTS = 5


def fill(schema: object, facts: Facts) -> Any:
    """The value."""
    root = as_schema(schema)
    return _Filler(root, Supply(facts)).fill(root)


def decode_schema(raw: msgspec.Raw | None) -> Schema:
    """A schema as it came; what is no JSON that we can hold allows everything."""
    if raw is None:
        return {}
    try:
        return as_schema(msgspec.json.decode(raw))
    except json.DecodeError:
        return {}


def spell(value: Any) -> str:
    """A value as JSON, on one line, with spaces as models write it."""
    return msgspec.json.format(json.encode(value), indent=0).decode()


def satisfy_format(wanted: ResponseFormat, text: str) -> str:
    """The JSON text that a response format asks for, about what was said."""
    if wanted.kind == "schema" and wanted.schema is not None:
        return spell(fill(decode_schema(wanted.schema), read(text)))
    facts = read(text)
    told: dict[str, Any] = {"simulated": True, "said": text[-600:]}
    if facts.names:
        told["names"] = list(facts.names[:8])
    if facts.numbers:
        told["numbers"] = [msgspec.json.decode(each) for each in facts.numbers[:8]]
    return spell(told)


class _Filler:
    """One value in the making."""

    def __init__(self, root: Schema, supply: Supply) -> None:
        self._root = root
        self._supply = supply
        self._tries = 0
        self._patience = Patience()

    def fill(self, schema: Schema, name: str = "", depth: int = 0, nesting: int = 0, variant: int = 0) -> Any:
        self._tries += 1
        if nesting > DEEPEST or self._tries > TRIES:
            return None
        base, choices = plain(schema, self._root, self._patience)
        if choices:
            return self._choose(schema, base, choices, name, depth, nesting, variant)
        types = types_of(base) or [_implied(base)]
        if "null" in types and len(types) > 1 and "enum" not in base and "const" not in base:
            return self._nullable(base, [each for each in types if each != "null"], name, depth, nesting, variant)
        value: Any = None
        before = self._supply.left()
        for attempt in range(_VARIANTS):
            for type in types:
                self._supply.restore(before)
                value = self._make(type, base, name, depth, nesting, variant + attempt)
                if satisfies(value, schema, self._root, self._patience):
                    return value
        return value

    def _make(self, type: str, base: Schema, name: str, depth: int, nesting: int, variant: int) -> Any:
        if "const" in base:
            return base["const"]
        if "enum" in base:
            fitting = [each for each in list_of(base["enum"]) if satisfies(each, base, self._root, self._patience)]
            return listed(fitting, base, name, self._supply, variant)
        match type:
            case "object":
                return self._object(base, depth, nesting, variant)
            case "array":
                return self._array(base, name, depth, nesting, variant)
            case "integer" | "number":
                return number(base, name, self._supply, variant, whole=type == "integer")
            case "boolean":
                return boolean(base, name, self._supply, variant)
            case "string":
                return string(base, name, self._supply, variant)
            case _:
                return None

    # Choices.

    def _choose(  # noqa: PLR0917 - where we are in the schema
        self,
        schema: Schema,
        base: Schema,
        choices: list[list[Schema]],
        name: str,
        depth: int,
        nesting: int,
        variant: int,
    ) -> Any:
        """The first branch of the first choice that leads to a value; null only where the prompt gives nothing."""
        branches, *others = choices
        first: list[Schema] = []
        last: list[Schema] = []
        for branch in branches:
            (last if _is_null(plain(branch, self._root, self._patience)[0]) else first).append(branch)
        if depth >= DEEP:
            first, last = last, first
        before = self._supply.left()
        best: tuple[Any, list[Any]] | None = None
        rest: list[Any] = [{"anyOf": other} for other in others]
        value: Any = None
        for branch in (*first, *last):
            self._supply.restore(before)
            value = self.fill({"allOf": [base, branch, *rest]}, name, depth, nesting + 1, variant)
            if not satisfies(value, schema, self._root, self._patience):
                continue
            given = self._supply.left() != before
            if given or not last or branch in last:
                return value
            best = best or (value, self._supply.left())
        if best is not None:
            value = best[0]
            self._supply.restore(best[1])
        return value

    def _nullable(self, base: Schema, types: list[str], name: str, depth: int, nesting: int, variant: int) -> Any:
        before = self._supply.left()
        if depth < DEEP:
            value = self.fill({**base, "type": types}, name, depth, nesting + 1, variant)
            if self._supply.left() != before and satisfies(value, base, self._root, self._patience):
                return value
            self._supply.restore(before)
        if satisfies(None, base, self._root, self._patience):
            return None
        return self.fill({**base, "type": types}, name, depth, nesting + 1, variant)

    # Objects.

    def _object(self, base: Schema, depth: int, nesting: int, variant: int) -> Schema:
        properties = dict_of(base.get("properties"))
        required = [each for each in list_of(base.get("required")) if isinstance(each, str)][:MOST_ITEMS]
        made: Schema = {}
        for name in [each for each in properties if each in required] + [
            each for each in required if each not in properties
        ]:
            made[name] = self._property(base, name, depth, nesting, variant if not made else 0)
        high = base.get("maxProperties")
        room = int(high) if is_number(high) else MOST_ITEMS
        for name in properties:
            if name not in made and len(made) < room and depth < DEEP:
                self._optional(base, made, name, depth, nesting)
        self._demanded(base, made, depth, nesting, variant)
        ordered = {name: made[name] for name in properties if name in made}
        return {**ordered, **made}

    def _property(self, base: Schema, name: str, depth: int, nesting: int, variant: int) -> Any:
        schemas = for_name(base, name)
        inner = schemas[0] if len(schemas) == 1 else {"allOf": schemas}
        return self.fill(inner, name, depth + 1, nesting + 1, variant)

    def _optional(self, base: Schema, made: Schema, name: str, depth: int, nesting: int) -> None:
        """A property that need not be there is, where the prompt gives something for it."""
        before = self._supply.left()
        value = self._property(base, name, depth, nesting, 0)
        fits = self._supply.left() != before and all(
            satisfies(value, each, self._root, self._patience) for each in for_name(base, name)
        )
        if fits:
            made[name] = value
        else:
            self._supply.restore(before)

    def _demanded(self, base: Schema, made: Schema, depth: int, nesting: int, variant: int) -> None:
        """What others demand, and as many properties as there must be."""
        needed = dict_of(base.get("dependentRequired"))
        waiting = [each for name in made for each in list_of(needed.get(name))]
        while waiting and len(made) < MOST_ITEMS:
            name = waiting.pop()
            if isinstance(name, str) and name not in made:
                made[name] = self._property(base, name, depth, nesting, 0)
                waiting += list_of(needed.get(name))
        low = base.get("minProperties")
        least = min(int(low), MOST_ITEMS) if is_number(low) else 0
        spare = iter([*dict_of(base.get("properties")), *self._new_names(base, least * 2, nesting)])
        while len(made) < least:
            name = next(spare, None)
            if name is None:
                return
            if name not in made:
                made[name] = self._property(base, name, depth, nesting, variant)

    def _new_names(self, base: Schema, number: int, nesting: int) -> list[str]:
        """Names that nobody listed, as patterns and `propertyNames` will have them."""
        names: list[str] = []
        for pattern in dict_of(base.get("patternProperties")):
            for variant in range(number):
                name = make(pattern, variant)
                names += [name, f"{name}{variant}"] if name is not None else []
        wanted = as_schema(base.get("propertyNames", True))
        for variant in range(number):
            name = (
                self.fill({"type": "string", **wanted}, "", DEEP, nesting + 1, variant)
                if wanted
                else f"field_{variant + 1}"
            )
            names.append(name if isinstance(name, str) else f"field_{variant + 1}")
        return [
            name
            for name in dict.fromkeys(names)
            if satisfies(name, wanted, self._root, self._patience) and NEVER not in for_name(base, name)
        ]

    # Arrays.

    def _array(self, base: Schema, name: str, depth: int, nesting: int, variant: int) -> list[Any]:
        first = [as_schema(each) for each in list_of(base.get("prefixItems"))]
        rest = base.get("items", True)
        low, high = base.get("minItems"), base.get("maxItems")
        most = min(int(high), MOST_ITEMS) if is_number(high) else MOST_ITEMS
        if rest is False:
            most = min(most, len(first))
        contained = base.get("contains")
        wanted = base.get("minContains", 1)
        holding = int(wanted) if contained is not None and is_number(wanted) else 0
        least = max(min(int(low), MOST_ITEMS) if is_number(low) else 0, min(holding, MOST_ITEMS))
        usual = min(most, max(least, len(first), 1 if depth < DEEP and rest is not False else 0))
        item = as_schema(rest)
        made: list[Any] = []
        distinct = base.get("uniqueItems") is True
        while len(made) < most:
            inner = first[len(made)] if len(made) < len(first) else item
            if len(made) < holding:
                inner = {"allOf": [inner, contained]}
            before = self._supply.left()
            found = self._item(inner, name, depth, nesting, variant if not made else 0, made if distinct else ())
            if not found or not satisfies(found[0], inner, self._root, self._patience):
                if len(made) < least:
                    made += found
                break
            if len(made) >= usual and self._supply.left() == before:
                break
            made += found
        return made

    def _item(
        self, inner: Schema, name: str, depth: int, nesting: int, variant: int, others: Sequence[Any]
    ) -> list[Any]:
        """One item that is unlike the others; none where there is none."""
        for attempt in range(variant, variant + len(others) * 2 + _VARIANTS):
            value = self.fill(inner, name, depth + 1, nesting + 1, attempt)
            if not any(same(value, other) for other in others):
                return [value]
            if self._tries > TRIES:
                break
        return []


def _is_null(base: Schema) -> bool:
    return types_of(base) == ["null"] or base.get("const", False) is None or base.get("enum") == [None]


_IMPLIED = {
    "object": ("properties", "required", "additionalProperties", "minProperties", "patternProperties", "propertyNames"),
    "array": ("items", "prefixItems", "minItems", "uniqueItems", "contains", "maxItems"),
    "number": ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"),
}


def _implied(base: Schema) -> str:
    """The type that a schema without one speaks of."""
    return next((type for type, keys in _IMPLIED.items() if any(key in base for key in keys)), "string")
