"""`foz deploy`, `deployments` and `unload` beside a gateway that runs, and while none does."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from foz.testing import gguf
from foz.testing.process import Served, clean_environment, start_gateway


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A gateway with a file in its folder of models."""
    folder = tmp_path_factory.mktemp("gateway")
    _prepare(folder)
    with start_gateway(folder) as one:
        yield one


def _prepare(folder: Path) -> None:
    models = folder / "data" / "models"
    models.mkdir(parents=True)
    (folder / "data").chmod(0o700)
    gguf.write(models / "small.gguf", gguf.SMALL)


def _foz(folder: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    environment = clean_environment({"FOZ_DATA": str(folder / "data"), "HOME": str(folder)})
    command = (sys.executable, "-m", "foz", *arguments)
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=60, check=False)


def _listed(folder: Path, *arguments: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = msgspec.json.decode(_foz(folder, "deployments", "--json", *arguments).stdout)
    return found


def test_a_model_from_its_deployment_to_its_end(gateway: Served) -> None:
    """`foz deploy` waits until the model runs, `deployments` shows it, `unload` waits until it is gone."""
    made = _foz(gateway.folder, "deploy", "small", "--source", "small.gguf", "--set", "max_batch_size=2")
    assert made.returncode == 0, made.stderr
    assert made.stdout.startswith("small runs on this machine (deploy-")
    assert "model_loading" in made.stderr
    assert "1/1 bytes" not in made.stderr
    (one,) = _listed(gateway.folder)
    assert (one["model_id"], one["status"], one["progress"], one["healthy"]) == ("small", "completed", 100, True)
    assert one["memory"] > 10_000_000
    ended = _foz(gateway.folder, "unload", "small")
    assert (ended.returncode, ended.stdout) == (0, "small is unloaded.\n")
    assert _listed(gateway.folder) == []
    assert [one["wanted"] for one in _listed(gateway.folder, "--all")] == ["unloaded"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("deploy", "bad", "--source", "nope.gguf"), "There is no file 'nope.gguf'"),
        (("deploy", "bad", "--source", "../foz.db"), "a plain path under the folder of models was expected"),
        (("deploy", "bad", "--source", "small.gguf", "--set", "speed=1"), "unknown field `speed`"),
        (("deploy", "bad", "--source", "small.gguf", "--set", "use_kv_cache=false"), "engine always keeps"),
        (("unload", "nobody"), "There is no local model 'nobody'"),
    ],
)
def test_what_cannot_be_is_told_in_a_line(gateway: Served, arguments: tuple[str, ...], words: str) -> None:
    """What cannot be done ends with exit code 1 and the reason, without a traceback."""
    found = _foz(gateway.folder, *arguments)
    assert found.returncode == 1
    assert words in found.stdout + found.stderr
    assert "Traceback" not in found.stderr


def test_without_a_gateway_it_waits_for_one(tmp_path: Path) -> None:
    """A deployment that is asked for while no gateway runs is made by the next one."""
    _prepare(tmp_path)
    made = _foz(tmp_path, "deploy", "small", "--source", "small.gguf")
    assert made.returncode == 0
    assert "No gateway runs here now" in made.stderr
    with start_gateway(tmp_path) as gateway:
        gateway.wait_for(lambda: _listed(tmp_path)[0]["status"] == "completed", "the model to run")
