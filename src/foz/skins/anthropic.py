"""
Anthropic's own face: `/v1/messages`, keys as a bearer or as `x-api-key`, bodies and errors as the SDKs know them.

Bodies pass as they are, so where the target speaks this dialect too its bytes are relayed. `/v1/models` is OpenAI's as
well: who sends `anthropic-version`, as these SDKs do, gets it in this face's words.
"""

from foz.canon.fault import Fault
from foz.canon.model import Model
from foz.canon.request import Attribution
from foz.dialects.anthropic import reference
from foz.dialects.anthropic.cards import card, page
from foz.dialects.anthropic.deferred import say_accepted
from foz.dialects.anthropic.faults import encode_fault
from foz.dialects.anthropic.frames import DIALECT, PATH, PING
from foz.dialects.anthropic.server import MessagesServer
from foz.ports.codec import ServerCodec
from foz.ports.deferral import KEY, PREFERENCE
from foz.ports.headers import HEADERS, attribution_of, key_of
from foz.ports.skin import WHOLE, Route, Visit
from foz.wire import json
from foz.wire.http import Call, Reply

NAME = "anthropic"
MODELS = "/v1/models"
ECHO = b"request-id"
VERSION = b"anthropic-version"
_VERSIONED = (("anthropic-version", "Any value: the list comes as Anthropic's SDKs know it, a page at a time."),)

ROUTES: tuple[Route, ...] = (
    Route(
        "POST",
        PATH,
        NAME,
        "chat",
        "Continue a conversation",
        "Text, images and documents in; text, thinking and tool calls out. With `stream`, server-sent events that end "
        "with `message_stop`, and pings while the first token is waited for. Fields that are not described here are "
        "forwarded to models of Anthropic's.",
        "Body",
        "MessageAnswer",
        b'{"model": "simulated", "max_tokens": 100, "messages": [{"role": "user", "content": "Where do rivers end?"}]}',
        streams=True,
        headers=(*HEADERS, PREFERENCE, KEY),
        accepted=say_accepted,
        waiting=PING,
        echo=ECHO,
    ),
    Route(
        "GET",
        MODELS,
        NAME,
        "list_models",
        "List models",
        "With `anthropic-version` the list is Anthropic's: `limit`, `after_id` and `before_id` choose the page.",
        response_schema="ModelPage",
        headers=_VERSIONED,
        echo=ECHO,
        header=VERSION,
    ),
    Route(
        "GET",
        f"{MODELS}/{{model}}",
        NAME,
        "show_model",
        "Show a model",
        "With `anthropic-version` it is told as Anthropic does.",
        response_schema="ModelInfo",
        headers=_VERSIONED,
        echo=ECHO,
        header=VERSION,
    ),
)


class AnthropicSkin:
    """Implements `ports.skin.Skin`."""

    name = NAME
    routes = ROUTES
    relays = DIALECT
    source = ""
    roots: tuple[str, ...] = (PATH,)

    def __init__(self) -> None:
        self._codec = MessagesServer()

    def codec(self, visit: Visit) -> ServerCodec:
        """The dialect's server role."""
        return self._codec

    def key(self, call: Call) -> str | None:
        """`Authorization: Bearer`, as the SDKs send it since 2.0, else `X-API-Key`, as they did before."""
        return key_of(call)

    def attribution(self, visit: Visit) -> Attribution:
        """From the `X-Foz-...` headers. Raises BadRequest, naming the header."""
        return attribution_of(visit.call)

    def list_models(self, models: list[Model], visit: Visit) -> Reply:
        """The models that this caller may call."""
        return Reply(200, WHOLE, json.encode(page(models, visit.call.query)))

    def show_model(self, model: Model, visit: Visit) -> Reply:
        """One of them."""
        return Reply(200, WHOLE, json.encode(card(model)))

    def encode_fault(self, fault: Fault, request_id: str) -> Reply:
        """A fault before anything was sent."""
        return encode_fault(fault, request_id)

    def schemas(self) -> dict[str, object]:
        """JSON schemas of the bodies, by name."""
        return reference.schemas()
