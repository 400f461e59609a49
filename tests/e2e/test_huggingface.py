"""`foz serve` with Hugging Face behind it: one name of a provider, the router's chat and the task endpoints."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec
import pytest

from foz.testing.process import Served, Upstream, start_gateway, start_upstream, wait_until
from foz.testing.raw import request
from foz.wire.http import Headers, Reply
from foz.wire.sse import Decoder
from tests.e2e.ground import Ledger

CHAT, TEXTS, PLACES = "/v1/chat/completions", "/v1/completions", "/v1/embeddings"
NEO, DIALOG, FLAN = "EleutherAI/gpt-neo-2.7B", "microsoft/DialoGPT-medium", "google/flan-t5-base"
BLENDER, LLAMA = "facebook/blenderbot-400M-distill", "meta-llama/Llama-3.1-8B-Instruct"
CONFIG = """
[[provider]]
name = "huggingface"
base_url = "http://127.0.0.1:{port}"
forwards = ["x-simulate-", "x-hf-bill-to"]
timeouts = {{ total = "3s" }}

[[provider]]
name = "mine"
base_url = "http://127.0.0.1:{port}"
dialect = "huggingface"
secret = "HF_TOKEN"
quirks = ["dedicated"]
models = ""

[retries]
attempts = 1

[breaker]
failures = 1000
"""


@pytest.fixture(scope="module")
def fake(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Upstream]:
    with start_upstream(tmp_path_factory.mktemp("fake"), program="foz.testing.huggingface") as running:
        yield running


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory, fake: Upstream) -> Iterator[Served]:
    config = CONFIG.format(port=fake.port)
    folder = tmp_path_factory.mktemp("foz")
    with start_gateway(folder, config=config, environment={"HF_TOKEN": "hf_test"}) as running:
        yield running


def asking(model: str, text: str = "Where do rivers end? 🌊", **more: object) -> bytes:
    name = model if model.startswith("mine/") else f"huggingface/{model}"
    return msgspec.json.encode({"model": name, "messages": [{"role": "user", "content": text}], **more})


def post(gateway: Served, body: bytes, path: str = CHAT, **named: str) -> Reply:
    headers: Headers = tuple((f"x-{name.replace('_', '-')}".encode(), value.encode()) for name, value in named.items())
    with gateway.connect() as connection:
        return connection.call("POST", path, body, headers)


def answer(gateway: Served, body: bytes, path: str = CHAT, **named: str) -> Any:
    reply = post(gateway, body, path, **named)
    assert reply.status == 200, reply.body
    return msgspec.json.decode(reply.body)


def streamed(gateway: Served, body: bytes, **named: str) -> tuple[str, list[Any]]:
    """The text of a stream, which must be whole, and its chunks."""
    frames = Decoder().feed(post(gateway, body, **named).body)
    assert frames[-1].data == b"[DONE]"
    chunks = [msgspec.json.decode(frame.data) for frame in frames[:-1]]
    text = "".join(choice["delta"].get("content", "") for chunk in chunks for choice in chunk["choices"])
    return text, chunks


def asked(fake: Upstream) -> Mapping[str, int]:
    found: Mapping[str, int] = fake.seen()["requests"]
    return found


def test_the_routers_models_are_listed(gateway: Served) -> None:
    """What the router has is listed under its own names."""

    def listed() -> set[str]:
        with gateway.connect() as connection:
            rows = msgspec.json.decode(connection.call("GET", "/v1/models").body)["data"]
        return {row["id"] for row in rows}

    wait_until(lambda: LLAMA in listed(), "the router's models to be found")


@pytest.mark.parametrize(
    ("model", "path"),
    [
        (LLAMA, CHAT),
        (f"{LLAMA}:together", CHAT),
        (NEO, f"/hf-inference/models/{NEO}"),
        (DIALOG, f"/hf-inference/models/{DIALOG}"),
        (FLAN, f"/hf-inference/models/{FLAN}"),
        (BLENDER, f"/hf-inference/models/{BLENDER}"),
        ("mine/bloom-560m", "/"),
        (f"mine/{LLAMA}", CHAT),
    ],
)
def test_a_chat_comes_whole_and_in_pieces_alike(gateway: Served, fake: Upstream, model: str, path: str) -> None:
    """Each kind of model is asked where it is served, and says the same whole and streamed byte by byte."""
    before = asked(fake).get(path, 0)
    whole = answer(gateway, asking(model, max_tokens=60))
    text, chunks = streamed(gateway, asking(model, max_tokens=60, stream=True), simulate_fragment="1")

    choice = whole["choices"][0]
    assert choice["message"]["content"] == text
    assert text == text.lstrip()
    assert "simulated model" in text
    assert choice["finish_reason"] == chunks[-1]["choices"][0]["finish_reason"] == "stop"
    assert asked(fake)[path] == before + 2
    assert whole["model"] == msgspec.json.decode(asking(model))["model"]
    assert whole["id"]
    assert whole["created"] > 0
    assert {bool(chunk["id"]) and chunk["created"] > 0 for chunk in chunks} == {True}


def test_whole_conversations_reach_the_model(gateway: Served) -> None:
    """A system prompt and earlier turns stand in the prompt that an old model continues."""
    messages = [
        {"role": "system", "content": "Rivers only."},
        {"role": "user", "content": "Which is longest?"},
        {"role": "assistant", "content": "The Nile."},
        {"role": "user", "content": "And then?"},
    ]
    body = {"model": f"huggingface/{NEO}", "messages": messages, "max_tokens": 200}
    said = answer(gateway, msgspec.json.encode(body))

    prompt = "Rivers only. User: Which is longest? Assistant: The Nile. User: And then? Assistant:"
    assert said["usage"]["prompt_tokens"] == len(re.findall(r"\S+", prompt))


@pytest.mark.parametrize("model", [NEO, "mine/bloom-560m"])
@pytest.mark.parametrize("stream", [False, True])
def test_the_ledger_has_the_tokens_that_were_made(gateway: Served, fake: Upstream, model: str, stream: bool) -> None:
    """What the ledger says of a call is what the endpoint says that it made, to the token."""
    id = f"counted-{model[:4]}-{stream}"
    post(gateway, asking(model, stream=stream), request_id=id)
    (made,) = [one for one in fake.seen()["produced"] if one["request_id"] == id]

    rows = Ledger(gateway.folder).rows("SELECT input, output, estimated FROM entries WHERE request_id = ?", id)
    assert rows == [(made["input"], made["output"], 0)]


@pytest.mark.parametrize("path_", [NEO, LLAMA, "mine/bloom-560m"])
def test_texts_are_continued(gateway: Served, path_: str) -> None:
    """A text is continued by whoever continues texts; a model that only chats is asked in a chat."""
    name = path_ if path_.startswith("mine/") else f"huggingface/{path_}"
    body = {"model": name, "prompt": "The river", "max_tokens": 8}

    assert answer(gateway, msgspec.json.encode(body), TEXTS)["choices"][0]["text"]


@pytest.mark.parametrize("model", ["BAAI/bge-small-en-v1.5", "google-bert/bert-base-uncased"])
def test_embeddings(gateway: Served, model: str) -> None:
    """One vector for each input, in order, pooled there or here, with the tokens counted."""
    both = {"model": f"huggingface/{model}", "input": ["a river", "a long sea"], "encoding_format": "float"}
    one = both | {"input": "a long sea"}
    said, alone = (answer(gateway, msgspec.json.encode(body), PLACES) for body in (both, one))

    assert [len(row["embedding"]) for row in said["data"]] == [16, 16]
    assert alone["data"][0]["embedding"] == said["data"][1]["embedding"]
    assert said["usage"] == {"prompt_tokens": 5, "total_tokens": 5}


def test_a_loading_model_is_waited_for(gateway: Served, fake: Upstream) -> None:
    """A model that is loading for a moment is asked again, and its answer is the call's."""
    path = f"/hf-inference/models/{DIALOG}"
    before = asked(fake).get(path, 0)
    loading = {"simulate_status": "503", "simulate_retry_after": "0.1", "simulate_times": "1", "simulate_id": "nap"}
    said = answer(gateway, asking(DIALOG), **loading)

    assert "simulated model" in said["choices"][0]["message"]["content"]
    assert asked(fake)[path] == before + 2


def test_a_model_that_does_not_wake_says_so(gateway: Served) -> None:
    """When the call's time is up the caller is told that the model is loading, and for how long perhaps."""
    reply = post(gateway, asking(DIALOG), simulate_status="503", simulate_retry_after="30")
    error = msgspec.json.decode(reply.body)["error"]

    assert reply.status == 503
    assert "still loading" in error["message"]
    assert error["code"] == "model_loading"
    assert reply.header(b"retry-after") == b"30"


@pytest.mark.parametrize("model", [NEO, LLAMA])
@pytest.mark.parametrize(
    ("asked_for", "status", "code"),
    [("400", 400, None), ("401", 502, None), ("404", 404, "model_not_found"), ("429", 429, None), ("500", 502, None)],
)
def test_refusals_are_told(gateway: Served, model: str, asked_for: str, status: int, code: str | None) -> None:
    """Each refusal of either way reaches the caller in the caller's words; our own key is nobody's business."""
    reply = post(gateway, asking(model), simulate_status=asked_for)
    error = msgspec.json.decode(reply.body)["error"]

    assert reply.status == status
    assert code is None or error["code"] == code
    assert b"hf_test" not in reply.body


@pytest.mark.parametrize("model", [NEO, LLAMA])
@pytest.mark.parametrize("how", [{"simulate_cut": "3"}, {"simulate_error": "3"}, {"simulate_garble": "3"}])
def test_a_stream_that_breaks_never_looks_finished(gateway: Served, model: str, how: dict[str, str]) -> None:
    """A stream that breaks in the middle ends with an error, and never with `[DONE]`."""
    body = asking(model, stream=True)
    with gateway.connect() as connection:
        named = tuple((f"x-{name.replace('_', '-')}".encode(), value.encode()) for name, value in how.items())
        connection.send(request("POST", CHAT, body, named))
        said = connection.rest()

    assert b"[DONE]" not in said
    assert b'"error"' in said


@pytest.mark.parametrize("how", [{"simulate_cut": "3"}, {"simulate_error": "3"}, {"simulate_garble": "3"}])
def test_an_endpoint_without_streams_breaks_before_anything_was_said(gateway: Served, how: dict[str, str]) -> None:
    """Where the endpoint answers a stream's request whole, and that breaks, the caller gets a plain error."""
    reply = post(gateway, asking(DIALOG, stream=True), **how)

    assert reply.status == 502
    assert msgspec.json.decode(reply.body)["error"]


def test_an_empty_answer_is_an_answer(gateway: Served) -> None:
    """A model that says nothing has answered, streamed and whole."""
    whole = answer(gateway, asking(NEO), simulate_words="0")
    text, _ = streamed(gateway, asking(NEO, stream=True), simulate_words="0")

    assert (whole["choices"][0]["message"]["content"], text) == ("", "")


def test_a_stream_comes_as_it_is_made(gateway: Served) -> None:
    """The first piece reaches the caller while the endpoint still waits to send its last."""
    with gateway.connect() as connection:
        connection.send(request("POST", CHAT, asking(NEO, stream=True), ((b"x-simulate-hang", b"3"),)))
        assert connection.head().status == 200
        first = connection.until(b'"content":"This"')

    assert b"[DONE]" not in first


@pytest.mark.parametrize("model", ["huggingface/acme/none", "huggingface/..", "huggingface/a/b/c"])
def test_a_model_that_is_not_there_is_not_found(gateway: Served, model: str) -> None:
    """A model that nobody serves, and a name that can be none, are told as such."""
    body = msgspec.json.encode({"model": model, "input": "a"})
    reply = post(gateway, body, PLACES)

    assert reply.status == 404
    assert msgspec.json.decode(reply.body)["error"]["code"] == "model_not_found"
