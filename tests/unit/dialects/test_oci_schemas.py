"""Schemas of tools for Oracle's API, which knows no references: what they become is bounded by what they were."""

from typing import Any

import msgspec
import pytest
from msgspec import Raw

from foz.dialects.oci.saying import GROWTH, SPARE, plain_schema

LONG = "x" * 20_000
REFERRED: dict[str, Any] = {
    "enum": {"enum": [LONG]},
    "words": {"type": "string", "description": LONG},
    "names": {"type": "object", "properties": {LONG: {"type": "string"}}},
    "default": {"type": "string", "default": LONG},
}


@pytest.mark.parametrize("kind", REFERRED)
def test_what_is_referred_to_often_does_not_grow_without_bounds(kind: str) -> None:
    """A schema that refers two thousand times to something long becomes a few times as long, not two thousand times."""
    schema = {
        "type": "object",
        "$defs": {"long": REFERRED[kind]},
        "properties": {f"p{place}": {"$ref": "#/$defs/long"} for place in range(2_000)},
    }
    raw = msgspec.json.encode(schema)
    plain = plain_schema(Raw(raw))

    assert len(msgspec.json.encode(plain)) < 2 * (GROWTH * len(raw) + SPARE)
    assert len(plain["properties"]) == 2_000  # type: ignore[arg-type]  # it is an object


def test_what_is_referred_to_now_and_then_is_put_in_place() -> None:
    """Schemas as people write them lose none of what they refer to."""
    color = {"type": "string", "enum": ["red", "green"], "description": "a colour"}
    schema = {
        "type": "object",
        "$defs": {"color": color},
        "properties": {"one": {"$ref": "#/$defs/color"}, "other": {"$ref": "#/$defs/color"}},
    }

    assert plain_schema(Raw(msgspec.json.encode(schema)))["properties"] == {"one": color, "other": color}
