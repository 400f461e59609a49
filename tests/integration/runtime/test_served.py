"""Models of servers that we do not run, by the fake Ollama server and the simulated one of OpenAI's dialect."""

import asyncio
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Self

import msgspec
import pytest

from foz.canon.deployment import Deployment, DeploymentStatus, Form, Options, Quantization, Seen, Weights, Wish
from foz.canon.fault import BadRequest, Down, Fault, Garbled, NotFound, Refused, Unsupported
from foz.deploy.controller import Controller, Policy, World
from foz.dialects.ollama.models import read_tags
from foz.dialects.openai.listing import read_list
from foz.net.clock import SystemClock
from foz.net.origin import Endpoint, Origin
from foz.net.watch import TickingWatch
from foz.ports.engine import Load
from foz.ports.sites import OneSite, Site
from foz.ports.weights import File, Found
from foz.runtime.served.ollama import OllamaManner
from foz.runtime.served.openai import OpenAiManner
from foz.runtime.served.server import Server
from foz.runtime.served.shelf import ServedEngine, ServedProcess, Shelves
from foz.testing.deploying import FolderShelf, Imagined, KeptDeployments, NoDevices
from foz.testing.process import Upstream, start_upstream

QUICK = Policy(published=0, withdrawn=0, probe_every=0.05, probe_patience=2, tick=0.01, grace=0.1)
OLLAMA, BOX = "ollama", "box"


@pytest.fixture(scope="module")
def ollama(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Upstream]:
    """An Ollama server."""
    with start_upstream(tmp_path_factory.mktemp("ollama"), program="foz.testing.ollama") as one:
        yield one


@pytest.fixture(scope="module")
def box(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Upstream]:
    """A server of OpenAI's dialect."""
    with start_upstream(tmp_path_factory.mktemp("box")) as one:
        yield one


class Told:
    """Implements `Servers` over addresses."""

    def __init__(self, **urls: str) -> None:
        watch = TickingWatch(asyncio.get_running_loop())
        key = ((b"authorization", b"Bearer nvapi-a"),) if "key" in urls else ()
        self._ways = {name: Origin(Endpoint(url, key), watch) for name, url in urls.items() if name != "key"}

    @property
    def known(self) -> Mapping[str, Server]:
        return {
            OLLAMA: Server(OLLAMA, "ollama", "/api/tags"),
            BOX: Server(BOX, "openai", "/models"),
            "vendor": Server("vendor", "openai", why_not="it is a vendor's"),
        }

    def reach(self, name: str) -> Origin:
        if name not in self._ways:
            raise Down("gone")
        return self._ways[name]

    async def close(self) -> None:
        for way in self._ways.values():
            await way.close()

    def names(self, server: Server, listing: bytes) -> list[str]:
        return (read_tags if server.dialect == "ollama" else read_list)(listing)


class House:
    """A shelf and engines over servers."""

    def __init__(self, folder: Path, **urls: str) -> None:
        servers = self.servers = Told(**urls)
        manners = (OllamaManner(servers), OpenAiManner(servers))
        self.shelf = Shelves(FolderShelf(folder), servers, manners, {"named-1b": "provider:box/simulated"})
        self.engines = {one.dialect: ServedEngine(one, servers) for one in manners}
        self.figures: list[tuple[int, int | None]] = []

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.servers.close()

    async def made(self, source: str) -> Weights:
        """What a source becomes."""
        found = await self.shelf.find(self.shelf.check(_wish(source)))
        await self.shelf.fetch(found, lambda done, total: self.figures.append((done, total)))
        return await self.shelf.make(found, lambda *_: None)

    async def process(self, weights: Weights) -> ServedProcess:
        """What is asked of it."""
        process = await self.engines[weights.form.value].start(Load("m", weights, 4, 0, 0))
        await process.ready(lambda *_: None, 5)
        return process


def _wish(source: str, **more: Any) -> Wish:
    return Wish("m", "m", source=source, **more)


def _loaded(server: Upstream) -> list[str]:
    with server.connect() as connection:
        rows = msgspec.json.decode(connection.call("GET", "/api/ps").body)["models"]
    return [row["model"] for row in rows]


def test_a_model_of_ollama_is_loaded_held_and_let_go(ollama: Upstream, tmp_path: Path) -> None:
    """What the server says of a model is known, it makes a token, its memory is told, and it is let go."""

    async def main() -> None:
        async with House(tmp_path, ollama=ollama.url) as house:
            weights = await house.made("provider:ollama/simulated-plain")
            assert (weights.form, weights.architecture, weights.quantization) == (Form.OLLAMA, "simulated", "Q4_K_M")
            assert (weights.context, weights.size, weights.title) == (4096, 1_000_000, "simulated-plain")
            assert house.figures == []
            process = await house.process(weights)
            assert (process.provider, process.model, process.url) == ("ollama", "simulated-plain", "")
            await process.probe(5)
            assert process.memory() == 1_000_000
            assert "simulated-plain:latest" in _loaded(ollama)
            await process.stop(1)
            assert await process.wait() == 0
            assert "simulated-plain:latest" not in _loaded(ollama)
            assert await house.shelf.remove([weights.path]) == 0

    asyncio.run(main())


def test_a_model_that_ollama_lacks_is_pulled_by_it(ollama: Upstream, tmp_path: Path) -> None:
    """The bytes that the server fetches are told and only rise; what it cannot fetch is NotFound in its own words."""

    async def main() -> None:
        async with House(tmp_path, ollama=ollama.url) as house:
            assert (await house.made("provider:ollama/simulated-small:latest")).form is Form.OLLAMA
            done = [figure for figure, _ in house.figures]
            assert done == sorted(done)
            assert house.figures[-1] == (1_000_000, 1_000_000)
            with pytest.raises(NotFound, match="cannot fetch no-such: pull model manifest: file does not exist"):
                await house.made("provider:ollama/no-such")

    asyncio.run(main())


def test_a_model_of_another_server_is_there_or_not(box: Upstream, tmp_path: Path) -> None:
    """A listed model makes a token and is forgotten; one that is not listed is NotFound, with those that are."""

    async def main() -> None:
        async with House(tmp_path, box=f"{box.url}/v1") as house:
            weights = await house.made("provider:box/simulated")
            process = await house.process(weights)
            await process.probe(5)
            assert (process.memory(), await process.busy()) == (None, 0)
            await process.stop(1)
            with pytest.raises(NotFound, match=r"has no model 'other'\. It has: simulated"):
                await house.made("provider:box/other")

    asyncio.run(main())


def test_a_model_that_makes_vectors_is_probed_by_one(
    ollama: Upstream, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """What does not talk is probed by a vector, with either server; what is nothing stays refused in its words."""

    async def main(keyed: str) -> None:
        async with House(tmp_path, ollama=ollama.url, box=keyed, key="") as house:
            process = await house.process(await house.made("provider:ollama/simulated-embed"))
            await process.probe(5)
            await process.stop(1)
            for model in ("baai/bge-m3", "no/model"):
                weights = Weights(f"provider:box/{model}", 0, "", "", form=Form.OPENAI)
                process = await house.process(weights)
                if model == "no/model":
                    with pytest.raises(Fault, match="'box' answered 404"):
                        await process.probe(5)
                else:
                    await process.probe(5)
                    await process.probe(5)

    with start_upstream(tmp_path_factory.mktemp("keyed"), program="foz.testing.nvidia") as keyed:
        asyncio.run(main(f"{keyed.url}/v1"))


def test_a_named_source_may_be_a_servers(tmp_path: Path) -> None:
    """`[local.sources]` may mean a model of a server, and all other sources are the shelf of files' as before."""

    async def main() -> None:
        shelf = House(tmp_path).shelf
        assert shelf.check(Wish("m", "named", "1b")).source == "provider:box/simulated"
        assert shelf.check(_wish("m.gguf")).source == "m.gguf"

    asyncio.run(main())


@pytest.mark.parametrize(
    ("wish", "kind", "words"),
    [
        (_wish("provider:nobody/m"), NotFound, "no provider 'nobody' .* from box, ollama"),
        (_wish("provider:vendor/m"), Unsupported, "it is a vendor's"),
        (_wish("provider:box"), BadRequest, "provider:name/model"),
        (_wish("provider:box/../m"), BadRequest, "cannot be"),
        (_wish("provider:box/a//b"), BadRequest, "cannot be"),
        (_wish("provider:http://10.0.0.1/m"), BadRequest, "cannot be"),
        (_wish("provider:box/m", engine="vllm"), Unsupported, "vllm cannot run a model of the server 'box'"),
        (_wish("provider:box/m", quantization=Quantization.INT8), Unsupported, "quantization"),
        (_wish("provider:box/m", nodes=("a",)), Unsupported, "target_nodes"),
        (_wish("provider:box/m", options=Options(max_batch_size=8)), Unsupported, "max_batch_size"),
        (_wish("provider:box/m", options=Options(context=512)), Unsupported, "context"),
    ],
)
def test_what_cannot_be_said_to_a_server_is_refused(tmp_path: Path, wish: Wish, kind: type[Fault], words: str) -> None:
    """Unknown servers, vendors, path tricks and fields that the server decides are refused by name, unasked."""

    async def main() -> None:
        with pytest.raises(kind, match=words):
            House(tmp_path).shelf.check(wish)

    asyncio.run(main())


def test_a_refusal_is_told_in_the_servers_words(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    """A server that wants a key which it does not get is Refused, and the question of the key is put."""
    folder = tmp_path_factory.mktemp("keyed")
    with start_upstream(folder, program="foz.testing.nvidia") as keyed:

        async def main() -> None:
            async with House(tmp_path, box=f"{keyed.url}/v1") as house:
                weights = Weights("provider:box/nvidia/nemotron", 0, "", "", form=Form.OPENAI)
                process = await house.process(weights)
                with pytest.raises(Refused, match=r"'box' answered 401.*Is its key right\?"):
                    await process.probe(5)

        asyncio.run(main())


class Odd:
    """A server that says the same to everybody, on a connection for each call."""

    def __init__(self, body: bytes) -> None:
        self._body = body

    async def start(self) -> str:
        """Its URL."""
        self._server = await asyncio.start_server(self._answer, "127.0.0.1", 0)
        return f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        length = next(line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
        await reader.readexactly(int(length.partition(b":")[2]))
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % len(self._body) + self._body)
        await writer.drain()
        writer.close()

    async def stop(self) -> None:
        """It is gone."""
        self._server.close()
        await self._server.wait_closed()


def test_a_server_that_repeats_a_key_shows_it_to_nobody(tmp_path: Path) -> None:
    """What a server answers to a probe instead of a token is told, in print and without what looks like a key."""

    async def main() -> None:
        odd = Odd(b'{"you":"Bearer sk-abcdefgh12345678","more":"\x1b[2J"}')
        url = await odd.start()
        async with House(tmp_path, box=url, ollama=url) as house:
            process = await house.process(Weights("provider:box/m", 0, "", "", form=Form.OPENAI))
            with pytest.raises(Garbled) as told:
                await process.probe(5)
        await odd.stop()
        assert "sk-abcdefgh" not in str(told.value)
        assert '{"you":"Bearer ***","more":"[2J"}' in str(told.value)

    asyncio.run(main())


def test_a_pull_of_layers_without_end_is_borne(tmp_path: Path) -> None:
    """Of a model whose layers never end a thousand are told of."""
    lines = [{"status": "pulling", "digest": f"sha256:{at}", "total": 2, "completed": 1} for at in range(2_000)]
    body = b"".join(msgspec.json.encode(line) + b"\n" for line in (*lines, {"status": "success"}))
    moved: list[tuple[int, int | None]] = []

    async def main() -> None:
        odd = Odd(body)
        async with House(tmp_path, ollama=await odd.start()) as house:
            found = Found("provider:ollama/m", (File("provider:ollama/m", url="provider:ollama/m"),))
            await house.shelf.fetch(found, lambda done, total: moved.append((done, total)))
        await odd.stop()

    asyncio.run(main())
    assert max(moved) == (1_000, 2_000)


def test_a_server_that_goes_is_unhealthy_and_comes_back(tmp_path: Path) -> None:
    """A deployment on a server that does not answer any more says so, is tried again, and serves when it is back."""
    server = start_upstream(tmp_path / "server")

    async def main() -> None:
        async with House(tmp_path, box=f"{server.url}/v1") as house:
            store = KeptDeployments()
            site = Site(house.shelf, house.engines, Imagined(), NoDevices())
            controller = Controller(World(store, OneSite(QUICK.node, site), SystemClock()), QUICK)
            await store.add(Deployment("d", 0, _wish("provider:box/simulated"), "p"))

        async def until(status: DeploymentStatus) -> Seen:
            async with asyncio.timeout(10):
                while True:
                    found = await store.find("d")
                    assert found is not None
                    if found.seen.status is status:
                        return found.seen
                    await asyncio.sleep(0.01)

        loop = asyncio.ensure_future(controller.run())
        (replica,) = (await until(DeploymentStatus.COMPLETED)).replicas
        assert (replica.provider, replica.model, replica.engine) == ("box", "simulated", "openai")
        assert replica.hardware is None
        await asyncio.to_thread(server.kill)
        seen = await until(DeploymentStatus.FAILED)
        assert "the server 'box' that has it does not answer" in str(seen.trouble)
        assert (seen.replicas, seen.again is not None) == ((), True)
        back = await asyncio.to_thread(start_upstream, tmp_path / "back", port=server.port)
        with back:
            await store.add(Deployment("d", 0, _wish("provider:box/simulated"), "p"))
            assert (await until(DeploymentStatus.COMPLETED)).replicas
        loop.cancel()
        await asyncio.wait((loop,))
        await controller.close(1)

    with server:
        asyncio.run(main())
