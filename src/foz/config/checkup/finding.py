"""What a check-up says: a fact, how it stands, and where something is wrong what to do."""

from typing import Literal

from msgspec import Struct

Level = Literal["ok", "note", "warning", "problem"]


class Finding(Struct, frozen=True):
    """One line of a check-up. A `problem` is something that does not work; a `warning` may not."""

    topic: str
    level: Level
    what: str
    todo: str = ""


def ok(topic: str, what: str) -> Finding:
    """All is well."""
    return Finding(topic, "ok", what)


def note(topic: str, what: str, todo: str = "") -> Finding:
    """Worth knowing, nothing wrong."""
    return Finding(topic, "note", what, todo)


def warning(topic: str, what: str, todo: str) -> Finding:
    """It may go wrong."""
    return Finding(topic, "warning", what, todo)


def problem(topic: str, what: str, todo: str) -> Finding:
    """It does not work."""
    return Finding(topic, "problem", what, todo)
