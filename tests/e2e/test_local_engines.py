"""Other engines than llama.cpp behind a real gateway: vLLM by its stand-in, a real program on a real socket."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from foz.runtime.keeper import family
from foz.testing import gguf, safetensors, vllm
from foz.testing.process import Served, start_gateway

JSON = ((b"content-type", b"application/json"),)
CONFIG = """
[local]
tiny = false
vllm = "{program}"
vllm_on_cpu = true
"""


def _call(gateway: Served, method: str, path: str, body: object = None) -> tuple[int, Any]:
    with gateway.connect(30) as connection:
        sent = b"" if body is None else msgspec.json.encode(body)
        reply = connection.call(method, path, sent, JSON)
    return reply.status, msgspec.json.decode(reply.body)


def _over(gateway: Served, body: object) -> Any:
    """Deploys, and waits until that is over."""
    status, told = _call(gateway, "POST", "/models/local/deploy", body)
    assert status == 200, told
    found: dict[str, Any] = {}

    def over() -> bool:
        found.update(_call(gateway, "GET", told["data"]["progress_url"])[1]["data"])
        return str(found["status"]) != "in_progress"

    gateway.wait_for(over, "the deployment to be over")
    return found


def _said(gateway: Served, model: str) -> tuple[int, Any]:
    messages = [{"role": "user", "content": "Hello!"}]
    return _call(gateway, "POST", "/v1/chat/completions", {"model": model, "messages": messages})


def _deployment(gateway: Served, model: str) -> Any:
    return _call(gateway, "GET", f"/models/local/{model}")[1]["data"]


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A gateway with a model as GGUF and one as safetensors, and vLLM's stand-in as its build for processors."""
    folder = tmp_path_factory.mktemp("gateway")
    models = folder / "data" / "models"
    models.mkdir(parents=True)
    (folder / "data").chmod(0o700)
    gguf.write(models / "small.gguf", gguf.SMALL)
    safetensors.write(models / "tensors")
    safetensors.write(models / "awq", quantization_config={"quant_method": "awq", "bits": 4})
    safetensors.write(models / "large", stand_in="memory")
    with start_gateway(folder, config=CONFIG.format(program=vllm.install(folder))) as one:
        yield one


def test_safetensors_are_run_by_vllm(gateway: Served) -> None:
    """A folder of safetensors is deployed with vLLM, answers under its name, is shown, and unloaded ends all of it."""
    over = _over(gateway, {"model_type": "tensors", "source": "tensors", "deployment_config": {"max_batch_size": 2}})
    assert (over["status"], over["progress"]) == ("completed", 100)
    assert any(line["message"].startswith("vllm needs ") for line in over["logs"])
    status, said = _said(gateway, "tensors")
    assert (status, said["model"]) == (200, "tensors")
    shown = _deployment(gateway, "tensors")["deployment"]
    assert (shown["engine"], shown["health"], shown["quantization"]) == ("vllm", "healthy", "fp16")
    kept = _keepers(gateway)
    assert len(kept) == 1
    assert _call(gateway, "DELETE", "/models/local/tensors")[0] == 200
    gateway.wait_for(lambda: not any(map(_lives, kept)), "vLLM to be gone")
    assert (gateway.folder / "data/models/tensors/config.json").exists()


def test_killed_vllm_comes_back(gateway: Served) -> None:
    """VLLM killed with SIGKILL is noticed, told with its signal, and tried again at once when asked; nobody is left."""
    deployed = _over(gateway, {"model_type": "awq", "source": "awq", "quantization": "int4"})
    (keeper,) = _keepers(gateway)
    (program,) = _children(keeper)
    os.kill(program, signal.SIGKILL)
    gateway.wait_for(lambda: not _lives(keeper), "the keeper to end")
    path = f"/models/local/deployments/{deployed['deployment_id']}"

    def told() -> bool:
        return "ended by signal 9" in str(_call(gateway, "GET", path)[1]["data"].get("error"))

    gateway.wait_for(told, "the end to be told")
    assert _call(gateway, "POST", f"{path}/retry")[0] == 200
    gateway.wait_for(lambda: _said(gateway, "awq")[0] == 200, "it to answer again")
    assert _deployment(gateway, "awq")["deployment"]["quantization"] == "int4"
    assert _call(gateway, "DELETE", "/models/local/awq")[0] == 200
    gateway.wait_for(lambda: not _keepers(gateway), "vLLM to be gone")


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"source": "small.gguf", "engine": "vllm"}, "vllm cannot run a GGUF file"),
        ({"source": "tensors", "engine": "sglang"}, "There are: llama.cpp, vllm"),
        ({"source": "tensors", "deployment_config": {"use_kv_cache": False}}, "use_kv_cache"),
        ({"source": "tensors", "deployment_config": {"tensor_parallel_size": 2}}, "this machine has no GPU"),
    ],
)
def test_what_an_engine_cannot_is_refused_at_once(gateway: Served, body: dict[str, object], words: str) -> None:
    """A wish that no engine, or not the named one, can fulfil is refused with 400 and the reason."""
    status, said = _call(gateway, "POST", "/models/local/deploy", {"model_type": "no", **body})
    assert status == 400, said
    assert words in said["message"]


@pytest.mark.parametrize(
    ("body", "stage", "words"),
    [
        ({"source": "tensors", "engine": "llama.cpp"}, "preparation", "llama.cpp cannot run safetensors"),
        ({"source": "tensors", "quantization": "int8"}, "model_loading", "vLLM makes int4 of 16 bits"),
        ({"source": "large"}, "model_loading", "torch.OutOfMemoryError"),
    ],
)
def test_what_cannot_be_loaded_fails_with_the_reason(
    gateway: Served, body: dict[str, object], stage: str, words: str
) -> None:
    """What is found out on the way is a failed deployment that says at which stage and why; the gateway serves on."""
    over = _over(gateway, {"model_type": "bad", **body})
    assert (over["status"], over["current_stage"]) == ("failed", stage)
    assert words in over["error"]
    assert _call(gateway, "DELETE", "/models/local/bad")[0] == 200
    gateway.wait_for(lambda: _call(gateway, "GET", "/models/local/bad")[0] == 404, "it to be gone")
    assert not _keepers(gateway)


def test_doctor_says_which_engines_can_run(gateway: Served) -> None:
    """`foz doctor` names each engine with what it runs and on what, or why it cannot."""
    environment = {**gateway.environment, "FOZ_DATA": str(gateway.folder / "data")}

    def told(more: dict[str, str]) -> dict[str, str]:
        ran = subprocess.run(
            (sys.executable, "-m", "foz", "doctor", "--offline", "--json"),
            cwd=gateway.folder, env={**environment, **more}, capture_output=True, check=False, timeout=60,
        )  # fmt: skip
        return {finding["topic"]: finding["what"] + finding["todo"] for finding in msgspec.json.decode(ran.stdout)}

    found = told({})
    assert found["engine llama.cpp"].startswith("llama.cpp runs GGUF files here")
    assert found["engine vllm"].startswith("vllm runs safetensors here")
    assert "no GPU" in told({"FOZ_LOCAL_VLLM_ON_CPU": "false"})["engine vllm"]
    assert "no program 'no-vllm'" in told({"FOZ_LOCAL_VLLM": "no-vllm"})["engine vllm"]


def _children(pid: int) -> list[int]:
    return [child for child, parent in family().items() if parent == pid]


def _command(pid: int) -> bytes:
    """Nothing, where it is no more."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


def _lives(pid: int) -> bool:
    return _command(pid) != b""


def _keepers(gateway: Served) -> list[int]:
    """The programs that keep a vLLM for this gateway."""
    found = [pid for child in (gateway.pid, *_children(gateway.pid)) for pid in _children(child)]
    return [pid for pid in found if b"foz.runtime.keeper" in _command(pid)]
