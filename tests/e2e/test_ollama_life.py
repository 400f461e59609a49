"""The life of a model as Ollama's own SDKs ask for it, through the gateway to a real engine, and back to nothing."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from foz.testing import gguf
from foz.testing.process import Served, clean_environment, start_gateway, start_upstream
from foz.testing.raw import request
from foz.wire.http import Headers

ROOT = Path(__file__).parents[2]
ADMIN, USER = "the-key-of-the-administrator", "the-key-of-a-user"
NAME = "tiny:latest-q8_0"
HEADERS: Headers = ((b"content-type", b"application/json"), (b"authorization", b"Bearer " + ADMIN.encode()))


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A gateway that takes a registry's place for Ollama's."""
    folder = tmp_path_factory.mktemp("life")
    (folder / "goods/ollama/library/tiny").mkdir(parents=True)
    gguf.write(folder / "goods/ollama/library/tiny/latest-q8_0", gguf.SMALL)
    arguments = ("--folder", str(folder / "goods"), "--pace", "0.2")
    with start_upstream(folder / "hub", *arguments, program="foz.testing.hub") as hub:
        keys = f'[auth]\nadmin_key = "{ADMIN}"\napi_key = "{USER}"\n'
        config = f'[local]\nollama_registry = "{hub.url}"\nkeep_free = 1\n{keys}'
        with start_gateway(folder / "foz", config=config) as one:
            yield one


def _ran(command: list[str], **more: str) -> dict[str, Any]:
    environment = clean_environment({"OLLAMA_API_KEY": ADMIN, **more})
    ran = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=100, check=False)
    assert ran.returncode == 0, ran.stderr
    steps: dict[str, Any] = msgspec.json.decode(ran.stdout)
    return steps


def _is_a_pull(lines: list[dict[str, Any]]) -> None:
    """What was told on the way is what Ollama's programs draw their bars of, in its order."""
    statuses = list(dict.fromkeys(line["status"] for line in lines))
    assert [status for status in statuses if not status.startswith("pulling ")] == [
        "verifying sha256 digest", "loading model", "writing manifest", "success",
    ]  # fmt: skip
    assert statuses[0] == "pulling manifest"
    moved = [line for line in lines if "digest" in line]
    assert {line["status"] for line in moved} == {"pulling " + moved[0]["digest"].removeprefix("sha256:")[:12]}
    figures = [line["completed"] for line in moved]
    assert figures == sorted(figures)
    assert len(figures) > 1
    assert figures[-1] == moved[-1]["total"] > 400_000


def _kept(gateway: Served) -> list[str]:
    root = gateway.folder / "data/models"
    return [path.name for path in root.rglob("*") if path.is_file() and ".found" not in path.parts]


def test_a_life_through_the_python_sdk(gateway: Served) -> None:
    """An administrator pulls, asks, copies, makes anew with another context and deletes; a user may do none of it."""
    target = Path(sys.executable).parents[1] / "sdk/ollama"
    assert target.is_dir(), f"{target} is missing: run `make test`, which installs it"
    command = [sys.executable, "-m", "tests.e2e.sdk_ollama.lives", gateway.url, USER]
    steps = _ran(command, PYTHONPATH=f"{target}{os.pathsep}{ROOT}")

    assert steps["user"][0] == steps["users"][0] == 403
    _is_a_pull(steps["pulled"])
    assert steps["said"]
    assert steps["again"] == steps["there"] == steps["copied"] == "success"
    assert steps["twin"] == steps["said"]
    assert steps["created"][-1] == "success"
    assert steps["loaded"] == {NAME: 2048, "twin:latest": 2048, "short:latest": 512}
    assert steps["system"][0] == 400
    assert "system cannot be made part of a model" in steps["system"][1]
    assert steps["deleted"] == ["success"] * 3
    assert steps["shown"][0] == 404
    assert steps["nobody"] == [404, "model 'nobody' not found"]
    assert steps["unpulled"][0] == -1
    assert "There is no model ollama:library/nowhere:latest in the registry" in steps["unpulled"][1]
    assert steps["unpulled_whole"] == [502, steps["unpulled"][1]]
    assert steps["slashed"][0] == 400
    assert "'hf:someone/Model-GGUF'" in steps["slashed"][1]
    assert steps["pushed"] == [400, "Foz pushes no models: it sends no files to anybody"]
    assert NAME not in steps["listed"]
    assert _kept(gateway) == []


def test_a_life_through_the_node_sdk(gateway: Served) -> None:
    """Node's SDK pulls a model, asks it, copies it and deletes both."""
    node = shutil.which("node", path=f"{Path(sys.executable).parent}:{clean_environment()['PATH']}")
    assert node, "node is not installed: run `make test`, which installs it"
    steps = _ran([node, str(ROOT / "tests/node/ollama/lives.mjs"), gateway.url])

    _is_a_pull(steps["pulled"])
    assert steps["said"]
    assert steps["copied"] == "success"
    assert steps["deleted"] == ["success"] * 2
    assert steps["nobody"] == [404, f"model '{NAME}' not found"]


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "words"),
    [
        ("POST", "/api/pull", {}, 400, "model is required"),
        ("POST", "/api/pull", {"model": "x/../y"}, 400, "cannot be pulled"),
        ("POST", "/api/pull", {"model": "../../etc/passwd"}, 400, "cannot be pulled"),
        ("POST", "/api/pull", {"model": "a b"}, 400, "model_type: expected a word"),
        ("POST", "/api/pull", {"model": "x:..", "stream": False}, 400, "cannot be"),
        ("POST", "/api/copy", {"source": "nobody", "destination": "x"}, 404, "model 'nobody' not found"),
        ("POST", "/api/copy", {"source": "simulated", "destination": "x"}, 400, "is not run by this gateway"),
        ("DELETE", "/api/delete", {"model": "simulated"}, 400, "cannot be deleted here"),
        ("POST", "/api/create", {"model": "x"}, 400, "from is required"),
        ("POST", "/api/create", {"model": "x", "from": "y", "files": {"a": "b"}}, 400, "files cannot be made part"),
        ("POST", "/api/create", {"model": "x", "from": "y", "quantize": "q2_K"}, 400, "only q8_0 is made here"),
        ("POST", "/api/create", {"model": "x", "from": "y", "parameters": {"num_ctx": "z"}}, 400, "a whole number"),
        ("POST", "/api/create", {"model": "x", "from": "y", "parameters": {"num_ctx": 1}}, 400, "context: expected"),
    ],
)
def test_what_cannot_be_is_refused_at_once(
    gateway: Served, method: str, path: str, body: object, status: int, words: str
) -> None:
    """A name, a source or a wish that cannot be has its status and its reason before anything begins."""
    with gateway.connect() as connection:
        reply = connection.call(method, path, msgspec.json.encode(body), HEADERS)
    assert (reply.status, words in msgspec.json.decode(reply.body)["error"]) == (status, True), reply.body


def test_who_leaves_does_not_end_what_was_begun(gateway: Served) -> None:
    """A pull whose caller hangs up goes on, and the next one is told how it goes."""
    with gateway.connect() as connection:
        connection.send(request("POST", "/api/pull", msgspec.json.encode({"model": NAME}), HEADERS))
        connection.until(b"pulling manifest")
    with gateway.connect(60) as connection:
        lines = connection.call("POST", "/api/pull", msgspec.json.encode({"model": NAME}), HEADERS).body.splitlines()
        assert msgspec.json.decode(lines[-1]) == {"status": "success"}
        assert connection.call("DELETE", "/api/delete", msgspec.json.encode({"name": NAME}), HEADERS).status == 200
