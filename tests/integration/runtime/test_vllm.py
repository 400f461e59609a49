"""
vLLM as a kept program, by the stand-in for it: the same command line, words, processes and paths, without a model. What
needs a GPU is not shown here.
"""

import asyncio
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec
import pytest

from foz.canon.deployment import Form, Quantization, Weights
from foz.canon.fault import Cut, Down, Timeout
from foz.canon.model import Patience
from foz.net.clock import SystemClock
from foz.net.origin import Endpoint, Origin
from foz.net.watch import TickingWatch
from foz.ports.engine import Load
from foz.runtime.keeper import family
from foz.runtime.vllm.engine import Installed, Vllm, VllmProcess
from foz.testing import safetensors, vllm
from foz.testing.process import clean_environment, wait_until
from foz.wire.http import Call
from tests.integration.runtime.test_llamacpp import stand_still

PATIENCE = Patience(5, 30, 30, 30)
JSON = ((b"content-type", b"application/json"),)


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The stand-in."""
    return vllm.install(tmp_path_factory.mktemp("program"))


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of three files."""
    folder = tmp_path_factory.mktemp("models") / "small"
    safetensors.write(folder, parts=3)
    return folder


def _quiet(done: int, total: int | None) -> None:
    """Nobody is told."""


def _origin(url: str, key: str) -> Origin:
    watch = TickingWatch(asyncio.get_running_loop())
    return Origin(Endpoint(url, ((b"authorization", f"Bearer {key}".encode()),)), watch)


def _load(folder: Path, **more: object) -> Load:
    size = sum(path.stat().st_size for path in folder.glob("*.safetensors"))
    weights = Weights(str(folder), size, "qwen3", "BF16", form=Form.SAFETENSORS, cache_per_token=2**20)
    load = Load("org/small", weights, slots=8, context=1024, threads=1)
    return msgspec.structs.replace(load, **more)


async def _started(program: Path, load: Load, *options: str) -> VllmProcess:
    installed = Installed(str(program), options, on_cpu=not load.gpus)
    return await Vllm(installed, clean_environment(), _origin, SystemClock()).start(load)


def _with(program: Path, load: Load, use: Callable[[VllmProcess], Awaitable[None]], *options: str) -> None:
    """Uses one that is loaded, and ends it; none of its processes may be left."""

    async def there() -> list[int]:
        process = await _started(program, load, *options)
        try:
            await process.ready(_quiet, 20)
            pids = [process.pid, *process.pids()]
            await use(process)
        finally:
            await process.stop(5)
        return pids

    for pid in asyncio.run(there()):
        wait_until(lambda pid=pid: not _alive(pid), f"{pid} to be gone", 3.0)  # type: ignore[misc]  # a default binds it


def _alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state not in {"Z", "X"}


def _program_of(process: VllmProcess) -> int:
    """The keeper's child: vLLM's own first process."""
    (found,) = [pid for pid, parent in family().items() if parent == process.pid]
    return found


def _told(pid: int, what: str) -> list[bytes]:
    """Words of a process's environment or command line."""
    return Path(f"/proc/{pid}/{what}").read_bytes().split(b"\0")


async def _given(process: VllmProcess) -> dict[str, str]:
    """With what it was started, as it understood it."""
    answer = await _origin(process.url, process.key).send(Call("GET", "/_given"), PATIENCE)
    return msgspec.json.decode((await answer.whole(100_000)).body, type=dict[str, str])


def _chat(tokens: int, *, stream: bool = False) -> Call:
    messages = [{"role": "user", "content": "hi"}]
    said = {"model": "org/small", "messages": messages, "max_tokens": tokens, "stream": stream}
    return Call("POST", "/v1/chat/completions", headers=JSON, body=msgspec.json.encode(said))


def test_load_is_told_by_its_own_words(program: Path, model: Path) -> None:
    """The parts that vLLM says it has read are told as bytes, which rise to the size of all files."""

    async def there() -> list[tuple[int, int | None]]:
        told: list[tuple[int, int | None]] = []
        process = await _started(program, _load(model))
        try:
            await process.ready(lambda done, total: told.append((done, total)), 20)
        finally:
            await process.stop(5)
        return told

    told = asyncio.run(there())
    size = _load(model).weights.size
    assert told[-1] == (size, size)
    assert [done for done, _ in told] == sorted(done for done, _ in told)


def test_every_field_of_a_load_becomes_an_option(program: Path, model: Path) -> None:
    """On two GPUs the program understands parallelism, share, offload, batch, context, attention and quantization."""
    load = _load(
        model, gpus=(2, 0), share=0.6251, spill=3 << 29, flash=False, quantize=Quantization.INT4
    )  # the stand-in wants no GPU

    async def use(process: VllmProcess) -> None:
        given = await _given(process)
        assert given == given | {
            "model_tag": str(model),
            "host": "127.0.0.1",
            "served_model_name": "['org/small']",
            "tensor_parallel_size": "2",
            "gpu_memory_utilization": "0.625",
            "cpu_offload_gb": "1.5",
            "max_num_seqs": "8",
            "max_model_len": "1024",
            "attention_backend": "TRITON_ATTN",
            "quantization": "bitsandbytes",
            "load_format": "auto",
            "allowed_origins": "[]",
            "allowed_media_domains": "['nowhere.invalid']",
            "api_key": "None",
            "trust_remote_code": "False",
            "enforce_eager": "True",
        }
        seen = _told(_program_of(process), "environ")
        assert b"CUDA_VISIBLE_DEVICES=2,0" in seen
        assert b"CUDA_DEVICE_ORDER=PCI_BUS_ID" in seen

    _with(program, load, use, "--enforce-eager")


def test_on_processors_the_cache_is_said_in_gibibytes(program: Path, model: Path) -> None:
    """Without a GPU nothing is said of one, and the room for keys and values is what batch and context need."""

    async def use(process: VllmProcess) -> None:
        given = await _given(process)
        assert (given["tensor_parallel_size"], given["cpu_offload_gb"], given["attention_backend"]) == (
            "1",
            "0.0",
            "None",
        )
        seen = _told(_program_of(process), "environ")
        assert b"VLLM_CPU_KVCACHE_SPACE=8" in seen
        assert b"HF_HUB_OFFLINE=1" in seen
        assert any(word.startswith(f"PATH={program.parent}:".encode()) for word in seen)

    _with(program, _load(model), use)


def test_key_is_asked_for_and_stands_in_no_command_line(program: Path, model: Path) -> None:
    """The engine's chat wants its key, which no list of processes shows."""

    async def use(process: VllmProcess) -> None:
        for key, status in ((process.key, 200), ("sk-wrong", 401)):
            answer = await _origin(process.url, key).send(_chat(4), PATIENCE)
            assert (await answer.whole(100_000)).status == status
        for pid in [process.pid, *process.pids()]:
            assert process.key.encode() not in b" ".join(_told(pid, "cmdline"))

    _with(program, _load(model), use)


def test_probe_makes_a_token_or_believes_the_counters(program: Path, model: Path) -> None:
    """A probe passes on a well engine, idle or at work, and its load is what it says of itself."""

    async def use(process: VllmProcess) -> None:
        await process.probe(10)
        await process.probe(10)
        assert await process.busy() == 0
        answer = await _origin(process.url, process.key).send(_chat(400, stream=True), PATIENCE)
        pouring = asyncio.ensure_future(answer.pour(lambda _: None))
        assert await process.busy() == 1
        await process.probe(10)
        await pouring
        held = process.memory()
        assert held is not None
        assert held > 1_000_000

    _with(program, _load(model), use)


def test_stopped_engine_fails_its_probe(program: Path, model: Path) -> None:
    """An engine that does nothing any more, though its processes live, fails its probe with Timeout."""

    async def use(process: VllmProcess) -> None:
        pid = _program_of(process)
        stand_still(pid)
        try:
            with pytest.raises(Timeout):
                await process.probe(0.3)
        finally:
            os.kill(pid, signal.SIGCONT)

    _with(program, _load(model), use)


def test_killed_engine_cuts_its_streams_and_leaves_nobody(program: Path, model: Path) -> None:
    """VLLM killed with SIGKILL: its stream is Cut, its end is told, and what it had started is ended too."""

    async def use(process: VllmProcess) -> None:
        pids = process.pids()
        assert len(pids) > 1
        answer = await _origin(process.url, process.key).send(_chat(500, stream=True), PATIENCE)
        pid = _program_of(process)
        pieces: list[bytes] = []

        def sink(piece: bytes) -> None:
            if not pieces:
                os.kill(pid, signal.SIGKILL)
            pieces.append(piece)

        with pytest.raises(Cut):
            await answer.pour(sink)
        assert b"[DONE]" not in b"".join(pieces)
        assert await process.wait() == -signal.SIGKILL
        assert not any(map(_alive, pids))
        with pytest.raises(Down, match="signal 9"):
            await process.probe(1)

    _with(program, _load(model), use)


def test_killed_keeper_leaves_nobody(program: Path, model: Path) -> None:
    """The keeper itself killed with SIGKILL: after the engine was told to stop, none of its processes is left."""

    async def use(process: VllmProcess) -> None:
        os.kill(process.pid, signal.SIGKILL)
        assert await process.wait() == -signal.SIGKILL

    _with(program, _load(model), use)


@pytest.mark.parametrize(
    ("stand_in", "options", "fault", "words"),
    [
        ("memory", (), Down, r"exit status 1.*torch\.OutOfMemoryError: CUDA out of memory"),
        ("silent", (), Timeout, r"said nothing for 1 seconds: \d+ of \d+ bytes were read"),
        ("", ("--no-such-option",), Down, r"exit status 2.*unrecognized arguments: --no-such-option"),
    ],
)
def test_load_that_fails_says_why(
    program: Path, tmp_path: Path, stand_in: str, options: tuple[str, ...], fault: type[Exception], words: str
) -> None:
    """A load that ends, or stands still, is told with vLLM's own words, without its key, and leaves no process."""
    safetensors.write(tmp_path / "bad", stand_in=stand_in)

    async def there() -> list[int]:
        process = await _started(program, _load(tmp_path / "bad"), *options)
        try:
            with pytest.raises(fault, match=words) as raised:
                await process.ready(_quiet, 1)
            assert process.key not in str(raised.value)
            return [process.pid, *process.pids()]
        finally:
            await process.stop(1)

    assert not any(map(_alive, asyncio.run(there())))


def test_program_that_is_not_there_is_said() -> None:
    """Without the program the engine is missing, says what to do, and is Down when it is started all the same."""
    engine = Vllm(Installed("no-such-vllm"), clean_environment(), _origin, SystemClock())
    assert "no program 'no-such-vllm'" in str(engine.missing())
    with pytest.raises(Down, match=r"\[local\] vllm"):
        asyncio.run(engine.start(_load(Path("/nowhere"))))


def test_on_a_node_it_listens_where_the_node_is_reached(program: Path, model: Path) -> None:
    """Another address and another thread than the main one: it listens there and nowhere else, and ends as ever."""
    told: list[int] = []

    async def there() -> None:
        installed = Installed(str(program), on_cpu=True)
        thread = threading.current_thread()
        engine = Vllm(installed, clean_environment(), _origin, SystemClock(), host="127.0.0.2", thread=thread)
        process = await engine.start(_load(model))
        try:
            await process.ready(_quiet, 20)
            await process.probe(10)
            assert process.url.startswith("http://127.0.0.2:")
            with pytest.raises(OSError, match="Connect call failed"):
                await asyncio.open_connection("127.0.0.1", int(process.url.rpartition(":")[2]))
            told.extend(process.pids())
        finally:
            await process.stop(5)

    with ThreadPoolExecutor(1) as threads:
        threads.submit(asyncio.run, there()).result(30)
    assert told
    assert not any(map(_alive, told))


OWNER = """
import asyncio, sys
from pathlib import Path
sys.path.insert(0, {root!r})
from tests.integration.runtime.test_vllm import _load, _quiet, _started
async def main():
    process = await _started(Path({program!r}), _load(Path({model!r})))
    await process.ready(_quiet, 20)
    print(process.pid, *process.pids(), flush=True)
    await asyncio.sleep(60)
asyncio.run(main())
"""


def test_all_die_with_their_owner(program: Path, model: Path) -> None:
    """When whoever started it is killed with SIGKILL, keeper, vLLM and what that started are gone at once."""
    text = OWNER.format(root=str(Path(__file__).parents[3]), program=str(program), model=str(model))
    with subprocess.Popen((sys.executable, "-c", text), stdout=subprocess.PIPE, env=clean_environment()) as owner:
        assert owner.stdout is not None
        pids = [int(pid) for pid in owner.stdout.readline().split()]
        assert len(pids) >= 3
        assert all(map(_alive, pids))
        owner.kill()
        wait_until(lambda: not any(map(_alive, pids)), "all of them to be gone", 3.0)
