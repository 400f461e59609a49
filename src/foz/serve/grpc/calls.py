"""
The ModelService's methods, from a call's head to its status.

Who asks is judged by the head alone, before a message is taken: who may not ask is told so at once. The task that gRPC
gave the call serves it, so a caller who cancels, hangs up or whose deadline passes cancels the run, and with it the
upstream; the run's entry says `caller_gone`. Times in which the process is being stopped are told apart by
`services.stopping`.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import NoReturn, TypeAlias, cast
from urllib.parse import unquote

import grpc
from grpc import aio
from msgspec import Struct
from typing_extensions import override

from foz.canon.fault import Bug, Draining, Fault, Forbidden, NotFound
from foz.canon.identity import Identities
from foz.canon.principal import LOCAL_ADMIN, Principal
from foz.ports.headers import attribution_of
from foz.ports.turn import Turn
from foz.ports.watch import Watch
from foz.serve.grpc.arrivals import Arrival, Arrivals
from foz.serve.grpc.caller import Metadata, StreamCaller, WholeCaller
from foz.serve.http.desk import Desk
from foz.serve.http.guard import Guard, request_id
from foz.skins.model_api import cards
from foz.skins.model_grpc import model_pb2 as pb
from foz.skins.model_grpc import showing
from foz.skins.model_grpc.codec import MessageCodec, parsed
from foz.skins.model_grpc.skin import ASKING, DEPLOYING, LISTING, SHOWING, Method, ModelGrpcSkin, path_of
from foz.skins.model_grpc.status import REQUEST_ID, UNIMPLEMENTED, status_of
from foz.wire.http import Call

log = logging.getLogger("foz.grpc")

Context = aio.ServicerContext[bytes, bytes]
Handler: TypeAlias = "grpc.RpcMethodHandler[bytes, bytes]"
Behaviour = Callable[[bytes, Context], Awaitable[bytes]]
DAY = 24 * 3600 * 1000
_CODES = {code.value[0]: code for code in grpc.StatusCode}
_LOCAL = ("ipv4:127.", "ipv6:[::1]", "unix:")
_NOT_HERE = "This gateway runs no models itself yet: local models and deployments cannot be asked for over gRPC."


class House(Struct):
    """What all calls of a process share."""

    desk: Desk
    guard: Guard
    watch: Watch
    identities: Identities
    skin: ModelGrpcSkin
    write_timeout: float
    body_timeout: float
    """How long a call's message may take to come."""


class Asked(Struct, frozen=True):
    """One call, let in."""

    call: Call
    principal: Principal
    id: bytes
    request_id: str

    @property
    def trailers(self) -> Metadata:
        """What goes with its status."""
        return ((REQUEST_ID, self.request_id),)


class Calls(grpc.GenericRpcHandler):
    """The service. gRPC asks it for a handler in the task that serves the call."""

    def __init__(self, house: House, loop: asyncio.AbstractEventLoop) -> None:
        self._house = house
        self._gateway = house.desk.gateway
        self._services = house.desk.gateway.services
        self._loop = loop
        self._arrivals = Arrivals(loop.time, house.body_timeout)
        self.tasks: set[asyncio.Task[object]] = set()
        """Those that serve somebody."""
        self._handlers: dict[str, Handler] = {}
        for method in ASKING:
            self._handlers[path_of(method.name)] = _streamed(self._stream(method)) if method.stream else _whole(
                self._whole(method)
            )  # fmt: skip
        self._handlers[path_of(LISTING)] = _whole(self._told(self._list))
        self._handlers[path_of(SHOWING)] = _whole(self._told(self._show))
        for name in DEPLOYING:
            self._handlers[path_of(name)] = grpc.stream_stream_rpc_method_handler(self._not_here)
        self._refusal: Handler = grpc.stream_stream_rpc_method_handler(self._refuse)
        house.watch.add(self._arrivals)

    @override
    def service(self, handler_call_details: grpc.HandlerCallDetails) -> "Handler | None":
        """How a call is served; who may not ask is refused without a look at the message."""
        handler = self._handlers.get(handler_call_details.method)
        if handler is None:
            return None
        call = _call(handler_call_details)
        arrival = self._arrivals.expect(_task(), call)
        try:
            arrival.principal = self._admit(call)
        except Fault as fault:
            self._gateway.refuse(self._house.skin.name, fault)
            arrival.fault = fault
            return self._refusal
        return handler

    def _admit(self, call: Call) -> Principal:
        """Who asks. Without any key they are this machine's: then no other can reach us, see `_begin`."""
        guard = self._house.guard
        if guard.keyring.open:
            return LOCAL_ADMIN
        return guard.admit(self._house.skin.key(call), call, self._house.skin.name)

    # -- one call ----------------------------------------------------------

    def _whole(self, method: Method) -> Behaviour:
        async def whole(message: bytes, context: Context) -> bytes:
            asked = await self._begin(context)
            caller = WholeCaller()
            codec = MessageCodec(method.operation, stream=False)
            await self._settled(asked, context, self._serve(asked, method, codec, message, caller))
            context.set_trailing_metadata(asked.trailers + caller.noted)
            return caller.body

        return whole

    def _stream(self, method: Method) -> Callable[[bytes, Context], Awaitable[None]]:
        async def stream(message: bytes, context: Context) -> None:
            asked = await self._begin(context)
            house = self._house
            caller = StreamCaller(context.write, self._loop, _task(), house.watch, house.write_timeout)
            codec = MessageCodec(method.operation, stream=True)
            house.watch.add(caller)
            try:
                await self._settled(asked, context, self._pour(asked, method, codec, message, caller))
            finally:
                house.watch.discard(caller)
                await caller.close()
            context.set_trailing_metadata(asked.trailers + caller.noted)

        return stream

    async def _pour(
        self, asked: Asked, method: Method, codec: MessageCodec, message: bytes, caller: StreamCaller
    ) -> None:
        await self._serve(asked, method, codec, message, caller)
        await caller.flush()
        if codec.fault is not None:
            raise codec.fault

    async def _serve(
        self, asked: Asked, method: Method, codec: MessageCodec, message: bytes, caller: WholeCaller | StreamCaller
    ) -> None:
        skin = self._house.skin
        try:
            attribution = attribution_of(asked.call)
        except Fault as fault:
            self._gateway.refuse(skin.name, fault)
            raise
        turn = Turn(
            skin=skin,
            operation=method.operation,
            codec=codec,
            body=message,
            headers=asked.call.headers,
            principal=asked.principal,
            attribution=attribution,
            request_id=asked.request_id,
            id=asked.id,
        )
        await self._gateway.serve(turn, caller)

    async def _settled(self, asked: Asked, context: Context, work: Awaitable[None]) -> None:
        """Does it; whatever goes wrong becomes the status. Who is cancelled because we are stopped is told so."""
        task = _task()
        self.tasks.add(task)
        try:
            await work
        except Fault as error:
            fault = error
        except asyncio.CancelledError:
            if not self._services.stopping:
                raise
            fault = Draining("The gateway was stopped before the answer was complete; ask again.", retry_after=1)
        except Exception:  # the door's supervisor: whatever went wrong, the caller gets a status
            log.exception("a defect while serving request %s", asked.request_id)
            fault = Bug(f"A defect of Foz; its log has more under the request id {asked.request_id}.")
        else:
            return
        finally:
            self.tasks.discard(task)
        await _abort(context, fault, asked.request_id)

    # -- what has no entry -------------------------------------------------

    def _told(self, tell: Callable[[bytes, Principal], Awaitable[bytes]]) -> Behaviour:
        async def told(message: bytes, context: Context) -> bytes:
            asked = await self._begin(context)
            found = b""

            async def look() -> None:
                nonlocal found
                found = await tell(message, asked.principal)

            await self._settled(asked, context, look())
            context.set_trailing_metadata(asked.trailers)
            return found

        return told

    async def _list(self, message: bytes, principal: Principal) -> bytes:
        parsed(pb.ListModelsRequest, message)
        gateway = self._gateway
        return showing.models([cards.card(one, healthy=gateway.stands(one)) for one in gateway.models(principal)])

    async def _show(self, message: bytes, principal: Principal) -> bytes:
        desk, gateway = self._house.desk, self._gateway
        name = parsed(pb.GetModelRequest, message).model_id
        if not name:
            raise NotFound("Missing required parameter: 'model_id'.", field="model")
        model = gateway.find(principal, name)
        standing = await asyncio.to_thread(desk.reports.standing, model.name, desk.clock.now() - DAY)
        return showing.model(cards.detail(model, standing, healthy=gateway.stands(model)))

    async def _refuse(self, _: object, context: Context) -> None:
        """Says what was found before the message came."""
        arrival = self._arrivals.arrived(_task())
        fault = arrival.fault or Bug("refused without a reason")
        await _abort(context, fault, request_id(arrival.call) or self._house.identities.new().hex())

    async def _not_here(self, _: object, context: Context) -> None:
        asked = await self._begin(context)
        await context.abort(_CODES[UNIMPLEMENTED], _NOT_HERE, asked.trailers)

    async def _begin(self, context: Context) -> Asked:
        """The call, now that its message is here."""
        arrival: Arrival = self._arrivals.arrived(_task())
        id = self._house.identities.new()
        named = request_id(arrival.call) or id.hex()
        if arrival.principal is LOCAL_ADMIN and not unquote(context.peer()).startswith(_LOCAL):
            fault = Forbidden("Without any key configured, Foz answers only this machine; make a key.")
            await _abort(context, fault, named)
        return Asked(arrival.call, arrival.principal or LOCAL_ADMIN, id, named)


def _task() -> "asyncio.Task[object]":
    return cast("asyncio.Task[object]", asyncio.current_task())


def _whole(behaviour: Behaviour) -> Handler:
    return grpc.unary_unary_rpc_method_handler(behaviour)


def _streamed(behaviour: Callable[[bytes, Context], Awaitable[None]]) -> Handler:
    return grpc.unary_stream_rpc_method_handler(behaviour)


def _call(details: grpc.HandlerCallDetails) -> Call:
    metadata = details.invocation_metadata or ()
    return Call(
        "POST",
        details.method,
        tuple((key.encode(), value if isinstance(value, bytes) else value.encode()) for key, value in metadata),
    )


async def _abort(context: Context, fault: Fault, request_id: str) -> NoReturn:
    status = status_of(fault, request_id)
    await context.abort(_CODES[status.code], status.message, status.trailers)
