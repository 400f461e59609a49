"""
What is wrong with a setting, in one message: where, which key, what was found, what was expected.

pydantic finds the mistakes; this turns the first of them into words. Secrets are never shown,
and a value under an unknown key is not either: it may be one.
"""

import difflib
from collections.abc import Mapping, Sequence
from typing import get_args

from pydantic import BaseModel, SecretStr, ValidationError
from pydantic_core import ErrorDetails

from foz.config.lines import Path, nearest
from foz.config.sections import Written
from foz.wire import json

_SHOWN = 60
_ALIKE = 0.7
_EXPECTED = {
    "int_parsing": "a whole number",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "int_parsing_size": "a smaller number",
    "float_parsing": "a number",
    "float_type": "a number",
    "finite_number": "a finite number",
    "decimal_parsing": "a number",
    "decimal_type": "a number",
    "decimal_max_places": "a number with at most {decimal_places} decimals",
    "bool_parsing": "true or false",
    "bool_type": "true or false",
    "string_type": "a text in quotes",
    "string_too_long": "a text of at most {max_length} characters",
    "string_too_short": "a text that is not empty",
    "path_type": "a path in quotes",
    "literal_error": "{expected}",
    "greater_than": "more than {gt}",
    "greater_than_equal": "{ge} or more",
    "less_than": "less than {lt}",
    "less_than_equal": "at most {le}",
    "tuple_type": "a list",
    "too_long": "at most {max_length} of them",
    "too_short": "at least {min_length} of them",
    "dict_type": "a table",
    "model_type": "a table",
    "missing": "a value: this key is required",
    "expected": "{what}",
}


class ConfigError(Exception):
    """Settings that cannot be used. Its text is whole, and for people."""


def _model_in(annotation: object) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    for part in get_args(annotation):
        inner = _model_in(part)
        if inner is not None:
            return inner
    return None


def section(path: Path) -> type[BaseModel] | None:
    """The model whose keys stand at this path."""
    model: type[BaseModel] | None = Written
    for part in path:
        if model is None or isinstance(part, int):
            continue
        field = model.model_fields.get(part)
        model = _model_in(field.annotation) if field else None
    return model


def dotted(path: Path) -> str:
    """A path as people write it: `provider[0].base_url`."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text


def _is_secret(path: Path) -> bool:
    """Whether what stands here is, or may be by mistake, a secret."""
    holder: Path = path
    while holder:
        model = section(holder[:-1])
        name = holder[-1]
        if model is not None and isinstance(name, str) and name in model.model_fields:
            return name in {"secret", "headers"} or SecretStr in _leaves(model.model_fields[name].annotation)
        holder = holder[:-1]
    return False


def _leaves(annotation: object) -> tuple[object, ...]:
    parts = get_args(annotation)
    return tuple(leaf for part in parts for leaf in _leaves(part)) if parts else (annotation,)


def shown(found: object, path: Path) -> str:
    """What was found, as far as it may be shown."""
    if _is_secret(path) or (path[-1] == "base_url" and ("@" in str(found) or "?" in str(found))):
        return "a value that is not shown"
    if isinstance(found, dict):
        return "a table"
    if isinstance(found, list | tuple):
        return "a list"
    if isinstance(found, str):
        cut = found if len(found) <= _SHOWN else found[:_SHOWN] + "..."
        return json.encode(cut).decode()
    if isinstance(found, bool):
        return "true" if found else "false"
    return f"{found:g}" if isinstance(found, float) else str(found)[:_SHOWN]


def _unknown(path: Path) -> str:
    """What to say of a key that nobody knows."""
    name = str(path[-1])
    model = section(path[:-1])
    known = list(model.model_fields) if model else []
    close = difflib.get_close_matches(name[:_SHOWN], known, n=1)
    if close:
        return f'unknown key, did you mean "{close[0]}"?'
    homes = [f"[{home}]" for home in Written.model_fields if name in getattr(section((home,)), "model_fields", {})]
    if homes:
        return f"unknown key here, it belongs in {' or '.join(homes)}"
    if name in {"key", "api_key", "token"}:
        return 'unknown key, write `secret = "NAME"`: the environment variable that holds the key'
    return f"unknown key, expected one of: {', '.join(known)}"


def explain(error: ErrorDetails) -> tuple[Path, str]:
    """The path that is wrong, and the words for it."""
    path: Path = tuple(part for part in error["loc"] if part != "[key]")
    context = {name: f"{one:g}" if isinstance(one, float) else one for name, one in error.get("ctx", {}).items()}
    if context.get("at"):
        return (*path, str(context["at"])), f"expected {context['what']}"
    if error["type"] == "extra_forbidden":
        return path, _unknown(path)
    pattern = _EXPECTED.get(error["type"])
    what = pattern.format(**context) if pattern else error["msg"]
    if error["type"] == "missing":
        return path, f"expected {what}"
    return path, f"found {shown(error['input'], path)}, expected {what}"


def _origin(path: Path, sources: Mapping[Path, str], found: Mapping[Path, int], file: str) -> str:
    for length in range(len(path), 0, -1):
        if path[:length] in sources:
            return sources[path[:length]]
    line = nearest(dict(found), path)
    return f"{file}:{line}" if line else file


def _causes(details: list[ErrorDetails]) -> list[ErrorDetails]:
    """
    Without the mistakes that only follow from others: a list is too short because its element is wrong,
    a key is missing because it is misspelt.
    """
    paths = [explain(one)[0] for one in details]
    unknown = {path[:-1] for path, one in zip(paths, details, strict=True) if one["type"] == "extra_forbidden"}

    def follows(path: Path, one: ErrorDetails) -> bool:
        if one["type"] == "missing":
            return path[:-1] in unknown
        return one["type"] == "too_short" and any(path == other[: len(path)] != other for other in paths)

    return [one for path, one in zip(paths, details, strict=True) if not follows(path, one)]


def refuse(error: ValidationError, sources: Mapping[Path, str], found: Mapping[Path, int], file: str) -> ConfigError:
    """The first mistake, in one line; `sources` says of single keys from where else they come than from the file."""
    details = sorted(
        _causes(error.errors(include_url=False)), key=lambda one: nearest(dict(found), explain(one)[0]) or 0
    )
    path, words = explain(details[0])
    more = f" (and {len(details) - 1} more)" if len(details) > 1 else ""
    return ConfigError(f"{_origin(path, sources, found, file)}: {dotted(path)}: {words}{more}")


def closest(name: str, known: Sequence[str]) -> str:
    """`, did you mean "x"?` where something is close, else what is known, else nothing."""
    close = difflib.get_close_matches(name[:_SHOWN], known, n=1, cutoff=_ALIKE)
    return f', did you mean "{close[0]}"?' if close else ""
