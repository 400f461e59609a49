"""
The ModelService's 本地模型管理: the same intake as the REST API's, told in the same words. Bodies are REST's, by name;
the proto's messages hold what their names say.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing

import msgspec

from foz.canon.deployment import Deployment, Line
from foz.canon.fault import BadRequest, Draining
from foz.canon.principal import Principal
from foz.deploy.intake import Intake
from foz.serve.http.desk import Desk
from foz.serve.http.faces.local_models import MOST_LINES, performance_of, way_of
from foz.skins.model_api import local
from foz.skins.model_api.cards import Run
from foz.skins.model_grpc import model_pb2 as pb
from foz.skins.model_grpc import showing
from foz.skins.model_grpc.codec import parsed
from foz.wire.http import Reply

Wire = dict[str, object]


class Deploying:
    """What callers ask of the models that we run."""

    def __init__(self, desk: Desk, intake: Intake) -> None:
        self._desk = desk
        self._intake = intake

    async def runs(self, principal: Principal) -> dict[str, Run]:
        """On what the models run that this caller may call."""
        return {one.wish.model_id: local.run_of(one) for one in await self._intake.models(principal)}

    async def listed(self, message: bytes, principal: Principal) -> bytes:
        """ListLocalModels."""
        parsed(pb.ListLocalModelsRequest, message)
        found = await self._intake.models(principal)
        did = await asyncio.gather(*(asyncio.to_thread(performance_of, self._desk, one.wish.model_id) for one in found))
        said = local.say_models(list(zip(found, did, strict=True)), "")
        return showing.of(_data(said), pb.ListLocalModelsResponse())

    async def deploy(self, message: bytes, principal: Principal) -> bytes:
        """DeployLocalModel."""
        wish = local.read_deploy(showing.deploy_body(parsed(pb.DeployLocalModelRequest, message)))
        found = await self._intake.deploy(principal, wish)
        clock = self._desk.clock
        said = local.say_deployed(found, way_of(found, clock), clock.now(), "")
        return showing.of(_data(said), pb.DeployLocalModelResponse())

    async def status(self, message: bytes, principal: Principal) -> bytes:
        """GetDeploymentStatus."""
        found = await self._intake.find(principal, parsed(pb.GetDeploymentStatusRequest, message).deployment_id)
        lines = await self._intake.lines(found.id, most=MOST_LINES)
        return showing.of(self._stands(found, lines), pb.GetDeploymentStatusResponse())

    async def unload(self, message: bytes, principal: Principal) -> bytes:
        """UnloadLocalModel."""
        asked = parsed(pb.UnloadLocalModelRequest, message)
        found = await self._intake.unload(principal, asked.model_id, purge=asked.purge)
        return showing.of(_data(local.say_unloading(found, [self._intake.here], "")), pb.UnloadLocalModelResponse())

    async def watch(self, message: bytes, principal: Principal) -> AsyncIterator[bytes]:
        """WatchDeployment: how it stands, each time that changes, with the lines of its log that are new."""
        asked = parsed(pb.WatchDeploymentRequest, message)
        if asked.after < 0:
            raise BadRequest("Invalid 'after': expected the number of a line.", field="after")
        found = await self._intake.find(principal, asked.deployment_id)
        last: Wire = {}
        async with aclosing(self._intake.follow(found, asked.after, on=False)) as following:
            async for lines in following:
                if self._desk.gateway.services.draining:
                    raise Draining("This gateway is being stopped; watch again.", retry_after=1)
                stands = await self._now(principal, found)
                if lines or stands != last:
                    last = stands
                    yield showing.update(stands, lines)
        stands = await self._now(principal, found)
        if stands != last:
            yield showing.update(stands, ())

    async def _now(self, principal: Principal, found: Deployment) -> Wire:
        return self._stands(await self._intake.find(principal, found.id), ())

    def _stands(self, found: Deployment, lines: Sequence[Line]) -> Wire:
        return _data(local.say_deployment(found, way_of(found, self._desk.clock), lines, ""))


def _data(reply: Reply) -> Wire:
    """What stands in the envelope."""
    data: Wire = msgspec.json.decode(reply.body)["data"]
    return data
