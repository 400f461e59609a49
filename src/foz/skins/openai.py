"""
OpenAI's own face: `/v1/...`, keys as a bearer, bodies and errors as the SDKs know them.

Bodies pass as they are, so where the target speaks this dialect too its bytes are relayed.
Whom a call is for is said in headers, since the bodies have no place for it.
"""

from foz.canon.fault import BadRequest, Fault
from foz.canon.model import Model
from foz.canon.request import NOBODY, Attribution, Operation
from foz.dialects.openai import reference
from foz.dialects.openai.faults import encode_fault
from foz.dialects.openai.frames import DIALECT
from foz.dialects.openai.reference import ModelCard, ModelList
from foz.dialects.openai.speech import SPEECH
from foz.ports.codec import ServerCodec
from foz.ports.skin import Route
from foz.wire import json
from foz.wire.http import Call, Headers, Reply

NAME = "openai"
MAX_WORD = 128
_JSON = ((b"content-type", b"application/json"),)
_STREAM = (
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-cache"),
    (b"x-accel-buffering", b"no"),
)
_BEARER = b"bearer "

HEADERS = (
    ("X-Foz-Project", "The project that the call is for. A key that has a project of its own decides it."),
    ("X-Foz-Process-Id", "What the call is part of, such as a run of your program. Kept in the ledger."),
    ("X-Foz-Subprocess-Id", "Which part of that."),
    ("X-Foz-User-Key", "Which of your users the call is for. Kept in the ledger."),
)
"""Whom a call is for: each at most 128 printable characters."""
_ATTRIBUTION = frozenset(name.lower().encode() for name, _ in HEADERS)

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
        headers=HEADERS,
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

    def __init__(self) -> None:
        self._codecs = {operation: speech.server for operation, speech in SPEECH.items() if speech.server}

    def codec(self, operation: Operation) -> ServerCodec:
        """The dialect's server role."""
        return self._codecs[operation]

    def key(self, call: Call) -> str | None:
        """`Authorization: Bearer`, else `X-API-Key`; an empty one is none."""
        said = call.header(b"authorization") or b""
        key = said[len(_BEARER) :].strip() if said[: len(_BEARER)].lower() == _BEARER else b""
        key = key or (call.header(b"x-api-key") or b"").strip()
        return key.decode("latin-1") or None

    def attribution(self, call: Call) -> Attribution:
        """From the `X-Foz-...` headers. Raises BadRequest, naming the header."""
        if call.named.keys().isdisjoint(_ATTRIBUTION):
            return NOBODY
        return Attribution(
            project=_word(call, "X-Foz-Project"),
            process_id=_word(call, "X-Foz-Process-Id"),
            subprocess_id=_word(call, "X-Foz-Subprocess-Id"),
            user_key=_word(call, "X-Foz-User-Key"),
        )

    def list_models(self, models: list[Model]) -> Reply:
        """The models that this caller may call."""
        return Reply(200, _JSON, json.encode(ModelList(tuple(map(_card, models)))))

    def show_model(self, model: Model) -> Reply:
        """One of them."""
        return Reply(200, _JSON, json.encode(_card(model)))

    def encode_fault(self, fault: Fault, request_id: str) -> Reply:
        """A fault before anything was sent."""
        return encode_fault(fault, request_id)

    def stream_headers(self) -> Headers:
        """An event stream that no proxy on the way keeps back."""
        return _STREAM

    def schemas(self) -> dict[str, object]:
        """JSON schemas of the bodies, by name."""
        return reference.schemas()


def _card(model: Model) -> ModelCard:
    return ModelCard(model.name, model.created, model.owner)


def _word(call: Call, header: str) -> str | None:
    """A header's word; None where it is not there or empty."""
    value = call.header(header.lower().encode())
    if not value:
        return None
    try:
        word = value.decode().strip()
    except UnicodeDecodeError:
        word = "\0"
    if len(word) > MAX_WORD or not word.isprintable():
        raise BadRequest(
            f"The header {header} must be at most {MAX_WORD} printable characters, in UTF-8.",
            field=header,
            vendor_code="invalid_value",
        )
    return word or None
