"""
What a model family can do: facts of `profiles/*.toml`, found by the model's name.

A name is matched without what stands before its last slash, in small letters; the pattern with the most
letters of its own wins. What no family says is tried: only what is known to fail is listed.
"""

import re
import tomllib
from fnmatch import translate
from functools import cache
from importlib.resources import files

import msgspec

from foz.canon.model import Capability, Profile
from foz.canon.request import Operation

ANYTHING = Profile()


class Family(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Names, and what is true of the models that bear them."""

    match: tuple[str, ...]
    operations: frozenset[Operation] = frozenset(Operation)
    lacks: frozenset[Capability] = frozenset()
    context: int | None = None
    max_output: int | None = None


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    family: tuple[Family, ...]


@cache
def families() -> tuple[Family, ...]:
    """All families of all files."""
    found: list[Family] = []
    for file in sorted(files("foz.providers.profiles").iterdir(), key=lambda file: file.name):
        if file.name.endswith(".toml"):
            found += msgspec.convert(tomllib.loads(file.read_text("utf-8")), _File).family
    return tuple(found)


def weight(pattern: str) -> int:
    """How many letters of its own a pattern has."""
    return len(pattern.replace("*", ""))


@cache
def _table() -> tuple[tuple[re.Pattern[str], Profile], ...]:
    rows = [
        (
            pattern,
            Profile(
                family.operations, frozenset(lack.value for lack in family.lacks), family.context, family.max_output
            ),
        )
        for family in families()
        for pattern in family.match
    ]
    rows.sort(key=lambda row: weight(row[0]), reverse=True)
    return tuple((re.compile(translate(pattern)), profile) for pattern, profile in rows)


def profile(model: str) -> Profile:
    """What is known of the model that a provider calls so."""
    name = model.rpartition("/")[2].lower()
    for pattern, known in _table():
        if pattern.match(name):
            return known
    return ANYTHING
