"""The fake Hugging Face: its own client takes it for one over a real socket, and it counts what it makes."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from foz.testing.process import Upstream, clean_environment, start_upstream
from foz.wire.http import Headers

SDK = Path(sys.prefix) / "sdk/huggingface"
PROGRAM = Path(__file__).with_name("huggingface_sdk.py")
NEO = "/hf-inference/models/EleutherAI/gpt-neo-2.7B"
KEY: Headers = ((b"authorization", b"Bearer hf_test"),)


@pytest.fixture(scope="module")
def fake(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Upstream]:
    with start_upstream(tmp_path_factory.mktemp("huggingface"), program="foz.testing.huggingface") as running:
        yield running


@pytest.fixture(scope="module")
def facts(fake: Upstream, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    assert SDK.is_dir(), f"{SDK} is not there: `scripts/setup.sh test` installs it"
    home = str(tmp_path_factory.mktemp("home"))
    environment = clean_environment(
        {"PYTHONPATH": str(SDK), "HF_ENDPOINT": fake.url, "HF_HOME": home, "HF_HUB_DISABLE_TELEMETRY": "1"}
    )
    done = subprocess.run(
        [sys.executable, str(PROGRAM), fake.url], env=environment, capture_output=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr.decode()
    said: dict[str, Any] = msgspec.json.decode(done.stdout)
    assert said["version"].startswith("2.")
    return said


def test_chat(facts: dict[str, Any]) -> None:
    """The router answers a model with a provider's suffix under the model's name, whole and counted."""
    chat = facts["chat"]

    assert "Hello there 🌊" in chat["text"]
    assert (chat["reason"], chat["model"]) == ("stop", "meta-llama/Llama-3.1-8B-Instruct")
    assert chat["usage"] > 2


def test_chat_stream(facts: dict[str, Any]) -> None:
    """A stream whose every byte comes alone, in the middle of an emoji too, is the whole answer, and its usage."""
    stream = facts["chat_stream"]

    assert len(stream["pieces"]) > 5
    assert "Hello there 🌊" in "".join(stream["pieces"])
    assert stream["usage"] > 2


def test_generation(facts: dict[str, Any]) -> None:
    """TGI's details come as the client's own types, the stop text stays in the answer, and others answer plainly."""
    told = facts["generation"]

    assert told["reason"] == "stop_sequence"
    assert told["text"].endswith("simulated")
    assert told["told"] == told["text"]
    assert told["tokens"] >= 2
    assert told["plain"]


def test_a_refused_parameter_is_understood(facts: dict[str, Any]) -> None:
    """The client reads which parameter a server without TGI refuses, and asks again without it."""
    assert "simulated model" in facts["generation"]["repeated"]


def test_generation_stream(facts: dict[str, Any]) -> None:
    """Tokens come one by one; the last has the whole text and how it ended."""
    stream = facts["generation_stream"]

    assert "".join(stream["pieces"]) == stream["text"]
    assert (stream["reason"], stream["tokens"], len(stream["pieces"])) == ("length", 6, 6)


def test_features(facts: dict[str, Any]) -> None:
    """A pooling model gives a vector, another one for each token."""
    assert facts["features"] == {"one": [16], "tokens": [1, 3, 16]}


@pytest.mark.parametrize(
    ("name", "kind", "status", "words"),
    [
        ("400", "BadRequestError", 400, "simulated"),
        ("422", "ValidationError", None, "top_p"),
        ("404", "RepositoryNotFoundError", 404, "does not exist"),
        ("hub", "RepositoryNotFoundError", 401, ""),
        ("429", "OverloadedError", None, "simulated"),
        ("500", "IncompleteGenerationError", None, "simulated"),
        ("loading", "HfHubHTTPError", 503, ""),
        ("stream", "GenerationError", None, "simulated"),
        ("key", "HfHubHTTPError", 401, "Invalid username or password"),
        ("router", "BadRequestError", 400, "not supported by any provider"),
    ],
)
def test_failures(facts: dict[str, Any], name: str, kind: str, status: int | None, words: str) -> None:
    """Each refusal becomes the client's own exception for it, in the middle of a stream too."""
    raised = facts["failures"][name]

    assert raised[0] == kind
    assert status is None or raised[1] == status
    assert words in raised[2]


def sent(fake: Upstream, path: str, body: object, *headers: tuple[bytes, bytes]) -> tuple[int, Any]:
    """A raw call, and what it came to; a body that is no JSON as bytes."""
    with fake.connect() as connection:
        reply = connection.call("POST", path, msgspec.json.encode(body), (*KEY, *headers))
    try:
        return reply.status, msgspec.json.decode(reply.body)
    except msgspec.DecodeError:
        return reply.status, reply.body


def made(fake: Upstream, id: bytes) -> tuple[int, int, bool]:
    """The tokens that the fake says it made for a call."""
    (one,) = [one for one in fake.seen()["produced"] if one["request_id"] == id.decode()]
    return one["input"], one["output"], one["whole"]


@pytest.mark.parametrize("stream", [False, True])
def test_it_counts_what_it_makes(fake: Upstream, stream: bool) -> None:
    """The tokens that the fake says it made are those that TGI's details tell, streamed and whole."""
    id = b"counted-%d" % stream
    asked = {"inputs": "The river", "parameters": {"details": True, "max_new_tokens": 7}, "stream": stream}
    _, said = sent(fake, NEO, asked, (b"x-request-id", id))

    if stream:
        last = msgspec.json.decode(said.strip().rpartition(b"\n\ndata:")[2])
        assert (last["details"]["generated_tokens"], last["details"]["input_length"]) == (7, 2)
    else:
        assert said[0]["details"]["generated_tokens"] == 7
    assert made(fake, id) == (2, 7, True)


def test_it_counts_what_left_before_it_broke(fake: Upstream) -> None:
    """A stream that breaks off with an error after three tokens has made three, and is not whole."""
    asked = {"inputs": "The river", "stream": True}
    _, said = sent(fake, NEO, asked, (b"x-request-id", b"broken"), (b"x-simulate-error", b"3"))

    assert said.count(b"data:") == 4
    assert made(fake, b"broken") == (2, 3, False)


@pytest.mark.parametrize(
    ("path", "body", "status", "expected"),
    [
        (NEO, {"inputs": "a", "parameters": {"temperature": 0}}, 422, "validation"),
        (NEO, {"inputs": "a", "parameters": {"temperature": "hot"}}, 422, "type"),
        (NEO, {"inputs": "a", "parameters": {"top_n_tokens": "many"}}, 422, "type"),
        (NEO, {"inputs": "a", "parameters": {"stop": 5}}, 422, "type"),
        (NEO, {"inputs": ""}, 422, "empty"),
        (NEO, {"input": "a"}, 422, "deserialize"),
        (NEO + "/v2", {"inputs": "a"}, 404, "Not Found"),
        ("/hf-inference/models/acme/none", {"inputs": "a"}, 404, "does not exist"),
        ("/hf-inference/models/google/flan-t5-base", {"inputs": "a", "parameters": {"return_full_text": False}}, 400,
         "return_full_text"),
        (NEO + "/pipeline/feature-extraction", {"inputs": "a"}, 400, "not supported for task"),
        ("/hf-inference/models/BAAI/bge-small-en-v1.5/pipeline/feature-extraction", {"inputs": 1}, 422, "validation"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_refused(fake: Upstream, path: str, body: object, status: int, expected: str) -> None:
    """Wrong parameters, paths and models are refused as the real servers do it."""
    got, said = sent(fake, path, body)

    assert got == status
    assert expected in str(said)


def test_a_dedicated_endpoint_is_at_the_root(fake: Upstream) -> None:
    """The endpoint of one model answers at its own URL, with the prompt in front unless told not to."""
    _, said = sent(fake, "/", {"inputs": "The river", "parameters": {"max_new_tokens": 2}})

    assert said[0]["generated_text"].startswith("The river")
