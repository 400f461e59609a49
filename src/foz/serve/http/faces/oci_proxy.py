"""What the OCI GenAI Proxy has beside inference: its models, agents' sessions, and files."""

import msgspec
from fastapi import APIRouter
from msgspec import Struct
from starlette.requests import Request
from starlette.responses import Response

from foz.canon.fault import NoRoute, NotFound
from foz.canon.model import Model
from foz.dialects.openai.fields import decode
from foz.ports.sessions import Agency
from foz.ports.skin import JSON, WHOLE
from foz.serve.http.desk import Desk, response, told, who
from foz.serve.http.faces.files import add_files, heard, project_of
from foz.serve.http.guard import check_body
from foz.serve.http.reference import SECURITY
from foz.skins.oci_proxy import examples
from foz.skins.oci_proxy.agent import Word
from foz.skins.oci_proxy.names import SHOWN, Kind, Names, known
from foz.skins.oci_proxy.skin import NAME, ROOT, say_model, say_models
from foz.wire import json
from foz.wire.http import Reply

NO_CONTENT = 204
LONGEST_NAME = 255


class SessionRequest(Struct, frozen=True):
    """Whose session it is to be; only a title for people."""

    channel: Word | None = None
    cuid: Word | None = None


_SESSION = msgspec.json.Decoder(SessionRequest)
_WORD = {"type": "string", "minLength": 1, "maxLength": 256}
_BODY = {
    "requestBody": {
        "content": {
            JSON.decode(): {
                "schema": {"type": "object", "properties": {"channel": _WORD, "cuid": _WORD}},
                "example": examples.SESSION_REQUEST,
            }
        }
    }
}


def router(desk: Desk, names: Names) -> APIRouter:
    """Everything beside inference."""
    made = APIRouter(tags=[NAME])
    _add_models(made, desk, names)
    _add_sessions(made, desk, names)

    def check(request: Request) -> None:
        gateway, name = desk.gateway, request.path_params["model"]
        gateway.find(who(request), known(names, name).name)

    if desk.files is not None:
        add_files(made, f"{ROOT}/{{model:path}}/v1", desk.files, check)
    return made


def _add_models(made: APIRouter, desk: Desk, names: Names) -> None:
    gateway = desk.gateway

    def one(request: Request, model: str) -> Model:
        return gateway.find(who(request), known(names, model).name)

    @made.get(f"{ROOT}/models", summary="Modelos do arquivo (list llm_models.json)", **told(examples.MODELS))
    async def models(request: Request) -> Response:
        caller = who(request)
        said = [
            {"name": row.name, "type": row.kind, "region": row.region}
            for row in names.rows()
            if caller.may_call(row.name)
        ]
        return response(Reply(200, WHOLE, json.encode({"models": said})))

    @made.get(f"{ROOT}/{{model:path}}/v1/models", summary="Informações do modelo", **told(examples.MODEL))
    async def model(request: Request, model: str) -> Response:
        return response(say_models([one(request, model)]))

    @made.get(f"{ROOT}/{{model:path}}/v1/models/{{id:path}}", summary="O mesmo, só", **told(examples.MODEL["data"][0]))
    async def shown(request: Request, model: str, id: str) -> Response:
        if id != model:
            known(names, id)
            raise NotFound(f"Modelo '{id[:256]}' não é o deste caminho, '{model[:256]}'.", field="model")
        return response(say_model(one(request, model)))


def _add_sessions(made: APIRouter, desk: Desk, names: Names) -> None:
    gateway = desk.gateway
    wanted: Kind = "agent"
    telling = told(examples.SESSION)
    telling["openapi_extra"] = {**telling["openapi_extra"], **_BODY}

    def agent_of(request: Request, agent: str) -> tuple[Agency, str]:
        """Who keeps the sessions of an agent, and what it is called there."""
        model = gateway.find(who(request), known(names, agent, wanted).name)
        for target in model.targets:
            if target.barred is None:
                agency = gateway.services.directory.line(target).agency
                if agency is not None:
                    return agency, target.model
        whys = [f"{target.name} is not configured here" for target in model.targets if target.barred]
        told = "; ".join(whys) or "it keeps no sessions"
        raise NoRoute(f"No target of model '{agent[:SHOWN]}' can be asked now: {told}.")

    @made.post(
        f"{ROOT}/{{agent:path}}/session",
        summary="Criar sessão (agents)",
        **telling,
    )
    async def session(request: Request, agent: str) -> Response:
        caller = who(request)
        agency, id = agent_of(request, agent)
        check_body(heard(request), (JSON,))
        body = await request.body()
        said = decode(_SESSION, body) if body.strip() else SessionRequest()
        title = ":".join(filter(None, (said.channel, said.cuid)))[:LONGEST_NAME]
        opened = await agency.open((caller.id, project_of(request, caller)), id, title or None)
        return response(Reply(200, WHOLE, opened))

    @made.delete(
        f"{ROOT}/{{agent:path}}/session/{{id}}",
        summary="Encerrar sessão (agents)",
        status_code=NO_CONTENT,
        openapi_extra={"security": SECURITY},
    )
    async def ended(request: Request, agent: str, id: str) -> Response:
        caller = who(request)
        agency, name = agent_of(request, agent)
        await agency.end((caller.id, project_of(request, caller)), name, id)
        return Response(status_code=NO_CONTENT)
