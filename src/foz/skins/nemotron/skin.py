"""
The Nemotron Chat API: `POST /chat?mode=auto|gpu|api` takes a message and answers with a job at once.

`GET /chat/status/{job_id}` says how it stands, at once or when that has changed.

What is beside it (a job's events, its end before the end, what the modes have to offer) is on the control plane
(`serve/http/faces/nemotron.py`).
"""

import msgspec

from foz.canon.fault import Fault
from foz.canon.model import Model
from foz.canon.request import Ask, Attribution, ChatRequest, Request
from foz.canon.response import Response
from foz.ports.codec import Answer, EventEncoder, ServerCodec
from foz.ports.headers import HEADERS, attribution_of, key_of
from foz.ports.skin import WHOLE, Query, Route, Showing, Visit
from foz.skins.nemotron import examples, refusals, schema
from foz.skins.nemotron.asking import MODES, Heard, hear
from foz.skins.nemotron.bodies import CHAT, say_accepted, say_status
from foz.skins.nemotron.looking import LONGEST_WAIT, UNTIL, look_of
from foz.skins.nemotron.pieces import LogEncoder, say_whole
from foz.wire import json
from foz.wire.http import Call, Headers, Reply

NAME = "nemotron"
MODEL = "nemotron"
"""Who answers where nobody is named."""
LINES: Headers = ((b"content-type", b"application/x-ndjson"),)
_STATUSES = (schema.Waiting, schema.Done, schema.Failed, schema.Cancelled)
_SCHEMAS = (schema.Chat, schema.Accepted, schema.Error, *_STATUSES)

ROUTES: tuple[Route, ...] = (
    Route(
        "POST",
        CHAT,
        NAME,
        "chat",
        "Interage com o modelo Nemotron (send a message; the answer is a job)",
        "Answers at once with a job, whose status is at `Location`. `message` or `messages` must be there. The same "
        "`idempotency_key` (also as the header `Idempotency-Key`) with the same body and mode is the same job for 24 "
        "hours. With `use_reasoning`, `mode=auto` skips targets that cannot think.",
        "Chat",
        "Accepted",
        examples.CHAT,
        headers=(*HEADERS, ("Idempotency-Key", "The same as the field `idempotency_key`, which wins over it.")),
        queries=(
            Query("mode", "`auto` prefers a GPU and falls back to the API; `gpu` and `api` take only that.", MODES),
        ),
        answer=examples.ACCEPTED,
        stream=LINES,
        accepted=say_accepted,
        deferred=True,
    ),
    Route(
        "GET",
        f"{CHAT}/status/{{job_id}}",
        NAME,
        "show_job",
        "Consulta o status e resultado de um job (how a job stands)",
        "At once, or when that has changed: `wait` says how long to wait for it.",
        queries=(
            Query("wait", f"Seconds to wait for a change, from 0 to {LONGEST_WAIT}."),
            Query("until", "What to wait for: that, or the job's end.", UNTIL),
        ),
        response_schema="Status",
        answer=examples.COMPLETED,
        showing=Showing(look_of, say_status),
    ),
)


class ChatCodec:
    """One request of this API. Implements `ports.codec.ServerCodec`."""

    def __init__(self, query: str, model: str) -> None:
        self._query = query
        self._model = model
        self._heard: Heard | None = None

    def _once(self, body: bytes) -> Heard:
        if self._heard is None:
            self._heard = hear(body, self._query, self._model)
        return self._heard

    def read(self, body: bytes) -> Ask:
        """Validates, and gives the facts."""
        return self._once(body).ask

    def decode_request(self, body: bytes) -> ChatRequest:
        """The whole request in our words."""
        return self._once(body).request

    def encode_response(self, answer: Answer, request: Request, model: str) -> bytes:
        """A whole answer, as a job's log has it."""
        if not isinstance(answer, Response):
            raise TypeError("a chat is answered by a Response")
        return say_whole(answer, request)

    def encoder(self, request: Request, model: str) -> EventEncoder:
        """For a stream: the lines of a job's log."""
        return LogEncoder(request)

    def encode_fault_event(self, fault: Fault) -> bytes:
        """Nothing: the job's end tells it."""
        return b""


class NemotronSkin:
    """Implements `ports.skin.Skin`. `model` answers where a request names none."""

    name = NAME
    routes = ROUTES
    relays = ""
    source = ""
    roots: tuple[str, ...] = (CHAT,)

    def __init__(self, model: str = MODEL) -> None:
        self._model = model

    def codec(self, visit: Visit) -> ServerCodec:
        """The body's, with the mode of the query."""
        return ChatCodec(visit.call.query, self._model)

    def key(self, call: Call) -> str | None:
        """`Authorization: Bearer`, else `X-API-Key`."""
        return key_of(call)

    def attribution(self, visit: Visit) -> Attribution:
        """From the `X-Foz-...` headers. Raises BadRequest, naming the header."""
        return attribution_of(visit.call)

    def list_models(self, models: list[Model], visit: Visit) -> Reply:
        """Names. The document has no such path."""
        return Reply(200, WHOLE, json.encode([model.name for model in models]))

    def show_model(self, model: Model, visit: Visit) -> Reply:
        """The name of one."""
        return Reply(200, WHOLE, json.encode(model.name))

    def encode_fault(self, fault: Fault, request_id: str) -> Reply:
        """A fault before anything was sent."""
        return refusals.encode_fault(fault, request_id)

    def schemas(self) -> dict[str, object]:
        """JSON schemas of the bodies, by name."""
        _, found = msgspec.json.schema_components(_SCHEMAS, ref_template="#/components/schemas/{name}")
        chat = {**found["Chat"], "anyOf": [{"required": ["message"]}, {"required": ["messages"]}]}
        status = {"anyOf": [{"$ref": f"#/components/schemas/{one.__name__}"} for one in _STATUSES]}
        return {**found, "Chat": chat, "Status": status}
