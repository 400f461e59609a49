"""
A face for callers over one dialect: paths, where keys and names are found, envelope, error texts.

Each skin lists its routes; router, metrics and OpenAPI are made from these lists.
"""

from typing import Literal, Protocol

from msgspec import Struct

from foz.canon.fault import Fault
from foz.canon.model import Model
from foz.canon.request import Attribution, Operation
from foz.ports.codec import ServerCodec
from foz.wire.http import Call, Headers, Reply

Action = Literal["chat", "complete", "embed", "list_models", "show_model"]


class Route(Struct, frozen=True):
    """One path of one skin. `{model}` in a path takes the rest, slashes and all."""

    method: str
    path: str
    skin: str
    action: Action
    summary: str
    description: str = ""
    request_schema: str | None = None
    """Name in the skin's `schemas`."""
    response_schema: str | None = None
    example: bytes | None = None
    """A request body, as JSON, for the reference."""
    streams: bool = False
    headers: tuple[tuple[str, str], ...] = ()
    """Names of request headers that this skin reads, with a sentence on each, for the reference."""


class Skin(Protocol):
    """One face."""

    name: str
    routes: tuple[Route, ...]
    relays: str
    """The dialect whose bytes this skin passes unchanged; empty where it wraps them in an envelope."""

    def codec(self, operation: Operation) -> ServerCodec:
        """The dialect's server role for an operation of this skin."""
        ...

    def key(self, call: Call) -> str | None:
        """The caller's key, where this skin's callers put it."""
        ...

    def attribution(self, call: Call) -> Attribution:
        """Project, process, subprocess and user, from headers (and the body where the dialect has them)."""
        ...

    def list_models(self, models: list[Model]) -> Reply:
        """The models that this caller may call."""
        ...

    def show_model(self, model: Model) -> Reply:
        """One of them."""
        ...

    def encode_fault(self, fault: Fault, request_id: str) -> Reply:
        """A fault before anything was sent, in the words of the caller's dialect."""
        ...

    def stream_headers(self) -> Headers:
        """The headers of a streamed answer, without the request id."""
        ...

    def schemas(self) -> dict[str, object]:
        """JSON schemas of the bodies, by name, for the reference."""
        ...
