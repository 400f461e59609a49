"""
The 模型 API's inference: `/models/{model}/...` in OpenAI's shapes, in an envelope. Ids may hold slashes and colons.

The lists of models are on the control plane (`serve/http/faces/model_api.py`), for they ask the ledger.
"""

from collections.abc import Mapping
from typing import Any

import msgspec

from foz.canon.fault import Fault
from foz.canon.model import Model, Standing
from foz.canon.request import Attribution
from foz.dialects.openai import reference
from foz.dialects.openai.speech import SPEECH
from foz.ports.codec import ServerCodec
from foz.ports.headers import HEADERS, attribution_of, key_of
from foz.ports.skin import WHOLE, Route, Visit
from foz.skins.model_api import cards, examples
from foz.skins.model_api.cards import Run
from foz.skins.model_api.envelope import EnvelopedCodec, encode_fault, wrap
from foz.skins.model_api.local import DeployBody
from foz.wire import json
from foz.wire.http import Call, Reply

NAME = "model_api"
_STREAMED = "With `stream`, server-sent events: each chunk in the same envelope, then `[DONE]`."
_UNNAMED = ("ChatBody", "CompletionRequest", "EmbeddingRequest")
"""Bodies whose model the path says."""
_DATA = {"ChatAnswerEnvelope": "ChatCompletion", "CompletionEnvelope": "Completion", "VectorsEnvelope": "EmbeddingList"}

ROUTES: tuple[Route, ...] = (
    Route(
        "POST",
        "/models/{model}/chat/completions",
        NAME,
        "chat",
        "聊天对话 (continue a conversation)",
        _STREAMED,
        "ChatBody",
        "ChatAnswerEnvelope",
        examples.CHAT,
        streams=True,
        headers=HEADERS,
        answer=examples.CHAT_ANSWER,
    ),
    Route(
        "POST",
        "/models/{model}/completions",
        NAME,
        "complete",
        "文本补全 (continue a text)",
        _STREAMED,
        "CompletionRequest",
        "CompletionEnvelope",
        examples.COMPLETION,
        streams=True,
        headers=HEADERS,
        answer=examples.COMPLETION_ANSWER,
    ),
    Route(
        "POST",
        "/models/{model}/embeddings",
        NAME,
        "embed",
        "向量嵌入 (turn texts into vectors)",
        "Vectors in the order of the inputs.",
        "EmbeddingRequest",
        "VectorsEnvelope",
        examples.EMBEDDING,
        headers=HEADERS,
        answer=examples.EMBEDDING_ANSWER,
    ),
)


class ModelApiSkin:
    """Implements `ports.skin.Skin`."""

    name = NAME
    routes = ROUTES
    relays = ""
    source = ""
    roots: tuple[str, ...] = ("/models",)

    def __init__(self) -> None:
        self._codecs: dict[str, ServerCodec] = {
            operation.value: speech.server for operation, speech in SPEECH.items() if speech.server
        }

    def codec(self, visit: Visit) -> ServerCodec:
        """OpenAI's, in the envelope."""
        return EnvelopedCodec(self._codecs[visit.route.action], visit.model, visit.request_id)

    def key(self, call: Call) -> str | None:
        """`Authorization: Bearer`, else `X-API-Key`."""
        return key_of(call)

    def attribution(self, visit: Visit) -> Attribution:
        """From the `X-Foz-...` headers. Raises BadRequest, naming the header."""
        return attribution_of(visit.call)

    def list_models(self, models: list[Model], visit: Visit) -> Reply:
        """The models that this caller may call."""
        return say_models([(model, True) for model in models], visit.request_id)

    def show_model(self, model: Model, visit: Visit) -> Reply:
        """One of them."""
        return say_model(model, Standing(None, None), visit.request_id, healthy=True)

    def encode_fault(self, fault: Fault, request_id: str) -> Reply:
        """A fault before anything was sent."""
        return encode_fault(fault, request_id)

    def schemas(self) -> dict[str, object]:
        """OpenAI's bodies without the model, and the envelope around its answers."""
        every = reference.schemas()
        every |= {name: _without_model(every[name]) for name in _UNNAMED}
        every |= {name: _envelope({"$ref": f"#/components/schemas/{data}"}) for name, data in _DATA.items()}
        _, deploys = msgspec.json.schema_components((DeployBody,), ref_template="#/components/schemas/{name}")
        return {**every, **deploys, "Error": _envelope({"type": "null"})}


def say_models(models: list[tuple[Model, bool]], request_id: str, runs: Mapping[str, Run] | None = None) -> Reply:
    """The list; with each model, whether it can be asked now. `runs`: on what those run that we run."""
    known = runs or {}
    said = {
        "models": [cards.card(model, healthy=healthy, run=known.get(model.name, Run())) for model, healthy in models]
    }
    return Reply(200, WHOLE, wrap(json.encode(said), request_id))


def say_model(model: Model, standing: Standing, request_id: str, *, healthy: bool, run: Run | None = None) -> Reply:
    """One model, whole."""
    said = cards.detail(model, standing, healthy=healthy, run=run or Run())
    return Reply(200, WHOLE, wrap(json.encode(said), request_id))


def _without_model(schema: Any) -> object:
    properties: Mapping[str, object] = schema["properties"]
    return {
        **schema,
        "properties": {name: one for name, one in properties.items() if name != "model"},
        "required": [name for name in schema["required"] if name != "model"],
    }


def _envelope(data: object) -> dict[str, object]:
    return {
        "type": "object",
        "required": ["code", "message", "data", "request_id"],
        "properties": {
            "code": {"type": "integer", "description": "The HTTP status."},
            "message": {"type": "string"},
            "data": data,
            "request_id": {"type": "string"},
        },
    }
