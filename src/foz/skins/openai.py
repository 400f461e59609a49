"""
OpenAI's own face: `/v1/...`, keys as a bearer, bodies and errors as the SDKs know them.

Bodies pass as they are, so where the target speaks this dialect too its bytes are relayed.
Whom a call is for is said in headers, since the bodies have no place for it.
"""

from foz.canon.fault import Fault
from foz.canon.model import Model
from foz.canon.request import Attribution
from foz.dialects.openai import reference
from foz.dialects.openai.deferred import say_accepted
from foz.dialects.openai.faults import encode_fault
from foz.dialects.openai.frames import DIALECT
from foz.dialects.openai.reference import ModelCard, ModelList
from foz.dialects.openai.responses.server import ResponsesServer, unpacked
from foz.dialects.openai.speech import SPEECH
from foz.ports.codec import ServerCodec
from foz.ports.deferral import KEY, PREFERENCE
from foz.ports.headers import HEADERS, attribution_of, key_of
from foz.ports.skin import WHOLE, Route, Visit
from foz.wire import json
from foz.wire.http import Call, Reply

NAME = "openai"
WAITING = b": waiting\n\n"
"""A comment of the event stream: the dialect has no event for it."""
RESPONSES = "/v1/responses"

ROUTES: tuple[Route, ...] = (
    Route(
        "POST",
        "/v1/chat/completions",
        NAME,
        "chat",
        "Continue a conversation",
        "Text, images, files and audio in; text, reasoning, tool calls and structured output out. With `stream`, "
        "server-sent events that end with `[DONE]`. Fields that are not described here are forwarded.",
        "ChatBody",
        "ChatCompletion",
        b'{"model": "simulated", "messages": [{"role": "user", "content": "Where do rivers end?"}]}',
        streams=True,
        headers=(*HEADERS, PREFERENCE, KEY),
        accepted=say_accepted,
        waiting=WAITING,
    ),
    Route(
        "POST",
        RESPONSES,
        NAME,
        "chat",
        "Make a response (OpenAI's Responses API)",
        "Text, images, files and functions in; text, reasoning and calls of functions out, each an item. A response "
        "is kept unless `store` is false, and `previous_response_id` goes on from it. With `background` it is made "
        "without being waited for; with `stream`, server-sent events tell how it grows. OpenAI's own tools (web "
        "search, files, code) are refused.",
        "ResponsesBody",
        "ResponseObject",
        b'{"model": "simulated", "input": "Where do rivers end?"}',
        streams=True,
        headers=(*HEADERS, KEY),
        waiting=WAITING,
    ),
    Route(
        "POST",
        "/v1/completions",
        NAME,
        "complete",
        "Continue a text (legacy)",
        "One prompt or many, as text or as tokens, each continued `n` times: a choice's index is the prompt's index "
        "times `n`, plus the number of the continuation.",
        "CompletionRequest",
        "Completion",
        b'{"model": "simulated", "prompt": "The river", "max_tokens": 16}',
        streams=True,
        headers=HEADERS,
        waiting=WAITING,
    ),
    Route(
        "POST",
        "/v1/embeddings",
        NAME,
        "embed",
        "Turn texts into vectors",
        "Vectors in the order of the inputs, as numbers or as base64 of little-endian float32.",
        "EmbeddingRequest",
        "EmbeddingList",
        b'{"model": "simulated", "input": ["river", "mouth"], "encoding_format": "float"}',
        headers=HEADERS,
    ),
    Route(
        "GET",
        "/v1/models",
        NAME,
        "list_models",
        "List models",
        "The models that this key may ask for.",
        response_schema="ModelList",
    ),
    Route(
        "GET",
        "/v1/models/{model}",
        NAME,
        "show_model",
        "Show a model",
        "The id is the rest of the path. Slashes and colons in it may stand as they are or percent-encoded: "
        "`/v1/models/org/name:tag` and `/v1/models/org%2Fname%3Atag` are the same.",
        response_schema="ModelCard",
    ),
)


class OpenAISkin:
    """Implements `ports.skin.Skin`."""

    name = NAME
    routes = ROUTES
    relays = DIALECT
    source = ""
    roots: tuple[str, ...] = ("/v1",)

    def __init__(self) -> None:
        self._codecs: dict[str, ServerCodec] = {
            operation.value: speech.server for operation, speech in SPEECH.items() if speech.server
        }

    def codec(self, visit: Visit) -> ServerCodec:
        """The dialect's server role. That of a response is one request's: what it goes on from comes with the visit."""
        if visit.route.path == RESPONSES:
            return ResponsesServer(unpacked(visit.rest))
        return self._codecs[visit.route.action]

    def key(self, call: Call) -> str | None:
        """`Authorization: Bearer`, else `X-API-Key`."""
        return key_of(call)

    def attribution(self, visit: Visit) -> Attribution:
        """From the `X-Foz-...` headers. Raises BadRequest, naming the header."""
        return attribution_of(visit.call)

    def list_models(self, models: list[Model], visit: Visit) -> Reply:
        """The models that this caller may call."""
        return Reply(200, WHOLE, json.encode(ModelList(tuple(map(_card, models)))))

    def show_model(self, model: Model, visit: Visit) -> Reply:
        """One of them."""
        return Reply(200, WHOLE, json.encode(_card(model)))

    def encode_fault(self, fault: Fault, request_id: str) -> Reply:
        """A fault before anything was sent."""
        return encode_fault(fault, request_id)

    def schemas(self) -> dict[str, object]:
        """JSON schemas of the bodies, by name."""
        return reference.schemas()


def _card(model: Model) -> ModelCard:
    return ModelCard(model.name, model.created, model.owner)
