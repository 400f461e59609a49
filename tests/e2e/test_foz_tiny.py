"""A fresh gateway with nothing configured: the model that comes with Foz answers by a real engine, on each face."""

import re
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from foz.assembly.shelf import built_in
from foz.canon.deployment import TINY
from foz.testing.process import Served, start_gateway
from tests.e2e.deploying import batched, call, data, engines

GREETINGS = {"Hello!": "Hello!", "Olá!": "Olá!", "你好": "你好"}
"""What is said, and how the answer begins."""
TIMES = 5

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A gateway without any configuration, once its first model runs."""
    assert TINY in built_in()
    with start_gateway(tmp_path_factory.mktemp("fresh"), environment={"FOZ_LOCAL_TINY": "true"}) as one:
        one.wait_for(lambda: TINY in _names(one), "foz-tiny to run", 20)
        yield one


def _names(gateway: Served) -> list[str]:
    return [one["id"] for one in call(gateway, "GET", "/v1/models")[1]["data"]]


def _asked(gateway: Served, path: str, body: dict[str, Any], status: int = 200) -> Any:
    got, said = call(gateway, "POST", path, body)
    assert got == status, said
    return said


def _chat(words: str) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": words}], "temperature": 0}


def _openai(gateway: Served, words: str) -> str:
    said = _asked(gateway, "/v1/chat/completions", {"model": TINY, **_chat(words)})
    assert said["model"] == TINY
    return str(said["choices"][0]["message"]["content"])


def _model_api(gateway: Served, words: str) -> str:
    said = _asked(gateway, f"/models/{TINY}/chat/completions", _chat(words))["data"]
    assert said["model"] == TINY
    return str(said["choices"][0]["message"]["content"])


def _ollama_host(gateway: Served, words: str) -> str:
    """Its bodies have no word for the temperature."""
    said = _asked(gateway, "/api/v1/ai/ask_sync", {"agent": TINY, "content": words})
    return bytes(said).decode()


def _nemotron(gateway: Served, words: str) -> str:
    """A job that names no model."""
    job = _asked(gateway, "/chat?mode=gpu", {"message": words, "temperature": 0}, 202)["job_id"]
    found = call(gateway, "GET", f"/chat/status/{job}?wait=20&until=end")[1]
    assert (found["status"], found["result"]["mode"]) == ("completed", "gpu")
    return str(found["result"]["response"])


FACES: list[Callable[[Served, str], str]] = [_openai, _nemotron, _ollama_host, _model_api]


@pytest.mark.parametrize("words", GREETINGS)
def test_all_four_faces_give_one_answer(gateway: Served, words: str) -> None:
    """A greeting in each of its languages is answered in that language, by the same words on each face each time."""
    (answer,) = {face(gateway, words) for face in FACES for _ in range(TIMES)}
    assert answer.startswith(GREETINGS[words])
    assert TINY in answer


def test_a_real_engine_has_made_the_tokens(gateway: Served) -> None:
    """One engine runs, which has counted the tokens of every answer; they cost nothing."""
    before = batched(gateway, TINY).decodes
    said = _asked(gateway, "/v1/chat/completions", {"model": TINY, **_chat("Hello!")})
    assert batched(gateway, TINY).decodes - before >= said["usage"]["completion_tokens"] > 5
    assert len(engines(gateway)) == 1
    shown = data(gateway, "GET", f"/models/local/{TINY}")
    assert (shown["status"], shown["deployment"]["health"], shown["deployment"]["engine"]) == (
        "active",
        "healthy",
        "llama.cpp",
    )
    assert data(gateway, "GET", f"/models/{TINY}")["pricing"]["output_per_1k_tokens"] == 0


def test_the_curl_line_of_the_readme_works(gateway: Served) -> None:
    """The curl line of README.md, but for the port, is answered by foz-tiny."""
    (line,) = re.findall(r"^curl (?:.*\\\n)*.*$", (ROOT / "README.md").read_text(), re.MULTILINE)
    typed = line.replace("http://127.0.0.1:8000", gateway.url)
    assert typed != line
    ran = subprocess.run(["sh", "-c", typed], capture_output=True, check=True)
    answer: Any = msgspec.json.decode(ran.stdout)
    assert answer["model"] == TINY
    assert answer["choices"][0]["message"]["content"]


def test_the_greeting_names_it(gateway: Served) -> None:
    """What `foz serve` says at its start lists foz-tiny and gives a line to try it."""
    gateway.wait_for(lambda: "Models: foz-tiny" in gateway.stdout, "the greeting")
    assert '{"model":"foz-tiny"' in gateway.stdout


def test_it_is_the_only_one_that_is_listed(gateway: Served) -> None:
    """With nothing configured the list has foz-tiny, and the simulated model no more."""
    assert _names(gateway) == [TINY]


def test_who_unloads_it_has_unloaded_it(gateway: Served) -> None:
    """Unloaded, it is gone, and the next start does not bring it back."""
    assert call(gateway, "DELETE", f"/models/local/{TINY}")[0] == 200
    gateway.wait_for(lambda: TINY not in _names(gateway), "foz-tiny to be gone")
    gateway.stop()
    with start_gateway(gateway.folder, environment={"FOZ_LOCAL_TINY": "true"}) as again:
        assert len(data(again, "GET", "/models/local/deployments")["deployments"]) == 1
        assert _names(again) == ["simulated"]


def _greeted(folder: Path, number: int) -> Served:
    """A gateway that has said so many greetings in this folder, the last of them true, once foz-tiny runs."""
    one = start_gateway(folder, environment={"FOZ_LOCAL_TINY": "true"})
    try:
        one.wait_for(lambda: one.stdout.count("Models: ") == number, "the greeting")
        assert re.search(r"Models: foz-tiny( \(starting\))?$", one.stdout.rpartition("\nTry:")[0])
        one.wait_for(lambda: TINY in _names(one), "foz-tiny to run")
    except BaseException:
        one.stop()
        raise
    return one


def test_each_greeting_is_true(tmp_path: Path) -> None:
    """After a kill and after a stop too the greeting says that foz-tiny is there or starting, never that it failed."""
    _greeted(tmp_path, 1).kill()
    _greeted(tmp_path, 2).stop()
    _greeted(tmp_path, 3).stop()
