"""Tools that a model may call."""

from collections.abc import Iterable
from typing import Literal

from msgspec import Raw, Struct


class ToolSpec(Struct, frozen=True):
    """A function the caller offers. `schema` is its JSON schema, verbatim."""

    name: str
    description: str | None = None
    schema: Raw | None = None
    strict: bool | None = None


class ToolChoice(Struct, frozen=True):
    """`named` calls `name`; `allowed` lists the only tools that may be called (empty: all)."""

    mode: Literal["auto", "none", "required", "named"] = "auto"
    name: str | None = None
    allowed: tuple[str, ...] = ()


def among(tools: Iterable[ToolSpec], names: Iterable[str | None]) -> list[ToolSpec]:
    """Those of these names; all, where there are no names."""
    wanted = frozenset(names)
    return [tool for tool in tools if not wanted or tool.name in wanted]
