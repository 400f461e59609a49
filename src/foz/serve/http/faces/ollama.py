"""
What Ollama's API has beside inference: one model shown, what is loaded, the version, and the life of models.

Loaded is what this gateway runs itself: what other targets have loaded nobody tells. The life of models (pull, create,
copy, push, delete) is that of deployments, which are asked for elsewhere (`POST /models/local/deploy`): here it is
refused, in one place (`_add_life`), where it can map to them.
"""

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from foz.canon.fault import BadRequest, Unsupported
from foz.dialects.ollama import bodies
from foz.ports.headers import attribution_of
from foz.ports.skin import WHOLE
from foz.serve.http.desk import Desk, response, told, who
from foz.serve.http.faces.files import heard
from foz.serve.http.guard import check_body
from foz.skins.ollama import examples
from foz.skins.ollama.cards import say_loaded, say_model
from foz.skins.ollama.skin import ACCEPTS, NAME, SOURCE
from foz.wire import json
from foz.wire.http import Reply

VERSION = "0.12.6"
"""The version of Ollama whose API this is: its programs ask for it before they use what came with one."""
_NAMED = {
    "requestBody": {
        "content": {
            "application/json": {
                "schema": {"type": "object", "required": ["model"], "properties": {"model": {"type": "string"}}},
                "example": examples.NAMED,
            }
        }
    }
}
LIVES = (
    ("POST", "/api/pull", "pull"),
    ("POST", "/api/push", "push"),
    ("POST", "/api/create", "create"),
    ("POST", "/api/copy", "copy"),
    ("DELETE", "/api/delete", "delete"),
)


def router(desk: Desk) -> APIRouter:
    """Everything beside inference."""
    made = APIRouter(tags=[NAME])
    _add_looks(made, desk)
    for method, path, verb in LIVES:
        _add_life(made, method, path, verb)
    return made


async def _body(request: Request) -> bytes:
    """A body that may be JSON. Raises BadRequest."""
    call = heard(request)
    attribution_of(call)
    check_body(call, ACCEPTS)
    return await request.body()


def _add_looks(made: APIRouter, desk: Desk) -> None:
    telling = told(examples.SHOWN)
    telling["openapi_extra"] = {**telling["openapi_extra"], **_NAMED}

    @made.post("/api/show", summary="Show a model", **telling)
    async def show(request: Request) -> Response:
        """What is known of it. Its template and its files are its target's affair."""
        asked = bodies.decode(bodies.MODEL, await _body(request))
        name = asked.model or asked.name
        if not name:
            raise BadRequest("model is required", field="model", vendor_code="missing_required_parameter")
        return response(Reply(200, WHOLE, say_model(desk.gateway.find(who(request), name, SOURCE))))

    @made.get("/api/ps", summary="List loaded models", **told(examples.LOADED))
    async def loaded(request: Request) -> Response:
        """Those that this gateway runs itself: what other targets have loaded, it is not told."""
        intake = desk.deployments
        deployments = [] if intake is None else await intake.models(who(request))
        return response(Reply(200, WHOLE, say_loaded(deployments)))

    @made.get("/api/version", summary="The version of Ollama whose API this is", **told(examples.VERSION))
    async def version() -> Response:
        """Not that of Foz, which is at `/health`."""
        return response(Reply(200, WHOLE, json.encode({"version": VERSION})))


def _add_life(made: APIRouter, method: str, path: str, verb: str) -> None:
    async def refuse(request: Request) -> Response:
        bodies.decode(bodies.ANY, await _body(request))
        raise Unsupported(
            f"Foz does not {verb} models for Ollama's programs: GET /api/tags lists those that there are, and an "
            "administrator deploys others (POST /models/local/deploy, with a source such as ollama:llama3.2)",
            field="model",
        )

    made.add_api_route(path, refuse, methods=[method], name=verb, include_in_schema=False)
