"""`foz serve` with an Ollama server behind it: what callers of `/v1` get, as its own API said it."""

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec
import pytest

from foz.testing.process import Served, Upstream, start_gateway, start_upstream, wait_until
from foz.testing.raw import request
from foz.wire.http import Headers, Reply
from foz.wire.sse import Decoder
from tests.e2e.ground import Ledger

CHAT = "/v1/chat/completions"
CONFIG = """
[[provider]]
name = "ollama"
forwards = ["x-simulate-"]

[retries]
attempts = 1

[breaker]
failures = 1000

[[model]]
name = "house"
targets = ["ollama/simulated"]
"""
TOOL = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "parameters": {"type": "object", "properties": {"location": {"type": "string"}}, "required": ["location"]},
    },
}
PIXEL = "iVBORw0KGgo="


@pytest.fixture(scope="module")
def fake(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Upstream]:
    with start_upstream(tmp_path_factory.mktemp("fake"), program="foz.testing.ollama") as running:
        yield running


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory, fake: Upstream) -> Iterator[Served]:
    environment = {"OLLAMA_HOST": f"127.0.0.1:{fake.port}"}
    with start_gateway(tmp_path_factory.mktemp("foz"), config=CONFIG, environment=environment) as running:
        yield running


def asking(text: object = "Hello", **more: object) -> bytes:
    return msgspec.json.encode({"model": "house", "messages": [{"role": "user", "content": text}], **more})


def headers(named: Mapping[str, str]) -> Headers:
    return tuple((f"x-{name.replace('_', '-')}".encode(), value.encode()) for name, value in named.items())


def post(gateway: Served, body: bytes, path: str = CHAT, **named: str) -> Reply:
    with gateway.connect() as connection:
        return connection.call("POST", path, body, headers(named))


def answer(gateway: Served, body: bytes, path: str = CHAT, **named: str) -> Any:
    reply = post(gateway, body, path, **named)
    assert reply.status == 200, reply.body
    return msgspec.json.decode(reply.body)


def chunks(body: bytes) -> list[Any]:
    """The chunks of a stream, which must be whole."""
    frames = Decoder().feed(body)
    assert frames[-1].data == b"[DONE]"
    return [msgspec.json.decode(frame.data) for frame in frames[:-1]]


def streamed(gateway: Served, body: bytes, **named: str) -> tuple[dict[str, str], list[Any]]:
    """The deltas of a stream joined by their names, and its chunks."""
    said = chunks(post(gateway, body, **named).body)
    texts: dict[str, str] = {}
    for delta in (choice["delta"] for chunk in said for choice in chunk["choices"]):
        for name, value in delta.items():
            texts[name] = texts.get(name, "") + value
    return texts, said


def test_what_the_server_has_is_listed_once(gateway: Served) -> None:
    """Its models are listed by its own names, beside those of the settings, and no one twice."""

    def listed() -> list[str]:
        with gateway.connect() as connection:
            rows = msgspec.json.decode(connection.call("GET", "/v1/models").body)["data"]
        return [row["id"] for row in rows]

    wait_until(lambda: len(listed()) > 1, "the server's models to be found")

    assert listed() == ["house", "simulated-embed:latest", "simulated-plain:latest", "simulated:latest"]


@pytest.mark.parametrize("name", ["house", "simulated:latest", "ollama/simulated", "ollama/simulated:latest"])
def test_a_model_answers_by_each_of_its_names(gateway: Served, name: str) -> None:
    """A public name, the server's own, and the provider's prefix with a tag and without reach the same model."""
    body = msgspec.json.encode({"model": name, "messages": [{"role": "user", "content": "Hello"}]})

    assert answer(gateway, body)["model"] == name


def test_a_chat_comes_whole_and_in_pieces_alike(gateway: Served) -> None:
    """Emoji and all, also when the server sends a byte at a time; with usage, an id and a reason."""
    text = "Wo endet der Fluß? 河 🌊 👩‍👩‍👧"
    whole = answer(gateway, asking(text))
    options = {"include_usage": True}
    said, pieces = streamed(gateway, asking(text, stream=True, stream_options=options), simulate_fragment="1")

    message = whole["choices"][0]["message"]
    assert text in message["content"]
    assert said == {"role": "assistant", "content": message["content"]}
    assert whole["choices"][0]["finish_reason"] == pieces[-2]["choices"][0]["finish_reason"] == "stop"
    assert whole["usage"] == pieces[-1]["usage"]
    assert whole["usage"]["completion_tokens"] == len(pieces) - 3
    assert whole["id"].startswith("ollama-")
    assert len({piece["id"] for piece in pieces}) == 1


def test_a_stream_comes_as_it_is_made(gateway: Served) -> None:
    """The first piece reaches the caller while the server still waits to send its last."""
    with gateway.connect() as connection:
        connection.send(request("POST", CHAT, asking(stream=True), ((b"x-simulate-hang", b"3"),)))
        assert connection.head().status == 200
        first = connection.until(b'"content":"This"')

    assert b"[DONE]" not in first


@pytest.mark.parametrize("stream", [False, True])
def test_tools_are_called_and_answered(gateway: Served, stream: bool) -> None:
    """Parallel calls come with ids and JSON arguments, whole or as proper deltas; their results are heard."""
    body = asking("Weather in Paris and Tokyo?", tools=[TOOL], stream=stream)
    if stream:
        calls: list[Any] = []
        said = chunks(post(gateway, body).body)
        for delta in (choice["delta"] for chunk in said for choice in chunk["choices"]):
            for piece in delta.get("tool_calls", ()):
                if "id" in piece:
                    calls.append(piece)
                else:
                    calls[piece["index"]]["function"]["arguments"] += piece["function"]["arguments"]
        reason = next(choice["finish_reason"] for choice in said[-1]["choices"])
    else:
        choice = answer(gateway, body)["choices"][0]
        calls, reason = choice["message"]["tool_calls"], choice["finish_reason"]
    arguments = [msgspec.json.decode(call["function"]["arguments"]) for call in calls]
    results = [
        {"role": "tool", "tool_call_id": call["id"], "content": f"{degrees} degrees"}
        for call, degrees in zip(calls, (21, 31), strict=True)
    ]
    turns = [{"role": "user", "content": "Weather?"}, {"role": "assistant", "tool_calls": calls}, *results]
    last = answer(gateway, msgspec.json.encode({"model": "house", "messages": turns, "tools": [TOOL]}))

    assert arguments == [{"location": "Paris"}, {"location": "Tokyo"}]
    assert reason == "tool_calls"
    assert len({call["id"] for call in calls}) == 2
    assert "get_weather answered: 21 degrees" in last["choices"][0]["message"]["content"]


def test_thoughts_forms_pictures_and_limits_get_through(gateway: Served) -> None:
    """Reasoning is on at a level and off, a schema is kept to, a picture is seen, a limit and logprobs are obeyed."""
    low = answer(gateway, asking(reasoning_effort="low"))["choices"][0]["message"]
    none = answer(gateway, asking(reasoning_effort="none"))["choices"][0]["message"]
    schema = {"type": "object", "properties": {"age": {"type": "integer"}}, "required": ["age"]}
    form = {"type": "json_schema", "json_schema": {"name": "person", "schema": schema}}
    person = answer(gateway, asking("Meet Ada, 36 years old", response_format=form))["choices"][0]["message"]
    picture = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PIXEL}"}}
    seen = answer(gateway, asking([{"type": "text", "text": "What?"}, picture]))["choices"][0]["message"]
    short = answer(gateway, asking(max_completion_tokens=3, logprobs=True, top_logprobs=2))

    assert "I am simulated" in low["reasoning_content"]
    assert "reasoning_content" not in none
    assert msgspec.json.decode(person["content"]) == {"age": 36}
    assert "1 image" in seen["content"]
    assert short["choices"][0]["finish_reason"] == "length"
    assert short["usage"]["completion_tokens"] == len(short["choices"][0]["logprobs"]["content"]) == 3


def test_texts_are_continued_and_embedded(gateway: Served) -> None:
    """`/v1/completions` and `/v1/embeddings` reach the operations that Ollama has for them."""
    text = answer(gateway, b'{"model":"house","prompt":"Once upon"}', "/v1/completions")
    body = b'{"model":"ollama/simulated-embed","input":["a river","a tax"],"dimensions":8,"encoding_format":"float"}'
    vectors = answer(gateway, body, "/v1/embeddings")

    assert "simulated model" in text["choices"][0]["text"]
    assert [len(row["embedding"]) for row in vectors["data"]] == [8, 8]
    assert vectors["usage"] == {"prompt_tokens": 4, "total_tokens": 4}


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (asking([{"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}]), "not by a link"),
        (asking(n=2), "one answer"),
        (asking(logit_bias={"1": 1}), "bias"),
    ],
)
def test_what_ollama_cannot_do_is_said_before_it_is_asked(
    gateway: Served, fake: Upstream, body: bytes, words: str
) -> None:
    """A request that Ollama would not obey is refused with 400, says why, and reaches nobody."""
    before = fake.seen()["requests"]["/api/chat"]
    reply = post(gateway, body)

    assert reply.status == 400
    assert words in reply.body.decode()
    assert fake.seen()["requests"]["/api/chat"] == before


@pytest.mark.parametrize(
    ("status", "seen"), [(400, 400), (401, 502), (403, 502), (404, 404), (429, 429), (500, 502), (503, 502)]
)
def test_refusals_get_through_as_what_they_are(gateway: Served, status: int, seen: int) -> None:
    """Each status of the server is told in OpenAI's shape, as the caller's, the gateway's or the server's doing."""
    reply = post(gateway, asking(), simulate_status=str(status))

    assert reply.status == seen
    assert msgspec.json.decode(reply.body)["error"]["message"]


def test_an_unknown_model_is_not_found(gateway: Served) -> None:
    """A model that the server has not is a 404 with its words."""
    body = msgspec.json.encode({"model": "ollama/nobody", "messages": [{"role": "user", "content": "x"}]})
    reply = post(gateway, body)

    assert reply.status == 404
    assert b"model 'nobody' not found" in reply.body


@pytest.mark.parametrize("mischief", [{"simulate_cut": "3"}, {"simulate_error": "3"}, {"simulate_garble": "4"}])
def test_a_stream_that_breaks_never_looks_finished(gateway: Served, mischief: dict[str, str]) -> None:
    """Cut, broken off or garbled after its first words, it ends with an error and without `[DONE]`."""
    with gateway.connect() as connection:
        connection.send(request("POST", CHAT, asking(stream=True), headers(mischief)))
        assert connection.head().status == 200
        said = connection.rest()

    assert b'"error"' in said
    assert b"[DONE]" not in said


def test_a_caller_that_leaves_stops_the_server(gateway: Served, fake: Upstream) -> None:
    """An endless answer ends at the server once its caller is gone; the ledger guesses what was forwarded."""
    sent = headers({"simulate_endless": "1", "request_id": "left", "simulate_pace": "0.002"})
    with gateway.connect() as connection:
        connection.send(request("POST", CHAT, asking(stream=True), sent))
        connection.head()
        for _ in range(30):
            connection.chunk()

    def made() -> list[Any]:
        return [one for one in fake.seen()["produced"] if one["request_id"] == "left"]

    wait_until(lambda: bool(made()), "the server to stop")
    ledger = Ledger(gateway.folder)
    query = "SELECT state, input, output, estimated FROM entries WHERE request_id = 'left' AND state != 'open'"
    wait_until(lambda: bool(ledger.rows(query)), "the entry to be settled")
    (state, took, gave, estimated), *_ = ledger.rows(query)

    assert not made()[0]["whole"]
    assert (state, estimated) == ("caller_gone", 1)
    assert int(str(took)) > 0
    assert int(str(gave)) > 0


def test_an_empty_answer_is_an_answer(gateway: Served) -> None:
    """No words at all are an empty answer with its counts, whole and streamed."""
    whole = answer(gateway, asking(), simulate_words="0")
    said, pieces = streamed(gateway, asking(stream=True), simulate_words="0")

    assert (whole["choices"][0]["message"]["content"], whole["usage"]["completion_tokens"]) == ("", 0)
    assert said == {"role": "assistant", "content": ""}
    assert pieces[-1]["choices"][0]["finish_reason"] == "stop"


def test_the_ledger_says_what_the_server_made(gateway: Served, fake: Upstream) -> None:
    """For answers that ended, whole, streamed, with thoughts, tools or vectors, the ledger's tokens are the fake's."""
    bodies = {
        "whole": asking("one two three"),
        "streamed": asking("one two three", stream=True),
        "thinking": asking(reasoning_effort="high", stream=True),
        "tools": asking("Weather in Paris and Tokyo?", tools=[TOOL], stream=True),
        "short": asking(max_completion_tokens=2),
    }
    for name, body in bodies.items():
        assert post(gateway, body, request_id=f"count-{name}").status == 200
    vectors = b'{"model":"ollama/simulated-embed","input":"a river of words"}'
    assert post(gateway, vectors, "/v1/embeddings", request_id="count-embed").status == 200
    made = {
        one["request_id"]: (one["input"], one["output"])
        for one in fake.seen()["produced"]
        if one["request_id"].startswith("count-")
    }
    rows = Ledger(gateway.folder).rows(
        "SELECT request_id, input, output, estimated FROM entries WHERE request_id GLOB 'count-*'"
    )

    assert {str(id): (took, gave) for id, took, gave, _ in rows} == made
    assert len(made) == 6
    assert not any(estimated for *_, estimated in rows)
