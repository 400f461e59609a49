"""
The API Ollama Host's face: questions to models under `/api/v1/ai`, answered in plain text.

Its callers mean a model of the Ollama server by names that are not public, with or without `:latest`. The dashboard is
on the control plane (`serve/http/faces/ollama_host.py`), for it asks the ledger.
"""

import msgspec

from foz.canon.fault import Fault, UpstreamFault
from foz.canon.model import Model
from foz.canon.request import Attribution
from foz.dialects.openai.faults import encode_fault as encode_openai
from foz.ports.codec import ServerCodec
from foz.ports.headers import HEADERS, attribution_of, key_of
from foz.ports.skin import WHOLE, Route, Visit
from foz.skins.ollama_host import examples
from foz.skins.ollama_host.question import Question, QuestionCodec
from foz.wire import json
from foz.wire.http import Call, Headers, Reply

NAME = "ollama_host"
SOURCE = "ollama"
TEXT: Headers = ((b"content-type", b"text/plain; charset=utf-8"),)
STREAMED: Headers = (
    *TEXT,
    (b"cache-control", b"no-cache"),
    (b"x-accel-buffering", b"no"),
    (b"x-content-type-options", b"nosniff"),
)
"""A stream that no proxy keeps back, nor a browser to guess what it is."""
_LATEST = ":latest"
_ASK_SYNC, _ASK_ASYNC = "/api/v1/ai/ask_sync", "/api/v1/ai/ask_async"

ROUTES: tuple[Route, ...] = (
    Route(
        "GET",
        "/api/v1/ai/models",
        NAME,
        "list_models",
        "Lista os modelos disponíveis (list models)",
        "Names that `agent` takes: the Ollama server's models, then all others that this key may ask for.",
        response_schema="Names",
        answer=examples.MODELS,
    ),
    Route(
        "POST",
        _ASK_SYNC,
        NAME,
        "chat",
        "Envia uma pergunta e aguarda a resposta completa (ask, and wait for the whole answer)",
        "The answer's text.",
        "Question",
        None,
        examples.QUESTION,
        headers=HEADERS,
        answer=examples.ANSWER,
        whole=TEXT,
    ),
    Route(
        "POST",
        _ASK_ASYNC,
        NAME,
        "chat",
        "Envia uma pergunta com resposta em streaming (ask, and get the answer as it comes)",
        "The answer's text in pieces, as the model makes them. A text that broke off ends without its last chunk.",
        "Question",
        None,
        examples.QUESTION,
        streams=True,
        headers=HEADERS,
        answer=examples.ANSWER,
        whole=TEXT,
        stream=STREAMED,
    ),
)
_CODECS: dict[str, ServerCodec] = {_ASK_SYNC: QuestionCodec(stream=False), _ASK_ASYNC: QuestionCodec(stream=True)}


class OllamaHostSkin:
    """Implements `ports.skin.Skin`."""

    name = NAME
    routes = ROUTES
    relays = ""
    source = SOURCE
    roots: tuple[str, ...] = ("/api/v1",)

    def codec(self, visit: Visit) -> ServerCodec:
        """Whole or in pieces, as the path says."""
        return _CODECS[visit.route.path]

    def key(self, call: Call) -> str | None:
        """`Authorization: Bearer`, else `X-API-Key`."""
        return key_of(call)

    def attribution(self, visit: Visit) -> Attribution:
        """From the `X-Foz-...` headers; what the body says wins. Raises BadRequest, naming the header."""
        return attribution_of(visit.call)

    def list_models(self, models: list[Model], visit: Visit) -> Reply:
        """Names only: Ollama's first, without what they need not say to be understood."""
        others = [model.name for model in models if model.owner != SOURCE]
        own = [_short(model.name, frozenset(others)) for model in models if model.owner == SOURCE]
        return Reply(200, WHOLE, json.encode(list(dict.fromkeys((*own, *others)))))

    def show_model(self, model: Model, visit: Visit) -> Reply:
        """One of them."""
        return self.list_models([model], visit)

    def encode_fault(self, fault: Fault, request_id: str) -> Reply:
        """`{"detail": ...}`, with the headers that tell programs whether and when to ask again."""
        reply = encode_openai(fault, request_id)
        message = fault.message
        if isinstance(fault, UpstreamFault) and fault.target and fault.target not in message:
            message = f"{message} (target {fault.target})"
        return Reply(reply.status, reply.headers, json.encode({"detail": message}))

    def schemas(self) -> dict[str, object]:
        """The question, the names, and what faults look like."""
        _, found = msgspec.json.schema_components((Question,), ref_template="#/components/schemas/{name}")
        detail = {"type": "object", "required": ["detail"], "properties": {"detail": {"type": "string"}}}
        return {**found, "Names": {"type": "array", "items": {"type": "string"}}, "Error": detail}


def _short(name: str, others: frozenset[str]) -> str:
    """As Ollama's users say it, unless another model is called so."""
    tagged = name.removeprefix(f"{SOURCE}/")
    bare = tagged.removesuffix(_LATEST)
    return next((said for said in (bare, tagged) if said not in others), name)
