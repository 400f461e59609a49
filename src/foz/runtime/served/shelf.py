"""
Models of servers that we do not run, as deployments: a shelf without files, and an engine that starts nothing.

What is promised of a deployment stays true: it is looked for, fetched by its server where that can be told to, asked
for a first token, probed, and forgotten. What cannot be said to such a server is refused by its name.
"""

import asyncio
from collections.abc import Callable, Collection, Mapping, Sequence

from msgspec import structs

from foz.canon.deployment import Form, Weights, Wish
from foz.canon.fault import Fault, NotFound, Unsupported
from foz.deploy import source as words
from foz.deploy.plan import refuse_served
from foz.deploy.source import OnServer
from foz.ports.devices import Device
from foz.ports.engine import Load
from foz.ports.weights import File, Found, Shelf, Told
from foz.runtime.served.server import Manner, Server, Servers

_SHOWN = 20


class Shelves:
    """Implements `ports.weights.Shelf`: a shelf of files, and servers beside it, by what a source names."""

    def __init__(self, files: Shelf, servers: Servers, manners: Sequence[Manner], named: Mapping[str, str]) -> None:
        self._files = files
        self._servers = servers
        self._manners = {one.dialect: one for one in manners}
        self._named = named

    def check(self, wish: Wish) -> Wish:
        """The wish with its source, if it is a server's; else as the shelf of files has it."""
        key = "-".join(part for part in (wish.model_type, wish.model_size) if part)
        source = wish.source or self._named.get(key, "")
        place = words.served(source)
        if place is None:
            return self._files.check(wish)
        words.check_model_id(wish.model_id)
        server = self._server(place)
        if wish.engine not in {"", server.dialect}:
            raise Unsupported(
                f"engine: {wish.engine} cannot run a model of the server '{server.name}', which is reached as "
                f"{server.dialect}. Leave it out.",
                field="engine",
            )
        refuse_served(wish)
        return structs.replace(wish, source=source)

    async def find(self, wish: Wish) -> Found:
        """Whether the server has it; a file without a size is what it still has to fetch."""
        place = words.served(wish.source)
        if place is None:
            return await self._files.find(wish)
        server = self._server(place)
        there = await self._manners[server.dialect].find(server, place.model)
        return Found(wish.source, () if there else (File(wish.source, url=wish.source),), title=place.model)

    async def fetch(self, found: Found, told: Told) -> None:
        """The server fetches it, where it has to."""
        place = words.served(found.source)
        if place is None:
            await self._files.fetch(found, told)
        elif found.files:
            server = self._server(place)
            await self._manners[server.dialect].fetch(server, place.model, told)

    async def make(self, found: Found, told: Told) -> Weights:
        """What the server says of it."""
        place = words.served(found.source)
        if place is None:
            return await self._files.make(found, told)
        server = self._server(place)
        return await self._manners[server.dialect].weights(server, place.model, found.source)

    async def remove(self, files: Sequence[str], kept: Collection[str] = ()) -> int:
        """What is a server's stays there."""
        return await self._files.remove([file for file in files if not file.startswith(words.SERVED)], kept)

    async def sweep(self, seconds: float) -> int:
        """Of files only."""
        sweep = getattr(self._files, "sweep", None)
        return 0 if sweep is None else int(await sweep(seconds))

    def _server(self, place: OnServer) -> Server:
        """Raises NotFound, Unsupported."""
        known = self._servers.known
        server = known.get(place.provider)
        if server is None:
            there = ", ".join(sorted(name for name, one in known.items() if one.why_not is None)[:_SHOWN])
            raise NotFound(
                f"There is no provider '{place.provider}' in the settings; models can be deployed from "
                f"{there or 'none of those that there are'}.",
                field="source",
            )
        if server.why_not is not None:
            raise Unsupported(
                f"No model can be deployed from the provider '{server.name}': {server.why_not}.", field="source"
            )
        return server


class ServedEngine:
    """Implements `ports.engine.Engine`."""

    on_gpus_only = False

    def __init__(self, manner: Manner, servers: Servers) -> None:
        self.name = manner.dialect
        self.reads: frozenset[Form] = frozenset({manner.form})
        self._manner = manner
        self._servers = servers

    def missing(self) -> str | None:
        """Why nothing can be deployed so."""
        able = any(one.dialect == self.name and one.why_not is None for one in self._servers.known.values())
        if able:
            return None
        return f"no provider of the settings is such a server: add one with dialect = '{self.name}', placement = 'gpu'"

    def usable(self, devices: Sequence[Device]) -> Sequence[Device]:  # noqa: ARG002 - the port's
        """None of ours."""
        return ()

    async def start(self, load: Load) -> "ServedProcess":
        """Nothing is started."""
        place = words.served(load.weights.path)
        server = None if place is None else self._servers.known.get(place.provider)
        if place is None or server is None:
            raise NotFound(f"There is no provider for {load.weights.path} in the settings any more.")
        return ServedProcess(self._manner, server, place.model)


class ServedProcess:
    """Implements `ports.engine.Process`: what is asked of a model that its server runs."""

    url = key = ""
    pid = 0

    def __init__(self, manner: Manner, server: Server, model: str) -> None:
        self.provider = server.name
        self.model = model
        self._manner = manner
        self._server = server
        self._memory: int | None = None
        self._said: list[str] = []
        self._end: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    async def ready(self, told: Callable[[int, int | None], None], patience: float) -> None:  # noqa: ARG002 - the port's
        """Until the server has loaded it."""
        await self._manner.load(self._server, self.model, patience)

    async def probe(self, patience: float) -> None:
        """That it makes a token."""
        try:
            self._memory = await self._manner.probe(self._server, self.model, patience)
        except Fault as fault:
            self._said = [fault.message]
            raise

    async def busy(self) -> int:
        """Nothing that we would cut: what runs there goes on when it is forgotten."""
        return 0

    async def wait(self) -> int:
        """Until it is forgotten."""
        return await asyncio.shield(self._end)

    def tail(self) -> Sequence[str]:
        """Why it was given up, where it was."""
        return tuple(self._said)

    def memory(self) -> int | None:
        """What the server said last."""
        return self._memory

    async def stop(self, grace: float) -> None:  # noqa: ARG002 - the port's
        """It is forgotten; the server is told, if it can be."""
        if self._end.done():
            return
        self._end.set_result(0)
        try:
            await self._manner.unload(self._server, self.model)
        except Fault as fault:
            self._said.append(fault.message)
