"""The engine of the house, on real models of random weights."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

import msgspec
import pytest
import xllamacpp

from foz.canon.deployment import Weights
from foz.canon.fault import Cut, Down, Timeout
from foz.canon.model import Patience
from foz.net.clock import SystemClock
from foz.net.origin import Endpoint, Origin
from foz.net.watch import TickingWatch
from foz.ports.engine import Load
from foz.runtime.llamacpp.child import _share
from foz.runtime.llamacpp.engine import LlamaCpp, LlamaProcess
from foz.runtime.llamacpp.orders import Order
from foz.testing import gguf
from foz.testing.process import clean_environment, wait_until
from foz.wire.http import Call

PATIENCE = Patience(5, 30, 30, 30)
JSON = ((b"content-type", b"application/json"),)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small model that talks as long as it is let."""
    path = tmp_path_factory.mktemp("models") / "small.gguf"
    gguf.write(path, gguf.SMALL)
    return path


def _quiet(done: int, total: int | None) -> None:
    """Nobody is told."""


def _origin(url: str, key: str) -> Origin:
    watch = TickingWatch(asyncio.get_running_loop())
    return Origin(Endpoint(url, ((b"authorization", f"Bearer {key}".encode()),)), watch)


def _load(path: Path, slots: int = 2) -> Load:
    return Load("small", Weights(str(path), path.stat().st_size, "llama", "Q8_0"), slots, context=512, threads=1)


async def _started(path: Path, slots: int = 2) -> LlamaProcess:
    return await LlamaCpp(clean_environment(), _origin, SystemClock()).start(_load(path, slots))


def _with(path: Path, use: Callable[[LlamaProcess], Awaitable[None]], slots: int = 2) -> None:
    """Uses a loaded engine, and ends it."""

    async def there() -> None:
        process = await _started(path, slots)
        try:
            await process.ready(_quiet, 20)
            await use(process)
        finally:
            await process.stop(5)

    asyncio.run(there())


def _chat(tokens: int, *, stream: bool = False) -> Call:
    said = {"messages": [{"role": "user", "content": "hi"}], "max_tokens": tokens, "stream": stream}
    return Call("POST", "/v1/chat/completions", headers=JSON, body=msgspec.json.encode(said))


def _alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state not in {"Z", "X"}


def stand_still(pid: int) -> None:
    """SIGSTOP, until every thread has heard it."""
    os.kill(pid, signal.SIGSTOP)
    tasks = Path(f"/proc/{pid}/task")

    def still() -> bool:
        return all((task / "stat").read_text().rpartition(")")[2].split()[0] == "T" for task in tasks.iterdir())

    wait_until(still, "all threads to stand still")


def test_load_is_told_in_bytes(model: Path) -> None:
    """A load's figures rise strictly to the size of the file, and none is told twice but the last."""

    async def there() -> list[tuple[int, int | None]]:
        told: list[tuple[int, int | None]] = []
        process = await _started(model)
        try:
            await process.ready(lambda done, total: told.append((done, total)), 20)
        finally:
            await process.stop(5)
        return told

    told = asyncio.run(there())
    done = [bytes for bytes, _ in told]
    assert done[-1] == model.stat().st_size
    assert {total for _, total in told} == {model.stat().st_size}
    assert done[:-1] == sorted(set(done[:-1]))


def test_engine_answers_only_with_its_key(model: Path) -> None:
    """The engine's chat answers with its key and refuses another key with 401."""

    async def use(process: LlamaProcess) -> None:
        for key, status in ((process.key, 200), ("sk-wrong", 401)):
            answer = await _origin(process.url, key).send(_chat(4), PATIENCE)
            assert (await answer.whole(100_000)).status == status

    _with(model, use)


def test_probe_holds_while_all_slots_are_busy(model: Path) -> None:
    """A probe passes while more requests run than there are slots, and `busy` counts those that run and wait."""

    async def use(process: LlamaProcess) -> None:
        upstream = _origin(process.url, process.key)
        calls = [asyncio.ensure_future(upstream.send(_chat(480), PATIENCE)) for _ in range(4)]
        while await process.busy() < 4:  # noqa: ASYNC110 - the engine tells nobody
            await asyncio.sleep(0.002)
        await process.probe(10)
        for answer in await asyncio.gather(*calls):
            assert (await answer.whole(1_000_000)).status == 200
        await process.probe(10)
        assert await process.busy() == 0

    _with(model, use)


def test_stopped_engine_fails_its_probe(model: Path) -> None:
    """An engine that does nothing any more, though its process lives, fails its probe with Timeout."""

    async def use(process: LlamaProcess) -> None:
        await process.probe(10)
        stand_still(process.pid)
        try:
            with pytest.raises(Timeout):
                await process.probe(0.3)
        finally:
            os.kill(process.pid, signal.SIGCONT)

    _with(model, use)


def test_killed_engine_cuts_its_streams(model: Path) -> None:
    """A stream of an engine that is killed ends as Cut, and a probe says Down with the signal."""

    async def use(process: LlamaProcess) -> None:
        answer = await _origin(process.url, process.key).send(_chat(500, stream=True), PATIENCE)
        pieces: list[bytes] = []

        def sink(piece: bytes) -> None:
            if not pieces:
                os.kill(process.pid, signal.SIGKILL)
            pieces.append(piece)

        with pytest.raises(Cut):
            await answer.pour(sink)
        assert b"[DONE]" not in b"".join(pieces)
        assert await process.wait() == -signal.SIGKILL
        with pytest.raises(Down, match="signal 9"):
            await process.probe(1)

    _with(model, use)


def test_memory_comes_back(model: Path) -> None:
    """A running engine holds memory of its own; stopped, its process is gone."""

    async def use(process: LlamaProcess) -> None:
        held = process.memory()
        assert held is not None
        assert held > 10_000_000
        await process.stop(5)
        assert process.memory() is None
        assert not _alive(process.pid)

    _with(model, use)


@pytest.mark.parametrize("spoil", ["gone", "garbage", "cut"])
def test_bad_file_says_why(model: Path, tmp_path: Path, spoil: str) -> None:
    """A file that cannot be loaded is Down, with the engine's own words, and leaves no process."""
    bad = tmp_path / "bad.gguf"
    if spoil == "garbage":
        bad.write_bytes(b"GGUF" + os.urandom(1000))
    elif spoil == "cut":
        bad.write_bytes(model.read_bytes()[:-100_000])

    async def there() -> int:
        load = msgspec.structs.replace(_load(model), weights=Weights(str(bad), 1000, "llama", "Q8_0"))
        process = await LlamaCpp(clean_environment(), _origin, SystemClock()).start(load)
        try:
            with pytest.raises(Down, match=r"ended while it loaded .* It said: .*") as raised:
                await process.ready(_quiet, 20)
            assert process.key not in str(raised.value)
        finally:
            await process.stop(5)
        return process.pid

    assert not _alive(asyncio.run(there()))


def test_load_that_stands_still_says_where(model: Path) -> None:
    """A load that makes no progress for its patience is a Timeout that says how much was read."""

    async def there() -> None:
        process = await _started(model)
        os.kill(process.pid, signal.SIGSTOP)
        try:
            with pytest.raises(Timeout, match=r"no progress for 0\.2 seconds: it had not begun to read"):
                await process.ready(_quiet, 0.2)
        finally:
            await process.stop(0.1)
        assert not _alive(process.pid)

    asyncio.run(there())


@pytest.mark.parametrize(
    ("layers", "split", "mode"),
    [(999, (0.625, 0.375), "ROW"), (999, (), "NONE"), (0, (), "LAYER")],
)
def test_a_model_is_shared_as_ordered(layers: int, split: tuple[float, ...], mode: str) -> None:
    """On several GPUs the rows of its matrices are shared as said, on one nothing is; without, its defaults stand."""
    params = xllamacpp.CommonParams()
    order = Order(1, "/m.gguf", "m", "key", 1, 128, 1, layers_on_gpu=layers, split=split)
    _share(params, order)
    assert params.split_mode == getattr(xllamacpp.llama_split_mode, f"LLAMA_SPLIT_MODE_{mode}")
    assert [round(share, 3) for share in params.tensor_split[:3]] == [*split, *[0.0] * (3 - len(split))]


OWNER = """
import asyncio, sys
from pathlib import Path
sys.path.insert(0, {root!r})
from tests.integration.runtime.test_llamacpp import _quiet, _started
async def main():
    process = await _started(Path({model!r}))
    await process.ready(_quiet, 20)
    print(process.pid, flush=True)
    await asyncio.sleep(60)
asyncio.run(main())
"""


def test_engine_dies_with_its_owner(model: Path) -> None:
    """An engine whose owner is killed with SIGKILL is gone at once."""
    root = str(Path(__file__).parents[3])
    text = OWNER.format(root=root, model=str(model))
    with subprocess.Popen((sys.executable, "-c", text), stdout=subprocess.PIPE, env=clean_environment()) as owner:
        assert owner.stdout is not None
        pid = int(owner.stdout.readline())
        assert _alive(pid)
        owner.kill()
        wait_until(lambda: not _alive(pid), "the engine to be gone", 2.0)
