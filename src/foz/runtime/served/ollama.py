"""
A model of an Ollama server: fetched by it where it has it not, loaded and held while it is deployed, let go of when it
is unloaded. Its files are the server's, and stay there.
"""

from typing import TypeVar

import msgspec
from msgspec import Struct

from foz.canon.deployment import Form, Weights
from foz.canon.fault import Cut, Down, Garbled, NotFound
from foz.canon.model import Patience
from foz.ports.engine import OLLAMA
from foz.ports.weights import Told
from foz.runtime.served.server import JSON, Server, Servers, ask, check, shown
from foz.wire import json, ndjson
from foz.wire.http import Call

T = TypeVar("T")
HELD, LET_GO = -1, 0
"""Words of `keep_alive`."""
_STALL = 300.0
"""Seconds without a word about a model that is fetched."""
_LONG = 7 * 24 * 3600.0
_DONE = "success"
_MOST_LAYERS = 1_000
"""Of one model, whose progress is told."""


class _Details(Struct, frozen=True):
    family: str = ""
    quantization_level: str = ""


class _Shown(Struct, frozen=True):
    """`/api/show`."""

    details: _Details = _Details()
    model_info: dict[str, msgspec.Raw] = {}
    capabilities: tuple[str, ...] = ()

    @property
    def embeds(self) -> bool:
        """Whether it makes vectors and does not talk."""
        return "embedding" in self.capabilities and "completion" not in self.capabilities

    @property
    def context(self) -> int | None:
        """Tokens that it was trained for."""
        for name, raw in self.model_info.items():
            if name.endswith(".context_length") and bytes(raw).isdigit():
                return int(bytes(raw))
        return None


class _Row(Struct, frozen=True):
    model: str = ""
    size: int = 0
    context_length: int = 0


class _Rows(Struct, frozen=True):
    """`/api/tags` and `/api/ps`."""

    models: tuple[_Row, ...] = ()


class _Said(Struct, frozen=True):
    """`/api/generate`."""

    done: bool = False


class _Progress(Struct, frozen=True):
    """A line of `/api/pull`."""

    status: str = ""
    digest: str = ""
    total: int = 0
    completed: int = 0
    error: str = ""


class OllamaManner:
    """Implements `Manner`."""

    form = Form.OLLAMA
    dialect = OLLAMA

    def __init__(self, servers: Servers) -> None:
        self._servers = servers
        self._embeds: set[tuple[str, str]] = set()
        """Models that make vectors and do not talk."""

    async def find(self, server: Server, model: str) -> bool:
        """Whether the server has it."""
        try:
            await self._show(server, model)
        except NotFound:
            return False
        return True

    async def fetch(self, server: Server, model: str, told: Told) -> None:
        """The server pulls it; what it says of its bytes is told."""
        call = Call("POST", "/api/pull", headers=JSON, body=json.encode({"model": model, "stream": True}))
        patience = Patience(10.0, _STALL, _STALL, _LONG)
        answer = await self._servers.reach(server.name).send(call, patience)
        pulling = _Pulling(server, model, told)
        try:
            await check(answer, server)
            await answer.pour(pulling.hear)
        except Cut as cut:
            raise Down(f"the server '{server.name}' stopped in the middle of fetching {model}") from cut
        finally:
            answer.close()
        pulling.over()

    async def weights(self, server: Server, model: str, source: str) -> Weights:
        """What `/api/show` and its list say."""
        shown = await self._show(server, model)
        if shown.embeds:
            self._embeds.add((server.name, model))
        rows = await self._rows(server, "/api/tags")
        size = next((row.size for row in rows if _same(row.model, model)), 0)
        return Weights(
            source, size, shown.details.family, shown.details.quantization_level,
            context=shown.context, title=model, form=self.form,
        )  # fmt: skip

    async def load(self, server: Server, model: str, patience: float) -> None:
        """A question without words loads it, and holds it."""
        await self._hold(server, model, HELD, patience)

    async def probe(self, server: Server, model: str, patience: float) -> int | None:
        """One token, or a vector, and what the server then says that it holds."""
        if (server.name, model) in self._embeds:
            await self._hold(server, model, HELD, patience)
        else:
            said = {"model": model, "prompt": "a", "raw": True, "keep_alive": HELD, "options": {"num_predict": 1}}
            body = await self._generate(server, said, patience)
            if not _read(body, _Said, server).done:
                raise Garbled(f"the server '{server.name}' answers a probe with: {shown(body)}")
        rows = await self._rows(server, "/api/ps")
        return next((row.size for row in rows if _same(row.model, model)), None)

    async def unload(self, server: Server, model: str) -> None:
        """It lets go of the memory when what runs there has ended."""
        await self._hold(server, model, LET_GO, 10.0)

    async def _hold(self, server: Server, model: str, how: int, patience: float) -> None:
        """A question without words, or a vector where it makes nothing else: what comes along is how it is held."""
        if (server.name, model) in self._embeds:
            said = json.encode({"model": model, "input": "a", "keep_alive": how})
            call = Call("POST", "/api/embed", headers=JSON, body=said)
            await ask(self._servers.reach(server.name), server, call, patience)
        else:
            await self._generate(server, {"model": model, "keep_alive": how}, patience)

    async def _generate(self, server: Server, said: dict[str, object], patience: float) -> bytes:
        call = Call("POST", "/api/generate", headers=JSON, body=json.encode({"prompt": "", "stream": False, **said}))
        return await ask(self._servers.reach(server.name), server, call, patience)

    async def _show(self, server: Server, model: str) -> _Shown:
        call = Call("POST", "/api/show", headers=JSON, body=json.encode({"model": model}))
        return _read(await ask(self._servers.reach(server.name), server, call), _Shown, server)

    async def _rows(self, server: Server, path: str) -> tuple[_Row, ...]:
        return _read(await ask(self._servers.reach(server.name), server, Call("GET", path)), _Rows, server).models


class _Pulling:
    """What a pull has said so far."""

    def __init__(self, server: Server, model: str, told: Told) -> None:
        self._server = server
        self._model = model
        self._told = told
        self._lines = ndjson.Decoder()
        self._layers: dict[str, _Progress] = {}
        self._last = _Progress()
        self._most = 0

    def hear(self, piece: bytes) -> None:
        """More of it. Raises NotFound or Garbled."""
        try:
            lines = self._lines.feed(piece)
        except ndjson.TooLong as wrong:
            raise Garbled(f"what the server '{self._server.name}' says is no line: {wrong}") from wrong
        for line in lines:
            said = self._last = _read(line, _Progress, self._server)
            if said.error:
                words = shown(said.error.encode())
                raise NotFound(f"the server '{self._server.name}' cannot fetch {self._model}: {words}")
            known = said.digest in self._layers or len(self._layers) < _MOST_LAYERS
            if said.digest and said.total > 0 and known:
                self._layers[said.digest] = said
                total = sum(layer.total for layer in self._layers.values())
                done = sum(min(layer.completed, layer.total) for layer in self._layers.values())
                self._most = max(self._most, done)
                self._told(self._most, max(total, self._most))

    def over(self) -> None:
        """It has ended: well, if it said so. Raises Down."""
        if self._last.status != _DONE:
            raise Down(f"the server '{self._server.name}' ended fetching {self._model} at '{self._last.status[:80]}'")
        self._told(self._most, self._most or None)


def _read(body: bytes, kind: type[T], server: Server) -> T:
    try:
        return msgspec.json.decode(body, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as wrong:
        raise Garbled(f"what the server '{server.name}' says cannot be read: {wrong}") from wrong


def _same(one: str, other: str) -> bool:
    """Whether two names are one model's: without a tag it is the latest."""
    return (one if ":" in one else f"{one}:latest") == (other if ":" in other else f"{other}:latest")
