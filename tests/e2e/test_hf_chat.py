"""The Chat Completion API over a real socket, with Hugging Face behind it: seed 002's examples, faults, streams."""

import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec
import pytest

from foz.skins.hf_chat import examples
from foz.testing.process import Served, Upstream, start_gateway, start_upstream
from foz.testing.raw import request
from foz.wire.http import Headers, Reply
from foz.wire.sse import Decoder

KEY = "sk-hf-chat-0123456789"
BEARER: Headers = ((b"authorization", f"Bearer {KEY}".encode()),)
NEW, OLD = "/api/chat/completions", "/api/huggingface-chat"
MEDIUM, NEO, BLOOM = "microsoft/DialoGPT-medium", "EleutherAI/gpt-neo-2.7B", "bigscience/bloom-560m"
LLAMA = "meta-llama/Llama-3.1-8B-Instruct"
CONFIG = """
[limits]
max_body = "64 KiB"

[[provider]]
name = "huggingface"
base_url = "http://127.0.0.1:{port}"
forwards = ["x-simulate-"]
timeouts = {{ total = "20s" }}

[[provider]]
name = "wrong"
base_url = "http://127.0.0.1:{port}"
dialect = "huggingface"
secret = "WRONG_TOKEN"
models = ""

[retries]
attempts = 1

[breaker]
failures = 1000
"""


class House:
    """A gateway with Hugging Face behind it."""

    def __init__(self, gateway: Served, upstream: Upstream) -> None:
        self.gateway = gateway
        self._upstream = upstream

    def call(self, method: str, path: str, body: bytes = b"", headers: Headers = BEARER) -> Reply:
        """One request over a connection of its own."""
        with self.gateway.connect() as connection:
            return connection.call(method, path, body, headers)

    def asked(self) -> int:
        """How many chats the upstream has seen."""
        seen = self._upstream.seen()["requests"]
        return sum(count for path, count in seen.items() if path.startswith(("/hf-inference", "/v1/chat")))

    def entries(self) -> list[tuple[Any, ...]]:
        """Model, tokens in and out, and whether they were estimated, of each call, in order."""
        with closing(sqlite3.connect(f"file:{self.gateway.folder}/data/foz.db?mode=ro", uri=True)) as books:
            query = "SELECT model, skin, input, output, estimated FROM entries ORDER BY id"
            return list(books.execute(query))


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with start_upstream(tmp_path_factory.mktemp("fake"), program="foz.testing.huggingface") as upstream:
        environment = {"API_KEY": KEY, "HUGGINGFACE_API_KEY": "hf_test", "WRONG_TOKEN": "hf_wrong"}
        folder = tmp_path_factory.mktemp("gateway")
        with start_gateway(folder, config=CONFIG.format(port=upstream.port), environment=environment) as gateway:
            yield House(gateway, upstream)


def simulating(**how: object) -> Headers:
    return (*BEARER, *((f"x-simulate-{name}".encode().replace(b"_", b"-"), str(how[name]).encode()) for name in how))


def asking(model: str = NEO, text: str = "Onde os rios terminam? 🌊", **more: object) -> bytes:
    return msgspec.json.encode({"messages": [{"role": "user", "content": text}], "model": model, **more})


def data_of(reply: Reply) -> Any:
    """Asserts the envelope and the members of a good answer, and gives what is in it."""
    assert reply.status == 200, reply.body
    assert reply.header(b"content-type") == b"application/json"
    told = msgspec.json.decode(reply.body)
    assert set(told) == {"success", "data"}
    assert told["success"] is True
    assert set(told["data"]) == {"response", "model", "usage"}
    usage = told["data"]["usage"]
    assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"]
    return told["data"]


def refused(reply: Reply, status: int) -> tuple[str, str | None]:
    """Asserts the envelope of a fault, and gives its text and its field."""
    assert reply.status == status, reply.body
    assert (reply.header(b"content-type") or b"").startswith(b"application/json")
    told = msgspec.json.decode(reply.body)
    assert set(told) - {"field"} == {"success", "error"}
    assert told["success"] is False
    assert told["error"]
    return str(told["error"]), told.get("field")


# The seed's examples, sent as they are written.


def test_seed_002_the_format_of_a_request(house: House) -> None:
    """Seed 002, Formato da Requisição: content in parts, with all of its options, is answered as Resposta shows."""
    answer = data_of(house.call("POST", NEW, examples.FORMAT))

    assert answer["model"] == MEDIUM
    assert "simulated model" in answer["response"]


def test_seed_002_plain_text(house: House) -> None:
    """Seed 002, Exemplo 1: Texto simples: content as a string is answered as Resposta shows."""
    answer = data_of(house.call("POST", NEW, examples.PLAIN))

    assert answer["model"] == MEDIUM
    assert answer["response"]


def test_seed_002_structured_content(house: House) -> None:
    """Seed 002, Exemplo 2: Formato estruturado: the larger model answers."""
    answer = data_of(house.call("POST", NEW, examples.STRUCTURED))

    assert answer["model"] == "microsoft/DialoGPT-large"
    assert answer["response"]


def test_seed_002_a_conversation_with_context(house: House) -> None:
    """Seed 002, Exemplo 3: Conversa com contexto: the whole conversation reaches the model, not its first question."""
    answer = data_of(house.call("POST", NEW, examples.CONVERSATION))
    told = {**msgspec.json.decode(examples.CONVERSATION), "model": NEO}
    counted = data_of(house.call("POST", NEW, msgspec.json.encode(told)))["usage"]

    assert answer["model"] == MEDIUM
    prompt = " ".join(message["content"] for message in told["messages"])
    assert counted["prompt_tokens"] == len(re.findall(r"\S+", prompt)) + len(("User:", "Assistant:")) * 2
    assert "estimated" not in counted


@pytest.mark.parametrize(
    "model",
    [MEDIUM, "microsoft/DialoGPT-large", "facebook/blenderbot-400M-distill", "google/flan-t5-base", NEO, BLOOM],
)
def test_seed_002_supported_models(house: House, model: str) -> None:
    """Seed 002, Modelos Suportados: each model of the list answers under its own name, whole and streamed alike."""
    whole = data_of(house.call("POST", NEW, asking(model, max_tokens=60)))
    told = streamed(house.call("POST", NEW, asking(model, max_tokens=60, stream=True)))

    assert whole["model"] == model
    assert "".join(one["data"]["response"] for one in told) == whole["response"]
    assert told[-1]["data"]["usage"] == whole["usage"]


def test_seed_002_the_original_format(house: House) -> None:
    """Seed 002, Diferenças do Formato Original: `/api/huggingface-chat` takes one text and answers in the envelope."""
    for name in ("message", "prompt", "inputs"):
        body = msgspec.json.encode({name: "Qual é a capital do Brasil?", "temperature": 0.7, "max_tokens": 50})
        assert data_of(house.call("POST", OLD, body))["model"] == MEDIUM
    assert data_of(house.call("POST", OLD, examples.QUESTION))["response"]


def test_seed_002_error_404(house: House) -> None:
    """Seed 002, Troubleshooting: a model that Hugging Face does not serve is 404 with the hint, and names the field."""
    for path, body in ((NEW, asking("acme/none")), (OLD, b'{"message":"x","model":"acme/gpt-neo-none"}')):
        error, field = refused(house.call("POST", path, body), 404)
        assert "Verifique se o modelo existe na API Inference do HuggingFace" in error
        assert field == "model"


def test_seed_002_error_401(house: House) -> None:
    """Seed 002, Troubleshooting: a key that Hugging Face does not take is 401 with the hint, and is never shown."""
    reply = house.call("POST", NEW, asking(f"wrong/{BLOOM}"))
    error, _ = refused(reply, 401)

    assert "Verifique sua chave da API" in error
    assert b"hf_wrong" not in reply.body
    assert f"wrong/{BLOOM}" in error


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("path", [NEW, OLD])
def test_seed_002_a_sleeping_model_is_waited_for(house: House, path: str, stream: bool) -> None:
    """Seed 002, Troubleshooting: a model that sleeps is asked again within `max_time`, and then answers."""
    said = {"message": "Olá"} if path == OLD else msgspec.json.decode(asking())
    body = msgspec.json.encode({**said, "model": NEO, "max_time": 10, "stream": stream})
    before = house.asked()
    reply = house.call("POST", path, body, simulating(status=503, retry_after=0.1, times=1, id=f"{path}{stream}"))

    assert streamed(reply)[-1]["success"] if stream else data_of(reply)["response"]
    assert house.asked() == before + 2


@pytest.mark.parametrize("stream", [False, True])
def test_seed_002_a_model_that_sleeps_too_long(house: House, stream: bool) -> None:
    """Seed 002, Troubleshooting: a model still asleep after `max_time` is 500 and says so, with when to ask again."""
    reply = house.call("POST", NEW, asking(max_time=1, stream=stream), simulating(status=503, retry_after=20))
    error, _ = refused(reply, 500)

    assert "still loading after 1 s" in error
    assert "precisam ser carregados na primeira requisição" in error
    assert int(reply.header(b"retry-after") or 0) == 20


@pytest.mark.parametrize("status", [400, 403, 422, 429, 500, 503])
def test_seed_002_error_500(house: House, status: int) -> None:
    """Seed 002, Códigos de Erro: whatever else Hugging Face refuses with is 500 in the envelope."""
    for model in (NEO, LLAMA):
        refused(house.call("POST", NEW, asking(model), simulating(status=status)), 500)


def test_seed_002_the_key_in_a_file(tmp_path: Path, house: House) -> None:
    """Seed 002, Configuração Necessária: the line in `.env` is the key; without it the provider is named as missing."""
    (tmp_path / "with").mkdir()
    (tmp_path / "with/.env").write_text("HUGGINGFACE_API_KEY=hf_your-huggingface-token-here\n")
    config = (house.gateway.folder / "foz.toml").read_text()
    with start_gateway(tmp_path / "with", config=config) as gateway, gateway.connect() as connection:
        assert data_of(connection.call("POST", NEW, examples.PLAIN))["response"]
    with start_gateway(tmp_path / "without", config=config) as gateway, gateway.connect() as connection:
        error, field = refused(connection.call("POST", NEW, examples.PLAIN), 404)

    assert "huggingface is not configured" in error
    assert field == "model"


# Streams.


def streamed(reply: Reply) -> list[Any]:
    """Asserts a stream that is whole, and gives its events."""
    assert (reply.status, reply.header(b"content-type")) == (200, b"text/event-stream; charset=utf-8"), reply.body
    *frames, done = Decoder().feed(reply.body)
    assert done.data == b"[DONE]"
    told = [msgspec.json.decode(frame.data) for frame in frames]
    assert all(set(one) == {"success", "data"} and one["success"] is True for one in told)
    assert [set(one["data"]) for one in told[:-1]] == [{"response", "model"}] * (len(told) - 1)
    assert set(told[-1]["data"]) == {"response", "model", "usage"}
    return told


@pytest.mark.parametrize("model", [NEO, LLAMA])
def test_pieces_come_as_they_are_made(house: House, model: str) -> None:
    """The first pieces reach the caller one by one while the upstream still waits to send its last."""
    with house.gateway.connect() as connection:
        connection.send(request("POST", NEW, asking(model, stream=True), simulating(pace=0.05, hang=5)))
        assert connection.head().status == 200
        pieces = [connection.chunk(), connection.chunk()]

    for piece in pieces:
        (frame,) = Decoder().feed(piece)
        assert msgspec.json.decode(frame.data)["data"]["response"]


@pytest.mark.parametrize("model", [NEO, LLAMA])
@pytest.mark.parametrize("how", [{"cut": 3}, {"error": 3}, {"garble": 3}])
def test_a_broken_stream_never_looks_finished(house: House, how: dict[str, object], model: str) -> None:
    """A stream that breaks ends with a fault in the envelope, and neither with `[DONE]` nor with the last chunk."""
    with house.gateway.connect() as connection:
        connection.send(request("POST", NEW, asking(model, stream=True), simulating(**how)))
        said = connection.rest()

    assert b"[DONE]" not in said
    assert b'"usage"' not in said
    assert b'"success":false' in said
    assert not said.endswith(b"\r\n0\r\n\r\n")


def test_emoji_split_over_writes_arrive_whole(house: House) -> None:
    """Text beyond ASCII that comes byte by byte is the same text, streamed and whole."""
    body = asking(LLAMA, text="Repita: água 🌊👩‍🚀 海")
    whole = data_of(house.call("POST", NEW, body))
    told = streamed(house.call("POST", NEW, body[:-1] + b',"stream":true}', simulating(fragment=1)))

    assert "".join(one["data"]["response"] for one in told) == whole["response"]


def test_an_empty_answer_is_an_answer(house: House) -> None:
    """A model that says nothing has answered, whole and streamed."""
    assert data_of(house.call("POST", NEW, asking(), simulating(words=0)))["response"] == ""
    told = streamed(house.call("POST", NEW, asking(stream=True), simulating(words=0)))
    assert "".join(one["data"]["response"] for one in told) == ""


def test_a_stream_that_is_cut_before_it_began_is_a_plain_fault(house: House) -> None:
    """Where nothing was said yet, a broken stream is 500 in the envelope."""
    refused(house.call("POST", NEW, asking(stream=True), simulating(socket="close")), 500)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("model", [MEDIUM, NEO])
def test_the_caller_is_told_what_the_ledger_has(house: House, model: str, stream: bool) -> None:
    """The counts of an answer are the ledger's, and both are marked where they were estimated."""
    reply = house.call("POST", NEW, asking(model, stream=stream))
    usage = (streamed(reply)[-1]["data"] if stream else data_of(reply))["usage"]
    estimated = usage.pop("estimated", False)

    told = (model, "hf_chat", usage["prompt_tokens"], usage["completion_tokens"], int(estimated))
    assert house.entries()[-1] == told
    assert estimated == (model == MEDIUM)


# Bad input.

DEEP = b'{"messages":' + b"[" * 200 + b"]" * 200 + b"}"
OPTIONS = ("temperature", "max_tokens", "top_p", "top_k", "repetition_penalty", "max_time")


@pytest.mark.parametrize("path", [NEW, OLD])
@pytest.mark.parametrize("name", OPTIONS)
def test_seed_002_error_400(house: House, path: str, name: str) -> None:
    """Seed 002, Códigos de Erro: an option out of its range is 400 and names the field; nothing is sent upstream."""
    said = {"message": "Olá"} if path == OLD else msgspec.json.decode(asking())
    before = house.asked(), len(house.entries())

    for value in (-1, 5000, "x"):
        _, field = refused(house.call("POST", path, msgspec.json.encode({**said, name: value})), 400)
        assert field == name
    assert (house.asked(), len(house.entries())) == before


@pytest.mark.parametrize(
    ("method", "path", "body", "headers", "status"),
    [
        *[
            ("POST", path, body, (), 400)
            for path in (NEW, OLD)
            for body in (b"", b"{", b"[]", b"null", b"\xff\xfe", b'{"a":"\xff"}', b"{}", b"{} x", DEEP, b'{"a":NaN}')
        ],
        ("POST", NEW, b'{"model":"a/b","messages":[{"role":"user","content":"\\ud800"}]}', (), 400),
        ("POST", OLD, b'{"message":"a","model":5}', (), 400),
        ("POST", NEW, asking(f"a/{'x' * 5000}"), (), 404),
        ("POST", NEW, asking("../../etc/passwd"), (), 404),
        ("POST", NEW, asking("nobody-knows-it"), (), 404),
        ("POST", NEW, examples.PLAIN, ((b"content-type", b"text/plain"),), 415),
        ("POST", NEW, examples.PLAIN, ((b"content-type", b"multipart/form-data; boundary=x"),), 415),
        ("POST", OLD, examples.QUESTION, ((b"content-encoding", b"gzip"),), 415),
        ("POST", NEW, examples.PLAIN, ((b"x-foz-project", b"\xff"),), 400),
        ("POST", NEW, b"x" * 70_000, (), 413),
        ("POST", OLD, b"", ((b"x-long", b"x" * 70_000),), 431),
        ("GET", NEW, b"", (), 405),
        ("DELETE", OLD, b"", (), 405),
        ("POST", f"{NEW}/more", examples.PLAIN, (), 404),
    ],
)  # fmt: skip
def test_bad_input_is_told_in_the_envelope(
    house: House, method: str, path: str, body: bytes, headers: Headers, status: int
) -> None:
    """What is wrong gets its status in the envelope; nothing is sent upstream and nothing is accounted for."""
    before = house.asked(), len(house.entries())

    refused(house.call(method, path, body, (*BEARER, *headers)), status)

    assert (house.asked(), len(house.entries())) == before


def test_a_picture_for_a_model_that_reads_text_is_refused(house: House) -> None:
    """A picture for a model that cannot see it is 400 in the envelope, and nothing is sent upstream."""
    content = [{"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}]
    before = house.asked()
    body = msgspec.json.encode({"messages": [{"role": "user", "content": content}], "model": MEDIUM})
    error, _ = refused(house.call("POST", NEW, body), 400)

    assert "images" in error
    assert house.asked() == before


def test_without_a_key_nobody_is_let_in(house: House) -> None:
    """No key and a wrong one are 401 in the envelope."""
    for headers in ((), ((b"authorization", b"Bearer sk-wrong-key"),)):
        reply = house.call("POST", NEW, examples.PLAIN, headers)
        assert "key" in refused(reply, 401)[0]
        assert reply.header(b"www-authenticate") == b"Bearer"


def test_the_reference_shows_the_seeds_examples(house: House) -> None:
    """/openapi.json has both paths, with the seed's example of a request and of an answer."""
    paths = msgspec.json.decode(house.call("GET", "/openapi.json").body)["paths"]

    for path, body in ((NEW, examples.FORMAT), (OLD, examples.QUESTION)):
        told = paths[path]["post"]
        assert told["requestBody"]["content"]["application/json"]["example"] == msgspec.json.decode(body)
        shown = told["responses"]["200"]["content"]["application/json"]["example"]
        assert shown == msgspec.json.decode(examples.ANSWER)
