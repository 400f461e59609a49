"""
The ModelService's methods, from a call's head to its status.

Who asks is judged by the head alone, before a message is read: who may not ask is told so at once. The task that gRPC
gave the call serves it, so a caller who cancels, hangs up or whose deadline passes cancels the run, and with it the
upstream; the run's entry says `caller_gone`. Times in which the process is being stopped are told apart by
`services.stopping`.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from math import inf
from typing import NoReturn, TypeAlias, cast
from urllib.parse import unquote

import grpc
from grpc import aio
from msgspec import Struct
from typing_extensions import override

from foz.canon.fault import BadRequest, Bug, Draining, Fault, Forbidden, NoCapacity
from foz.canon.identity import Identities
from foz.canon.principal import LOCAL_ADMIN, Principal
from foz.ports.headers import attribution_of
from foz.ports.turn import Turn
from foz.ports.watch import Watch
from foz.serve.grpc.caller import Metadata, Patience, StreamCaller, WholeCaller
from foz.serve.grpc.deploying import Deploying
from foz.serve.grpc.vouching import Vouching
from foz.serve.http.desk import Desk
from foz.serve.http.guard import Guard, request_id
from foz.skins.model_api import cards
from foz.skins.model_api.cards import Run
from foz.skins.model_grpc import model_pb2 as pb
from foz.skins.model_grpc import showing
from foz.skins.model_grpc.codec import MessageCodec, parsed
from foz.skins.model_grpc.skin import ASKING, DEPLOYING, LISTING, SHOWING, WATCHING, Method, ModelGrpcSkin, path_of
from foz.skins.model_grpc.status import REQUEST_ID, status_of
from foz.wire.http import Call

log = logging.getLogger("foz.grpc")

Context = aio.ServicerContext[bytes, bytes]
Handler: TypeAlias = "grpc.RpcMethodHandler[bytes, bytes]"
Behaviour = Callable[[object, Context], Awaitable[bytes | None]]
DAY = 24 * 3600 * 1000
_CODES = {code.value[0]: code for code in grpc.StatusCode}
_LOCAL = ("ipv4:127.", "ipv6:[::1]", "unix:")


class House(Struct):
    """What all calls of a process share."""

    desk: Desk
    guard: Guard
    watch: Watch
    identities: Identities
    skin: ModelGrpcSkin
    vouching: Vouching
    write_timeout: float
    body_timeout: float
    """How long a call's message may take to come."""
    max_calls: int
    """At a time, of all connections together, also those whose message has not come."""


class Asked(Struct, frozen=True):
    """One call, let in."""

    call: Call
    principal: Principal
    id: bytes
    request_id: str


class Calls(grpc.GenericRpcHandler):
    """
    The service. All its methods are streams to gRPC's library, on the way in as well: so a call is served from its
    head on, and it is ours to say how long its message may take.
    """

    def __init__(self, house: House, loop: asyncio.AbstractEventLoop) -> None:
        self._house = house
        self._gateway = house.desk.gateway
        self._services = house.desk.gateway.services
        self._loop = loop
        self.tasks: set[asyncio.Task[object]] = set()
        """Those that serve somebody."""
        self._handlers: dict[str, Handler] = {}
        for method in ASKING:
            served = _streamed(self._stream(method)) if method.stream else _whole(self._whole(method))
            self._handlers[path_of(method.name)] = served
        self._handlers[path_of(LISTING)] = _whole(self._told(LISTING, self._list))
        self._handlers[path_of(SHOWING)] = _whole(self._told(SHOWING, self._show))
        self._deploying = None if house.desk.deployments is None else Deploying(house.desk, house.desk.deployments)
        if self._deploying is not None:
            self._add_deploying(self._deploying)

    def _add_deploying(self, deploying: Deploying) -> None:
        whole = (deploying.listed, deploying.deploy, deploying.status, deploying.unload)
        for name, tell in zip(DEPLOYING, whole, strict=True):
            self._handlers[path_of(name)] = _whole(self._told(name, tell))
        self._handlers[path_of(WATCHING)] = _streamed(self._watch(deploying))

    @override
    def service(self, handler_call_details: grpc.HandlerCallDetails) -> "Handler | None":
        """How a call is served."""
        return self._handlers.get(handler_call_details.method)

    # -- one call ----------------------------------------------------------

    def _whole(self, method: Method) -> Behaviour:
        path = path_of(method.name)

        async def whole(_: object, context: Context) -> bytes:
            caller = WholeCaller()

            async def work(asked: Asked, patience: Patience) -> None:
                codec = MessageCodec(method.operation, stream=False)
                await self._serve(asked, method, codec, await self._message(context, patience), caller)

            trailers = await self._settled(path, context, work)
            context.set_trailing_metadata(trailers + caller.noted)
            return caller.body

        return whole

    def _stream(self, method: Method) -> Behaviour:
        path = path_of(method.name)

        async def stream(_: object, context: Context) -> None:
            noted: Metadata = ()

            async def work(asked: Asked, patience: Patience) -> None:
                nonlocal noted
                message = await self._message(context, patience)
                patience.begin(self._house.write_timeout)
                patience.deadline = inf
                caller = StreamCaller(context.write, self._loop, patience)
                codec = MessageCodec(method.operation, stream=True)
                try:
                    await self._serve(asked, method, codec, message, caller)
                    await caller.flush()
                finally:
                    await caller.close()
                noted = caller.noted
                if codec.fault is not None:
                    raise codec.fault

            trailers = await self._settled(path, context, work)
            context.set_trailing_metadata(trailers + noted)

        return stream

    async def _message(self, context: Context, patience: Patience) -> bytes:
        """The call's message. Raises BadRequest where there is none, or none in time."""
        message = await context.read()
        patience.deadline = inf
        patience.arrived = True
        if not isinstance(message, bytes):
            raise BadRequest("The call ended without its message.")
        return message

    async def _serve(
        self, asked: Asked, method: Method, codec: MessageCodec, message: bytes, caller: WholeCaller | StreamCaller
    ) -> None:
        try:
            attribution = attribution_of(asked.call)
        except Fault as fault:
            self._gateway.refuse(self._house.skin.name, fault)
            raise
        turn = Turn(
            skin=self._house.skin,
            operation=method.operation,
            codec=codec,
            body=message,
            headers=asked.call.headers,
            principal=asked.principal,
            attribution=attribution,
            request_id=asked.request_id,
            id=asked.id,
            shortcut=codec.shortcut,
        )
        await self._gateway.serve(turn, caller)

    async def _settled(
        self, path: str, context: Context, work: Callable[[Asked, Patience], Awaitable[None]]
    ) -> Metadata:
        """
        Does it for whoever may ask, and gives what goes with the status; whatever goes wrong becomes the status.
        """
        house, task = self._house, _task()
        id = house.identities.new()
        call = _call(path, context)
        named = request_id(call) or id.hex()
        patience = Patience(task, house.watch, house.body_timeout)
        house.watch.add(patience)
        self.tasks.add(task)
        try:
            if len(self.tasks) > house.max_calls:
                raise NoCapacity("Too many calls are under way; ask again in a moment.", retry_after=1)
            await work(Asked(call, self._admit(call, context), id, named), patience)
        except Fault as error:
            fault = error
        except (asyncio.CancelledError, aio.InternalError):  # the latter is said of a call that is no more
            fault = self._cancelled(patience)
        except Exception:  # the door's supervisor: whatever went wrong, the caller gets a status
            log.exception("a defect while serving request %s", named)
            fault = Bug(f"A defect of Foz; its log has more under the request id {named}.")
        else:
            return ((REQUEST_ID, named),)
        finally:
            self.tasks.discard(task)
            house.watch.discard(patience)
        return await _abort(context, fault, named)

    def _cancelled(self, patience: Patience) -> Fault:
        """Why, where it is our doing. Raises CancelledError where the caller has left."""
        if self._services.stopping:
            return Draining("The gateway was stopped before the answer was complete; ask again.", retry_after=1)
        if patience.late and not patience.arrived:
            return BadRequest("The request's message did not arrive in time ([limits] body_timeout).", status=408)
        raise asyncio.CancelledError  # they left, or take nothing: a status would only wait behind the rest

    def _admit(self, call: Call, context: Context) -> Principal:
        """Who asks, by key or certificate. While no key is configured it is this machine, or nobody."""
        guard, skin = self._house.guard, self._house.skin
        try:
            if not guard.keyring.open:
                key, vouching = skin.key(call), self._house.vouching
                vouched = vouching.find(context.auth_context()) if key is None and vouching else None
                return vouched or guard.admit(key, call, skin.name)
            if not unquote(context.peer()).startswith(_LOCAL):
                raise Forbidden("Without any key configured, Foz answers only this machine; make a key.")
        except Fault as fault:
            self._gateway.refuse(skin.name, fault)
            raise
        return LOCAL_ADMIN

    # -- what has no entry -------------------------------------------------

    def _told(self, name: str, tell: Callable[[bytes, Principal], Awaitable[bytes]]) -> Behaviour:
        async def told(_: object, context: Context) -> bytes:
            found = b""

            async def work(asked: Asked, patience: Patience) -> None:
                nonlocal found
                found = await tell(await self._message(context, patience), asked.principal)

            context.set_trailing_metadata(await self._settled(path_of(name), context, work))
            return found

        return told

    async def _list(self, message: bytes, principal: Principal) -> bytes:
        parsed(pb.ListModelsRequest, message)
        gateway, runs = self._gateway, await self._runs(principal)
        found = gateway.models(principal)
        return showing.models(
            [cards.card(one, healthy=gateway.stands(one), run=runs.get(one.name, Run())) for one in found]
        )

    async def _runs(self, principal: Principal) -> dict[str, Run]:
        return {} if self._deploying is None else await self._deploying.runs(principal)

    async def _show(self, message: bytes, principal: Principal) -> bytes:
        desk, gateway = self._house.desk, self._gateway
        name = parsed(pb.GetModelRequest, message).model_id
        if not name:
            raise BadRequest("Missing required parameter: 'model_id'.", field="model")
        model = gateway.find(principal, name)
        standing = await asyncio.to_thread(desk.reports.standing, model.name, desk.clock.now() - DAY)
        run = (await self._runs(principal)).get(model.name, Run())
        return showing.model(cards.detail(model, standing, healthy=gateway.stands(model), run=run))

    def _watch(self, deploying: Deploying) -> Behaviour:
        async def watch(_: object, context: Context) -> None:
            async def work(asked: Asked, patience: Patience) -> None:
                message = await self._message(context, patience)
                async for update in deploying.watch(message, asked.principal):
                    patience.begin(self._house.write_timeout)
                    await context.write(update)
                    patience.deadline = inf

            context.set_trailing_metadata(await self._settled(path_of(WATCHING), context, work))

        return watch


def _task() -> "asyncio.Task[object]":
    return cast("asyncio.Task[object]", asyncio.current_task())


def _whole(behaviour: Behaviour) -> Handler:
    return grpc.stream_unary_rpc_method_handler(behaviour)


def _streamed(behaviour: Behaviour) -> Handler:
    return grpc.stream_stream_rpc_method_handler(behaviour)


def _call(path: str, context: Context) -> Call:
    metadata = context.invocation_metadata() or ()
    return Call(
        "POST",
        path,
        tuple((key.encode(), value if isinstance(value, bytes) else value.encode()) for key, value in metadata),
    )


async def _abort(context: Context, fault: Fault, request_id: str) -> NoReturn:
    status = status_of(fault, request_id)
    await context.abort(_CODES[status.code], status.message, status.trailers)
