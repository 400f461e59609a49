"""
Rows meet the environment: which providers there are for this process, where, with which key, and why not.

A provider is `ready` (configured: its key was found, or its place was said and it needs none), `probe` (a local
server that nobody named: it is used if it answers) or `off`, with the reason.
"""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

import msgspec
from msgspec import Struct
from pydantic import SecretStr

from foz.canon.model import Patience, Placement
from foz.config import genai, oracle
from foz.config.address import Address, is_loopback, is_this_machine, read
from foz.config.refusal import ConfigError
from foz.config.rows import ProviderSettings
from foz.config.sections import Timeouts, Written
from foz.providers.auth.sign import signed
from foz.providers.catalog import SIMULATED, catalog
from foz.providers.oracle import AGENTS, INFERENCE, endpoint, realm_of
from foz.providers.row import Dialect, ProviderRow
from foz.wire.http import Headers

NO_KEY = "no key"
"""How the reason begins where a key is all that is missing."""
State = Literal["ready", "probe", "off"]
_ROW_KEYS = (
    "base_url", "dialect", "secret", "auth", "auth_header", "placement", "resend", "models", "knows", "polls",
    "forwards", "quirks", "region", "compartment", "profile", "credentials",
)  # fmt: skip
ORACLES: tuple[Dialect, ...] = ("oci", "oci_agent")
SERVICES: Mapping[Dialect, str] = {"oci": INFERENCE, "oci_agent": AGENTS}
"""Oracle's service that speaks a dialect."""
_MEANT = ("switched off", "test mode", "only in test mode")
_PORT_ALONE = re.compile(r"^:([0-9]+)(?![0-9:])")
_REFERENCE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")


class Provider(Struct, frozen=True):
    """A row and what this process knows about it. Its repr shows no secret."""

    row: ProviderRow
    state: State
    why: str = ""
    """Why it is off."""
    key: SecretStr | None = None
    key_from: str | None = None
    """The variable that held the key."""
    place_from: str | None = None
    """What said where it is, if not the catalog."""
    credentials: oracle.Credentials | None = None
    """Oracle's, which sign each call."""
    extra: tuple[tuple[str, SecretStr], ...] = ()
    patience: Patience = Patience()

    @property
    def name(self) -> str:
        """The row's."""
        return self.row.name

    @property
    def broken(self) -> bool:
        """Whether it has credentials of Oracle's that cannot be used."""
        return (
            self.state == "off"
            and self.row.auth == "oci"
            and self.why != ""
            and not self.why.startswith((NO_KEY, *_MEANT))
        )

    def secrets(self) -> tuple[str, ...]:
        """What of each call nobody but the provider may see: its key, and headers of the row's own."""
        found = [self.key, *(value for _, value in self.extra)]
        return tuple(secret.get_secret_value() for secret in found if secret is not None)

    def headers(self) -> Headers:
        """What each call bears: the key and the row's own headers. Never to be shown."""
        key = self.key.get_secret_value() if self.key else None
        own = tuple((name.lower().encode(), value.encode()) for name, value in self.row.headers)
        extra = tuple((name.lower().encode(), value.get_secret_value().encode()) for name, value in self.extra)
        return (*signed(self.row, key), *own, *extra)


def place(row: ProviderRow, said: str) -> str:
    """
    Where a provider is, as a variable says it: a URL whose empty path is the row's, or a host, a port or both,
    which take scheme, port and path from the row. "Everywhere" as a place to listen is this machine to a client.
    Raises ValueError, without what was said: it may hold a password.
    """
    try:
        return _placed(row, said)
    except ValueError:
        raise ValueError(f"expected a URL such as {row.base_url} or a host and port") from None


def _placed(row: ProviderRow, said: str) -> str:
    known = urlsplit(row.base_url)
    said = said.strip().strip("\"'").strip().rstrip("/")
    said = row.shorthands.get(said, said)
    if "://" in said:
        parts = urlsplit(said)
        if parts.scheme not in {"http", "https"} or not parts.hostname or "@" in parts.netloc or parts.query:
            raise ValueError(said)
        host, port = parts.hostname, f":{parts.port}" if parts.port else ""
        scheme, path = parts.scheme, parts.path or known.path
    else:
        bare, slash, path = _PORT_ALONE.sub(r"\1", said).partition("/")
        if bare.count(":") == 1 or "]:" in bare or bare.isdigit():
            address = read(bare, known.hostname or "127.0.0.1")
        else:
            host = bare.removeprefix("[").removesuffix("]")
            address = read(f"[{host}]:{known.port}" if ":" in host else f"{host}:{known.port or 443}", host)
        host, port = address.host, f":{address.port}"
        scheme, path = known.scheme, f"/{path}" if slash else known.path
    if row.dialect == "ollama" and path.endswith("/v1"):
        raise ValueError(said)  # its other API, which Ollama's own programs refuse too
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - it is turned away from it
    return f"{scheme}://{f'[{host}]' if ':' in host else host}{port}{path}"


def is_own(url: str, addresses: Sequence[Address]) -> bool:
    """Whether a URL leads back to where we listen."""
    parts = urlsplit(url)
    host, port = parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)
    for address in addresses:
        if address.port == port:
            here = is_this_machine(host) if address.everywhere else address.loopback and is_loopback(host)
            if here or host == address.host:
                return True
    return False


def _written_over(row: ProviderRow | None, own: ProviderSettings) -> ProviderRow:
    """A row of the catalog with what foz.toml says instead, or a new one."""
    said = {name: getattr(own, name) for name in _ROW_KEYS if getattr(own, name) is not None}
    if row is not None:
        if own.base_url is not None:
            said.setdefault("polls", "")  # the key of another place is not shown to the known one
        return msgspec.convert({**msgspec.structs.asdict(row), **said}, ProviderRow)
    near = Placement.GPU if is_loopback(urlsplit(own.base_url or "").hostname or "") else Placement.API
    new: dict[str, object] = {
        "name": own.name,
        "placement": near,
        "auth": "bearer" if own.secret else "none",
    }
    if own.dialect in ORACLES:
        new = {**msgspec.structs.asdict(catalog()[own.dialect]), "name": own.name, "base_url_env": (), "example": ""}
    return msgspec.convert({**new, **said}, ProviderRow)


def _patience(defaults: Timeouts, own: ProviderSettings | None) -> Patience:
    given = own.timeouts if own else None
    values = {
        name: getattr(given, name, None) or getattr(defaults, name)
        for name in ("connect", "first_byte", "idle", "total")
    }
    return Patience(**values)


def _key(row: ProviderRow, environ: Mapping[str, str]) -> tuple[SecretStr | None, str | None]:
    if row.auth == "none":
        return None, None
    for name in row.secret:
        value = environ.get(name, "").strip()
        if value:
            if not value.isascii() or not value.isprintable():
                raise ConfigError(
                    f"environment: {name}: expected a key of printable ASCII characters (it is not shown)"
                )
            return SecretStr(value), name
    return None, None


def _extra(own: ProviderSettings | None, environ: Mapping[str, str]) -> tuple[tuple[str, SecretStr], ...]:
    extra = []
    for name, secret in (own.headers if own else {}).items():
        missing = [one for one in _REFERENCE.findall(secret.get_secret_value()) if not environ.get(one)]
        where = f"foz.toml: provider '{own.name if own else ''}': headers.{name}"
        if missing:
            raise ConfigError(f"{where}: expected the environment variable {missing[0]} to be set")
        value = _REFERENCE.sub(lambda match: environ[match[1]], secret.get_secret_value()).strip()
        if not value.isascii() or not value.isprintable():
            raise ConfigError(f"{where}: expected printable ASCII characters (the value is not shown)")
        extra.append((name, SecretStr(value)))
    return tuple(extra)


class _Binder:
    """One pass over all rows."""

    def __init__(
        self, written: Written, environ: Mapping[str, str], cwd: Path | None, listed: Sequence[ProviderRow]
    ) -> None:
        self.written = written
        self.environ = environ
        self.cwd = cwd
        self.own = {own.name: own for own in written.provider}
        self.listed = frozenset(row.name for row in listed)
        self.own |= {row.name: self.own[row.dialect] for row in listed if row.dialect in self.own}

    def located(self, row: ProviderRow, own: ProviderSettings | None) -> tuple[ProviderRow, str | None]:
        """The row where it really is, and what said so."""
        if own is not None and own.base_url:
            return row, "foz.toml"
        if row.name in self.listed and row.base_url != catalog()[row.dialect].base_url:
            return row, genai.FILE
        for name in row.base_url_env:
            said = self.environ.get(name, "").strip()
            if said:
                try:
                    polls = row.polls if own is not None and own.polls else ""
                    return msgspec.structs.replace(row, base_url=place(row, said), polls=polls), name
                except ValueError as error:
                    raise ConfigError(f"environment: {name}: {error}") from None
        return row, None

    def bind(self, row: ProviderRow) -> Provider:
        own = self.own.get(row.name)
        row, place_from = self.located(row, own)
        key, key_from = _key(row, self.environ)
        named = place_from is not None or own is not None or row.name in self.listed
        state, why = self.state(row, own, named=named, key=key)
        credentials = None
        if row.auth == "oci" and state != "off":
            try:
                row, credentials = self.signing(row, placed=place_from is not None)
            except ConfigError as error:
                state, why = "off", str(error)
            if credentials is None and not why:
                state, why = "off", f"{NO_KEY}: put {oracle.FILE} into the working directory, or make ~/.oci/config"
        return Provider(
            row=row,
            state=state,
            why=why,
            key=key,
            key_from=key_from,
            place_from=place_from,
            credentials=credentials,
            extra=_extra(own, self.environ) if state != "off" else (),
            patience=_patience(self.written.timeouts, own),
        )

    def signing(self, row: ProviderRow, *, placed: bool) -> tuple[ProviderRow, oracle.Credentials | None]:
        """The row of Oracle's with what its profile says: where it is, and who pays. Raises ConfigError."""
        file = oracle.find(row.credentials, self.environ, self.cwd)
        if file is None:
            return row, None
        name = row.profile or self.environ.get("OCI_CLI_PROFILE", "").strip()
        credentials = oracle.load(file, name, self.environ)
        told = credentials.profile
        compartment = row.compartment or self.environ.get("OCI_COMPARTMENT_ID", "").strip() or told.tenancy
        region = row.region or told.region
        if not placed and not region:
            raise ConfigError(
                f"{file}: [{told.name}] region: missing, and neither the provider nor OCI_REGION names one"
            )
        url = row.base_url if placed or not region else endpoint(SERVICES[row.dialect], region, realm_of(compartment))
        return msgspec.structs.replace(row, base_url=url, compartment=compartment, region=region or ""), credentials

    def state(
        self, row: ProviderRow, own: ProviderSettings | None, *, named: bool, key: SecretStr | None
    ) -> tuple[State, str]:
        if own is not None and not own.enabled:
            return "off", "switched off by enabled = false in foz.toml"
        if row.name == SIMULATED:
            return "ready", ""
        if self.written.test_mode:
            return "off", "test mode: nothing leaves the machine"
        if is_own(row.base_url, self.written.server.addresses):
            if not named and row.base_url_env:
                return "off", f"its usual place, {row.base_url}, is our own: say where it is with {row.base_url_env[0]}"
            return "off", f"{row.base_url} is our own address: asking it would go in circles"
        if row.needs_key and key is None:
            return "off", f"{NO_KEY}: set {' or '.join(row.secret)}"
        return ("probe", "") if row.local and not named else ("ready", "")


def rows(written: Written) -> dict[str, ProviderRow]:
    """The rows of the catalog and of `foz.toml`, the catalog's first."""
    said = {own.name: own for own in written.provider}
    known = catalog()
    merged = {name: _written_over(row, said[name]) if name in said else row for name, row in known.items()}
    return merged | {name: _written_over(None, own) for name, own in said.items() if name not in known}


def bind(
    written: Written, environ: Mapping[str, str], cwd: Path | None = None, listed: Sequence[ProviderRow] = ()
) -> tuple[Provider, ...]:
    """
    All providers, the catalog's first, then `listed` ones (of `llm_models.json`). Files that rows only name are looked
    for in `cwd`.
    """
    binder = _Binder(written, environ, cwd, listed)
    bound = [binder.bind(row) for row in (*rows(written).values(), *listed)]
    others = any(one.state == "ready" and one.name != SIMULATED for one in bound)
    if others and not written.test_mode:
        why = "only in test mode, or while nothing else is configured"
        bound = [
            msgspec.structs.replace(one, state="off", why=one.why or why) if one.name == SIMULATED else one
            for one in bound
        ]
    return tuple(bound)


def doubtful(bound: Sequence[Provider]) -> list[str]:
    """Warnings: providers that were named and cannot be used."""
    return [
        f"provider {one.name} ({one.place_from}): {one.why}"
        for one in bound
        if one.state == "off" and one.place_from and "our own address" in one.why
    ] + [f"provider {one.name}: {one.why}" for one in bound if one.broken]
