"""The fake NVIDIA: the OpenAI SDK takes it for one over a real socket, and it counts what it makes."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from foz.testing.process import Upstream, clean_environment, start_upstream
from foz.wire.http import Headers

SDK = Path(sys.prefix) / "sdk/openai3"
PROGRAM = Path(__file__).with_name("nvidia_sdk.py")
KEY: Headers = ((b"authorization", b"Bearer nvapi-test"),)
THOUGHT = "The caller wants an answer."


@pytest.fixture(scope="module")
def fake(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Upstream]:
    with start_upstream(tmp_path_factory.mktemp("nvidia"), program="foz.testing.nvidia") as running:
        yield running


@pytest.fixture(scope="module")
def facts(fake: Upstream) -> dict[str, Any]:
    assert SDK.is_dir(), f"{SDK} is not there: `scripts/setup.sh test` installs it"
    done = subprocess.run(
        [sys.executable, str(PROGRAM), fake.url],
        env=clean_environment({"PYTHONPATH": str(SDK)}), capture_output=True, check=False, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr.decode()
    said: dict[str, Any] = msgspec.json.decode(done.stdout)
    assert said["version"].startswith("3.")
    return said


def test_models(facts: dict[str, Any]) -> None:
    """Its models are listed."""
    assert {"meta/llama-3.1-8b-instruct", "nvidia/nv-embedqa-e5-v5"} <= set(facts["models"])


@pytest.mark.parametrize("name", ["plain", "detailed off", "slash off", "template off"])
def test_who_does_not_think(facts: dict[str, Any], name: str) -> None:
    """A model that cannot think, and one that was told not to in the way of its generation, only answers."""
    said = facts[name]

    assert "🌊" in said["text"]
    assert THOUGHT not in said["text"]
    assert said["thoughts"] is None


@pytest.mark.parametrize(("name", "opens"), [("detailed", True), ("slash", True), ("closing", False)])
def test_thoughts_in_the_text(facts: dict[str, Any], name: str, opens: bool) -> None:
    """Older generations think in the text, with both tags or only the closing one."""
    text = facts[name]["text"]
    thoughts, closed, answer = text.partition("</think>")

    assert THOUGHT in thoughts
    assert thoughts.startswith("<think>") is opens
    assert closed
    assert "🌊" in answer


@pytest.mark.parametrize("name", ["template", "super", "streamed", "streamed super"])
def test_thoughts_in_a_field(facts: dict[str, Any], name: str) -> None:
    """Newer generations think in a field of their own, of one name or the other, whole and in single bytes."""
    said = facts[name]

    assert THOUGHT in said["thoughts"]
    assert "🌊" in said["text"]
    assert "think>" not in said["text"]


def test_a_stream_ends_with_its_count(facts: dict[str, Any]) -> None:
    """Each stream that asked for usage ends with it."""
    assert all(facts[name]["usage"] > 5 for name in ("streamed", "streamed super", "streamed closing"))


def test_embeddings(facts: dict[str, Any]) -> None:
    """A question lies elsewhere than a passage of the same words; a name's end says which it is."""
    assert facts["embeddings"] == {"differ": True, "named": True, "symmetric": 384}


@pytest.mark.parametrize(
    ("name", "kind", "words"),
    [
        ("400", "BadRequestError", "urn:inference-service:problem-details:bad-request"),
        ("401", "AuthenticationError", "Unauthorized"),
        ("402", "APIStatusError", "Payment Required"),
        ("404", "NotFoundError", "Not Found"),
        ("429", "RateLimitError", "Too Many Requests"),
        ("500", "InternalServerError", "problem-details"),
        ("key", "AuthenticationError", "Authentication failed"),
        ("stream", "APIError", "simulated"),
        ("side", "BadRequestError", "'input_type' parameter is required"),
    ],
)
def test_failures(facts: dict[str, Any], name: str, kind: str, words: str) -> None:
    """Each refusal becomes the SDK's own exception for it, in the form of the host that gives it."""
    raised = facts["failures"][name]

    assert raised[0] == kind
    assert words in raised[1]


def sent(fake: Upstream, method: str, path: str, body: object = None, *headers: tuple[bytes, bytes]) -> Any:
    with fake.connect() as connection:
        return connection.call(method, path, b"" if body is None else msgspec.json.encode(body), (*KEY, *headers))


def test_a_call_is_put_off_and_then_answered(fake: Upstream) -> None:
    """A model that is slow to start answers 202 with an id and no body; the id gives 202 once more, then the answer."""
    asked = {"model": "mistralai/mixtral-8x22b-instruct-v0.1", "messages": [{"role": "user", "content": "Rivers?"}]}
    first = sent(fake, "POST", "/v1/chat/completions", asked)
    id = dict(first.headers)[b"nvcf-reqid"].decode()
    again, answer = (sent(fake, "GET", f"/v2/nvcf/pexec/status/{id}") for _ in range(2))

    assert [reply.status for reply in (first, again, answer)] == [202, 202, 200]
    assert first.body == b""
    assert b"Rivers?" in answer.body
    assert sent(fake, "GET", f"/v2/nvcf/pexec/status/{id}").status == 404


@pytest.mark.parametrize("stream", [False, True])
def test_it_counts_what_it_makes(fake: Upstream, stream: bool) -> None:
    """The tokens that the fake says it made are those of the usage that it tells, thoughts and all."""
    id = b"counted-%d" % stream
    asked = {
        "model": "nvidia/nvidia-nemotron-nano-9b-v2",
        "messages": [{"role": "user", "content": "Rivers?"}],
        "stream": stream,
        **({"stream_options": {"include_usage": True}} if stream else {}),
    }
    body = sent(fake, "POST", "/v1/chat/completions", asked, (b"x-request-id", id)).body
    data = body.strip().split(b"\n\n")[-2].removeprefix(b"data: ") if stream else body
    usage = msgspec.json.decode(data)["usage"]
    (made,) = [one for one in fake.seen()["produced"] if one["request_id"] == id.decode()]

    assert (made["input"], made["output"], made["whole"]) == (usage["prompt_tokens"], usage["completion_tokens"], True)
