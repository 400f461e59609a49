"""
What people ask of deployments, whichever door they come through: each word is checked here before it is kept.

Nothing is done here: what is wanted is written down, and the loop (`controller.py`), in whichever process it runs,
finds it. Administrators deploy and unload.
"""

import asyncio
import re
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence

from msgspec import Struct, structs

from foz.canon.deployment import Deployment, DeploymentStatus, Line, Wanted, Wish
from foz.canon.fault import BadRequest, Forbidden, NotFound
from foz.canon.principal import Principal, Role
from foz.deploy import engines, stages
from foz.deploy.fit import FEWEST_TOKENS, MOST_SLOTS, refuse
from foz.ports.clock import Clock
from foz.ports.deployments import Deployments
from foz.ports.devices import Devices
from foz.ports.engine import Engine
from foz.ports.machine import Machine
from foz.ports.sites import Node
from foz.ports.weights import Shelf

_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,127}")
_WORD = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
RESERVED = frozenset({"deploy", "deployments", "nodes"})
"""Words that stand in paths where an id would."""
MOST_CONTEXT = 16 * 1024 * 1024
LONGEST_SOURCE = 1024
MOST_NODES = 64
LOOK_SECONDS = 0.2
PAGE = 100


class Known(Struct, frozen=True):
    """What there is to deploy on."""

    devices: Devices
    machine: Machine
    engines: Mapping[str, Engine]
    node: str
    """The name of this machine."""
    any_node: bool = False
    """Whether a deployment may name whatever node (in test mode)."""
    others: Callable[[], Sequence[Node]] = tuple
    """The nodes of the cluster, as they were last seen. May block for a moment."""
    advice: Callable[[], str] = str
    """What to do where a node is not known. May block for a moment."""


class Intake:
    """What is asked of deployments."""

    def __init__(self, store: Deployments, shelf: Shelf, clock: Clock, new: Callable[[], bytes], known: Known) -> None:
        self._store = store
        self._shelf = shelf
        self._clock = clock
        self._new = new
        self._known = known

    async def nodes(self) -> Sequence[Node]:
        """The nodes, as they are now."""
        known = self._known
        room, devices, others = await asyncio.gather(
            asyncio.to_thread(known.machine.look),
            asyncio.to_thread(known.devices.look),
            asyncio.to_thread(known.others),
        )
        return (Node(known.node, room, tuple(devices)), *(node for node in others if node.name != known.node))

    @property
    def here(self) -> str:
        """The name of this machine."""
        return self._known.node

    async def deploy(self, principal: Principal, wish: Wish) -> Deployment:
        """The deployment of this wish: a new one, or the one that is there. Raises what is wrong with it."""
        _administers(principal, "deploy models")
        wish = named(wish)
        _bounded(wish)
        here = await self._placed(wish)
        wish = self._shelf.check(wish)
        if here is not None:
            engines.check(wish.engine, engines.form_of(wish.source), self._among(), here)
        id = f"deploy-{self._new().hex()[-12:]}"
        return stages.stands(
            await self._store.add(Deployment(id, self._clock.now(), wish, principal.id, principal.project or ""))
        )

    def _among(self) -> Sequence[engines.Candidate]:
        return engines.candidates(self._known.engines.values())

    async def _placed(self, wish: Wish) -> int | None:
        """
        That each of its nodes is known and can be told what it asks for. How many GPUs this machine has, where it is
        one of them.
        """
        known = self._known
        if known.any_node or not wish.nodes:
            gpus = len(await asyncio.to_thread(known.devices.look))
            refuse(wish.options, gpus)
            return gpus
        there = {node.name: node for node in await self.nodes()}
        for name in wish.nodes:
            node = there.get(name)
            if node is None:
                names, advice = ", ".join(sorted(there)), await asyncio.to_thread(known.advice)
                raise BadRequest(f"There is no node {name[:80]!r}. Known nodes: {names}.{advice}", field="target_nodes")
            if node.room is not None:
                refuse(wish.options, len(node.devices))
        return len(there[known.node].devices) if known.node in wish.nodes else None

    async def _found(self, id: str) -> Deployment | None:
        found = await self._store.find(id)
        return None if found is None else stages.stands(found)

    async def find(self, principal: Principal, id: str) -> Deployment:
        """A deployment. Raises NotFound."""
        _administers(principal, "look at deployments")
        found = await self._store.find(id) if _ID.fullmatch(id) else None
        if found is None:
            raise NotFound(f"There is no deployment {id[:140]!r}.")
        return stages.stands(found)

    async def listed(self, principal: Principal) -> list[Deployment]:
        """All deployments that are kept, newest first."""
        _administers(principal, "look at deployments")
        return [stages.stands(one) for one in await self._store.listed()]

    async def models(self, principal: Principal) -> list[Deployment]:
        """The models that this caller may call, each by its newest deployment that is not gone, by name."""
        found: dict[str, Deployment] = {}
        for one in await self._store.listed():
            if not one.seen.gone and principal.may_call(one.wish.model_id):
                found.setdefault(one.wish.model_id, stages.stands(one))
        return [found[name] for name in sorted(found)]

    async def model(self, principal: Principal, model_id: str) -> Deployment:
        """One of them. Raises NotFound."""
        found = await self._store.current(model_id) if _ID.fullmatch(model_id) else None
        if found is None or not principal.may_call(model_id):
            raise NotFound(f"There is no local model {model_id[:140]!r}. GET /models/local lists those that there are.")
        return stages.stands(found)

    async def unload(self, principal: Principal, model_id: str, *, purge: bool) -> Deployment:
        """
        It is not wanted any more; with `purge` its files neither, nor those of deployments of this name that are over.
        Raises NotFound.
        """
        _administers(principal, "unload models")
        kept = await self._kept(principal, model_id) if purge else []
        for one in kept:
            await self._store.want(one.id, Wanted.PURGED)
        try:
            found = await self.model(principal, model_id)
        except NotFound:
            if not kept:
                raise
            return await self._store.find(kept[0].id) or kept[0]
        wanted = Wanted.PURGED if purge else Wanted.UNLOADED
        if found.wanted is Wanted.PURGED:
            return found
        return await self._store.want(found.id, wanted) or found

    async def _kept(self, principal: Principal, model_id: str) -> list[Deployment]:
        """Those of this name that are over and have left files, newest first."""
        over = [one for one in await self._store.listed() if one.wish.model_id == model_id and one.seen.gone]
        return [one for one in over if one.seen.files and principal.may_call(model_id)]

    async def retry(self, principal: Principal, id: str) -> Deployment:
        """What failed is tried again at once."""
        found = await self.find(principal, id)
        if found.wanted is not Wanted.RUNNING:
            raise NotFound(f"The deployment {id!r} was unloaded; deploy the model again.")
        return stages.stands(await self._store.want(found.id, Wanted.RUNNING) or found)

    async def lines(self, id: str, after: int = 0, most: int = PAGE) -> Sequence[Line]:
        """Lines of a deployment's log."""
        return await self._store.lines(id, after, most)

    async def follow(self, deployment: Deployment, after: int, *, on: bool) -> AsyncGenerator[Sequence[Line], None]:
        """
        Its log after a line, as it comes, until the deployment is over; with `on` until nobody listens. Nothing new is
        an empty piece, so that whoever sends it on can see whether the caller is there.
        """
        while True:
            stands = await self._found(deployment.id)
            lines = await self._store.lines(deployment.id, after, PAGE)
            if lines:
                after = lines[-1].number
            elif stands is None or (_rests(stands) and not on):
                return
            yield lines
            if not lines:
                await self._clock.sleep(LOOK_SECONDS)


def _administers(principal: Principal, what: str) -> None:
    if principal.role is not Role.ADMIN:
        raise Forbidden(f"Only administrators may {what}; this key is a user's.")


def _rests(deployment: Deployment) -> bool:
    """Whether nothing is being done about it: it serves, it is gone, or it waits to be tried again."""
    seen = deployment.seen
    if deployment.wanted is not Wanted.RUNNING:
        return stages.ended(deployment)
    return seen.status is not DeploymentStatus.IN_PROGRESS


def named(wish: Wish) -> Wish:
    """With its id: what was asked, or type and size. Raises BadRequest for names that could be anything else."""
    for field, word in (("model_type", wish.model_type), ("model_size", wish.model_size)):
        if not _WORD.fullmatch(word) and (word or field == "model_type"):
            raise BadRequest(
                f"{field}: expected a word of letters, digits, '.', '_' and '-', such as 'qwen3', found {word[:80]!r}.",
                field=field,
            )
    id = wish.model_id or "-".join(part for part in (wish.model_type, wish.model_size) if part)
    if not _ID.fullmatch(id) or id in RESERVED:
        raise BadRequest(
            f"model_id: expected a name of letters, digits, '.', '_', ':' and '-', found {id[:140]!r}.",
            field="model_id",
        )
    if len(wish.source) > LONGEST_SOURCE or not wish.source.isprintable():
        raise BadRequest(f"source: expected at most {LONGEST_SOURCE} printable characters.", field="source")
    return structs.replace(wish, model_id=id)


def _bounded(wish: Wish) -> None:
    options = wish.options
    for field, value, least, most in (
        ("max_batch_size", options.max_batch_size, 1, MOST_SLOTS),
        ("tensor_parallel_size", options.tensor_parallel_size, 1, MOST_SLOTS),
        ("context", options.context or FEWEST_TOKENS, FEWEST_TOKENS, MOST_CONTEXT),
    ):
        if not least <= value <= most:
            raise BadRequest(
                f"{field}: expected a number from {least} to {most}, found {value}.",
                field=f"deployment_config.{field}",
            )
    if len(wish.nodes) > MOST_NODES or len(set(wish.nodes)) != len(wish.nodes):
        raise BadRequest(f"target_nodes: expected at most {MOST_NODES} names, each once.", field="target_nodes")
