"""
The fake Ollama server: Ollama's own SDK takes it for one over a real socket, and it counts what it makes.

What the SDK understands of `OLLAMA_HOST`, we understand alike.
"""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import msgspec
import pytest

from foz.config.bind import place
from foz.providers.catalog import catalog
from foz.testing.process import Upstream, clean_environment, start_upstream
from foz.testing.raw import request
from foz.wire.http import Headers

SDK = Path(sys.prefix) / "sdk/ollama"
PROGRAM = Path(__file__).with_name("ollama_sdk.py")
HELLO = b'{"model":"simulated","messages":[{"role":"user","content":"Hello"}]}'
HOSTS = (
    "1.2.3.4", ":56789", "1.2.3.4:56789", "http://1.2.3.4", "https://1.2.3.4", "https://1.2.3.4:56789", "example.com",
    "example.com:56789", "http://example.com", "https://example.com", "https://example.com:56789", "example.com/",
    "example.com:56789/", "example.com/path", "example.com:56789/path", "https://example.com:56789/path",
    "example.com:56789/path/", "[0001:002:003:0004::1]", "[0001:002:003:0004::1]:56789",
    "http://[0001:002:003:0004::1]", "https://[0001:002:003:0004::1]", "https://[0001:002:003:0004::1]:56789",
    "[0001:002:003:0004::1]/", "[0001:002:003:0004::1]:56789/", "[0001:002:003:0004::1]/path",
    "[0001:002:003:0004::1]:56789/path", "https://[0001:002:003:0004::1]:56789/path",
    "[0001:002:003:0004::1]:56789/path/", "localhost", "http://localhost:11434/",
)  # fmt: skip
"""Every form that the SDK itself documents, and two more."""


def ran(*arguments: str) -> dict[str, Any]:
    assert SDK.is_dir(), f"{SDK} is not there: `scripts/setup.sh test` installs it"
    environment = clean_environment({"PYTHONPATH": str(SDK)})
    done = subprocess.run(
        [sys.executable, str(PROGRAM), *arguments], env=environment, capture_output=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr.decode()
    said: dict[str, Any] = msgspec.json.decode(done.stdout)
    assert said["version"].startswith("0.6.")
    return said


@pytest.fixture(scope="module")
def fake(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Upstream]:
    with start_upstream(tmp_path_factory.mktemp("ollama"), program="foz.testing.ollama") as running:
        yield running


@pytest.fixture(scope="module")
def facts(fake: Upstream) -> dict[str, Any]:
    return ran(fake.url)


def test_chat(facts: dict[str, Any]) -> None:
    """A whole answer has its words, its reason, its tokens and nanoseconds."""
    chat = facts["chat"]

    assert "Hello there" in chat["message"]["content"]
    assert (chat["model"], chat["done"], chat["done_reason"]) == ("simulated", True, "stop")
    assert chat["prompt_eval_count"] == 2
    assert chat["eval_count"] > 5
    assert chat["eval_duration"] > 1_000_000


def test_stream(facts: dict[str, Any]) -> None:
    """A stream comes in many pieces, also a byte at a time inside of emoji; its last line has counts and no words."""
    stream = facts["stream"]

    assert "Hello 🌊 👩‍👩‍👧 Fluß" in "".join(stream["pieces"])
    assert facts["fragments"]["pieces"] == stream["pieces"]
    assert stream["pieces"][-1] == ""
    assert stream["last"]["eval_count"] == len(stream["pieces"]) - 1


def test_tools(facts: dict[str, Any]) -> None:
    """Parallel calls come whole with objects as arguments, streamed and not; their results are answered in text."""
    tools = facts["tools"]

    assert tools["arguments"] == tools["streamed"] == [{"location": "Paris"}, {"location": "Tokyo"}]
    assert (tools["reason"], tools["names"]) == ("stop", ["get_weather", "get_weather"])
    assert "22 degrees" in tools["text"]


def test_thinking(facts: dict[str, Any]) -> None:
    """It thinks when asked to, more or less, whole and streamed, and not when asked not to."""
    thinking = facts["thinking"]

    assert thinking["on"] == thinking["streamed"]
    assert 0 < len(thinking["low"]) < len(thinking["on"])
    assert thinking["off"] is None
    assert thinking["text"]


def test_forms_and_limits(facts: dict[str, Any]) -> None:
    """JSON, JSON of a schema, logprobs and a limit of tokens are what they were asked to be."""
    assert facts["forms"] == {
        "loose": True,
        "strict": {"name": "Ada", "age": 36},
        "tokens": True,
        "top": True,
        "short": ["length", 3],
    }
    assert "1 image" in facts["images"]["text"]


def test_generate(facts: dict[str, Any]) -> None:
    """A text is continued alike whole and in pieces, with a context in the end."""
    generate = facts["generate"]

    assert generate["same"]
    assert generate["done"] == [True, True, False]
    assert generate["counts"][0] == generate["counts"][1] > 5
    assert generate["context"]


def test_embed(facts: dict[str, Any]) -> None:
    """Vectors have the dimensions asked for, one and many alike, and their tokens are counted."""
    assert facts["embed"] == {"sizes": [8, 8], "same": True, "counted": 4}


def test_models(facts: dict[str, Any]) -> None:
    """Its models are listed, shown and seen running."""
    models = facts["models"]

    assert models["listed"] == ["simulated:latest", "simulated-plain:latest", "simulated-embed:latest"]
    assert models["running"] == models["listed"][:1]
    assert "thinking" in models["shown"]
    assert len(models["sizes"]) == 3


def test_errors(facts: dict[str, Any]) -> None:
    """Each refusal is the SDK's ResponseError with status and text; one in the middle of a stream has status -1."""
    errors = facts["errors"]

    assert {name: error[0] for name, error in errors.items()} == {
        "unknown": 404,
        "wrong level": 400,
        "cannot think": 400,
        "cannot call": 400,
        "cannot chat": 400,
        **{str(status): status for status in (400, 401, 404, 429, 500)},
        "429 in a stream": 429,
        "breaks off": -1,
    }
    assert errors["unknown"][1] == "model 'nobody' not found"
    assert errors["breaks off"][2] == 2


def test_cut_and_silent(facts: dict[str, Any]) -> None:
    """A cut stream is never done and the transport says so; an empty answer is done, without words or their count."""
    cut = facts["cut"]

    assert cut["pieces"] == [False, False, False, "RemoteProtocolError"]
    assert cut["silent"] == ["", True, None]


def test_hosts_are_understood_as_the_sdk_does() -> None:
    """Every form of `OLLAMA_HOST` names the same place for us as for Ollama's own SDK."""
    theirs = ran("hosts", *HOSTS)
    row = catalog()["ollama"]

    for said in HOSTS:
        ours, their = urlsplit(place(row, said)), urlsplit(theirs[said])
        port = ours.port or {"http": 80, "https": 443}[ours.scheme]
        assert (ours.scheme, ours.hostname, port) == (their.scheme, their.hostname, their.port), said
        assert ours.path == their.path, said


def ask(fake: Upstream, body: bytes = HELLO, **headers: str) -> int:
    sent: Headers = tuple((f"x-{name.replace('_', '-')}".encode(), value.encode()) for name, value in headers.items())
    with fake.connect() as connection:
        return connection.call("POST", "/api/chat", body, sent).status


def test_tokens_are_counted_as_they_are_made(fake: Upstream) -> None:
    """Whole and streamed answers count alike; one that was cut or broke off counts only what was written."""
    whole = HELLO[:-1] + b',"stream":false}'
    made_before = fake.seen()["produced"]
    assert [ask(fake, request_id="streamed"), ask(fake, whole, request_id="whole")] == [200, 200]
    with pytest.raises(EOFError):
        ask(fake, request_id="cut", simulate_cut="4")
    ask(fake, request_id="broken", simulate_error="2")
    with fake.connect() as endless:
        endless.send(
            request("POST", "/api/chat", HELLO, ((b"x-simulate-endless", b"1"), (b"x-request-id", b"endless")))
        )
        endless.head()
        for _ in range(500):
            endless.chunk()
    fake.wait_for(lambda: len(fake.seen()["produced"]) >= len(made_before) + 5, "the answers to be counted")
    made = {one["request_id"]: one for one in fake.seen()["produced"]}

    assert made["streamed"]["whole"]
    assert (made["streamed"]["input"], made["streamed"]["output"]) == (made["whole"]["input"], made["whole"]["output"])
    assert made["streamed"]["output"] > 5
    assert [(made[id]["output"], made[id]["whole"]) for id in ("cut", "broken")] == [(4, False), (2, False)]
    assert made["endless"]["output"] >= 500
    assert not made["endless"]["whole"]


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        (b"", 400, "missing request body"),
        (b"{", 400, "truncated"),
        (b"[" * 1000, 400, "nested"),
        (b'{"model":"","messages":[]}', 400, "model is required"),
        (HELLO[:-1] + b',"options":{"top_k":"x"}}', 400, 'option \\"top_k\\" must be of type integer'),
        (HELLO[:-1] + b',"format":"xml"}', 400, "invalid format"),
        (HELLO[:-1] + b',"top_logprobs":21,"logprobs":true}', 400, "between 0 and 20"),
        (b'{"model":"simulated","messages":[]}', 200, '"done_reason":"load"'),
        (b'{"model":"simulated","messages":[{"role":"king","content":"x"}]}', 400, "invalid role"),
    ],
)
def test_the_fake_refuses_what_the_server_refuses(fake: Upstream, body: bytes, status: int, words: str) -> None:
    """Wrong bodies are refused in Ollama's shape and words; one without messages only loads the model."""
    with fake.connect() as connection:
        reply = connection.call("POST", "/api/chat", body)

    assert reply.status == status
    assert words in reply.body.decode()
    assert reply.header(b"content-type") == b"application/json; charset=utf-8"


@pytest.mark.parametrize(
    ("method", "path", "status", "body"),
    [
        ("GET", "/", 200, b"Ollama is running"),
        ("GET", "/nowhere", 404, b"404 page not found"),
        ("GET", "/api/chat", 405, b"405 method not allowed"),
        ("POST", "/api/tags", 405, b"405 method not allowed"),
    ],
)
def test_other_paths_answer_in_plain_text(fake: Upstream, method: str, path: str, status: int, body: bytes) -> None:
    """Its root says that it runs; unknown paths and wrong methods are refused in plain text, as the server does."""
    with fake.connect() as connection:
        reply = connection.call(method, path)

    assert (reply.status, reply.body) == (status, body)
