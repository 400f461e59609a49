"""The 模型 API over a real socket: the examples of seed 004's inference part, names, streams, faults, bad input."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from typing import Any
from uuid import UUID

import msgspec
import pytest

from foz.skins.model_api import examples
from foz.testing.process import Served, Upstream, start_gateway, start_upstream
from foz.testing.raw import request
from foz.wire.http import Headers, Reply

KEY = "sk-model-api-0123456789"
BEARER: Headers = ((b"authorization", f"Bearer {KEY}".encode()),)
CONFIG = """
[limits]
max_body = "64 KiB"

[[provider]]
name = "openai"
base_url = "http://127.0.0.1:{port}/v1"
models = ""

[[provider]]
name = "anthropic"
dialect = "openai"
base_url = "http://127.0.0.1:{port}/v1"
placement = "api"
models = ""

[[provider]]
name = "local"
base_url = "http://127.0.0.1:{port}/v1"
placement = "gpu"
models = ""

[[provider]]
name = "dead"
base_url = "http://127.0.0.1:1/v1"
placement = "api"
models = ""

[[model]]
name = "gpt-4"
title = "GPT-4"
description = "OpenAI GPT-4 大型语言模型"
version = "1.0"
capabilities = ["chat", "completion", "embedding"]
targets = ["openai/gpt-4"]

[[model]]
name = "claude-3"
title = "Claude 3"
description = "Anthropic Claude 3 大型语言模型"
version = "1.0"
capabilities = ["chat", "completion"]
targets = ["anthropic/claude-3"]

[[model]]
name = "deepseek-v3-14b"
title = "DeepSeek V3 14B"
description = "本地部署的 DeepSeek V3 14B 大型语言模型"
version = "3.0"
capabilities = ["chat", "completion", "code"]
targets = ["local/deepseek-v3-14b"]

[[model]]
name = "qwen3-7b"
title = "Qwen3 7B"
description = "本地部署的 Qwen3 7B 大型语言模型"
version = "3.0"
capabilities = ["chat", "completion", "tool_use"]
targets = ["local/qwen3-7b"]

[[model]]
name = "text-embedding-ada-002"
targets = ["openai/text-embedding-ada-002"]

[[model]]
name = "org/estuary:latest"
targets = ["openai/hidden"]

[[model]]
name = "dead"
targets = ["dead/x"]

[[price]]
provider = "openai"
model = "gpt-4"
input = 30
output = 60
"""


class House:
    """A gateway with an upstream behind it."""

    def __init__(self, gateway: Served, upstream: Upstream) -> None:
        self.gateway = gateway
        self._upstream = upstream

    def call(self, method: str, path: str, body: bytes = b"", headers: Headers = BEARER) -> Reply:
        """One request over a connection of its own."""
        with self.gateway.connect() as connection:
            return connection.call(method, path, body, headers)

    def traces(self) -> tuple[int, int]:
        """How many calls the upstream saw, and how many entries the ledger has."""
        seen = sum(count for path, count in self._upstream.seen()["requests"].items() if path.startswith("/v1"))
        ((entries,),) = self.rows("SELECT count(*) FROM entries")
        return seen, entries

    def rows(self, query: str) -> list[Any]:
        """What the ledger's database answers."""
        with closing(sqlite3.connect(f"file:{self.gateway.folder}/data/foz.db?mode=ro", uri=True)) as books:
            return books.execute(query).fetchall()


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with start_upstream(tmp_path_factory.mktemp("upstream")) as upstream:
        config = CONFIG.format(port=upstream.port)
        folder = tmp_path_factory.mktemp("gateway")
        with start_gateway(
            folder,
            config=config,
            environment={"API_KEY": KEY, "OPENAI_API_KEY": "sk-far", "ANTHROPIC_API_KEY": "sk-far"},
        ) as gateway:
            yield House(gateway, upstream)


def data_of(reply: Reply) -> Any:
    """Asserts the envelope of a good answer, and gives what is in it."""
    assert reply.status == 200, reply.body
    assert reply.header(b"content-type") == b"application/json"
    told = msgspec.json.decode(reply.body)
    assert set(told) == {"code", "message", "data", "request_id"}
    assert (told["code"], told["message"]) == (200, "success")
    assert told["request_id"] == (reply.header(b"x-request-id") or b"").decode()
    assert UUID(told["request_id"]).version == 7
    return told["data"]


def refused(reply: Reply, status: int) -> str:
    """Asserts the envelope of a fault, and gives its message."""
    assert reply.status == status, reply.body
    assert (reply.header(b"content-type") or b"").startswith(b"application/json")
    told = msgspec.json.decode(reply.body)
    assert set(told) == {"code", "message", "data", "request_id"}
    assert (told["code"], told["data"]) == (status, None)
    assert told["request_id"] == (reply.header(b"x-request-id") or b"").decode()
    assert told["message"]
    return str(told["message"])


# The seed's examples.


def _without_hardware(model: Any) -> Any:
    """A model of the document's list; what a server runs on that Foz did not start is unknown."""
    unknown = {"type": "local", "hardware": None, "quantization": None}
    return {**model, **({"deployment": unknown} if "deployment" in model else {})}


def test_seed_004_list_of_models(house: House) -> None:
    """Seed 004, 获取可用模型列表: the four models of the example are listed with each of its fields, and all others."""
    models = {model["id"]: model for model in data_of(house.call("GET", "/models"))["models"]}
    example: Any = examples.MODELS["data"]

    for model in example["models"]:
        assert models.pop(model["id"]) == _without_hardware(model)
    assert set(models) == {"text-embedding-ada-002", "org/estuary:latest", "dead"}
    for model in models.values():
        assert set(model) == {"id", "name", "description", "version", "capabilities", "provider", "status"}
    assert models["text-embedding-ada-002"]["capabilities"] == ["embedding"]
    assert models["org/estuary:latest"]["capabilities"] == ["chat", "completion"]


def test_seed_004_details_of_a_model(house: House) -> None:
    """Seed 004, 获取模型详细信息: all is as in the example, with the stats that the ledger's entries bear out."""
    before = data_of(house.call("GET", "/models/qwen3-7b"))["stats"]
    assert before == {"average_latency_ms": None, "availability": None}
    for _ in range(3):
        data_of(house.call("POST", "/models/gpt-4/chat/completions", examples.CHAT))
    shown = data_of(house.call("GET", "/models/gpt-4"))
    took = [row[0] for row in house.rows("SELECT duration FROM entries WHERE model = 'gpt-4'")]
    example: Any = examples.MODEL["data"]

    stats = shown.pop("stats")
    assert shown == {name: value for name, value in example.items() if name != "stats"}
    assert set(stats) == set(example["stats"])
    assert stats == {"average_latency_ms": round(sum(took) / len(took)), "availability": 1}


def test_seed_004_text_completion(house: House) -> None:
    """Seed 004, 文本补全 API: the example's parameters are answered by a text completion of that model."""
    answer = data_of(house.call("POST", "/models/gpt-4/completions", examples.COMPLETION))

    assert (answer["object"], answer["model"]) == ("text_completion", "gpt-4")
    assert {"text", "index", "finish_reason"} <= set(answer["choices"][0])
    assert {"prompt_tokens", "completion_tokens", "total_tokens"} <= set(answer["usage"])
    assert answer["id"].startswith("cmpl-")
    assert isinstance(answer["created"], int)


def test_seed_004_chat(house: House) -> None:
    """Seed 004, 聊天对话 API: the example's conversation is answered by the assistant, with usage."""
    answer = data_of(house.call("POST", "/models/gpt-4/chat/completions", examples.CHAT))

    assert (answer["object"], answer["model"]) == ("chat.completion", "gpt-4")
    assert answer["id"].startswith("chatcmpl-")
    assert isinstance(answer["created"], int)
    (choice,) = answer["choices"]
    assert choice["message"]["role"] == "assistant"
    assert choice["message"]["content"]
    assert (choice["finish_reason"], choice["index"]) == ("stop", 0)
    assert answer["usage"]["total_tokens"] == answer["usage"]["prompt_tokens"] + answer["usage"]["completion_tokens"]


def test_seed_004_embeddings(house: House) -> None:
    """Seed 004, 向量嵌入 API: the example's two texts come back as two vectors in their order."""
    answer = data_of(house.call("POST", "/models/text-embedding-ada-002/embeddings", examples.EMBEDDING))

    assert (answer["object"], answer["model"]) == ("list", "text-embedding-ada-002")
    assert [one["index"] for one in answer["data"]] == [0, 1]
    assert {one["object"] for one in answer["data"]} == {"embedding"}
    assert all(isinstance(number, float) for one in answer["data"] for number in one["embedding"])
    assert answer["usage"]["prompt_tokens"] == answer["usage"]["total_tokens"] > 0


# Beyond them.


@pytest.mark.parametrize("id", ["org/estuary:latest", "org%2Festuary%3Alatest", "org%2festuary:latest"])
def test_ids_hold_slashes_and_colons(house: House, id: str) -> None:
    """An id in a path is the same plain and percent-encoded, on both planes."""
    answer = data_of(house.call("POST", f"/models/{id}/chat/completions", examples.CHAT))

    assert answer["model"] == "org/estuary:latest"
    assert data_of(house.call("GET", f"/models/{id}"))["id"] == "org/estuary:latest"


def test_the_paths_model_wins(house: House) -> None:
    """A model that the body names, whatever it is, is not the one that is asked."""
    for model in ("dead", 5, None):
        body = msgspec.json.encode({**msgspec.json.decode(examples.CHAT), "model": model})
        assert data_of(house.call("POST", "/models/gpt-4/chat/completions", body))["model"] == "gpt-4"


@pytest.mark.parametrize(
    ("path", "example", "kind", "prefix"),
    [
        ("chat/completions", examples.CHAT, "chat.completion.chunk", "chatcmpl"),
        ("completions", examples.COMPLETION, "text_completion", "cmpl"),
    ],
)
def test_each_chunk_of_a_stream_is_enveloped(house: House, path: str, example: bytes, kind: str, prefix: str) -> None:
    """A stream is frames of the envelope around OpenAI's chunks, all with the request's id, then a bare `[DONE]`."""
    body = msgspec.json.encode(
        {**msgspec.json.decode(example), "stream": True, "stream_options": {"include_usage": True}}
    )
    reply = house.call("POST", f"/models/gpt-4/{path}", body, (*BEARER, (b"x-request-id", b"mine-1")))
    *frames, done, end = reply.body.decode().split("\n\n")
    told = [msgspec.json.decode(frame.removeprefix("data: ")) for frame in frames]

    assert (reply.status, reply.header(b"content-type")) == (200, b"text/event-stream; charset=utf-8")
    assert (done, end) == ("data: [DONE]", "")
    assert {(one["code"], one["message"], one["request_id"]) for one in told} == {(200, "success", "mine-1")}
    assert {(one["data"]["object"], one["data"]["model"]) for one in told} == {(kind, "gpt-4")}
    assert {one["data"]["id"].partition("-")[0] for one in told} == {prefix}
    assert len([one for one in told if one["data"]["choices"]]) > 2
    assert told[-1]["data"]["usage"]["completion_tokens"] > 0


def test_a_target_that_is_down_is_told_in_the_envelope(house: House) -> None:
    """A dead provider is 502 in the envelope, streamed or not; its failures show in the model's availability."""
    for stream in (False, True):
        body = msgspec.json.encode({**msgspec.json.decode(examples.CHAT), "stream": stream})
        assert "dead" in refused(house.call("POST", "/models/dead/chat/completions", body), 502)
    shown = data_of(house.call("GET", "/models/dead"))

    assert shown["stats"] == {"average_latency_ms": None, "availability": 0}
    assert shown["pricing"] == {"input_per_1k_tokens": None, "output_per_1k_tokens": None, "currency": None}


CHAT, COMPLETE, EMBED = (f"/models/gpt-4/{end}" for end in ("chat/completions", "completions", "embeddings"))
DEEP = b'{"messages":' + b"[" * 200 + b"]" * 200 + b"}"


@pytest.mark.parametrize(
    ("method", "path", "body", "headers", "status"),
    [
        *[
            ("POST", path, body, (), 400)
            for path in (CHAT, COMPLETE, EMBED)
            for body in (b"", b"{", b"[]", b"null", b"\xff\xfe", b'{"a":"\xff"}', b"{}", b"{} x", DEEP, b'{"a":NaN}')
        ],
        ("POST", CHAT, b'{"messages":[]}', (), 400),
        ("POST", CHAT, b'{"messages":[{"role":"user","content":"\\ud800"}]}', (), 400),
        ("POST", CHAT, b'{"messages":[{"role":"user","content":"x"}],"temperature":9}', (), 400),
        ("POST", EMBED, b'{"input":[]}', (), 400),
        ("POST", CHAT, examples.CHAT, ((b"content-type", b"text/plain"),), 415),
        ("POST", CHAT, examples.CHAT, ((b"content-type", b"multipart/form-data; boundary=x"),), 415),
        ("POST", CHAT, examples.CHAT, ((b"content-encoding", b"gzip"),), 415),
        ("POST", CHAT, examples.CHAT, ((b"x-foz-project", b"\xff"),), 400),
        ("POST", CHAT, b"x" * 70_000, (), 413),
        ("POST", CHAT, b"", ((b"x-long", b"x" * 70_000),), 431),
        ("GET", CHAT, b"", (), 405),
        ("DELETE", "/models", b"", (), 405),
        ("POST", "/models", b"{}", (), 405),
        ("POST", "/models/gpt-4", b"{}", (), 405),
        ("POST", "/models/none/chat/completions", examples.CHAT, (), 404),
        ("POST", "/models/%ff/chat/completions", examples.CHAT, (), 400),
        ("POST", "/models/%zz/embeddings", examples.EMBEDDING, (), 400),
        ("POST", f"/models/{'x' * 600}/completions", examples.COMPLETION, (), 400),
        ("GET", "/models/none", b"", (), 404),
        ("GET", "/models/%ff%00", b"", (), 404),
        ("GET", "/models/local/deployments/x", b"", (), 404),
        ("GET", f"/models/{'x/' * 2000}", b"", (), 404),
    ],
)  # fmt: skip
def test_bad_input_is_told_in_the_envelope(
    house: House, method: str, path: str, body: bytes, headers: Headers, status: int
) -> None:
    """What is wrong gets its status in the envelope; nothing is sent upstream and nothing is accounted for."""
    before = house.traces()

    refused(house.call(method, path, body, (*BEARER, *headers)), status)

    assert house.traces() == before


def test_what_a_chat_cannot_complete_is_told_in_the_envelope(house: House) -> None:
    """Two prompts for a model that only chats are refused, naming the field, and nothing is sent upstream."""
    before, _ = house.traces()

    assert "'prompt'" in refused(house.call("POST", COMPLETE, b'{"prompt":["a","b"]}'), 400)
    assert house.traces()[0] == before


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", "/models", b""),
        ("GET", "/models/gpt-4", b""),
        ("POST", CHAT, examples.CHAT),
        ("GET", "/models/x/y", b""),
    ],
)
def test_without_a_key_nobody_is_let_in(house: House, method: str, path: str, body: bytes) -> None:
    """No key and a wrong one are 401 in the envelope on both planes."""
    for headers in ((), ((b"authorization", b"Bearer sk-wrong-key"),)):
        reply = house.call(method, path, body, headers)
        assert "key" in refused(reply, 401)
        assert reply.header(b"www-authenticate") == b"Bearer"


def test_head_and_options_are_answered(house: House) -> None:
    """HEAD is GET without a body, OPTIONS says what a path allows, and one slash at the end is ignored."""
    with house.gateway.connect() as connection:
        connection.send(
            b"HEAD /models HTTP/1.1\r\nhost: x\r\nx-api-key: %b\r\nconnection: close\r\n\r\n" % KEY.encode()
        )
        head = connection.rest()

    assert head.startswith(b"HTTP/1.1 200")
    assert head.endswith(b"\r\n\r\n")
    assert house.call("OPTIONS", CHAT).header(b"allow") == b"OPTIONS, POST"
    assert (house.call("OPTIONS", "/models").header(b"allow") or b"").replace(b" ", b"") == b"GET,HEAD,OPTIONS"
    assert data_of(house.call("GET", "/models/"))["models"]


def test_the_reference_shows_the_seeds_examples(house: House) -> None:
    """/openapi.json has each path of the seed's inference part, with its example of a body and of an answer."""
    paths = msgspec.json.decode(house.call("GET", "/openapi.json").body)["paths"]

    def answer(path: str, method: str) -> Any:
        return paths[path][method]["responses"]["200"]["content"]["application/json"]["example"]

    assert answer("/models", "get") == examples.MODELS
    assert answer("/models/{model}", "get") == examples.MODEL
    for end, body, said in (
        ("chat/completions", examples.CHAT, examples.CHAT_ANSWER),
        ("completions", examples.COMPLETION, examples.COMPLETION_ANSWER),
        ("embeddings", examples.EMBEDDING, examples.EMBEDDING_ANSWER),
    ):
        path = f"/models/{{model}}/{end}"
        assert paths[path]["post"]["requestBody"]["content"]["application/json"]["example"] == msgspec.json.decode(body)
        assert answer(path, "post") == msgspec.json.decode(said)
        assert paths[path]["post"]["security"] == paths["/models"]["get"]["security"]


def test_a_stream_that_breaks_never_looks_finished(tmp_path_factory: pytest.TempPathFactory) -> None:
    """A cut upstream is told as a last frame in the envelope; then the connection ends, without `[DONE]`."""
    body = msgspec.json.encode({**msgspec.json.decode(examples.CHAT), "stream": True})
    with (
        start_gateway(tmp_path_factory.mktemp("test-mode"), environment={"TEST_MODE": "true"}) as gateway,
        gateway.connect() as connection,
    ):
        connection.send(request("POST", "/models/any/name:at-all/chat/completions", body, ((b"x-simulate-cut", b"3"),)))
        head = connection.head()
        said = connection.rest()

    assert (head.status, head.header(b"content-type")) == (200, b"text/event-stream; charset=utf-8")
    frames = [msgspec.json.decode(line[6:]) for line in said.splitlines() if line.startswith(b"data: {")]
    assert [frame["code"] for frame in frames[:-1]] == [200] * (len(frames) - 1)
    assert (frames[-1]["code"], frames[-1]["data"]) == (502, None)
    assert frames[0]["data"]["model"] == "any/name:at-all"
    assert b"[DONE]" not in said
    assert not said.endswith(b"0\r\n\r\n")
