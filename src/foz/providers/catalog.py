"""The providers that everybody knows: the rows of `catalog.toml`, read when first asked for."""

import tomllib
from collections.abc import Mapping
from functools import cache
from importlib.resources import files

import msgspec

from foz.providers.row import ProviderRow

SIMULATED = "simulated"
SIMULATED_AGENT = "simulated_agent"
"""No row: in test mode a target of this name is an agent within this process, which keeps sessions."""


class _Catalog(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    provider: tuple[ProviderRow, ...]


@cache
def catalog() -> Mapping[str, ProviderRow]:
    """All rows by name, in the catalog's order."""
    text = files("foz.providers").joinpath("catalog.toml").read_text("utf-8")
    rows = msgspec.convert(tomllib.loads(text), _Catalog).provider
    return {row.name: row for row in rows}
