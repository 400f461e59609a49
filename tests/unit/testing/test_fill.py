"""The simulated model's arguments and structured answers satisfy their schemas."""

from typing import Any

import jsonschema
import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from foz.canon.request import ResponseFormat
from foz.testing.simulated.check import satisfies
from foz.testing.simulated.facts import read
from foz.testing.simulated.fill import TRIES, fill, satisfy_format

NAMES = st.sampled_from(["location", "count", "unit", "name", "query", "value", "items", "ok"])
PATTERNS = st.sampled_from([
    r"^[A-Z]{2}\d{4}$",
    r"^[a-z]+(-[a-z]+)*$",
    r"^\d{3}-\d{4}$",
    r"^(red|green|blue)$",
    r"^[^@\s]+@[^@\s]+\.[a-z]{2,}$",
    r"^#[0-9a-fA-F]{6}$",
    r"x",
    r"^v\d+(\.\d+){2}$",
    r"^[\w.]{3,8}$",
])  # fmt: skip
FORMATS = st.sampled_from(["date", "date-time", "time", "email", "uri", "uuid", "ipv4", "ipv6", "hostname", "duration"])


@st.composite
def strings(draw: st.DrawFn) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": "string"}
    kind = draw(st.sampled_from(["plain", "length", "pattern", "format", "enum", "const", "default"]))
    if kind == "length":
        low = draw(st.integers(0, 40))
        schema |= {"minLength": low, "maxLength": low + draw(st.integers(0, 30))}
    elif kind == "pattern":
        schema["pattern"] = draw(PATTERNS)
    elif kind == "format":
        schema["format"] = draw(FORMATS)
    elif kind == "enum":
        schema["enum"] = draw(st.lists(st.text(max_size=5), min_size=1, max_size=4, unique=True))
    elif kind == "const":
        schema["const"] = draw(st.text(max_size=5))
    elif kind == "default":
        schema["default"] = draw(st.text(max_size=5))
    return schema


@st.composite
def numbers(draw: st.DrawFn) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": draw(st.sampled_from(["integer", "number"]))}
    low = draw(st.integers(-1000, 1000))
    width = draw(st.integers(30, 500))
    if draw(st.booleans()):
        schema["minimum" if draw(st.booleans()) else "exclusiveMinimum"] = low
    if draw(st.booleans()):
        schema["maximum" if draw(st.booleans()) else "exclusiveMaximum"] = low + width
    if draw(st.booleans()):
        schema["multipleOf"] = draw(st.sampled_from([1, 2, 3, 5, 7, 0.5, 0.25, 2.5]))
    return schema


def arrays(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    @st.composite
    def build(draw: st.DrawFn) -> dict[str, Any]:
        low = draw(st.integers(0, 3))
        schema: dict[str, Any] = {"type": "array", "items": draw(inner)}
        if draw(st.booleans()):
            schema |= {"minItems": low, "maxItems": low + draw(st.integers(0, 3))}
        return schema

    return build()


@st.composite
def sets(draw: st.DrawFn) -> dict[str, Any]:
    low = draw(st.integers(0, 4))
    items = draw(
        st.sampled_from(
            [
                {"type": "string"},
                {"type": "integer", "minimum": 3},
                {"type": "number", "multipleOf": 0.5},
                {"enum": ["a", "b", "c", 4, None]},
                {"type": "string", "pattern": "^[a-z]{3}$"},
                {"type": "string", "format": "date"},
                {"type": "object", "properties": {"id": {"type": "integer"}}, "required": ["id"]},
            ]
        )
    )
    return {"type": "array", "items": items, "uniqueItems": True, "minItems": low}


def objects(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    @st.composite
    def build(draw: st.DrawFn) -> dict[str, Any]:
        properties = draw(st.dictionaries(NAMES, inner, max_size=4))
        required = draw(st.lists(st.sampled_from(sorted(properties)), unique=True)) if properties else []
        schema: dict[str, Any] = {"type": "object", "properties": properties, "required": required}
        if draw(st.booleans()):
            schema["additionalProperties"] = draw(st.sampled_from([False, {"type": "integer"}]))
        return schema

    return build()


def choices(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    null = st.just({"type": "null"})
    return st.one_of(
        st.lists(st.one_of(inner, null), min_size=1, max_size=3).map(lambda each: {"anyOf": each}),
        inner.map(lambda each: {"oneOf": [{"type": "null"}, {"allOf": [{"not": {"type": "null"}}, each]}]}),
        inner.map(lambda each: {"allOf": [each, {"description": "met"}]}),
        inner.map(lambda each: {"if": {"type": "boolean"}, "then": {"const": True}, "else": each}),
    )


def nullable(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return inner.map(
        lambda each: {**each, "type": [each["type"], "null"]} if isinstance(each.get("type"), str) else each
    )


LEAVES = st.one_of(strings(), numbers(), st.just({"type": "boolean"}), st.just({"type": "null"}), sets())
SCHEMAS = st.recursive(
    LEAVES, lambda inner: st.one_of(objects(inner), arrays(inner), choices(inner), nullable(inner)), max_leaves=8
)
PROMPTS = st.sampled_from([
    "",
    "What is the weather in Paris and Tokyo?",
    'Set name to "Ada" with count 5 and value=2.5, unit: red',
    "on 2026-03-01 mail ada@example.com 17 and 4 times at https://example.com/x",
    "null true 0 -3 items ok",
])  # fmt: skip


def _errors(value: Any, schema: dict[str, Any]) -> list[str]:
    checker = jsonschema.Draft202012Validator(schema, format_checker=jsonschema.Draft202012Validator.FORMAT_CHECKER)
    return [error.message for error in checker.iter_errors(value)]


@settings(max_examples=300)
@given(SCHEMAS, PROMPTS)
def test_any_satisfiable_schema_is_satisfied(schema: dict[str, Any], prompt: str) -> None:
    """Whatever nests, is bounded, listed, formatted, nullable or a choice: jsonschema finds no error in the value."""
    value = fill(schema, read(prompt))

    assert _errors(msgspec.json.decode(msgspec.json.encode(value)), schema) == []


@settings(max_examples=150)
@given(
    SCHEMAS,
    st.recursive(
        st.none() | st.booleans() | st.integers(-5, 50) | st.sampled_from([0.5, 2.5, 1.0]) | st.text(max_size=4),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
        max_leaves=6,
    ),
)
def test_the_checker_agrees_with_jsonschema(schema: dict[str, Any], value: Any) -> None:
    """Our check of a value, which lets branches be tried, gives jsonschema's verdict."""
    assert satisfies(value, schema, schema) == jsonschema.Draft202012Validator(schema).is_valid(value)


TREE = {
    "$defs": {
        "node": {
            "type": "object",
            "properties": {
                "name": {"type": "string"},
                "children": {"type": "array", "items": {"$ref": "#/$defs/node"}},
                "next": {"anyOf": [{"$ref": "#/$defs/node"}, {"type": "null"}]},
            },
            "required": ["name", "children", "next"],
            "additionalProperties": False,
        }
    },
    "$ref": "#/$defs/node",
}
LAUGHS: dict[str, Any] = {
    "$defs": {str(at): {"allOf": [{"$ref": f"#/$defs/{at + 1}"}] * 2} for at in range(40)},
    "$ref": "#/$defs/0",
}
CONDITION = {
    "type": "object",
    "required": ["kind"],
    "properties": {"kind": {"enum": ["x", "y"]}},
    "if": {"properties": {"kind": {"const": "x"}}},
    "then": {"required": ["size"], "properties": {"size": {"type": "integer", "minimum": 4}}},
}
STRICT_STEPS = {
    "type": "object",
    "properties": {
        "steps": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {"explanation": {"type": "string"}, "output": {"type": "string"}},
                "required": ["explanation", "output"],
                "additionalProperties": False,
            },
        },
        "final_answer": {"type": "string"},
    },
    "required": ["steps", "final_answer"],
    "additionalProperties": False,
}


@pytest.mark.parametrize(
    "schema",
    [
        TREE,
        STRICT_STEPS,
        {"type": "object", "minProperties": 3},
        {"type": "object", "minProperties": 2, "propertyNames": {"pattern": "^[a-z]{3}$"}},
        {"patternProperties": {"^x_": {"type": "integer"}}, "additionalProperties": False, "minProperties": 2},
        {"properties": {"a": {}, "b": {"const": 1}}, "required": ["a"], "dependentRequired": {"a": ["b"]}},
        CONDITION,
        {"type": "array", "prefixItems": [{"type": "string"}, {"type": "integer"}], "items": False, "minItems": 2},
        {"type": "array", "contains": {"const": 7}, "minContains": 2, "items": {"type": "integer"}},
        {"allOf": [{"type": "integer", "minimum": 3, "multipleOf": 2}, {"maximum": 20, "multipleOf": 3}]},
        {"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1},
        {"type": "number", "exclusiveMinimum": 0.1, "exclusiveMaximum": 0.2},
        {"type": "integer", "minimum": 10**20},
        {"type": "number", "maximum": -1.5},
        {"type": "integer", "not": {"enum": [0, 1, 2]}},
        {"oneOf": [{"type": "integer", "multipleOf": 3}, {"type": "integer", "multipleOf": 5}]},
        {"anyOf": [{"type": "string", "maxLength": 3}, {"type": "integer"}], "not": {"type": "string"}},
        {"type": "array", "uniqueItems": True, "minItems": 2, "items": {"type": "boolean"}},
        {"uniqueItems": True, "minItems": 30, "items": {"type": "string", "pattern": "^[ab][0-9]{2}$"}},
        {"type": "string", "minLength": 400, "pattern": "^a+b*$"},
        {"const": {"deep": [1, None, True]}},
        {"type": ["object", "null"], "properties": {"a": {"type": "string"}}, "required": ["a"]},
        {"properties": {"a": {"$ref": "#/properties/b"}, "b": {"type": "integer"}}, "required": ["a", "b"]},
        {"properties": {"a/b": {"type": "integer"}, "c": {"$ref": "#/properties/a~1b"}}, "required": ["c"]},
        True,
        {},
    ],
    ids=lambda schema: str(schema)[:60],
)  # fmt: skip
def test_a_hard_schema_is_satisfied(schema: dict[str, Any]) -> None:
    """References, recursion, conditions, dependencies, sets and huge bounds are satisfied too."""
    value = fill(schema, read("Compare Paris and Tokyo, 3 times"))

    assert _errors(msgspec.json.decode(msgspec.json.encode(value)), schema) == []


@pytest.mark.parametrize(
    "schema",
    [
        False,
        {"$ref": "#"},
        {"$ref": "#/nowhere"},
        {"$ref": "https://example.com/schema"},
        {"allOf": [{"$ref": "#"}]},
        {"anyOf": [{"$ref": "#"}, {"$ref": "#"}]},
        {"type": "object", "properties": {"me": {"$ref": "#"}}, "required": ["me"]},
        {"type": "array", "items": {"$ref": "#"}, "minItems": 3},
        {"type": "array", "minItems": 10**9, "items": {"type": "array", "minItems": 10**9}},
        {"type": "string", "minLength": 10**12},
        {"type": "string", "pattern": "(a{99999}){99999}"},
        {"type": "string", "pattern": "^(?=.*[A-Z])(?!x).+$"},
        {"type": "string", "pattern": "(((((((((("},
        {"type": "integer", "minimum": 5, "maximum": 4},
        {"type": "nonsense", "properties": 7, "required": "x", "enum": 3},
        {"anyOf": [], "oneOf": 5, "allOf": {"a": 1}},
        {"type": "object", "minProperties": 10**9},
        {"enum": []},
        LAUGHS,
        {"$defs": LAUGHS["$defs"], "anyOf": [LAUGHS, LAUGHS]},
    ],
    ids=lambda schema: str(schema)[:60],
)
def test_a_hopeless_schema_ends(schema: object) -> None:
    """A schema that nobody can satisfy, or that is nonsense, still gets a value, and soon."""
    msgspec.json.encode(fill(schema, read("x")))


def test_work_is_bounded() -> None:
    """Choices within choices, none of which can hold, are given up after a bounded number of tries."""
    schema: dict[str, Any] = {"type": "integer", "minimum": 1, "maximum": 0}
    for _ in range(12):
        schema = {"anyOf": [{"type": "object", "properties": {"a": schema}, "required": ["a"]}] * 3}

    assert TRIES < 10_000
    fill(schema, read(""))


def test_what_runs_away_is_not_matched() -> None:
    """A pattern that backtracks without end is not run on the caller's words."""
    facts = read('"' + "a" * 60 + '!"')

    value = fill({"type": "string", "pattern": "^(a+)+$"}, facts)

    assert value == "a"


def test_strict_integers_stay_integers() -> None:
    """A field of type integer never takes a fraction, and 3 is written 3."""
    schema = {
        "type": "object",
        "properties": {"a": {"type": "integer"}, "b": {"type": "number"}},
        "required": ["a", "b"],
    }

    assert fill(schema, read("between 2.5 and 3")) == {"a": 3, "b": 2.5}
    assert isinstance(fill(schema, read("between 2.5 and 3"))["a"], int)


OPTIONAL = {
    "type": "object",
    "properties": {
        "city": {"type": "string"},
        "unit": {"type": "string", "enum": ["celsius", "fahrenheit"]},
        "days": {"type": "integer", "maximum": 14},
        "detailed": {"type": "boolean"},
        "day": {"type": "string", "format": "date"},
    },
    "required": ["city"],
}


@pytest.mark.parametrize(
    ("prompt", "expected"),
    [
        ("What's the weather in Paris?", {"city": "Paris"}),
        ("what is the weather in paris", {"city": "paris"}),
        ("Weather for New York City in Fahrenheit please", {"city": "New York City", "unit": "fahrenheit"}),
        ('Weather in "São Paulo" for 3 days', {"city": "São Paulo", "days": 3}),
        ("In Lima for 99 days", {"city": "Lima"}),
        ("city: Oslo, detailed: true, days=2", {"city": "Oslo", "days": 2, "detailed": True}),
        ("A detailed report for Rome on 2026-05-01", {"city": "Rome", "detailed": True, "day": "2026-05-01"}),
        ("Hello", {"city": "simulated city"}),
    ],
)
def test_the_prompt_fills_what_fits(prompt: str, expected: dict[str, object]) -> None:
    """Names, quotes, numbers, listed words and dates go where they fit; what the prompt does not give is left out."""
    assert fill(OPTIONAL, read(prompt)) == expected


def test_what_may_be_null_is_null_unless_it_is_given() -> None:
    """In strict schemas, where all is required, a nullable field is null unless the prompt gives something for it."""
    schema = {
        "type": "object",
        "properties": {"name": {"anyOf": [{"type": "string"}, {"type": "null"}]}, "age": {"type": ["integer", "null"]}},
        "required": ["name", "age"],
    }

    assert fill(schema, read("hello")) == {"name": None, "age": None}
    assert fill(schema, read("I met Ada, 36")) == {"name": "Ada", "age": 36}


def test_a_list_takes_all_that_is_told() -> None:
    """An array of strings takes every name of the prompt."""
    schema = {
        "type": "object",
        "properties": {"cities": {"type": "array", "items": {"type": "string"}}},
        "required": ["cities"],
    }

    assert fill(schema, read("Compare Paris, London and Tokyo")) == {"cities": ["Paris", "London", "Tokyo"]}


def test_json_without_a_schema_is_an_object() -> None:
    """A wish for JSON of any form gets an object."""
    text = satisfy_format(ResponseFormat("json"), "Ada is 36")

    assert isinstance(msgspec.json.decode(text), dict)
