"""
Ollama's own face: `/api/...`, lines of JSON, streamed unless something else is said.

Bodies pass as they are, so where the target is an Ollama server its bytes are relayed. Names that are not public are
the Ollama server's; `latest` is the tag that need not be said. What is asked about models, beside their list, is on the
control plane (`serve/http/faces/ollama.py`).
"""

from foz.canon.fault import Fault
from foz.canon.model import Model
from foz.canon.request import Attribution
from foz.dialects.ollama import reference
from foz.dialects.ollama.faults import encode_fault
from foz.dialects.ollama.frames import DIALECT
from foz.dialects.ollama.server import ChatServer, EmbedServer, GenerateServer
from foz.ports.codec import ServerCodec
from foz.ports.headers import HEADERS, attribution_of, key_of
from foz.ports.skin import JSON, WHOLE, Route, Visit
from foz.skins.ollama import examples
from foz.skins.ollama.cards import say_model, say_tags
from foz.wire.http import Call, Headers, Reply

NAME = "ollama"
SOURCE = "ollama"
RUNNING = "Ollama is running"
ACCEPTS = (JSON, b"application/x-www-form-urlencoded")
"""Ollama looks at no content type, and its own examples send what `curl -d` says of itself: JSON all the same."""
LINES: Headers = (
    (b"content-type", b"application/x-ndjson"),
    (b"cache-control", b"no-cache"),
    (b"x-accel-buffering", b"no"),
)
WAITING = b" "
"""White space before the first line: JSON begins after it, to every reader, and an empty line would be none to some."""
CHAT, GENERATE, EMBED, EMBEDDINGS = "/api/chat", "/api/generate", "/api/embed", "/api/embeddings"
_STREAMED = (
    "Without `stream`, or with `true`, the answer comes in lines of JSON, the last of which has `done`. Durations are "
    "nanoseconds. `keep_alive`, and options that only Ollama has, reach Ollama servers; other targets are asked "
    "without them."
)

ROUTES: tuple[Route, ...] = (
    Route(
        "POST",
        CHAT,
        NAME,
        "chat",
        "Continue a conversation",
        f"Text and pictures in; text, thoughts, calls and JSON out. {_STREAMED}",
        "ChatBody",
        "Chatted",
        examples.CHAT,
        streams=True,
        headers=HEADERS,
        answer=examples.CHATTED,
        accepts=ACCEPTS,
        stream=LINES,
        waiting=WAITING,
    ),
    Route(
        "POST",
        GENERATE,
        NAME,
        "complete",
        "Answer a prompt",
        f"One turn of a user; with `raw` or `suffix`, a text that is continued as it stands. {_STREAMED}",
        "GenerateBody",
        "Generated",
        examples.GENERATE,
        streams=True,
        headers=HEADERS,
        answer=examples.GENERATED,
        accepts=ACCEPTS,
        stream=LINES,
        waiting=WAITING,
    ),
    Route(
        "POST",
        EMBED,
        NAME,
        "embed",
        "Turn texts into vectors",
        "Vectors of length 1, in the order of the inputs.",
        "EmbedBody",
        "Embedded",
        examples.EMBED,
        headers=HEADERS,
        answer=examples.EMBEDDED,
        accepts=ACCEPTS,
    ),
    Route(
        "POST",
        EMBEDDINGS,
        NAME,
        "embed",
        "Turn a text into a vector (older)",
        "The vector as its target made it, of whatever length.",
        "EmbeddingsBody",
        "Embedding",
        examples.EMBEDDINGS,
        headers=HEADERS,
        answer=examples.EMBEDDING,
        accepts=ACCEPTS,
    ),
    Route(
        "GET",
        "/api/tags",
        NAME,
        "list_models",
        "List models",
        "The models that this key may ask for, of all providers. Names without a tag are listed with `:latest`, and "
        "may be asked for with and without it.",
        response_schema="Tags",
        answer=examples.TAGS,
    ),
)
_CODECS: dict[str, ServerCodec] = {
    CHAT: ChatServer(),
    GENERATE: GenerateServer(),
    EMBED: EmbedServer(),
    EMBEDDINGS: EmbedServer(older=True),
}


class OllamaSkin:
    """Implements `ports.skin.Skin`."""

    name = NAME
    routes = ROUTES
    relays = DIALECT
    source = SOURCE
    roots: tuple[str, ...] = ("/api",)

    def codec(self, visit: Visit) -> ServerCodec:
        """The dialect's server role."""
        return _CODECS[visit.route.path]

    def key(self, call: Call) -> str | None:
        """`Authorization: Bearer`, as Ollama's SDKs send `OLLAMA_API_KEY`, else `X-API-Key`."""
        return key_of(call)

    def attribution(self, visit: Visit) -> Attribution:
        """From the `X-Foz-...` headers. Raises BadRequest, naming the header."""
        return attribution_of(visit.call)

    def list_models(self, models: list[Model], visit: Visit) -> Reply:
        """The models that this caller may call."""
        return Reply(200, WHOLE, say_tags(models))

    def show_model(self, model: Model, visit: Visit) -> Reply:
        """One of them."""
        return Reply(200, WHOLE, say_model(model))

    def encode_fault(self, fault: Fault, request_id: str) -> Reply:
        """A fault before anything was sent."""
        return encode_fault(fault, request_id)

    def schemas(self) -> dict[str, object]:
        """JSON schemas of the bodies, by name."""
        return reference.schemas()
