"""
`llm_models.json`: Oracle's models and agents by the names that callers write, as the OCI GenAI Proxy has it.

Each row becomes a public name with one target. Rows of one region, compartment and profile share a provider, named for
its dialect and region (`oci-us-chicago-1`), made from the catalog's row of that dialect with all that `foz.toml` says
of it.
"""

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Struct

from foz.config.refusal import ConfigError
from foz.dialects.oci.telling import Facts, Format, ServingType
from foz.providers.row import Dialect, ProviderRow
from foz.wire import json

FILE = "llm_models.json"
MOST = 10_000
_LARGEST = 4 * 2**20
_SHOWN = 200
_DEEPEST = 16
_ENDPOINT = "ocid1."

Kind = Literal["model", "agent"]
_Id = Annotated[str, Meta(min_length=1, max_length=256, pattern=r"^[A-Za-z0-9][A-Za-z0-9._:/-]*$")]
_Region = Annotated[str, Meta(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$", max_length=64)]
_Compartment = Annotated[str, Meta(pattern=r"^ocid1\.[A-Za-z0-9_.-]{1,250}$")]


class Row(Struct, frozen=True, rename={"kind": "type", "format": "apiFormat", "name": "modelName"}):
    """One model or agent."""

    id: _Id
    """The OCID of the model, of its endpoint or of the agent's endpoint; or a vendor's name of a model."""
    region: _Region = ""
    compartmentId: _Compartment = ""  # noqa: N815 - the file's name
    kind: Kind = "model"
    profile: Annotated[str, Meta(max_length=64)] = ""
    format: Format | None = None
    name: Annotated[str, Meta(max_length=256)] | None = None
    servingMode: ServingType | None = None  # noqa: N815 - the file's name
    endpoint: Annotated[str, Meta(max_length=2048)] | None = None
    """The OCID of the endpoint that serves the model, or the URL of the service."""

    @property
    def dialect(self) -> Dialect:
        """How it is spoken to."""
        return "oci_agent" if self.kind == "agent" else "oci"


class Bound(Struct, frozen=True):
    """A row by its public name, and whom to ask."""

    name: str
    kind: Kind
    provider: str
    model: str
    row: Row


_ROWS = msgspec.json.Decoder(dict[str, Row])


def find(cwd: Path | None) -> Path | None:
    """The file, where there is one."""
    return cwd / FILE if cwd is not None and (cwd / FILE).is_file() else None


def read(path: Path) -> dict[str, Row]:
    """Its rows by their names. Raises ConfigError, naming the file and the place."""
    try:
        if path.stat().st_size > _LARGEST:
            raise ConfigError(f"{path}: larger than {_LARGEST // 2**20} MiB, which is no list of models")
        text = path.read_bytes()
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from error
    if json.too_deep(text, _DEEPEST):
        raise ConfigError(f"{path}: nested too deeply: expected an object of models by their names")
    try:
        rows = _ROWS.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ConfigError(f"{path}: {_explained(error, text)}") from None
    if len(rows) > MOST:
        raise ConfigError(f"{path}: {len(rows)} models, where at most {MOST} are read")
    for name in rows:
        if not name or len(name) > _SHOWN or name != name.strip() or not name.isprintable():
            raise ConfigError(f"{path}: {name[:_SHOWN]!r}: expected a name of 1 to {_SHOWN} printable characters")
    return rows


def _explained(error: Exception, text: bytes) -> str:
    """Msgspec says which field of a row is wrong, but not of which: it is looked for."""
    said = str(error)
    if not isinstance(error, msgspec.ValidationError):
        return f"not JSON: {said}"
    for name, raw in _loosely(text).items():
        try:
            msgspec.convert(raw, Row)
        except msgspec.ValidationError as wrong:
            what, _, where = str(wrong).partition(" - at `$")
            return f"{name[:_SHOWN]}{where.rstrip('`')}: {what[:1].lower()}{what[1:]}"
    return f'expected an object of models by their names, such as {{"gpt5": {{"id": ..., "type": "model"}}}}: {said}'


def _loosely(text: bytes) -> Mapping[str, object]:
    found = msgspec.json.decode(text)
    return found if isinstance(found, dict) else {}


def _service(row: Row) -> str:
    """The URL of the service, where the row names one."""
    endpoint = row.endpoint or ""
    return endpoint.rstrip("/") if endpoint.startswith(("http://", "https://")) else ""


def _facts(row: Row) -> Facts:
    endpoint = row.endpoint if row.endpoint is not None and row.endpoint.startswith(_ENDPOINT) else None
    return Facts(row.format, row.name, row.servingMode, endpoint)


def bound(
    rows: Mapping[str, Row], known: Mapping[str, ProviderRow]
) -> tuple[tuple[ProviderRow, ...], tuple[Bound, ...]]:
    """The providers that the rows need, and each row with its own. `known` are those that there are, by their names."""
    groups: dict[tuple[str, ...], list[tuple[str, Row]]] = {}
    for name, row in rows.items():
        key = (row.dialect, row.region, row.compartmentId, row.profile, _service(row))
        groups.setdefault(key, []).append((name, row))
    used = set(known)
    providers, models = [], []
    for members in groups.values():
        first = members[0][1]
        provider = _named(f"{first.dialect}-{first.region or 'default'}", used)
        used.add(provider)
        providers.append(_provider(known[first.dialect], provider, [row for _, row in members]))
        models += [Bound(name, row.kind, provider, row.id, row) for name, row in members]
    order = {name: place for place, name in enumerate(rows)}
    return tuple(providers), tuple(sorted(models, key=lambda one: order[one.name]))


def _named(wish: str, used: Collection[str]) -> str:
    number, name = 1, wish
    while name in used:
        number += 1
        name = f"{wish}-{number}"
    return name


def _provider(base: ProviderRow, name: str, rows: list[Row]) -> ProviderRow:
    first = rows[0]
    service = _service(first)
    return msgspec.structs.replace(
        base,
        name=name,
        region=first.region or base.region,
        compartment=first.compartmentId or base.compartment,
        profile=first.profile or base.profile,
        base_url=service or base.base_url,
        base_url_env=() if service else base.base_url_env,
        facts={**base.facts, **{row.id: _facts(row) for row in rows}},
        example="",
    )
