"""Models of servers that Foz does not run, deployed behind a real gateway: Ollama, and one of OpenAI's dialect."""

import subprocess
import sys
from collections.abc import Iterator
from typing import Any, NamedTuple

import msgspec
import pytest

from foz.testing.process import Served, Upstream, start_gateway, start_upstream
from tests.e2e.test_local_engines import _call, _deployment, _over, _said

CONFIG = """
[local]
tiny = false

[local.sources]
house = "provider:box/simulated"

[[provider]]
name = "box"
base_url = "{box}/v1"
placement = "gpu"

[[provider]]
name = "bought"
base_url = "{box}/v1"
placement = "api"

[[provider]]
name = "ollama"
base_url = "{ollama}"

[[model]]
name = "both"
targets = ["local/house", "bought/simulated"]
"""


PIXEL = "data:image/png;base64,iVBORw0KGgo="


class Town(NamedTuple):
    """A gateway and the servers that it knows."""

    gateway: Served
    box: Upstream
    ollama: Upstream


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Town]:
    """All of them."""
    folder = tmp_path_factory.mktemp("town")
    with (
        start_upstream(folder / "box") as box,
        start_upstream(folder / "ollama", program="foz.testing.ollama") as ollama,
        start_gateway(folder / "foz", config=CONFIG.format(box=box.url, ollama=ollama.url)) as gateway,
    ):
        yield Town(gateway, box, ollama)


def test_a_model_of_a_server_of_openais_dialect_is_deployed(town: Town) -> None:
    """It answers by its own name through its provider, and as a first target, follows no links, and is forgotten."""
    over = _over(town.gateway, {"model_type": "house"})
    assert (over["status"], over["progress"]) == ("completed", 100)
    assert _said(town.gateway, "house")[0] == 200
    shown = _deployment(town.gateway, "house")["deployment"]
    assert (shown["engine"], shown["health"]) == ("openai", "healthy")
    assert (shown["hardware"], shown["memory_usage"], shown["quantization"]) == (None, None, None)
    assert _said(town.gateway, "both")[0] == 200
    assert _shown(town.gateway, "house", PIXEL)[0] == 200
    for model in ("house", "box/simulated"):
        status, said = _shown(town.gateway, model, "http://169.254.169.254/")
        assert (status, "cannot do links" in said["error"]["message"]) == (400, True), said
    assert _shown(town.gateway, "both", "http://169.254.169.254/")[0] == 200  # of the vendor
    paths = [path for path, *_ in town.box.logged()]
    assert paths.count("/v1/chat/completions") == 5  # a probe and four calls
    assert _call(town.gateway, "DELETE", "/models/local/house")[0] == 200
    town.gateway.wait_for(lambda: _said(town.gateway, "house")[0] == 404, "it to be forgotten")
    assert _said(town.gateway, "both")[0] == 200


def test_a_model_of_an_ollama_server_is_pulled_and_let_go(town: Town) -> None:
    """The server fetches it, holds it while it is deployed, answers for it, and lets go of it when it is unloaded."""
    body = {"model_type": "little", "source": "provider:ollama/simulated-small"}
    over = _over(town.gateway, body)
    assert (over["status"], over["progress"]) == ("completed", 100)
    assert _said(town.gateway, "little")[0] == 200
    shown = _deployment(town.gateway, "little")["deployment"]
    assert (shown["engine"], shown["quantization"], shown["memory_usage"]) == ("ollama", "int4", "977KB")
    assert "simulated-small:latest" in _loaded(town.ollama)
    assert _call(town.gateway, "DELETE", "/models/local/little?purge=true")[0] == 200
    town.gateway.wait_for(lambda: "simulated-small:latest" not in _loaded(town.ollama), "it to be let go")


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        ({"source": "provider:bought/simulated"}, 400, "it is a vendor's"),
        ({"source": "provider:nobody/simulated"}, 404, "models can be deployed from box, "),
        ({"source": "provider:box/simulated", "engine": "llama.cpp"}, 400, "is reached as openai"),
        ({"source": "provider:box/simulated", "deployment_config": {"max_batch_size": 2}}, 400, "max_batch_size"),
        ({"source": "http://127.0.0.1:1/v1"}, 400, "an address of the web is none of them"),
    ],
)
def test_what_cannot_be_deployed_is_refused_at_once(
    town: Town, body: dict[str, object], status: int, words: str
) -> None:
    """A vendor, an unknown server, an address, another engine, a field of the server's: refused with the reason."""
    found, said = _call(town.gateway, "POST", "/models/local/deploy", {"model_type": "no", **body})
    assert (found, words in said["message"]) == (status, True), said


def test_a_model_that_is_not_there_fails_with_those_that_are(town: Town) -> None:
    """A name that the server does not list is a failed deployment which says what it lists."""
    over = _over(town.gateway, {"model_type": "none", "source": "provider:box/no-such"})
    assert (over["status"], over["current_stage"]) == ("failed", "preparation")
    assert "It has: simulated" in over["error"]
    assert _call(town.gateway, "DELETE", "/models/local/none")[0] == 200


def test_doctor_says_from_whom_models_can_be_deployed(town: Town) -> None:
    """`foz doctor` names the servers of each dialect, vendors not among them."""
    ran = subprocess.run(
        (sys.executable, "-m", "foz", "doctor", "--offline", "--json"),
        cwd=town.gateway.folder, env={**town.gateway.environment}, capture_output=True, check=False, timeout=60,
    )  # fmt: skip
    found = {finding["topic"]: finding["what"] for finding in msgspec.json.decode(ran.stdout)}
    assert found["engine ollama"] == "models of Ollama servers can be deployed: provider:ollama/..."
    assert "provider:box/..." in found["engine openai"]
    assert "bought" not in found["engine openai"]


def _shown(gateway: Served, model: str, url: str) -> tuple[int, dict[str, Any]]:
    """What it says of a picture."""
    content = [{"type": "image_url", "image_url": {"url": url}}]
    body = {"model": model, "messages": [{"role": "user", "content": content}]}
    return _call(gateway, "POST", "/v1/chat/completions", body)


def _loaded(server: Upstream) -> list[str]:
    with server.connect() as connection:
        rows = msgspec.json.decode(connection.call("GET", "/api/ps").body)["models"]
    return [row["model"] for row in rows]
