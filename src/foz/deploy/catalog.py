"""
Models by type and size: the rows of `catalog.toml`, read when first asked for.

A type and a size are names; which repository stands behind them is said in the row, and so is it where the real model
is another one than its name promises.
"""

import tomllib
from collections.abc import Mapping
from functools import cache
from importlib.resources import files

import msgspec

from foz.canon.fault import NotFound


class ModelRow(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One model."""

    type: str
    size: str
    repo: str
    """Of Hugging Face, with GGUF files."""
    original: str
    """Where its makers published it."""
    title: str
    version: str
    note: str = ""
    """Which model it really is, where its name does not say it."""


class _Catalog(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    model: tuple[ModelRow, ...]


@cache
def catalog() -> Mapping[tuple[str, str], ModelRow]:
    """All rows by type and size, in the catalog's order."""
    text = files("foz.deploy").joinpath("catalog.toml").read_text("utf-8")
    rows = msgspec.convert(tomllib.loads(text), _Catalog).model
    return {(row.type, row.size): row for row in rows}


def find(model_type: str, model_size: str) -> ModelRow:
    """The row. Raises NotFound, and says which there are."""
    key = _plain(model_type), _plain(model_size)
    row = catalog().get(key)
    if row is not None:
        return row
    sizes = [size for type, size in catalog() if type == key[0]]
    if sizes:
        raise NotFound(f"There is no {key[0]} of size '{key[1]}'; there are {', '.join(sizes)}.", field="model_size")
    types = dict.fromkeys(type for type, _ in catalog())
    raise NotFound(
        f"No model type '{key[0]}' is known; there are {', '.join(types)}. Any other model is deployed by its source.",
        field="model_type",
    )


def _plain(name: str) -> str:
    """As rows are written."""
    return "".join(char for char in name[:64] if char.isprintable()).strip().lower().replace("_", "-").replace(" ", "-")
