"""The official OpenAI SDK, in its two newest major versions, speaks with the simulated upstream over a real socket."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from foz.testing.process import Upstream, clean_environment, start_upstream

SDKS = Path(sys.prefix) / "sdk"
PROGRAM = Path(__file__).with_name("openai_sdk.py")


@pytest.fixture(scope="module")
def upstream(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Upstream]:
    with start_upstream(tmp_path_factory.mktemp("upstream")) as running:
        yield running


@pytest.fixture(scope="module", params=["openai2", "openai3"])
def facts(request: pytest.FixtureRequest, upstream: Upstream) -> dict[str, Any]:
    sdk = SDKS / request.param
    assert sdk.is_dir(), f"{sdk} is not there: `scripts/setup.sh test` installs it"
    environment = clean_environment()
    environment["PYTHONPATH"] = f"{sdk}:{environment['PYTHONPATH']}"
    ran = subprocess.run(
        [sys.executable, str(PROGRAM), f"{upstream.url}/v1", "simulated"],
        env=environment, capture_output=True, check=False, timeout=60,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr.decode()
    said: dict[str, Any] = msgspec.json.decode(ran.stdout)
    assert said["version"].startswith(f"{request.param[-1]}.")
    return said


def test_chat(facts: dict[str, Any]) -> None:
    """Two choices come whole, with usage, reasons and the request id."""
    chat = facts["chat"]

    assert len(set(chat["texts"])) == 2
    assert all("Hello there" in text for text in chat["texts"])
    assert chat["reasons"] == ["stop", "stop"]
    assert chat["usage"] > 2
    assert chat["request_id"]


def test_stream(facts: dict[str, Any]) -> None:
    """A stream comes in many pieces and ends with its usage."""
    stream = facts["stream"]

    assert "Hello there" in "".join(stream["pieces"])
    assert len(stream["pieces"]) > 5
    assert stream["usage"] > 2


def test_tools(facts: dict[str, Any]) -> None:
    """Parallel calls come with arguments of the prompt, whole and streamed, and their results are answered in text."""
    wanted = [{"location": "Paris"}, {"location": "Tokyo"}]

    assert facts["tools"]["reason"] == "tool_calls"
    assert facts["tools"]["arguments"] == wanted
    assert facts["streamed_tools"]["arguments"] == wanted
    assert "22 degrees" in facts["tools"]["text"]


def test_structured_output(facts: dict[str, Any]) -> None:
    """The SDK's own parser makes the caller's class of the answer."""
    assert facts["structured"]["person"] == {"name": "Ada", "age": 36}


def test_reasoning_and_logprobs(facts: dict[str, Any]) -> None:
    """Reasoning is counted; the tokens of the logprobs are the text, each with as many alternatives as asked."""
    thoughts = facts["thoughts"]

    assert thoughts["reasoning"] > 0
    assert "".join(thoughts["tokens"]) == thoughts["text"]
    assert thoughts["top"] == [2]


def test_embeddings(facts: dict[str, Any]) -> None:
    """Base64 and floats are the same numbers, in the dimensions asked for."""
    assert facts["embeddings"] == {"same": True, "sizes": [384, 384, 8]}


def test_completions(facts: dict[str, Any]) -> None:
    """Two prompts with two choices each give four texts that echo them and end at the limit, streamed as well."""
    completions = facts["completions"]

    assert [text[:3] for text in completions["texts"]] == ["one", "one", "two", "two"]
    assert completions["reasons"] == ["length"] * 4
    assert completions["texts"][0] == f"one{completions['streamed']}"


def test_models(facts: dict[str, Any]) -> None:
    """The model is listed and shown."""
    assert facts["models"] == {"listed": ["simulated"], "shown": "simulated"}


def test_errors(facts: dict[str, Any]) -> None:
    """Wrong requests become the SDK's BadRequestError, naming the parameter."""
    wrong = ["BadRequestError", 400]

    assert [facts["errors"][name][:2] for name in ("messages", "n", "temperature")] == [wrong] * 3
    assert facts["errors"]["n"][2] == "n"


def test_failures(facts: dict[str, Any]) -> None:
    """Each status asked for becomes the SDK's exception for it; a stream that breaks raises in the middle."""
    assert facts["failures"] == {
        "400": "BadRequestError",
        "401": "AuthenticationError",
        "403": "PermissionDeniedError",
        "404": "NotFoundError",
        "409": "ConflictError",
        "422": "UnprocessableEntityError",
        "429": "RateLimitError",
        "503": "InternalServerError",
        "error in the stream": "APIError",
        "pieces before it": 2,
    }


def test_retries(facts: dict[str, Any]) -> None:
    """The SDK's own retries get through a target that fails twice and then works."""
    assert "Hello" in facts["retries"]["text"]
