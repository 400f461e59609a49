"""The life of a request, in the order of its stages."""

from msgspec import structs

from foz.canon.fault import Draining, Fault, Forbidden, NoCapacity, NoRoute, NotFound
from foz.canon.model import Model, Placement, Target
from foz.canon.principal import Principal
from foz.canon.request import Ask, Mode, Operation
from foz.canon.response import EmbedResponse, Response
from foz.gateway.attempt import Run
from foz.gateway.choose import plan
from foz.gateway.filing import filed
from foz.gateway.remembering import HEADER, Recall, remembered
from foz.gateway.services import Services
from foz.ports.caller import Caller
from foz.ports.codec import Answer
from foz.ports.turn import Turn

_LISTED = "GET /v1/models lists what there is."


class Gateway:
    """The core: one for all doors of a process."""

    def __init__(self, services: Services) -> None:
        self.services = services

    async def serve(self, turn: Turn, caller: Caller) -> None:
        """One request, from its reading to the caller's last byte. Raises the fault where nothing was sent yet."""
        services = self.services
        since = services.clock.now()
        try:
            ask = asked(turn)
            self._room()
            if ask.files:
                turn, ask = await filed(services.files, turn, ask)
            model = self.find(turn.principal, ask.model, turn.skin.source)
            if ask.idle:
                caller.whole(self._silence(turn, ask))
                return
            memory = None if model.cache_ttl is None else await remembered(services, turn, ask, model)
            known = memory is not None and memory.found is not None
            targets = () if known else plan(model, ask, self._allowed, services.dice)
            await self._reserve(turn.principal, ask)
        except NoRoute as fault:
            fault.retry_after = self._soonest(model)
            self.refuse(turn.skin.name, fault)
            raise
        except Fault as fault:
            self.refuse(turn.skin.name, fault)
            raise
        run: Run | Recall
        if memory is not None:
            caller.note(HEADER, b"hit" if known else b"miss")
        if memory is not None and known:
            run = Recall(services, turn, ask, caller, memory)
        else:
            run = Run(services, turn, ask, targets, caller, memory)
            services.repeats.earn()
        services.in_flight += 1
        services.meters.began(model.name)
        try:
            await run.serve()
        finally:
            services.in_flight -= 1
            services.meters.ended(turn.skin.name, model.name, run.asked, run.ended())
            services.book.settle(turn.principal, _tokens(ask), run.spent, run.price, since)

    def _silence(self, turn: Turn, ask: Ask) -> bytes:
        """The answer to who asked nothing. There is no entry of it: nobody was asked, and nothing was made."""
        nothing: Answer = Response("", ask.model, self.services.clock.now() // 1000, ())
        if ask.operation is Operation.EMBED:
            nothing = EmbedResponse(ask.model, ())
        return turn.codec.encode_response(nothing, turn.codec.decode_request(turn.body), ask.model)

    def refuse(self, skin: str, fault: Fault) -> None:
        """Counts a request that came to no entry."""
        self.services.meters.refused(skin, fault.code, fault.status)

    def find(self, principal: Principal, name: str, source: str = "") -> Model:
        """A model by the name that the caller used; `source` is the skin's. Raises NotFound, Forbidden."""
        directory = self.services.directory
        model = directory.find(name, source)
        if model is None:
            closest = [found for found in directory.closest(name) if principal.may_call(found)]
            meant = f"Did you mean {' or '.join(closest)}?" if closest else _LISTED
            words = (f"The model '{name[:256]}' does not exist.", directory.hint(name, source), meant)
            raise NotFound(" ".join(filter(None, words)), field="model", vendor_code="model_not_found")
        if not principal.may_call(model.name):
            raise Forbidden(f"This key may not call the model '{model.name}'.", field="model")
        return model

    def models(self, principal: Principal) -> list[Model]:
        """All models that this principal may call."""
        return [model for model in self.services.directory.models() if principal.may_call(model.name)]

    def stands(self, model: Model) -> bool:
        """Whether any of its targets may be asked now."""
        return any(not target.barred and self._allowed(target) for target in model.targets)

    def against(self, model: Model, ask: Ask) -> dict[Placement, Fault | None]:
        """What stands against asking its targets of each placement now."""
        return {place: self._against(model, structs.replace(ask, mode=Mode(place.value))) for place in Placement}

    def _against(self, model: Model, ask: Ask) -> Fault | None:
        try:
            plan(model, ask, self._allowed, self.services.dice)
        except NoRoute as fault:
            fault.retry_after = self._soonest(model)
            return fault
        except Fault as fault:
            return fault
        return None

    def _allowed(self, target: Target) -> bool:
        return self.services.health.allows(target.name, self.services.clock.monotonic())

    def _soonest(self, model: Model) -> float | None:
        """Seconds until one of the targets that failed too often may be asked again."""
        now = self.services.clock.monotonic()
        waits = [self.services.health.opens_in(target.name, now) for target in model.targets]
        return min((wait for wait in waits if wait > 0), default=None)

    def _room(self) -> None:
        if self.services.draining:
            raise Draining("This gateway is being stopped; ask again.", retry_after=1)
        if self.services.in_flight >= self.services.policy.max_in_flight:
            raise NoCapacity("Too many requests are in flight; ask again in a moment.", retry_after=1)

    async def _reserve(self, principal: Principal, ask: Ask) -> None:
        waiting = self.services.book.reserve(principal, _tokens(ask))
        if waiting is not None:
            await waiting


def asked(turn: Turn) -> Ask:
    """What is asked for; a job's lane decides its mode. Raises BadRequest."""
    ask = turn.codec.read(turn.body)
    return ask if turn.duty is None else structs.replace(ask, mode=Mode(turn.duty.lane.value))


def _tokens(ask: Ask) -> int:
    return (ask.max_output or 0) * ask.choices
