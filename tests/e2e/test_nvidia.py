"""`foz serve` with NVIDIA behind it: thinking by generation, embeddings with two sides, calls that are put off."""

from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from foz.testing.process import Served, Upstream, start_gateway, start_upstream
from foz.testing.raw import request
from foz.wire.http import Headers, Reply
from foz.wire.sse import Decoder
from tests.e2e.ground import Ledger

CHAT, PLACES = "/v1/chat/completions", "/v1/embeddings"
V1, V15 = "nvidia/llama-3.3-nemotron-super-49b-v1", "nvidia/llama-3.3-nemotron-super-49b-v1.5"
NANO, THREE = "nvidia/nvidia-nemotron-nano-9b-v2", "nvidia/nemotron-3-nano-30b-a3b"
SUPER, LLAMA = "nvidia/nemotron-3-super-120b-a12b", "meta/llama-3.1-8b-instruct"
SLOW = "mistralai/mixtral-8x22b-instruct-v0.1"
THOUGHT = "The caller wants an answer."
CONFIG = """
[[provider]]
name = "nvidia"
base_url = "http://127.0.0.1:{port}/v1"
polls = "http://127.0.0.1:{port}/v2/nvcf/pexec/status"
forwards = ["x-simulate-"]
models = ""

[retries]
attempts = 1

[breaker]
failures = 1000
"""


@pytest.fixture(scope="module")
def fake(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Upstream]:
    with start_upstream(tmp_path_factory.mktemp("fake"), program="foz.testing.nvidia") as running:
        yield running


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory, fake: Upstream) -> Iterator[Served]:
    config = CONFIG.format(port=fake.port)
    folder = tmp_path_factory.mktemp("foz")
    with start_gateway(folder, config=config, environment={"NVIDIA_API_KEY": "nvapi-test"}) as running:
        yield running


def asking(model: str, **more: object) -> bytes:
    messages = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Rivers? 🌊"}]
    return msgspec.json.encode({"model": f"nvidia/{model}", "messages": messages, **more})


def post(gateway: Served, body: bytes, path: str = CHAT, **named: str) -> Reply:
    headers: Headers = tuple((f"x-{name.replace('_', '-')}".encode(), value.encode()) for name, value in named.items())
    with gateway.connect() as connection:
        return connection.call("POST", path, body, headers)


def answer(gateway: Served, body: bytes, path: str = CHAT, **named: str) -> Any:
    reply = post(gateway, body, path, **named)
    assert reply.status == 200, reply.body
    return msgspec.json.decode(reply.body)


def said(gateway: Served, body: bytes, **named: str) -> tuple[str, str]:
    """(text, thoughts) of a stream, which must be whole."""
    frames = Decoder().feed(post(gateway, body, **named).body)
    assert frames[-1].data == b"[DONE]"
    deltas = [choice["delta"] for frame in frames[:-1] for choice in msgspec.json.decode(frame.data)["choices"]]
    return (
        "".join(delta.get("content") or "" for delta in deltas),
        "".join(delta.get("reasoning_content") or "" for delta in deltas),
    )


@pytest.mark.parametrize("model", [V1, V15, NANO, THREE, SUPER])
def test_every_generation_thinks_when_it_is_told_to(gateway: Served, model: str) -> None:
    """Whatever a generation wants to hear and however it tells its thoughts, callers ask and read alike."""
    message = answer(gateway, asking(model, reasoning_effort="high"))["choices"][0]["message"]
    text, thoughts = said(gateway, asking(model, reasoning_effort="high", stream=True), simulate_fragment="1")

    assert THOUGHT in thoughts
    assert (message["content"], message["reasoning_content"]) == (text, thoughts)
    assert "🌊" in text
    assert "think>" not in text + thoughts


@pytest.mark.parametrize("model", [V1, V15, NANO, THREE, SUPER])
def test_every_generation_is_quiet_when_it_is_told_to(gateway: Served, model: str) -> None:
    """Told not to think, no generation does, streamed or whole."""
    message = answer(gateway, asking(model, reasoning_effort="none"))["choices"][0]["message"]
    text, thoughts = said(gateway, asking(model, reasoning_effort="none", stream=True))

    assert thoughts == ""
    assert "reasoning_content" not in message
    assert message["content"] == text
    assert "🌊" in text


@pytest.mark.parametrize("model", [LLAMA, NANO, SUPER])
@pytest.mark.parametrize("stream", [False, True])
def test_the_ledger_has_the_tokens_that_were_made(gateway: Served, fake: Upstream, model: str, stream: bool) -> None:
    """Relayed or translated, what the ledger says of a call is what NVIDIA says that it made, to the token."""
    id = f"counted-{model[-6:]}-{stream}"
    post(gateway, asking(model, stream=stream), request_id=id)
    (made,) = [one for one in fake.seen()["produced"] if one["request_id"] == id]

    rows = Ledger(gateway.folder).rows("SELECT input, output, estimated FROM entries WHERE request_id = ?", id)
    assert rows == [(made["input"], made["output"], 0)]


@pytest.mark.parametrize("stream", [False, True])
def test_a_call_that_is_put_off_is_answered(gateway: Served, fake: Upstream, stream: bool) -> None:
    """A call that NVIDIA puts off twice comes to its answer, without the caller knowing."""
    before = sum(fake.seen()["requests"].values())
    body = asking(SLOW, stream=stream)
    text = said(gateway, body)[0] if stream else answer(gateway, body)["choices"][0]["message"]["content"]

    assert "🌊" in text
    assert sum(fake.seen()["requests"].values()) - before == 4  # the call, two questions, and the look at `/_seen`


def test_a_passage_is_placed_unless_a_question_is_named(gateway: Served) -> None:
    """An asymmetric model gets its side from us, or from a caller who names it, in the field or the model's name."""

    def place(model: str, **more: object) -> list[float]:
        body = {"model": f"nvidia/{model}", "input": "a river", "encoding_format": "float", **more}
        vector: list[float] = answer(gateway, msgspec.json.encode(body), PLACES)["data"][0]["embedding"]
        return vector

    passage = place("nvidia/nv-embedqa-e5-v5")
    question = place("nvidia/nv-embedqa-e5-v5", input_type="query")
    assert passage == place("nvidia/nv-embedqa-e5-v5", input_type="passage") != question
    assert question == place("nvidia/nv-embedqa-e5-v5-query")
    assert place("baai/bge-m3") not in (passage, question)


@pytest.mark.parametrize("model", [LLAMA, NANO, SUPER])
def test_a_stream_comes_as_it_is_made(gateway: Served, model: str) -> None:
    """The first words, or thoughts, reach the caller while NVIDIA still waits to send its last."""
    with gateway.connect() as connection:
        body = asking(model, stream=True, **({} if model == LLAMA else {"reasoning_effort": "high"}))
        connection.send(request("POST", CHAT, body, ((b"x-simulate-hang", b"4"),)))
        assert connection.head().status == 200
        first = connection.until(b'"content":"This"' if model == LLAMA else b'"reasoning_content":"The"')

    assert b"[DONE]" not in first


@pytest.mark.parametrize("model", [LLAMA, NANO])
@pytest.mark.parametrize("how", ["cut", "error", "garble"])
def test_a_stream_that_breaks_never_looks_finished(gateway: Served, model: str, how: str) -> None:
    """A stream that breaks in the middle of words or thoughts ends with an error, and never with `[DONE]`."""
    with gateway.connect() as connection:
        connection.send(request("POST", CHAT, asking(model, stream=True), ((f"x-simulate-{how}".encode(), b"4"),)))
        said_ = connection.rest()

    assert b"[DONE]" not in said_
    assert b'"error"' in said_


@pytest.mark.parametrize(
    ("asked_for", "status", "words"),
    [
        ("400", 400, "simulated: status 400"),
        ("401", 502, "own key"),
        ("402", 429, "402"),
        ("404", 404, "simulated: status 404"),
        ("429", 429, "simulated: status 429"),
        ("500", 502, "500"),
    ],
)
def test_refusals_are_told(gateway: Served, asked_for: str, status: int, words: str) -> None:
    """Each host's refusal reaches the caller in OpenAI's words; our own key is nobody's business."""
    reply = post(gateway, asking(LLAMA), simulate_status=asked_for)

    assert reply.status == status
    assert words in msgspec.json.decode(reply.body)["error"]["message"]
    assert b"nvapi-test" not in reply.body


def test_what_its_embedding_servers_refuse_is_told(gateway: Served) -> None:
    """A refusal whose `error` is a text is read, and reaches the caller."""
    body = {"model": "nvidia/nvidia/nv-embedqa-e5-v5", "input": "a", "dimensions": 8}
    reply = post(gateway, msgspec.json.encode(body), PLACES)

    assert reply.status == 400
    assert "dimensions" in msgspec.json.decode(reply.body)["error"]["message"]
