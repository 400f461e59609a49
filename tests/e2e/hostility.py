"""What callers may get wrong, or mean ill by: bodies, values at every place of a schema, and paths."""

import json
from collections.abc import Iterator
from copy import deepcopy
from typing import Any

Place = tuple[str | int, ...]
"""Where in a body: names, and 0 for the first of a list."""
DEEPEST = 7
GONE = object()
"""A value that is not there at all."""

_ENDLESS = "@endless@"
VALUES: tuple[object, ...] = (
    GONE, None, True, 0, -1, 1.5, 2**31, 2**63, 10**399, 1e308, float("nan"), _ENDLESS,
    "", " \t", "\x00\x1b", "\ud800", "💥" * 300, "../../etc/passwd", "file-foz../../foz.db", "data:;base64,@@", "http://[::1",
    [], {}, [None], [[]], ["", 5], {"": {"a": []}}, [{}] * 300,
)  # fmt: skip


def encode(value: object) -> bytes:
    """As JSON, or nearly: NaN and half a pair as Python writes them, and a number beyond all floats."""
    return json.dumps(value).replace(f'"{_ENDLESS}"', "1e99999").encode()


def put(body: Any, place: Place, value: object) -> Any:
    """The body with another value at a place that is there."""
    made = deepcopy(body)
    at = made
    for step in place[:-1]:
        at = at[step]
    if value is GONE:
        del at[place[-1]]
    else:
        at[place[-1]] = value
    return made


class Walk:
    """Every place that a schema has, in bodies that are right but for what is put there."""

    def __init__(self, tree: dict[str, Any]) -> None:
        self._components = tree["components"]["schemas"]

    def _resolved(self, schema: dict[str, Any]) -> dict[str, Any]:
        while "$ref" in schema:
            schema = self._components[schema["$ref"].rpartition("/")[2]]
        return schema

    def _either(self, schema: dict[str, Any]) -> list[dict[str, Any]]:
        """What it may be."""
        schema = self._resolved(schema)
        for word in ("anyOf", "oneOf"):
            if word in schema:
                return [one for each in schema[word] for one in self._either(each)]
        return [schema]

    def least(self, schema: dict[str, Any]) -> Any:
        """The least that is right."""
        schema = self._either(schema)[0]
        if "enum" in schema or "const" in schema:
            return schema.get("const", schema.get("enum", [None])[0])
        kind = schema.get("type", "string")
        if kind == "object":
            return {name: self.least(schema["properties"][name]) for name in schema.get("required", ())}
        if kind == "array":
            return [self.least(schema["items"])] if schema.get("minItems") and "items" in schema else []
        plain: dict[str, Any] = {"string": "x", "integer": schema.get("minimum", 1), "number": schema.get("minimum", 1)}
        return plain.get(kind, kind == "boolean" or None)

    def bodies(self, schema: dict[str, Any], body: Any, depth: int = 0) -> Iterator[tuple[Place, Any]]:
        """Places, each with a body that has it."""
        if depth > DEEPEST:
            return
        for one in self._either(schema):
            if one.get("type") == "object":
                yield from self._members(one, body if self._fits(one, body) else self.least(one), depth)
            elif one.get("type") == "array" and isinstance(one.get("items"), dict):
                first = body[0] if isinstance(body, list) and body else self.least(one["items"])
                rest = body[1:] if isinstance(body, list) else []
                yield (0,), [first, *rest]
                for place, made in self.bodies(one["items"], first, depth + 1):
                    yield (0, *place), [made, *rest]

    def _fits(self, schema: dict[str, Any], body: Any) -> bool:
        """Whether a body is meant to be this one of what it may be."""
        if not isinstance(body, dict) or not set(schema.get("required", ())) <= set(body):
            return False
        words = {name: self._either(inner)[0].get("enum") for name, inner in schema.get("properties", {}).items()}
        return all(body[name] in allowed for name, allowed in words.items() if allowed and name in body)

    def _members(self, schema: dict[str, Any], body: dict[str, Any], depth: int) -> Iterator[tuple[Place, Any]]:
        for name, inner in schema.get("properties", {}).items():
            there = body.get(name, self.least(inner))
            yield (name,), {**body, name: there}
            for place, made in self.bodies(inner, there, depth + 1):
                yield (name, *place), {**body, name: made}


def places(body: Any) -> Iterator[Place]:
    """Those that a body has."""
    members = body.items() if isinstance(body, dict) else enumerate(body) if isinstance(body, list) else ()
    for step, inner in members:
        yield (step,)
        for place in places(inner):
            yield (step, *place)


# Bodies.

DEEP = 5000
BROKEN: dict[str, bytes] = {
    "half an object": b"{",
    "a list": b"[]",
    "null": b"null",
    "a string": b'"x"',
    "a number": b"5",
    "nothing but blanks": b" \r\n\t ",
    "no JSON": b"NaN",
    "an undefined number": b'{"model": NaN}',
    "a number beyond all": b'{"x": -' + b"9" * 5000 + b".}",
    "no UTF-8": b"\xff\xfe{}",
    "no UTF-8 inside": b'{"model": "\xc3\x28", "prompt": "\xed\xa0\x80"}',
    "UTF-16": "{}".encode("utf-16"),
    "zeros": b"\x00" * 64,
    "lists without end": b"[" * DEEP,
    "objects without end": b'{"a":' * DEEP,
    "lists in a field": b'{"x": ' + b"[" * DEEP + b"]" * DEEP + b"}",
    "objects in a field": b'{"messages": ' + b'{"a":' * DEEP + b"1" + b"}" * DEEP + b"}",
    "a key that is none": b"{1: 2}",
    "apostrophes": b"{'model': 'delta'}",
    "an escape that is none": b'{"x": "\\q"}',
    "half a pair": b'{"model": "\\ud800", "content": "\\ud800", "prompt": "\\udc00"}',
    "a bare line feed": b'{"x": "\n"}',
    "XML": b"<?xml version='1.0'?><!DOCTYPE x [<!ENTITY y SYSTEM 'file:///etc/passwd'>]><x>&y;</x>",
}
CUT = b"--cut\r\n"
NAMED_FILE = b'Content-Disposition: form-data; name="file"; filename="a.txt"\r\n'
BAD_FORMS: dict[str, bytes] = {
    "nothing": b"",
    "no boundary": b"hello",
    "the end only": b"--cut--\r\n",
    "never ends": CUT + NAMED_FILE + b"\r\nx",
    "no head": CUT + b"\r\nx\r\n--cut--\r\n",
    "no name": CUT + b"Content-Disposition: form-data\r\n\r\nx\r\n--cut--\r\n",
    "a name without UTF-8": CUT + b'Content-Disposition: form-data; name="\xff"\r\n\r\nx\r\n--cut--\r\n',
    "a long name": CUT + b'Content-Disposition: form-data; name="' + b"a" * 9000 + b'"\r\n\r\nx\r\n--cut--\r\n',
    "a long head": CUT + b"X: " + b"a" * 100_000 + b"\r\n\r\nx\r\n--cut--\r\n",
    "heads": CUT + b"X: a\r\n" * 10_000 + b"\r\nx\r\n--cut--\r\n",
    "parts": (CUT + b'Content-Disposition: form-data; name="a"\r\n\r\nx\r\n') * 1000 + b"--cut--\r\n",
    "boundaries": CUT * 10_000,
    "packed": CUT + NAMED_FILE + b"Content-Transfer-Encoding: base64\r\n\r\neA==\r\n--cut--\r\n",
    "a program": CUT + NAMED_FILE + b"\r\n\x7fELF\x00\x01\r\n--cut--\r\n",
    "an empty file": CUT + NAMED_FILE + b"\r\n\r\n--cut--\r\n",
    "a payload that is none": CUT + b'Content-Disposition: form-data; name="payload"\r\n\r\n[[[\r\n--cut--\r\n',
    "a deep payload": CUT + b'Content-Disposition: form-data; name="payload"\r\n\r\n' + b'{"a":' * DEEP
    + b"\r\n--cut--\r\n",
    "a field without UTF-8": CUT + b'Content-Disposition: form-data; name="userMessage"\r\n\r\n\xff\r\n--cut--\r\n',
    "deep messages": CUT + b'Content-Disposition: form-data; name="messages"\r\n\r\n' + b"[" * DEEP + b"\r\n--cut--\r\n"
    + CUT + NAMED_FILE + b"\r\nx\r\n--cut--\r\n",
    "messages that are none": CUT + b'Content-Disposition: form-data; name="messages"\r\n\r\n[1]\r\n'
    + CUT + NAMED_FILE + b"\r\nx\r\n--cut--\r\n",
}  # fmt: skip

# Paths and queries.

HOSTILE_NAMES = (
    "%zz", "%", "%00", "%0d%0aset-cookie:%20x=y", "%ff%fe", "%ed%a0%80", "..%2f..%2f..%2fetc%2fpasswd", "..",
    "../../../etc/passwd", "%2e%2e/%2e%2e/foz.toml", "foz.db%00.txt", "a" * 600, "a" * 5000, "{model}", "%7bid%7d",
    "'%20OR%201=1%20--", "%3Cscript%3Ealert(1)%3C/script%3E", "%F0%9F%92%A5", "/", "//", "a//b", ";", "-1", "*",
    "C:%5cboot.ini", "$(id)", "%25s%25n",
)  # fmt: skip
QUERIES = (
    "", "-1", "0", "1e9", "99999999999999999999", "NaN", "%00", "%ff", "%zz", "a" * 5000, "'%20OR%201=1%20--", "[]",
    "2025-13-45", "9999-12-31T23:59:59%2B99:99", "0001-01-01T00:00:00%2B23:59", "%F0%9F%92%A5", "..%2f", "true",
)  # fmt: skip
