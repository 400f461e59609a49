"""
The OCI GenAI Proxy's face: `/genai/{model}/...`, OpenAI's shapes, Oracle's own and agents' chats.

Names are those of `llm_models.json`, then every public name. Sessions, models and files are on the control plane
(`serve/http/faces/oci_proxy.py`).
"""

from collections.abc import Mapping
from typing import Any

import msgspec

from foz.canon.fault import Fault
from foz.canon.model import Model
from foz.canon.request import Attribution, Operation
from foz.dialects.openai import reference
from foz.dialects.openai.reference import ModelCard, ModelList
from foz.dialects.openai.speech import SPEECH
from foz.ports.codec import ServerCodec
from foz.ports.headers import HEADERS, attribution_of, key_of
from foz.ports.skin import FORM, JSON, WHOLE, Route, Visit
from foz.skins.oci_proxy import examples
from foz.skins.oci_proxy.agent import AgentAnswer, AgentCodec, AgentRequest
from foz.skins.oci_proxy.faults import encode_fault
from foz.skins.oci_proxy.inference import InferenceAnswer, InferenceCodec, InferenceRequest
from foz.skins.oci_proxy.names import AnyName, Names
from foz.skins.oci_proxy.openai import EmbeddingCodec, PathCodec
from foz.wire import json
from foz.wire.http import Call, Reply

NAME = "oci_proxy"
ROOT = "/genai"
CHAT, COMPLETIONS = f"{ROOT}/{{model}}/v1/chat/completions", f"{ROOT}/{{model}}/v1/completions"
EMBEDDINGS = f"{ROOT}/{{model}}/v1/embeddings"
INFERENCE, AGENT = f"{ROOT}/{{model}}/inference", f"{ROOT}/{{model}}/chat"
_STREAMED = "With `stream`, server-sent events that end with `[DONE]`."
_UPLOADS = "As a form it takes `file` parts too: text, PDFs and pictures, which go with the user's last message."
_UNNAMED = ("ChatBody", "CompletionRequest")
"""Bodies whose model the path says."""

ROUTES: tuple[Route, ...] = (
    Route(
        "POST",
        CHAT,
        NAME,
        "chat",
        "Chat completion",
        f"Of a model or an agent. {_STREAMED} {_UPLOADS}",
        "ChatBody",
        "ChatCompletion",
        examples.CHAT,
        streams=True,
        headers=HEADERS,
        answer=examples.CHAT_ANSWER,
        accepts=(JSON, FORM),
        form_schema="ChatForm",
    ),
    Route(
        "POST",
        COMPLETIONS,
        NAME,
        "complete",
        "Text completion",
        _STREAMED,
        "CompletionRequest",
        "Completion",
        examples.COMPLETION,
        streams=True,
        headers=HEADERS,
    ),
    Route(
        "POST",
        EMBEDDINGS,
        NAME,
        "embed",
        "Embeddings (Cohere)",
        "The body's `model` is one of Oracle's, asked in the region and compartment of the path's model.",
        "EmbeddingRequest",
        "EmbeddingList",
        examples.EMBEDDING,
        headers=HEADERS,
    ),
    Route(
        "POST",
        INFERENCE,
        NAME,
        "chat",
        "Inferência direta (models)",
        _STREAMED,
        "InferenceRequest",
        "InferenceAnswer",
        examples.INFERENCE,
        streams=True,
        headers=HEADERS,
        answer=examples.INFERENCE_ANSWER,
    ),
    Route(
        "POST",
        AGENT,
        NAME,
        "chat",
        "Chat com agent",
        "With `channel` and `cuid` the session of that user there is used, made and repaired; with `sessionId` the one "
        f"that is named. {_STREAMED} {_UPLOADS}",
        "AgentRequest",
        "AgentAnswer",
        examples.AGENT,
        streams=True,
        headers=HEADERS,
        answer=examples.AGENT_ANSWER,
        accepts=(JSON, FORM),
        form_schema="AgentForm",
    ),
)


class OciProxySkin:
    """Implements `ports.skin.Skin`."""

    name = NAME
    routes = ROUTES
    relays = ""
    source = ""
    roots: tuple[str, ...] = (ROOT,)

    def __init__(self, names: Names | None = None) -> None:
        self._names: Names = names or AnyName()
        self._chat, self._complete, self._embed = (
            speech.server for speech in (SPEECH[one] for one in (Operation.CHAT, Operation.COMPLETE, Operation.EMBED))
        )

    def codec(self, visit: Visit) -> ServerCodec:
        """By the path."""
        names, model, content_type = self._names, visit.model, visit.call.header(b"content-type")
        chat, complete, embed = self._chat, self._complete, self._embed
        if chat is None or complete is None or embed is None:
            raise TypeError("OpenAI's dialect has a server for each operation")
        match visit.route.path:
            case path if path == INFERENCE:
                return InferenceCodec(names, model)
            case path if path == AGENT:
                return AgentCodec(names, model, content_type)
            case path if path == COMPLETIONS:
                return PathCodec(complete, names, model, "model")
            case path if path == EMBEDDINGS:
                return EmbeddingCodec(embed, names, model, "model")
            case _:
                return PathCodec(chat, names, model, None, content_type)

    def key(self, call: Call) -> str | None:
        """`Authorization: Bearer`, else `X-API-Key`."""
        return key_of(call)

    def attribution(self, visit: Visit) -> Attribution:
        """From the `X-Foz-...` headers. Raises BadRequest, naming the header."""
        return attribution_of(visit.call)

    def list_models(self, models: list[Model], visit: Visit) -> Reply:
        """The models that this caller may call."""
        del visit
        return say_models(models)

    def show_model(self, model: Model, visit: Visit) -> Reply:
        """One of them."""
        del visit
        return say_model(model)

    def encode_fault(self, fault: Fault, request_id: str) -> Reply:
        """A fault before anything was sent."""
        return encode_fault(fault, request_id)

    def schemas(self) -> dict[str, object]:
        """OpenAI's bodies without the model, and this API's own."""
        every = reference.schemas()
        every |= {name: _without_model(every[name]) for name in _UNNAMED}
        every["EmbeddingRequest"] = _optional_model(every["EmbeddingRequest"])
        own = (InferenceRequest, InferenceAnswer, AgentRequest, AgentAnswer)
        schemas, inner = msgspec.json.schema_components(own, ref_template="#/$defs/{name}")
        del schemas
        return {**every, **inner, "ChatForm": _form(examples.CHAT), "AgentForm": _form(examples.AGENT), "Error": _ERROR}


_ERROR = {
    "type": "object",
    "required": ["error"],
    "properties": {"error": {"type": "string"}, "suggestion": {"type": "string"}},
}


def say_models(models: list[Model]) -> Reply:
    """Models as OpenAI lists them."""
    return Reply(200, WHOLE, json.encode(ModelList(tuple(_card(model) for model in models))))


def say_model(model: Model) -> Reply:
    """One of them."""
    return Reply(200, WHOLE, json.encode(_card(model)))


def _card(model: Model) -> ModelCard:
    return ModelCard(model.name, model.created, model.owner)


def _without_model(schema: Any) -> object:
    properties: Mapping[str, object] = schema["properties"]
    return {
        **_optional_model(schema),
        "properties": {name: one for name, one in properties.items() if name != "model"},
    }


def _optional_model(schema: Any) -> dict[str, object]:
    return {**schema, "required": [name for name in schema["required"] if name != "model"]}


def _form(example: bytes) -> dict[str, object]:
    """The fields of a JSON body as a form has them: all that is no text is JSON."""
    fields: Mapping[str, object] = msgspec.json.decode(example)
    said = {name: one if isinstance(one, str) else json.encode(one).decode() for name, one in fields.items()}
    files = {"type": "array", "items": {"type": "string", "format": "binary"}}
    return {
        "type": "object",
        "description": "The fields of the JSON body, or all of it as `payload`, and files.",
        "properties": {**{name: {"type": "string", "example": one} for name, one in said.items()}, "file": files},
        "additionalProperties": {"type": "string"},
    }
