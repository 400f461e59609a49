"""
Where a GPU is, and an engine that is built for it, a model runs on it; where none is, this says so. Nothing is skipped:
what must be true without a GPU is looked at, too.
"""

import asyncio
from pathlib import Path

import pytest

from foz.assembly.engines import gpus, local
from foz.canon.deployment import Weights, Wish
from foz.config.settings import Settings
from foz.deploy.fit import ALL_LAYERS, Manner
from foz.deploy.plan import plan
from foz.net.clock import SystemClock
from foz.ports.engine import LLAMA_CPP
from foz.runtime.llamacpp.engine import LlamaCpp, built_for_gpus
from foz.runtime.machine import ThisMachine
from foz.testing import gguf
from foz.testing.process import clean_environment
from tests.integration.runtime.test_llamacpp import PATIENCE, _chat, _origin, _quiet


async def _on_the_gpu(path: Path, size: int) -> int:
    """Runs a model where the plan puts it; bytes of GPUs that it held."""
    devices = gpus().look()
    engine = LlamaCpp(clean_environment(), _origin, SystemClock(), gpus().held)
    weights = Weights(str(path), size, "llama", "Q8_0", context=512, layers=2)
    load = plan(
        LLAMA_CPP, Wish("small", "small"), weights, ThisMachine().look(), engine.usable(devices), Manner(threads=1)
    )
    assert (load.layers_on_gpu, len(load.gpus)) == (ALL_LAYERS, 1)
    process = await engine.start(load)
    try:
        await process.ready(_quiet, 60)
        answer = await _origin(process.url, process.key).send(_chat(16), PATIENCE)
        assert (await answer.whole(100_000)).status == 200
        await process.probe(30)
        return gpus().held((process.pid,)) or 0
    finally:
        await process.stop(5)


def test_a_model_runs_on_the_gpu_that_is_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With a GPU and a build for it a model answers from there; without one nobody pretends that there was."""
    devices = gpus().look()
    built = built_for_gpus(clean_environment())
    path = tmp_path / "small.gguf"
    gguf.write(path, gguf.SMALL)
    if devices and built:
        held = asyncio.run(_on_the_gpu(path, path.stat().st_size))
        said = f"a GPU: {devices[0].name}; a model ran on it, and held {held >> 20} MiB of it"
    else:
        engine = LlamaCpp(clean_environment(), _origin, SystemClock())
        assert engine.usable(devices) == ()
        found = {finding.topic: finding for finding in local(Settings())}
        assert ("no GPU" in found["engine vllm"].what) == (not devices) or "no program" in found["engine vllm"].what
        said = f"{devices[0].name}, and llama.cpp built for processors" if devices else "no GPU here: run on none"
    with capsys.disabled():
        print(f"\n  test_gpu: {said}")  # noqa: T201 - it must be seen
