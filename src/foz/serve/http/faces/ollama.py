"""
What Ollama's API has beside inference: one model shown, what is loaded, the version, and the life of models.

Loaded is what this gateway runs itself: what other targets have loaded nobody tells. The life of models (pull, create,
copy, delete) is that of deployments (`ollama_life.py`); nothing is pushed.
"""

from typing import Any

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from foz.canon.fault import BadRequest, Unsupported
from foz.dialects.ollama import bodies
from foz.ports.headers import attribution_of
from foz.ports.skin import WHOLE
from foz.serve.http.desk import Desk, response, told, who
from foz.serve.http.faces.files import heard
from foz.serve.http.faces.ollama_life import Life
from foz.serve.http.guard import check_body
from foz.skins.ollama import examples
from foz.skins.ollama.cards import say_loaded, say_model
from foz.skins.ollama.skin import ACCEPTS, NAME, SOURCE
from foz.wire import json
from foz.wire.http import Reply

VERSION = "0.12.6"
"""The version of Ollama whose API this is: its programs ask for it before they use what came with one."""


def _asked(schema: str, example: object, answer: object, lines: str | None = None) -> dict[str, Any]:
    """What the reference says of an endpoint that takes such a body; `lines` is the answer as it is streamed."""
    body = {"schema": {"$ref": f"#/components/schemas/{NAME}.{schema}"}, "example": example}
    said = told(answer)
    content = {} if answer is None else dict(said["responses"][200]["content"])
    if lines is not None:
        content["application/x-ndjson"] = {"example": lines}
    answered = {"description": "The answer.", **({"content": content} if content else {})}
    return {
        **said,
        "responses": {**said["responses"], 200: answered},
        "openapi_extra": {**said["openapi_extra"], "requestBody": {"content": {"application/json": body}}},
    }


def router(desk: Desk) -> APIRouter:
    """Everything beside inference."""
    made = APIRouter(tags=[NAME])
    _add_looks(made, desk)
    if desk.deployments is not None:
        _add_life(made, Life(desk, desk.deployments))
    _add_push(made)
    return made


async def _body(request: Request) -> bytes:
    """A body that may be JSON. Raises BadRequest."""
    call = heard(request)
    attribution_of(call)
    check_body(call, ACCEPTS)
    return await request.body()


def _add_looks(made: APIRouter, desk: Desk) -> None:
    @made.post("/api/show", summary="Show a model", **_asked("ModelBody", examples.NAMED, examples.SHOWN))
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


def _add_life(made: APIRouter, life: Life) -> None:
    @made.post(
        "/api/pull", summary="Deploy a model", **_asked("PullBody", examples.PULL, examples.DONE, examples.PULLED)
    )
    async def pull(request: Request) -> Response:
        """
        Of Ollama's registry, under the name that is pulled, on this machine; told in lines until it answers. Whoever
        leaves does not stop it. What can be named already is there.
        """
        return await life.pull(request, await _body(request))

    @made.delete("/api/delete", summary="Unload a model", **_asked("ModelBody", examples.NAMED, None))
    async def delete(request: Request) -> Response:
        """Requests that run on it end first. Its file is removed, where Foz has fetched or made it."""
        return await life.delete(request, await _body(request))

    @made.post("/api/copy", summary="Deploy a model under one more name", **_asked("CopyBody", examples.COPY, None))
    async def copy(request: Request) -> Response:
        """It takes its memory once more: it is an engine of its own, of the same file."""
        return await life.copy(request, await _body(request))

    @made.post(
        "/api/create",
        summary="Deploy a model otherwise",
        **_asked("CreateBody", examples.CREATE, examples.DONE, examples.CREATED),
    )
    async def create(request: Request) -> Response:
        """From another one, with another context (`num_ctx`) or in 8 bits (`quantize`); all else is refused by name."""
        return await life.create(request, await _body(request))


def _add_push(made: APIRouter) -> None:
    async def push(request: Request) -> Response:
        bodies.decode(bodies.ANY, await _body(request))
        raise Unsupported("Foz pushes no models: it sends no files to anybody", field="model")

    made.add_api_route("/api/push", push, methods=["POST"], include_in_schema=False)
