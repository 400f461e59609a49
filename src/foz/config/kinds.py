"""What a table of `foz.toml` is, and the kinds of words that stand in it."""

from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr

from foz.config import address
from foz.config.amounts import expected


class Section(BaseModel):
    """A table of `foz.toml`."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


def _host(found: str) -> str:
    bare = found.removeprefix("[").removesuffix("]")
    if not address.is_host(bare):
        raise expected('a host name or an IP address, such as "127.0.0.1"')
    return bare


def _origin(found: str) -> str:
    scheme, mark, rest = found.rstrip("/").partition("://")
    if found != "*" and (not mark or scheme not in {"http", "https"} or not rest or "/" in rest):
        raise expected('"*" or an origin such as "https://example.com"')
    return found.rstrip("/")


SHORTEST_SECRET = 4


def _secret(found: SecretStr) -> SecretStr:
    if not found.get_secret_value().isascii() or not found.get_secret_value().isprintable():
        raise expected("a key of printable ASCII characters")
    if len(found.get_secret_value()) < SHORTEST_SECRET:
        raise expected(f"a key of at least {SHORTEST_SECRET} characters: a shorter one cannot be kept out of the log")
    return found


def _proxy(found: SecretStr) -> SecretStr:
    text = found.get_secret_value()
    try:
        parts = urlsplit(text if "://" in text else f"http://{text}")
        usable = parts.scheme == "http" and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if not usable:
        raise expected('a proxy that is spoken to in HTTP, such as "http://proxy.example:3128"')
    return found


Host = Annotated[str, AfterValidator(_host)]
Origin = Annotated[str, AfterValidator(_origin)]
Secret = Annotated[SecretStr, Field(max_length=4096), AfterValidator(_secret)]
Proxy = Annotated[Secret, AfterValidator(_proxy)]
