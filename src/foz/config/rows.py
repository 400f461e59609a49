"""
The rows of `foz.toml`: `[[provider]]`, `[[model]]`, `[[price]]`.

Keys never stand in a file that is copied and shown around: `secret` names an environment variable.
"""

import re
from decimal import Decimal
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, SecretStr, model_validator

from foz.config.address import MAX_PORT
from foz.config.amounts import Names, Seconds, Whole, expected
from foz.providers.row import Auth, Dialect, Knows, Quirk

MAX_NAME = 256
_PROVIDER = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
_VARIABLE = re.compile(r"[A-Z_][A-Z0-9_]{0,127}")
_HEADER = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,128}")
_URL = re.compile(r"https?://(\[[0-9a-fA-F:.]+\]|[A-Za-z0-9._-]+)(:[0-9]{1,5})?(/[^\s?#]*)?")
_REGION = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
_OCID = re.compile(r"ocid1\.[A-Za-z0-9_.-]{1,250}")
_CURRENCY = re.compile(r"[A-Z]{3}")
_ENDPOINTS = ("/chat/completions", "/completions", "/embeddings", "/models", "/api/chat", "/api/generate", "/api/tags")


class Row(BaseModel):
    """One of several tables of the same kind."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


def _matching(pattern: re.Pattern[str], what: str) -> AfterValidator:
    def check(found: str) -> str:
        if not pattern.fullmatch(found):
            raise expected(what)
        return found

    return AfterValidator(check)


def _url(found: str) -> str:
    bare = found.strip().rstrip("/")
    if not _URL.fullmatch(bare):
        raise expected('a URL such as "https://api.example.com/v1", without user, query or fragment')
    if int((_URL.sub(r"\2", bare) or ":1")[1:]) > MAX_PORT:
        raise expected(f"a port of at most {MAX_PORT}")
    for end in _ENDPOINTS:
        if bare.endswith(end):
            raise expected(f'the URL up to before "{end}": paths are added to it')
    return bare


def _name(found: str) -> str:
    if not found or len(found) > MAX_NAME or found != found.strip() or not found.isprintable():
        raise expected(f"a name of 1 to {MAX_NAME} printable characters")
    return found


Variable = Annotated[
    str,
    _matching(_VARIABLE, 'the name of an environment variable, such as "OPENAI_API_KEY", that holds the key'),
]
HeaderName = Annotated[str, _matching(_HEADER, "the name of a header")]
ProviderName = Annotated[str, _matching(_PROVIDER, "a name of small letters, digits, `.`, `_` and `-`")]
Url = Annotated[str, AfterValidator(_url)]
Region = Annotated[str, _matching(_REGION, 'a region such as "us-chicago-1"')]
Ocid = Annotated[str, _matching(_OCID, 'an OCID such as "ocid1.compartment.oc1..aaaa"')]
Name = Annotated[str, AfterValidator(_name)]
PlacementName = Literal["gpu", "api"]


class OwnTimeouts(Row):
    """A provider's own patience; what is missing is taken from `[timeouts]`."""

    connect: Seconds | None = Field(default=None, gt=0)
    first_byte: Seconds | None = Field(default=None, gt=0)
    idle: Seconds | None = Field(default=None, gt=0)
    total: Seconds | None = Field(default=None, gt=0)


class ProviderSettings(Row):
    """Whom we call. A name of the catalog changes its row; another name is a provider of your own."""

    name: ProviderName = Field(description="Its name; callers may write `name/model`.")
    enabled: bool = Field(default=True, description="False leaves it out, also where a key is found.")
    base_url: Url | None = Field(
        default=None, description="Where its API begins, such as `https://api.example.com/v1`."
    )
    dialect: Dialect | None = Field(default=None, description="The wire format that it speaks; `openai` by default.")
    secret: Annotated[tuple[Variable, ...], *Names.__metadata__] | None = Field(
        default=None, description="The environment variables that may hold its key; the first that is set is taken."
    )
    auth: Auth | None = Field(
        default=None,
        description="How the key is sent: `authorization: Bearer`, in `auth_header`, or not at all; `oci` signs "
        "each call.",
    )
    auth_header: HeaderName | None = Field(
        default=None, description='The header of `auth = "header"`, such as `api-key`.'
    )
    headers: dict[HeaderName, SecretStr] = Field(
        default={}, max_length=64, description="Headers sent with each call; `${NAME}` is an environment variable."
    )
    placement: PlacementName | None = Field(
        default=None, description='"gpu" where you run it yourself, "api" where a vendor does.'
    )
    resend: bool | None = Field(
        default=None,
        description="Whether a call that timed out after it was sent may be sent again, here or elsewhere.",
    )
    models: str | None = Field(
        default=None,
        max_length=256,
        description='Path of its list of models, `/models` by default; "" never asks for it.',
    )
    knows: Knows | None = Field(
        default=None,
        description="Names that it knows beside those that it lists, for callers of its own API: `org/name` any such "
        "id, `name:latest` a listed one without its tag.",
    )
    polls: Url | None = Field(
        default=None,
        description="Where the answer of a call that it put off with status 202 is asked for, by its id (NVIDIA's "
        "cloud functions). It gets the same key; a provider whose `base_url` is changed has none of its own.",
    )
    forwards: Annotated[tuple[HeaderName, ...], *Names.__metadata__] | None = Field(
        default=None, description="Prefixes of callers' header names that go along to it."
    )
    quirks: Annotated[tuple[Quirk, ...], *Names.__metadata__] | None = Field(
        default=None,
        description="Peculiarities to work around: `max_tokens` (it knows the limit of an answer only by that name), "
        "`no_reasoning_back` (it refuses earlier thoughts in messages), `families` (how a model is told to think, and "
        "what its embeddings need, is its family's, as at NVIDIA), `loads` (models may be asleep and are waited for, "
        "as at Hugging Face), `dedicated` (a Hugging Face endpoint of one model), `links` (a server of your own, "
        "`placement` gpu, may follow links of callers to pictures and the like, wherever they lead).",
    )
    region: Region | None = Field(
        default=None, description="Of `oci`: the region, such as `us-chicago-1`; the profile's by default."
    )
    compartment: Ocid | None = Field(
        default=None, description="Of `oci`: the OCID of the compartment that pays; the tenancy by default."
    )
    profile: Annotated[str, Field(max_length=64)] | None = Field(
        default=None, description="Of `oci`: the profile of the file of credentials; `DEFAULT` by default."
    )
    credentials: Annotated[str, Field(max_length=4096)] | None = Field(
        default=None,
        description="Of `oci`: the file of credentials; `credentials.conf` in the working directory by default, else "
        "`OCI_CONFIG_FILE` or `~/.oci/config`.",
    )
    timeouts: OwnTimeouts = Field(default=OwnTimeouts(), description="Its own `[timeouts]`.")

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.auth == "header" and self.auth_header is None:
            raise expected('auth_header beside auth = "header": the header that takes the key', "auth_header")
        if self.models and not self.models.startswith("/"):
            raise expected('a path that begins with "/", or ""', "models")
        return self


def _target(found: object) -> object:
    if isinstance(found, str):
        provider, slash, model = found.partition("/")
        if not slash or not provider or not model:
            raise expected('"provider/model", such as "openai/gpt-4o"')
        return {"provider": provider, "model": model}
    return found


class TargetFields(Row):
    """One way to serve a model."""

    provider: ProviderName = Field(description="A provider of the catalog or of a `[[provider]]` row.")
    model: Name = Field(description="What the provider calls the model.")
    weight: float | None = Field(
        default=None, ge=0, le=1e9, description="Its share among neighbours with a weight; 0 is only a fall-back."
    )
    rank: Whole | None = Field(
        default=None, ge=0, le=1000, description="Lower ranks first. Default: the order of the list."
    )
    placement: PlacementName | None = Field(default=None, description="Default: the provider's.")


TargetRow = Annotated[TargetFields, BeforeValidator(_target)]


class ModelRow(Row):
    """A public name and what serves it."""

    name: Name = Field(description="The name that callers use.")
    description: str | None = Field(default=None, max_length=10_000, description="A sentence for callers.")
    title: Name | None = Field(default=None, description="What people call it, where a list of models has room for it.")
    version: Name | None = Field(default=None, description='Its version, such as "1.0".')
    capabilities: Annotated[tuple[Name, ...], *Names.__metadata__] = Field(
        default=(),
        max_length=32,
        description='What it is good for, such as "chat", "code"; default: what its targets are known to do.',
    )
    owner: Name = Field(default="foz", description="`owned_by` in lists of models.")
    cache_ttl: Seconds | None = Field(
        default=None,
        gt=0,
        description="For how long an answer answers the same request of the same project again (`[cache]`). "
        "Default: each is asked anew.",
    )
    targets: tuple[TargetRow, ...] = Field(
        min_length=1,
        max_length=64,
        description='`"provider/model"`, or a table of the keys below. They are tried in order; neighbours with a '
        "`weight` share the first place by weight. Targets of placement `gpu` come before those of `api`.",
    )


Price = Annotated[Decimal, Field(ge=0, le=10**9, decimal_places=6)]


class HigherPrice(Row):
    """The price of a call whose input is above a number of tokens."""

    input: Price | None = None
    output: Price | None = None
    cached: Price | None = None
    cache_written: Price | None = None


class PriceRow(Row):
    """What tokens cost, per million. Rows here come before the built-in table; the first that matches is taken."""

    provider: str = Field(default="*", max_length=64, description="A provider; `*` is any.")
    model: Name = Field(description="What the provider calls the model; `*` stands for anything.")
    input: Price = Field(description="A million input tokens.")
    output: Price = Field(default=Decimal(0), description="A million output tokens.")
    cached: Price | None = Field(
        default=None, description="A million input tokens read from a cache. Default: `input`."
    )
    cache_written: Price | None = Field(
        default=None, description="A million tokens written to a cache. Default: `input`."
    )
    request: Price = Field(default=Decimal(0), description="Each request, in whole units of the currency.")
    currency: Annotated[str, _matching(_CURRENCY, 'a currency such as "USD"')] = Field(
        default="USD", description="ISO 4217."
    )
    above: Whole | None = Field(
        default=None, ge=1, description="Input tokens above which `higher` holds for the whole call."
    )
    higher: HigherPrice | None = Field(default=None, description="Prices that differ above it.")

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if (self.above is None) != (self.higher is None):
            missing = "above" if self.above is None else "higher"
            raise expected("above and higher together: the number of tokens and the prices above it", missing)
        return self
