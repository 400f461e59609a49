"""
The 模型 API's 本地模型管理: models that are run here are deployed, watched and unloaded. What is asked is written down
at once; the loop that owns the deployments, in whichever process it runs, does it.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing
from typing import Annotated, Any

from fastapi import APIRouter, Query
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from foz.canon.amount import size
from foz.canon.deployment import Deployment, Line
from foz.canon.fault import BadRequest
from foz.deploy import stages
from foz.deploy.intake import Intake
from foz.gateway.services import Services
from foz.ledger.report import Filter
from foz.ports.clock import Clock
from foz.ports.sites import Node
from foz.ports.skin import JSON
from foz.serve.http.desk import Desk, request_id, response, told, who
from foz.serve.http.faces.files import heard
from foz.serve.http.guard import check_body
from foz.serve.http.staying import while_here
from foz.skins.model_api import examples, local
from foz.skins.model_api.local import Performance, Way
from foz.wire import sse

DAY = 24 * 3600 * 1000
EVENTS = "text/event-stream; charset=utf-8"
MOST_LINES = 500
_HEADERS = {"cache-control": "no-cache", "x-accel-buffering": "no"}
_KEEP_ALIVE = b": \n\n"
_QUIET = 15.0
"""Seconds without a line after which a follower is told that we are there."""
_LAST = {
    "in": "header",
    "name": "Last-Event-ID",
    "schema": {"type": "integer"},
    "description": "The id of the last line that was read: what comes after it is told.",
}
_BODY = {
    "requestBody": {
        "required": True,
        "content": {
            JSON.decode(): {
                "schema": {"$ref": "#/components/schemas/model_api.DeployBody"},
                "example": examples.DEPLOY,
            }
        },
    }
}


def _with(more: dict[str, Any], said: dict[str, Any]) -> dict[str, Any]:
    return {**said, "openapi_extra": {**said["openapi_extra"], **more}}


def add(made: APIRouter, desk: Desk, intake: Intake) -> None:
    """Adds the paths, before any that would take them for a model's."""
    _add_deploying(made, desk, intake)
    _add_log(made, desk, intake)
    _add_models(made, desk, intake)


def way_of(deployment: Deployment, clock: Clock) -> Way:
    """How it stands on its way."""
    seen = deployment.seen
    return Way(
        progress=stages.progress(seen),
        current=stages.current(seen),
        percents={report.stage: stages.percent(report) for report in seen.stages},
        estimate=stages.estimate(seen, clock.now()),
    )


def _add_deploying(made: APIRouter, desk: Desk, intake: Intake) -> None:
    clock = desk.clock

    @made.post(
        "/models/local/deploy", summary="部署新本地模型 (deploy a model)", **_with(_BODY, told(examples.DEPLOYED))
    )
    async def deploy(request: Request) -> Response:
        """The same body again gives the same deployment; one that failed is tried again at once."""
        check_body(heard(request), (JSON,))
        found = await intake.deploy(who(request), local.read_deploy(await request.body()))
        return response(local.say_deployed(found, way_of(found, clock), clock.now(), request_id(request)))

    @made.get("/models/local/deployments", summary="列出部署 (list deployments)", **told(examples.DEPLOYMENTS))
    async def deployments(request: Request) -> Response:
        """All that are kept, newest first, also those that are over."""
        found = [(one, way_of(one, clock)) for one in await intake.listed(who(request))]
        return response(local.say_deployments(found, request_id(request)))

    @made.get(
        "/models/local/deployments/{deployment_id}",
        summary="获取本地模型部署状态 (how a deployment stands)",
        **told(examples.DEPLOYMENT),
    )
    async def deployment(request: Request, deployment_id: str) -> Response:
        found = await intake.find(who(request), deployment_id)
        lines = await intake.lines(found.id, most=MOST_LINES)
        return response(local.say_deployment(found, way_of(found, clock), lines, request_id(request)))

    @made.post(
        "/models/local/deployments/{deployment_id}/retry",
        summary="重试部署 (try a failed deployment again, at once)",
        **told(examples.DEPLOYED),
    )
    async def retry(request: Request, deployment_id: str) -> Response:
        found = await intake.retry(who(request), deployment_id)
        return response(local.say_deployed(found, way_of(found, clock), clock.now(), request_id(request)))


def _add_log(made: APIRouter, desk: Desk, intake: Intake) -> None:
    streamed = _with({"parameters": [_LAST]}, told(examples.LOG, "text/event-stream"))

    @made.get("/models/local/deployments/{deployment_id}/logs", summary="跟踪部署日志 (a deployment's log)", **streamed)
    async def logs(
        request: Request,
        deployment_id: str,
        follow: Annotated[bool, Query(description="Stay when nothing is being done any more.")] = False,
    ) -> Response:
        """Server-sent events, a line each, until the deployment serves, failed or is gone; then `[DONE]`."""
        last = request.headers.get("last-event-id", "0")
        if not (last.isascii() and last.isdecimal() and len(last) <= 12):  # noqa: PLR2004 - digits of a line's number
            raise BadRequest(f"Last-Event-ID: expected the number of a line, found {last[:80]!r}.")
        found = await intake.find(who(request), deployment_id)
        said = _lines(desk.gateway.services, intake, found, int(last), on=follow, named=request_id(request))
        return StreamingResponse(said, headers=_HEADERS, media_type=EVENTS)


async def _next(following: AsyncIterator[Sequence[Line]]) -> tuple[Sequence[Line]] | tuple[()]:
    async for lines in following:
        return (lines,)
    return ()


async def _lines(
    services: Services, intake: Intake, found: Deployment, after: int, *, on: bool, named: str
) -> AsyncIterator[bytes]:
    quiet = services.clock.monotonic()
    async with aclosing(intake.follow(found, after, on=on)) as following:
        while got := await while_here(services, _next(following)):
            now = services.clock.monotonic()
            if got[0]:
                yield b"".join(local.say_line(line, named) for line in got[0])
                quiet = now
            elif now - quiet > _QUIET:
                yield _KEEP_ALIVE
                quiet = now
        if got is not None:
            yield sse.encode(b"[DONE]")


def _add_models(made: APIRouter, desk: Desk, intake: Intake) -> None:
    async def did(model: str) -> Performance:
        return await asyncio.to_thread(performance_of, desk, model)

    @made.get("/models/local", summary="获取本地模型列表 (list local models)", **told(examples.LOCALS))
    async def models(request: Request) -> Response:
        found = await intake.models(who(request))
        each = await asyncio.gather(*(did(one.wish.model_id) for one in found))
        return response(local.say_models(list(zip(found, each, strict=True)), request_id(request)))

    @made.get("/models/local/nodes", summary="列出节点 (list nodes)", **told(examples.NODES))
    async def nodes(request: Request) -> Response:
        return response(local.say_nodes([_node(one) for one in await intake.nodes()], request_id(request)))

    @made.get("/models/local/{model_id}", summary="获取本地模型 (show a local model)", **told(examples.LOCAL))
    async def model(request: Request, model_id: str) -> Response:
        found = await intake.model(who(request), model_id)
        return response(local.say_model(found, await did(model_id), request_id(request)))

    @made.delete("/models/local/{model_id}", summary="卸载本地模型 (unload a model)", **told(examples.UNLOADED))
    async def unload(
        request: Request,
        model_id: str,
        purge: Annotated[bool, Query(description="Remove its file too.")] = False,
    ) -> Response:
        """Requests that run on it end first. While it is being deployed, that is cancelled."""
        found = await intake.unload(who(request), model_id, purge=purge)
        return response(local.say_unloading(found, [intake.here], request_id(request)))


def _node(node: Node) -> dict[str, object]:
    room = node.room
    said: dict[str, object] = {
        "node_id": node.name,
        "status": "healthy" if node.trouble is None else "unhealthy",
        "hardware": [device.name for device in node.devices] or ([room.processor] if room else []),
        "cores": room.cores if room else None,
        "memory_total": size(room.total) if room else None,
        "memory_free": size(room.free) if room else None,
        "gpu_memory_free": [size(device.free) for device in node.devices],
        "gpu_load": [device.load for device in node.devices],
    }
    return said if node.trouble is None else {**said, "error": node.trouble}


def performance_of(desk: Desk, model: str) -> Performance:
    """Over the last day."""
    groups = desk.reports.groups(Filter(since=desk.clock.now() - DAY, model=model))
    if not groups or not groups[0].duration.average:
        return Performance()
    group = groups[0]
    seconds = group.calls * (group.duration.average or 0) / 1000
    return Performance(
        tokens_per_second=group.output / seconds if group.output and seconds else None,
        average=group.duration.average,
        p50=group.duration.p50,
        p95=group.duration.p95,
        first_token=group.first_token.p50,
    )
