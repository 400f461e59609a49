"""What the 模型 API has beside inference: the models, and how each did over the last day."""

import asyncio

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from foz.canon.fault import NotFound
from foz.serve.http.desk import Desk, request_id, response, told, who
from foz.serve.http.faces import local_models
from foz.skins.model_api import examples
from foz.skins.model_api.cards import Run
from foz.skins.model_api.local import run_of
from foz.skins.model_api.skin import NAME, say_model, say_models

DAY = 24 * 3600 * 1000
RESERVED = "local"
"""Under this name stand the deployments, never a model."""


def router(desk: Desk) -> APIRouter:
    """`GET /models` and `GET /models/{id}`."""
    made = APIRouter(tags=[NAME])
    if desk.deployments is not None:
        local_models.add(made, desk, desk.deployments)
    gateway = desk.gateway

    async def runs(request: Request) -> dict[str, Run]:
        found = [] if desk.deployments is None else await desk.deployments.models(who(request))
        return {one.wish.model_id: run_of(one) for one in found}

    @made.get("/models", summary="获取可用模型列表 (list models)", **told(examples.MODELS))
    async def models(request: Request) -> Response:
        found = [(model, gateway.stands(model)) for model in gateway.models(who(request))]
        return response(say_models(found, request_id(request), await runs(request)))

    @made.get("/models/{model:path}", summary="获取模型详细信息 (show a model)", **told(examples.MODEL))
    async def model(request: Request, model: str) -> Response:
        if model.partition("/")[0] == RESERVED:
            raise NotFound("There is nothing here; GET /models/local lists the models that are deployed.")
        found = gateway.find(who(request), model)
        standing = await asyncio.to_thread(desk.reports.standing, found.name, desk.clock.now() - DAY)
        run = (await runs(request)).get(found.name)
        return response(say_model(found, standing, request_id(request), healthy=gateway.stands(found), run=run))

    return made
