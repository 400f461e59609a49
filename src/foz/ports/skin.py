"""
A face for callers over one dialect: paths, where keys and names are found, envelope, error texts.

Each skin lists its routes; router, metrics and OpenAPI are made from these lists.
"""

from collections.abc import Callable
from typing import Literal, Protocol

from msgspec import Struct

from foz.canon.fault import Fault
from foz.canon.job import Job
from foz.canon.model import Model
from foz.canon.request import Attribution, Operation
from foz.ports.codec import ServerCodec
from foz.wire.http import Call, Headers, Reply

Action = Literal["chat", "complete", "embed", "list_models", "show_model", "show_job"]

OPERATIONS = {"chat": Operation.CHAT, "complete": Operation.COMPLETE, "embed": Operation.EMBED}
"""What the actions that ask a model want of it."""

JSON = b"application/json"
FORM = b"multipart/form-data"
WHOLE: Headers = ((b"content-type", JSON),)
STREAM: Headers = (
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-cache"),
    (b"x-accel-buffering", b"no"),
)
"""An event stream that no proxy on the way keeps back."""


class Query(Struct, frozen=True):
    """A field of the query that a path reads."""

    name: str
    description: str
    words: tuple[str, ...] = ()
    """Those that it takes, the first by default, where it takes no others."""


class Look(Struct, frozen=True):
    """How long to wait before it is told how a job stands: until it stands otherwise, or until its end."""

    seconds: float = 0.0
    end: bool = False


class Showing(Struct, frozen=True):
    """How a path tells of the job whose id its parameter took: what its caller asks, and how a job is told."""

    look: Callable[[Call], Look]
    """Raises BadRequest."""
    say: Callable[[Job, bytes], Reply]
    """The second is the answer of a job that is completed."""


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
    queries: tuple[Query, ...] = ()
    """What of the query this skin reads, for the reference."""
    answer: bytes | None = None
    """A whole answer's body, as JSON or text, for the reference."""
    accepts: tuple[bytes, ...] = (JSON,)
    """Media types that a body may be of; another is refused. Without a type it is taken for the first."""
    form_schema: str | None = None
    """Name in the skin's `schemas` of the fields of a form, where forms are accepted."""
    whole: Headers = WHOLE
    """Headers of a whole answer, without the request id."""
    stream: Headers = STREAM
    """Headers of a streamed answer, without the request id."""
    accepted: Callable[[Job], Reply] | None = None
    """
    How it is said that a request has become a job, where it can: if its caller prefers so (`Prefer: respond-async`),
    or, where `deferred`, always.
    """
    deferred: bool = False
    waiting: bytes = b""
    """What keeps a stream alive that waits for its first token, where this dialect has a word for it."""
    echo: bytes = b""
    """A header in which answers bear the request's id, beside `x-request-id`."""
    header: bytes = b""
    """
    Another skin has this path too: of its requests those that bear this header are this skin's, in place of that one's.
    """
    showing: Showing | None = None
    """Of a path that shows a job."""


class Visit(Struct, frozen=True):
    """One request as its skin sees it."""

    route: Route
    call: Call
    """Its `path` is the route's: what parameters took is below."""
    request_id: str
    model: str = ""
    """What `{model}` took of the path, decoded."""
    rest: tuple[str, ...] = ()
    """What the path's other parameters took, decoded, in their order."""


class Skin(Protocol):
    """One face."""

    name: str
    routes: tuple[Route, ...]
    relays: str
    """The dialect whose bytes this skin passes unchanged; empty where it wraps them in an envelope."""
    source: str
    """The provider whose models this skin's callers mean by names that are not public; empty where there is none."""
    roots: tuple[str, ...]
    """Paths under which faults are told in this skin's words, also where there is no route."""

    def codec(self, visit: Visit) -> ServerCodec:
        """How the body of this request is read, and how it is answered."""
        ...

    def key(self, call: Call) -> str | None:
        """The caller's key, where this skin's callers put it."""
        ...

    def attribution(self, visit: Visit) -> Attribution:
        """Project, process, subprocess and user, from headers. What a body says is in its codec's `Ask`, and wins."""
        ...

    def list_models(self, models: list[Model], visit: Visit) -> Reply:
        """The models that this caller may call."""
        ...

    def show_model(self, model: Model, visit: Visit) -> Reply:
        """One of them."""
        ...

    def encode_fault(self, fault: Fault, request_id: str) -> Reply:
        """A fault before anything was sent, in the words of the caller's dialect."""
        ...

    def schemas(self) -> dict[str, object]:
        """JSON schemas of the bodies, by name, for the reference."""
        ...
