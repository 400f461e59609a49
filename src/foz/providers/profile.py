"""
What a model family can do: facts of `profiles/*.toml`, found by the model's name.

A name is matched without what stands before its last slash, in small letters; the pattern with the most
letters of its own wins. What no family says is tried: only what is known to fail is listed.
"""

import re
import tomllib
from fnmatch import translate
from functools import cache, lru_cache
from importlib.resources import files
from typing import Any

import msgspec

from foz.canon.model import Capability, Profile
from foz.canon.request import Operation
from foz.dialects.anthropic.asking import Manner
from foz.dialects.huggingface.kind import Kind
from foz.dialects.openai.chat.thinking import Habits, Thinking

ANYTHING = Profile()


class Family(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Names, and what is true of the models that bear them."""

    match: tuple[str, ...]
    operations: frozenset[Operation] = frozenset(Operation)
    lacks: frozenset[Capability] = frozenset()
    context: int | None = None
    max_output: int | None = None
    prompt: Kind | None = None
    """How a conversation is folded into a prompt where the model is asked at an endpoint that only continues text."""
    thinking: Thinking | None = None
    """How it is told to think where the server leaves that to the request."""
    budgets: bool = False
    """Whether it thinks by a budget of tokens and knows no effort, as Anthropic's models did at first."""
    embedding: dict[str, Any] = {}
    """Fields of requests for embeddings that it needs and callers may not say."""


KEPT = 4_096
"""Names whose families are remembered."""
UNKNOWN = Family(match=())
"""What is true of a model that no family claims."""


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
def _table() -> tuple[tuple[re.Pattern[str], Family], ...]:
    rows = [(pattern, family) for family in families() for pattern in family.match]
    rows.sort(key=lambda row: weight(row[0]), reverse=True)
    return tuple((re.compile(translate(pattern)), family) for pattern, family in rows)


@lru_cache(KEPT)
def family(model: str) -> Family:
    """The family of the model that a provider calls so."""
    name = model.rpartition("/")[2].lower()
    return next((known for pattern, known in _table() if pattern.match(name)), UNKNOWN)


def profile(model: str) -> Profile:
    """What is known of the model that a provider calls so."""
    known = family(model)
    if known is UNKNOWN:
        return ANYTHING
    return Profile(known.operations, frozenset(lack.value for lack in known.lacks), known.context, known.max_output)


@lru_cache(KEPT)
def staying(known: Profile) -> Profile:
    """The same, of a model that may not be sent anywhere: it would follow links from where we stand."""
    return msgspec.structs.replace(known, lacks=known.lacks | {Capability.LINKS.value})


def manner(model: str) -> Manner:
    """What the model's family takes of what Anthropic's dialect has to say."""
    known = family(model)
    return Manner(known.max_output, known.budgets)


def habits(model: str) -> Habits:
    """What the model's family wants said to it."""
    known = family(model)
    return Habits(known.thinking, known.embedding)


def kind(model: str) -> Kind | None:
    """How conversations become prompts of the model, where it is of a family from before chat templates."""
    return None if ":" in model else family(model).prompt  # a suffix names a provider of the router's
