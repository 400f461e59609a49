"""
The Chat Completion API: `/api/chat/completions`, and `/api/huggingface-chat`, its older form for one question.

Names that are not public are Hugging Face's ids. Whole conversations reach the model, not only the first message.
"""

from collections.abc import Callable

import msgspec

from foz.canon.fault import Fault
from foz.canon.model import Model
from foz.canon.request import Ask, Attribution, ChatRequest, Request
from foz.canon.response import Response
from foz.ports.codec import Answer, EventEncoder, ServerCodec
from foz.ports.headers import HEADERS, attribution_of, key_of
from foz.ports.skin import WHOLE, Route, Visit
from foz.skins.hf_chat import envelope, examples, schema
from foz.skins.hf_chat.asking import SAYINGS, Heard, hear_chat, hear_question
from foz.wire.http import Call, Reply

NAME = "hf_chat"
COMPLETIONS, OLDER = "/api/chat/completions", "/api/huggingface-chat"
_STREAMED = (
    "With `stream`, server-sent events: pieces in the same envelope, the last event with `usage`, then `[DONE]`. A "
    "model that is asleep is waited for within `max_time`. Fields that are not described here are left out."
)

ROUTES: tuple[Route, ...] = (
    Route(
        "POST",
        COMPLETIONS,
        NAME,
        "chat",
        "Chat completion (continue a conversation)",
        _STREAMED,
        "ChatCompletion",
        "Answer",
        examples.FORMAT,
        streams=True,
        headers=HEADERS,
        answer=examples.ANSWER,
    ),
    Route(
        "POST",
        OLDER,
        NAME,
        "chat",
        "The older form: one question",
        f"The text is in `message`, or in `prompt` or `inputs`. Without a model, {schema.DEFAULT_MODEL}. {_STREAMED}",
        "HuggingFaceChat",
        "Answer",
        examples.QUESTION,
        streams=True,
        headers=HEADERS,
        answer=examples.ANSWER,
    ),
)
_HEARD: dict[str, Callable[[bytes], Heard]] = {COMPLETIONS: hear_chat, OLDER: hear_question}


class ChatCodec:
    """One request of this API. Implements `ports.codec.ServerCodec`."""

    def __init__(self, hear: Callable[[bytes], Heard]) -> None:
        self._hear = hear
        self._heard: Heard | None = None

    def _once(self, body: bytes) -> Heard:
        if self._heard is None:
            self._heard = self._hear(body)
        return self._heard

    def read(self, body: bytes) -> Ask:
        """Validates, and gives the facts."""
        return self._once(body).ask

    def decode_request(self, body: bytes) -> ChatRequest:
        """The whole request in our words."""
        return self._once(body).request

    def encode_response(self, answer: Answer, request: Request, model: str) -> bytes:
        """A whole answer's body."""
        if not isinstance(answer, Response):
            raise TypeError("a chat is answered by a Response")
        return envelope.encode_response(answer, request, model)

    def encoder(self, request: Request, model: str) -> EventEncoder:
        """For a stream."""
        return envelope.Pieces(request, model)

    def encode_fault_event(self, fault: Fault) -> bytes:
        """A fault in the middle of a stream."""
        return envelope.encode_fault_event(fault)


class HfChatSkin:
    """Implements `ports.skin.Skin`."""

    name = NAME
    routes = ROUTES
    relays = ""
    source = "huggingface"
    roots: tuple[str, ...] = (COMPLETIONS, OLDER)

    def codec(self, visit: Visit) -> ServerCodec:
        """The envelope's, for the conversation or the older form."""
        return ChatCodec(_HEARD[visit.route.path])

    def key(self, call: Call) -> str | None:
        """`Authorization: Bearer`, else `X-API-Key`."""
        return key_of(call)

    def attribution(self, visit: Visit) -> Attribution:
        """From the `X-Foz-...` headers. Raises BadRequest, naming the header."""
        return attribution_of(visit.call)

    def list_models(self, models: list[Model], visit: Visit) -> Reply:
        """The names of what there is. The document has no such path."""
        return Reply(200, WHOLE, envelope.wrap({"models": [model.name for model in models]}))

    def show_model(self, model: Model, visit: Visit) -> Reply:
        """The name of one."""
        return Reply(200, WHOLE, envelope.wrap({"model": model.name}))

    def encode_fault(self, fault: Fault, request_id: str) -> Reply:
        """A fault before anything was sent."""
        return envelope.encode_fault(fault, request_id)

    def schemas(self) -> dict[str, object]:
        """JSON schemas of the bodies, by name."""
        bodies = (schema.ChatCompletion, schema.HuggingFaceChat, schema.Answer, schema.Error)
        _, components = msgspec.json.schema_components(bodies, ref_template="#/components/schemas/{name}")
        older = {**components[schema.HuggingFaceChat.__name__], "oneOf": [{"required": [name]} for name in SAYINGS]}
        return {**components, schema.HuggingFaceChat.__name__: older}
