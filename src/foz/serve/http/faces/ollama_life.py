"""
Ollama's life of models, which is that of deployments: pull deploys, delete unloads and removes the file, copy deploys
the same file under one more name, create does so with another context or in 8 bits. Administrators may.

What callers can name already, whoever serves it, is pulled: nothing is done, and anybody may.
"""

from collections.abc import AsyncIterator

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from foz.canon.deployment import Deployment, DeploymentStatus, Wanted, Wish
from foz.canon.fault import Down, Draining, Fault, Forbidden, NotFound
from foz.canon.principal import Principal
from foz.deploy.intake import LOOK_SECONDS, Intake
from foz.dialects.ollama import bodies
from foz.dialects.ollama.faults import encode_fault_event
from foz.ports.skin import WHOLE
from foz.serve.http.desk import Desk, response, who
from foz.serve.http.staying import while_here
from foz.skins.ollama import life
from foz.skins.ollama.skin import LINES, SOURCE
from foz.wire.http import Reply

QUIET = 10.0
"""Seconds without a new line after which the last one is said again."""
GONE = 15.0
"""Seconds in which a deleted model is waited for: what runs on it ends first."""
_STOPPED = "this gateway is being stopped; what was begun goes on when it runs again"


class Life:
    """What is done with models for Ollama's programs."""

    def __init__(self, desk: Desk, intake: Intake) -> None:
        self._desk = desk
        self._intake = intake

    async def pull(self, request: Request, body: bytes) -> Response:
        """Until it answers."""
        asked = bodies.decode(bodies.PULL, body)
        name, principal = life.named(asked.model, asked.name), who(request)
        lasts = asked.stream is not False
        found = await self._under_way(principal, name)
        if found is None and self._answers(principal, name):
            return self._had(lasts=lasts)
        if found is None:
            found = await self._intake.deploy(principal, life.wish_of(name))
        return await self._told(principal, found, name, lasts=lasts)

    async def delete(self, request: Request, body: bytes) -> Response:
        """It is gone, and its file with it; or soon, where something long runs on it."""
        asked = bodies.decode(bodies.MODEL, body)
        name, principal = life.named(asked.model, asked.name), who(request)
        deployment = await self._local(principal, name, "deleted")
        await self._intake.unload(principal, deployment.wish.model_id, purge=True)
        await while_here(self._desk.gateway.services, self._gone(principal, deployment))
        return response(Reply(200, WHOLE, b""))

    async def copy(self, request: Request, body: bytes) -> Response:
        """Once it answers by its other name too."""
        asked = bodies.decode(bodies.COPY, body)
        principal = who(request)
        origin = await self._local(principal, life.named(asked.source, None), "copied")
        name = life.named(asked.destination, None)
        made = await self._intake.deploy(principal, life.made_of(origin.wish, name, {}))
        await self._told(principal, made, name, lasts=False)
        return response(Reply(200, WHOLE, b""))

    async def create(self, request: Request, body: bytes) -> Response:
        """Of another model, in the ways that a file can be run otherwise."""
        asked = bodies.decode(bodies.CREATE, body)
        name, principal = life.named(asked.model, asked.name), who(request)
        otherwise = life.asked_of(asked, body)
        origin = await self._origin(principal, life.named(asked.origin, None))
        made = await self._intake.deploy(principal, life.made_of(origin, name, otherwise))
        return await self._told(principal, made, name, lasts=asked.stream is not False)

    # What there is.

    async def _current(self, principal: Principal, name: str) -> Deployment | None:
        try:
            return await self._intake.model(principal, name)
        except NotFound:
            return None

    async def _under_way(self, principal: Principal, name: str) -> Deployment | None:
        """The deployment of this name that is wanted, tried again where it failed; None where it does not matter."""
        found = await self._current(principal, name)
        if found is None or found.wanted is not Wanted.RUNNING or self._answers(principal, name):
            return None
        if found.seen.status is DeploymentStatus.FAILED:
            return await self._intake.retry(principal, found.id)
        return await self._intake.find(principal, found.id)

    def _answers(self, principal: Principal, name: str) -> bool:
        """Whether a caller who names it is answered already."""
        try:
            model = self._desk.gateway.find(principal, name, SOURCE)
        except NotFound:
            return False
        return any(not target.barred for target in model.targets)

    async def _local(self, principal: Principal, name: str, what: str) -> Deployment:
        """A model that is run here. Raises NotFound, and Unsupported where it is somebody else's."""
        found = await self._current(principal, name)
        if found is not None:
            return found
        try:
            self._desk.gateway.find(principal, name, SOURCE)
        except (NotFound, Forbidden):
            raise life.unknown(name) from None
        raise life.elsewhere(name, what)

    async def _origin(self, principal: Principal, name: str) -> Wish:
        """What another model is made of: one that is run here, else what would be pulled by this name."""
        found = await self._current(principal, name)
        return life.wish_of(name) if found is None else found.wish

    # How it goes.

    def _had(self, *, lasts: bool) -> Response:
        said = life.line(life.SUCCESS)
        if not lasts:
            return response(Reply(200, WHOLE, said.strip()))
        return response(Reply(200, LINES, life.line(life.MANIFEST) + said))

    async def _told(self, principal: Principal, found: Deployment, name: str, *, lasts: bool) -> Response:
        """How it goes until it is over: in lines, or in a word at the end. Raises Down where that is failure."""
        if lasts:
            headers = {key.decode(): value.decode() for key, value in LINES}
            return StreamingResponse(self._lines(principal, found, name), headers=headers)
        telling = life.Telling(name)
        async for _ in self._looks(principal, found, telling):
            pass
        if telling.trouble is not None:
            raise Down(telling.trouble)
        if not telling.over:
            raise Draining(_STOPPED)
        return response(Reply(200, WHOLE, life.line(life.SUCCESS).strip()))

    async def _lines(self, principal: Principal, found: Deployment, name: str) -> AsyncIterator[bytes]:
        telling = life.Telling(name)
        clock = self._desk.clock
        spoke = clock.monotonic()
        try:
            async for lines in self._looks(principal, found, telling):
                now = clock.monotonic()
                said = lines or (telling.again() if now - spoke > QUIET else b"")
                if said:
                    yield said
                    spoke = now
        except Fault as fault:
            yield encode_fault_event(fault)
            return
        if not telling.over or telling.trouble is not None:
            yield encode_fault_event(Down(telling.trouble or _STOPPED))

    async def _looks(self, principal: Principal, found: Deployment, telling: life.Telling) -> AsyncIterator[bytes]:
        """What is new, again and again, until it is over or this process is being stopped."""
        services = self._desk.gateway.services
        while not telling.over and not services.draining:
            yield telling.look(await self._intake.find(principal, found.id))
            if not telling.over:
                await self._desk.clock.sleep(LOOK_SECONDS)

    async def _gone(self, principal: Principal, deployment: Deployment) -> None:
        clock = self._desk.clock
        end = clock.monotonic() + GONE
        while clock.monotonic() < end:
            if (await self._intake.find(principal, deployment.id)).seen.gone:
                return
            await clock.sleep(LOOK_SECONDS)
