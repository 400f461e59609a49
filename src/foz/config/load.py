"""
From files, environment and command line to one frozen `Settings`.

Later wins: defaults, `foz.toml`, `.env` of the working directory, the environment, the command line.
`.env` never overrides the environment. The working directory and the environment are arguments;
`process_environment` is the only place of the house that reads the real one.
"""

import os
import re
import sys
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from io import StringIO
from pathlib import Path

from dotenv.parser import parse_stream
from pydantic import ValidationError

from foz.config import bind, genai, lines, oracle, variables
from foz.config.consistent import contradiction
from foz.config.lines import nearest
from foz.config.refusal import ConfigError, dotted, refuse
from foz.config.sections import Written
from foz.config.settings import Settings

FILE = "foz.toml"
_LARGEST = 4 * 2**20
_PATHS = (
    ("data",),
    ("server", "tls_cert"),
    ("server", "tls_key"),
    ("outbound", "ca_file"),
    ("local", "models"),
    ("local", "ollama_models"),
    ("cluster", "token"),
)
_POSITION = re.compile(r" \(at (?:line (\d+), column (\d+)|end of document)\)$")


def process_environment() -> dict[str, str]:
    """The environment of this process, once."""
    return dict(os.environ)  # noqa: TID251 - foz.config is the one reader


def _read(path: Path) -> str:
    try:
        if path.stat().st_size > _LARGEST:
            raise ConfigError(f"{path}: larger than {_LARGEST // 2**20} MiB, which is no settings file")
        return path.read_bytes().decode()
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        line = path.read_bytes()[: error.start].count(b"\n") + 1
        raise ConfigError(f"{path}:{line}: not UTF-8, in which settings are written") from error


def _dotenv(path: Path) -> dict[str, str]:
    """What a `.env` sets; empty where there is none."""
    if not path.is_file():
        return {}
    found = {}
    for binding in parse_stream(StringIO(_read(path))):
        if binding.error:
            blank = len(binding.original.string) - len(binding.original.string.lstrip("\r\n"))
            raise ConfigError(f"{path}:{binding.original.line + blank}: expected NAME=value")
        if binding.key is not None and binding.value is not None:
            found[binding.key] = binding.value
    return found


def _toml(path: Path, text: str) -> dict[str, object]:
    try:
        return tomllib.loads(text, parse_float=Decimal)
    except tomllib.TOMLDecodeError as error:
        words = str(error)
        match = _POSITION.search(words)
        line, column = (match[1], match[2]) if match and match[1] else (str(text.count("\n") + 1), None)
        place = f"{line}:{column}" if column else line
        raise ConfigError(f"{path}:{place}: not TOML: {_POSITION.sub('', words)}") from error


def _put(tree: dict[str, object], path: tuple[str, ...], value: object) -> None:
    """Sets a key; where a section is no table it is left for the refusal."""
    *above, last = path
    for part in above:
        inner = tree.setdefault(part, {})
        if not isinstance(inner, dict):
            return
        tree = inner
    tree[last] = value


def _get(tree: Mapping[str, object], path: tuple[str, ...]) -> object:
    found: object = tree
    for part in path:
        found = found.get(part) if isinstance(found, dict) else None
    return found


def _home(environ: Mapping[str, str]) -> Path:
    return Path(environ["HOME"]) if environ.get("HOME") else Path.home()


def default_data(environ: Mapping[str, str], platform: str = sys.platform) -> Path:
    """The platform's directory for a user's data."""
    if platform == "win32" and environ.get("LOCALAPPDATA"):
        return Path(environ["LOCALAPPDATA"]) / "foz"
    if platform == "darwin":
        return _home(environ) / "Library" / "Application Support" / "foz"
    named = environ.get("XDG_DATA_HOME", "")
    return (Path(named) if Path(named).is_absolute() else _home(environ) / ".local" / "share") / "foz"


def _absolute(text: object, directory: Path, home: Path) -> object:
    if not isinstance(text, str) or not text:
        return text
    if text == "~" or text.startswith("~/"):
        return str(home / text[2:])
    return str(directory / text)


def _leaves(tree: Mapping[str, object], above: tuple[str, ...] = ()) -> Iterator[lines.Path]:
    """The settings that a file holds; each row of a list of tables is one."""
    for key, value in tree.items():
        path: lines.Path = (*above, key)
        if key in variables.ROWS and isinstance(value, list):
            yield from ((*path, index) for index in range(len(value)))
        elif isinstance(value, dict) and not above:
            yield from _leaves(value, (*above, key))
        else:
            yield path


def _called(tree: Mapping[str, object], path: lines.Path) -> str:
    """A key as people write it; a row by its name: `provider lab`."""
    rows = tree.get(str(path[0])) if len(path) == 2 and isinstance(path[1], int) else None  # noqa: PLR2004 - kind, place
    row = rows[path[1]] if isinstance(rows, list) and isinstance(path[1], int) else None
    name = (row.get("name") or row.get("model")) if isinstance(row, dict) else None
    return f"{path[0]} {name}" if isinstance(name, str) else dotted(path)


class _Layers:
    """The tree of settings while its layers are laid on."""

    def __init__(self, cwd: Path, home: Path) -> None:
        self.tree: dict[str, object] = {}
        self.cwd = cwd
        self.home = home
        self.file = cwd / FILE
        self.found: dict[lines.Path, int] = {}
        self.sources: dict[lines.Path, str] = {}
        """Of keys that come from elsewhere than the file."""

    def read_file(self, file: Path) -> None:
        self.file = file
        text = _read(file)
        self.tree = _toml(file, text)
        self.found = lines.places(text)
        for path in _PATHS:
            value = _get(self.tree, path)
            if value is not None:
                _put(self.tree, path, _absolute(value, file.parent, self.home))

    def lay(self, path: tuple[str, ...], value: object, source: str) -> None:
        _put(self.tree, path, _absolute(value, self.cwd, self.home) if path in _PATHS else value)
        self.sources[path] = source

    def place(self, path: lines.Path) -> str:
        line = nearest(self.found, path)
        return f"{self.file}:{line}" if line else str(self.file)

    def told(self) -> dict[str, str]:
        told: dict[str, str] = {}
        for path in _leaves(self.tree):
            name = _called(self.tree, path)
            told[dotted(path) if name in told else name] = self.place(path)
        for path, source in self.sources.items():
            over = f", which goes before {self.place(path)}" if path in self.found else ""
            told[dotted(path)] = f"{source}{over}"
        return told


def _file_named(environ: Mapping[str, str], cwd: Path, file: Path | None) -> Path | None:
    """The settings file to read; a named one must be there."""
    named = file or (Path(environ[variables.CONFIG]) if environ.get(variables.CONFIG) else None)
    if named is None:
        return cwd / FILE if (cwd / FILE).exists() else None
    path = cwd / named
    if not path.is_file():
        by = "--config" if file else variables.CONFIG
        raise ConfigError(f"{path}: there is no such file, though {by} names it")
    return path


def _listed(written: Written, cwd: Path) -> dict[str, genai.Row]:
    """The rows of `llm_models.json`. Raises ConfigError."""
    file = genai.find(cwd)
    rows = {} if file is None else genai.read(file)
    twice = next((model.name for model in written.model if model.name in rows), None)
    if twice is not None:
        raise ConfigError(f"{file}: {twice}: foz.toml has a model of this name too; one of the two needs another name")
    return rows


def _watched(cwd: Path, providers: Sequence[bind.Provider]) -> tuple[Path, ...]:
    """Files beside the settings that are read again when they change, also those that are not there yet."""
    signing = [one.credentials.file for one in providers if one.credentials is not None]
    return tuple(dict.fromkeys((cwd / genai.FILE, cwd / oracle.FILE, *signing)))


def load(
    environ: Mapping[str, str], cwd: Path, file: Path | None = None, overrides: Mapping[str, object] | None = None
) -> Settings:
    """
    The settings of a process. `overrides` are the command line's, by dotted names (`server.port`); None is not given.
    Raises ConfigError with one message.
    """
    from_dotenv = _dotenv(cwd / ".env")
    both = {**from_dotenv, **environ}
    layers = _Layers(cwd, _home(both))
    named = _file_named(both, cwd, file)
    if named is not None:
        layers.read_file(named)
    for origin, layer in ((".env", from_dotenv), ("environment", environ)):
        for path, (name, value) in variables.pick(layer).items():
            layers.lay(path, value, f"{origin}: {name}")
    for key, override in (overrides or {}).items():
        if override is not None:
            layers.lay(tuple(key.split(".")), override, "command line")
    try:
        written = Written.model_validate(layers.tree)
    except ValidationError as error:
        raise refuse(error, layers.sources, layers.found, str(layers.file)) from None
    wrong = contradiction(written)
    if wrong is not None:
        raise ConfigError(f"{layers.place(wrong.path)}: {dotted(wrong.path)}: {wrong.words}")
    listed = _listed(written, cwd)
    file_providers, llm_models = genai.bound(listed, bind.rows(written))
    providers = bind.bind(written, both, cwd, file_providers)
    fields = {name: getattr(written, name) for name in Written.model_fields}
    if ("data",) not in layers.sources and "data" not in layers.tree:
        fields["data"] = default_data(both)
    used = {name for one in providers for name in (*one.row.secret, *one.row.base_url_env)}
    warnings = (*variables.doubtful(both, used), *bind.doubtful(providers))
    return Settings(
        **fields,
        file=named,
        sources=layers.told(),
        warnings=warnings,
        providers=providers,
        llm_models=llm_models,
        watched=_watched(cwd, providers),
    )
