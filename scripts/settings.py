"""`docs/reference/settings.md`, from the models of `foz.config.sections` and `foz.config.rows`."""

import re
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from types import NoneType, UnionType
from typing import Literal, Union, get_args, get_origin

from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from foz.config.amounts import seconds, size
from foz.config.refusal import section
from foz.config.rows import TargetFields
from foz.config.sections import Written
from foz.config.variables import NAMES, ROWS

INTRODUCTION = """\
# Settings

Nothing needs to be set. What is set comes from these places, and the later one wins, key by key:

1. the defaults below;
2. `foz.toml` in the working directory, or the file that `FOZ_CONFIG` or `--config` names;
3. `.env` in the working directory: `NAME=value` lines, taken as they are, that never override the environment;
4. the environment: `FOZ_<SECTION>_<KEY>` for every key of a section, and the short forms below;
5. the command line.

An empty variable is not set. Lists are written with commas in a variable. Times are seconds, or texts such as
`"500ms"`, `"30s"`, `"2m"`; sizes are bytes, or texts such as `"64 KiB"`, `"32 MiB"`. A relative path in a file is
beside that file, elsewhere in the working directory; `~` is the home directory.

A mistake is told in one line: the place, the key, what was found, what was expected. `foz doctor` shows where each
setting comes from.

Providers' keys do not stand in `foz.toml`, which is copied and shown around: their rows name the environment variable
that holds the key, and `.env` is a good place for it.
"""
ROW_NAMES = {"provider": "whom we call", "model": "names that callers use", "price": "what tokens cost"}
KINDS: dict[type, str] = {
    bool: "true or false",
    int: "whole number",
    float: "number",
    str: "text",
    Path: "path",
    Decimal: "number",
}
KINDS[SecretStr] = "secret"
AMOUNTS: dict[object, str] = {seconds: "time", size: "size"}


def _kind(annotation: object, field: FieldInfo) -> str:
    for check in field.metadata:
        if getattr(check, "func", None) in AMOUNTS:
            return AMOUNTS[check.func]
    if isinstance(annotation, type):
        return "table" if issubclass(annotation, BaseModel) else KINDS[annotation]
    origin, parts = get_origin(annotation), get_args(annotation)
    if origin is Literal:
        return " or ".join(f'`"{one}"`' for one in parts)
    if origin in {UnionType, Union}:
        return " or ".join(_kind(part, field) for part in parts if part is not NoneType)
    if origin is tuple:
        return "list"
    return "table" if origin is dict else _kind(parts[0], field)


def _default(field: FieldInfo) -> str:
    value = field.default
    if value is PydanticUndefined:
        return "required"
    if value is None or value in ((), {}) or isinstance(value, BaseModel):
        return ""
    if isinstance(value, bool):
        return "`true`" if value else "`false`"
    if isinstance(value, tuple):
        return "`[" + ", ".join(f'"{one}"' for one in value) + "]`"
    return _amount(value, _kind(field.annotation, field))


def _amount(value: object, kind: str) -> str:
    if kind == "size" and isinstance(value, int):
        for unit, factor in (("MiB", 2**20), ("KiB", 2**10)):
            if value % factor == 0:
                return f'`"{value // factor} {unit}"`'
    if isinstance(value, Path):
        return ""
    return f'`"{value}"`' if isinstance(value, str) else f"`{value:g}`" if isinstance(value, float) else f"`{value}`"


def _rows(model: type[BaseModel], names: dict[str, tuple[str, ...]]) -> Iterator[str]:
    variables = bool(names)
    yield f"| key | what | default |{' variables |' if variables else ''}"
    yield "|---|---|---|" + ("---|" if variables else "")
    for name, field in model.model_fields.items():
        if variables and name not in names:
            continue
        kind = _kind(field.annotation, field)
        words = re.sub(r"\s+", " ", f"{field.description} ({kind})").replace("|", "\\|")
        told = ", ".join(f"`{one}`" for one in names.get(name, ()))
        yield f"| `{name}` | {words} | {_default(field)} |" + (f" {told} |" if variables else "")


def _sentence(model: type[BaseModel]) -> str:
    return (model.__doc__ or "").strip()


def settings() -> str:
    """The whole page, without the line that says it is generated."""
    top = {path[0]: names for path, names in NAMES.items() if len(path) == 1}
    lines = [INTRODUCTION, "## At the top of the file", "", *_rows(Written, top)]
    for name in Written.model_fields:
        model = section((name,))
        if model is None or name in ROWS:
            continue
        names = {path[1]: names for path, names in NAMES.items() if path[0] == name and len(path) > 1}
        lines += ["", f"## `[{name}]`", "", _sentence(model), "", *_rows(model, names)]
    for name, heading in ROW_NAMES.items():
        model = section((name,))
        if model is not None:
            lines += ["", f"## `[[{name}]]`: {heading}", "", _sentence(model), "", *_rows(model, {})]
        if name == "model":
            lines += ["", "### A target", "", _sentence(TargetFields), "", *_rows(TargetFields, {})]
    return "\n".join(lines) + "\n"
