"""The ModelService over a real socket: its methods, the same answers and entries as REST, leaving, faults, draining."""

import os
import signal
import socket
import sqlite3
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import grpc
import msgspec
import pytest
from google.protobuf.json_format import ParseDict
from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from foz.skins.model_grpc import model_pb2 as pb
from foz.skins.model_grpc.skin import path_of
from foz.testing.process import Child, Served, Upstream, free_port, start_gateway, start_upstream, wait_until
from foz.testing.raw import request
from foz.testing.service import Ended, Service
from foz.wire.sse import Decoder

KEY = "sk-model-grpc-0123456789"
OK = grpc.StatusCode.OK
CONFIG = """
[auth]
api_key = "{key}"

[[provider]]
name = "far"
base_url = "http://127.0.0.1:{port}/v1"
auth = "none"
forwards = ["x-simulate-"]

[[model]]
name = "public"
title = "Public"
version = "1.0"
targets = ["far/upstream-name"]
"""
OWN = {"id", "at", "owner", "skin", "request_id", "first_token", "duration", "first_at", "first_duration"}
"""Columns of an entry that no two calls have alike."""


class House:
    """A gateway with both faces, and what stands behind it."""

    def __init__(self, gateway: Served, upstream: Upstream, service: Service) -> None:
        self.gateway = gateway
        self.upstream = upstream
        self.service = service
        self.count = 0

    def named(self) -> str:
        """A request id."""
        self.count += 1
        return f"call-{self.count}"

    def entry(self, id: str) -> dict[str, Any]:
        """Of a request, once it is settled, without what is its own."""
        query = "SELECT * FROM entries WHERE request_id = ? AND state <> 'open'"
        with closing(sqlite3.connect(f"file:{self.gateway.folder}/data/foz.db?mode=ro", uri=True)) as books:
            books.row_factory = sqlite3.Row
            wait_until(lambda: bool(books.execute(query, (id,)).fetchall()), "the entry to be settled")
            (row,) = books.execute(query, (id,)).fetchall()
        return {key: row[key] for key in row.keys() if key not in OWN}  # noqa: SIM118 - a row is no dict

    def rest(self, body: dict[str, Any], id: str) -> tuple[int, Any]:
        """Status and data of a chat over REST; of a stream its chunks."""
        headers = ((b"authorization", f"Bearer {KEY}".encode()), (b"x-request-id", id.encode()))
        path = "/models/public/chat/completions"
        with self.gateway.connect() as connection:
            connection.send(request("POST", path, msgspec.json.encode(body), headers))
            head = connection.head()
            if head.header(b"transfer-encoding") == b"chunked":
                data = b"".join(iter(connection.chunk, b""))
                said = [frame.data for frame in Decoder().feed(data) if frame.data != b"[DONE]"]
                return head.status, [msgspec.json.decode(one)["data"] for one in said]
            said = msgspec.json.decode(connection.exactly(int(head.header(b"content-length") or 0)))
        return head.status, said["data"] if head.status == 200 else said["message"]


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with start_upstream(tmp_path_factory.mktemp("upstream")) as upstream:
        config = CONFIG.format(key=KEY, port=upstream.port)
        port = free_port()
        with (
            start_gateway(tmp_path_factory.mktemp("gateway"), config=config, grpc_port=port) as gateway,
            Service(port, key=KEY) as service,
        ):
            yield House(gateway, upstream, service)


def chat(**more: Any) -> pb.ChatCompletionRequest:
    """A question of the seed."""
    turns = [pb.Message(role="system", content="你是一个有用的AI助手。"), pb.Message(role="user", content="你好")]
    return pb.ChatCompletionRequest(**{"model_id": "public", "messages": turns, **more})


def details(ended: Ended) -> dict[str, Any]:
    """google.rpc's details of a status, by their kind."""
    raw = ended.trailers["grpc-status-details-bin"]
    assert isinstance(raw, bytes)
    status = status_pb2.Status.FromString(raw)
    assert (status.code, status.message) == (ended.code.value[0], ended.message)
    found = {}
    for one in status.details:
        kind = one.type_url.rpartition(".")[2]
        found[kind] = getattr(error_details_pb2, kind).FromString(one.value)
    return found


# -- methods ---------------------------------------------------------------


def test_the_models_are_those_of_rest(house: House) -> None:
    """ListModels and GetModel tell of each model what GET /models and GET /models/{id} tell."""
    with house.gateway.connect() as connection:
        bearer = ((b"authorization", f"Bearer {KEY}".encode()),)
        listed = msgspec.json.decode(connection.call("GET", "/models", b"", bearer).body)["data"]
        shown = msgspec.json.decode(connection.call("GET", "/models/public", b"", bearer).body)["data"]

    found = house.service.call("ListModels", pb.ListModelsRequest())
    one = house.service.call("GetModel", pb.GetModelRequest(model_id="public"))

    assert (found.code, one.code) == (OK, OK)
    assert "public" in {model["id"] for model in listed["models"]}
    assert found.answers == [ParseDict(listed, pb.ListModelsResponse())]
    assert one.answers == [ParseDict(shown, pb.GetModelResponse())]


def test_a_text_is_continued_whole_and_in_pieces(house: House) -> None:
    """CreateCompletion and its stream say the same text; the last message of a stream has the usage."""
    asked = pb.CompletionRequest(model_id="public", prompt="Once upon a time", max_tokens=7)

    whole = house.service.call("CreateCompletion", asked)
    pieces = house.service.call("CreateCompletionStream", asked)

    assert (whole.code, pieces.code) == (OK, OK)
    (answer,) = whole.answers
    assert isinstance(answer, pb.CompletionResponse)
    chunks = [one for one in pieces.answers if isinstance(one, pb.CompletionChunk)]
    assert "".join(chunk.choices[0].text for chunk in chunks) == answer.choices[0].text != ""
    assert answer.choices[0].finish_reason == chunks[-2].choices[0].finish_reason == "length"
    assert chunks[-1].usage == answer.usage
    assert answer.usage.completion_tokens == 7


def test_texts_become_vectors(house: House) -> None:
    """CreateEmbeddings gives one vector for each text, in order; as base64 it is the same vector."""
    asked = pb.EmbeddingsRequest(model_id="public", input=["first", "second"], dimensions=4)
    plain = house.service.call("CreateEmbeddings", asked)
    asked.encoding_format = "base64"
    packed = house.service.call("CreateEmbeddings", asked)

    (answer,), (coded,) = plain.answers, packed.answers
    assert isinstance(answer, pb.EmbeddingsResponse)
    assert isinstance(coded, pb.EmbeddingsResponse)
    assert [(one.index, len(one.embedding), one.base64) for one in answer.data] == [(0, 4, ""), (1, 4, "")]
    assert all(one.base64 and not one.embedding for one in coded.data)
    assert answer.data[0].embedding != answer.data[1].embedding


def test_health_and_reflection_are_there(house: House) -> None:
    """The health service says that the ModelService serves, and reflection gives its descriptor, without a key."""
    check = house.service.channel.unary_unary(
        "/grpc.health.v1.Health/Check",
        health_pb2.HealthCheckRequest.SerializeToString,
        health_pb2.HealthCheckResponse.FromString,
    )
    found = ProtoReflectionDescriptorDatabase(house.service.channel)

    assert check(health_pb2.HealthCheckRequest(service="model.ModelService")).status == 1
    assert "model.ModelService" in found.get_services()
    assert found.FindFileContainingSymbol("model.ModelService").package == "model"


# -- the same as REST ------------------------------------------------------

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
TURNS = st.lists(st.tuples(st.sampled_from(["system", "user", "assistant"]), TEXTS), min_size=1, max_size=4)
NUMBERS = st.none() | st.floats(0, 1) | st.floats(0, 1) | st.floats(-1, 3)
TOOL = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
FORM = {"name": "place", "schema": TOOL, "strict": True}


def _both(asked: dict[str, Any]) -> tuple[dict[str, Any], pb.ChatCompletionRequest]:
    """The same request over REST and gRPC."""
    body = {key: value for key, value in asked.items() if value not in (None, ())}
    body["messages"] = [{"role": role, "content": text} for role, text in asked["messages"]]
    message = pb.ChatCompletionRequest(
        model_id="public",
        messages=[pb.Message(role=role, content=text) for role, text in asked["messages"]],
        max_tokens=asked["max_tokens"],
        exact_temperature=asked["temperature"],
        top_p=asked["top_p"],
        n=asked["n"],
        stop=asked["stop"],
        seed=asked["seed"],
        logprobs=asked["logprobs"],
    )
    if asked["tools"]:
        schema = msgspec.json.encode(TOOL).decode()
        message.tools.add(function=pb.Function(name="weather", parameters=schema))
        body["tools"] = [{"type": "function", "function": {"name": "weather", "parameters": TOOL}}]
    if asked["response_format"]:
        schema = msgspec.json.encode(TOOL).decode()
        form = pb.JsonSchema(name="place", schema=schema, strict=True)
        message.response_format.CopyFrom(pb.ResponseFormat(type="json_schema", json_schema=form))
        body["response_format"] = {"type": "json_schema", "json_schema": FORM}
    if asked["stream"]:
        body["stream_options"] = {"include_usage": True}
    return body, message


REQUESTS = st.fixed_dictionaries(
    {
        "messages": TURNS,
        "max_tokens": st.none() | st.integers(-2, 30).filter(bool),
        "temperature": NUMBERS,
        "top_p": NUMBERS,
        "n": st.none() | st.integers(1, 3),
        "stop": st.lists(st.sampled_from(["simulated", "You", "said"]), max_size=2).map(tuple),
        "seed": st.none() | st.integers(0, 9),
        "logprobs": st.none() | st.just(value=True),
        "tools": st.none() | st.just(value=True),
        "response_format": st.none() | st.just(value=True),
        "stream": st.booleans(),
    }
)


def _wrong(asked: dict[str, Any]) -> int:
    """How many fields are out of their range."""
    ranges = {"max_tokens": (1, 99), "temperature": (0, 2), "top_p": (0, 1)}
    said = {name: asked[name] for name in ranges if asked[name] is not None}
    return sum(not ranges[name][0] <= value <= ranges[name][1] for name, value in said.items())


def _clean(value: Any) -> Any:
    """JSON as a message has it: what is null is not there, bytes are base64."""
    if isinstance(value, dict):
        kept = {key: _clean(one) for key, one in value.items() if one is not None}
        if "token" in kept and "bytes" in kept:
            kept["bytes"] = msgspec.json.decode(msgspec.json.encode(bytes(kept["bytes"])))
        return kept
    if isinstance(value, list):
        return [_clean(one) for one in value]
    return value


def _as_message(data: dict[str, Any]) -> pb.ChatCompletionResponse:
    """REST's answer, field by field."""
    for choice in data["choices"]:
        for index, call in enumerate(choice["message"].get("tool_calls") or []):
            call["index"] = index
    return ParseDict(_clean(data), pb.ChatCompletionResponse())


def _grown(chunks: list[Any]) -> dict[int, list[Any]]:
    """What each choice came to: role, text, calls, reason."""
    grown: dict[int, list[Any]] = {}
    for chunk in chunks:
        for choice in chunk["choices"]:
            delta = choice["delta"]
            one = grown.setdefault(choice.get("index", 0), ["", "", {}, ""])
            one[0] += delta.get("role") or ""
            one[1] += delta.get("content") or ""
            for call in delta.get("tool_calls") or []:
                called = one[2].setdefault(call.get("index", 0), ["", "", ""])
                called[0] += call.get("id") or ""
                called[1] += call["function"].get("name") or ""
                called[2] += call["function"].get("arguments") or ""
            one[3] += choice.get("finish_reason") or ""
    return grown


def _as_dicts(answers: list[Message]) -> list[dict[str, Any]]:
    """A stream's messages in the shape of REST's chunks."""
    chunks = []
    for chunk in answers:
        assert isinstance(chunk, pb.ChatCompletionChunk)
        choices = []
        for choice in chunk.choices:
            calls = [
                {"index": call.index, "id": call.id, "function": {"name": call.function.name,
                 "arguments": call.function.arguments}}
                for call in choice.delta.tool_calls
            ]  # fmt: skip
            delta = {"role": choice.delta.role, "content": choice.delta.content, "tool_calls": calls}
            choices.append({"index": choice.index, "delta": delta, "finish_reason": choice.finish_reason})
        chunks.append({"choices": choices})
    return chunks


@settings(max_examples=60, derandomize=True, suppress_health_check=list(HealthCheck))
@given(asked=REQUESTS)
def test_rest_and_grpc_are_the_same(house: House, asked: dict[str, Any]) -> None:
    """For the same request both give the same answer or refusal, and entries that differ in the skin alone."""
    body, message = _both(asked)
    first, second = house.named(), house.named()
    method = "CreateChatCompletionStream" if asked["stream"] else "CreateChatCompletion"

    status, told = house.rest(body, first)
    ended = house.service.call(method, message, ("x-request-id", second))

    if status != 200:
        assert (status, ended.code) == (400, grpc.StatusCode.INVALID_ARGUMENT)
        assert ended.message == told or _wrong(asked) > 1  # of several the first is named, as they are written
        return
    assert ended.code is OK, ended.message
    if asked["stream"]:
        last = ended.answers[-1]
        assert isinstance(last, pb.ChatCompletionChunk)
        assert _grown(_as_dicts(ended.answers[:-1])) == _grown([chunk for chunk in told if chunk["choices"]])
        assert last.usage == ParseDict(_clean(told[-1]["usage"]), pb.Usage())
    else:
        assert ended.answers == [_as_message(told)]
    assert house.entry(first) == house.entry(second)


# -- who leaves ------------------------------------------------------------


@pytest.mark.parametrize("how", ["cancels", "runs out of time"])
@pytest.mark.parametrize("method", ["CreateChatCompletion", "CreateChatCompletionStream"])
def test_who_leaves_is_gone_upstream_too(house: House, method: str, how: str) -> None:
    """A caller who cancels, or whose deadline passes: upstream closed within 100 ms, and the entry is caller_gone."""
    id = house.named()
    streamed = method.endswith("Stream")
    mischief = (("x-simulate-endless", "1"), ("x-simulate-pace", "0.02")) if streamed else (("x-simulate-delay", "30"),)
    given = house.service.metadata((("x-request-id", id), *mischief))
    limit = 1.0 if how == "runs out of time" else 20.0
    message = chat().SerializeToString()
    began = time.monotonic()
    if streamed:
        pieces = house.service.channel.unary_stream(path_of(method), bytes, bytes)
        stream = pieces(message, timeout=limit, metadata=given)
        for _ in range(3):
            next(stream)
        cancel = stream.cancel
    else:
        single = house.service.channel.unary_unary(path_of(method), bytes, bytes)
        cancel = single.future(message, timeout=limit, metadata=given).cancel
    wait_until(lambda: id in house.upstream.seen()["request_ids"], "the upstream to see the call")
    left = began + limit
    if how == "cancels":
        left = time.monotonic()
        cancel()

    def cut() -> list[float]:
        return [float(one["at"]) / 1000 for one in house.upstream.seen()["cut"] if one["request_id"] == id]

    wait_until(lambda: bool(cut()), "the upstream to see its connection closed", 5.0)
    assert cut()[0] - left < 0.1
    assert house.entry(id)["state"] == "caller_gone"


# -- what goes wrong -------------------------------------------------------


def test_a_fault_has_its_details(house: House) -> None:
    """A field that is wrong is named in BadRequest, the request in RequestInfo; the retry is told to stay away."""
    ended = house.service.call("CreateChatCompletion", chat(top_p=7), ("x-request-id", "wrong-field"))
    found = details(ended)

    assert ended.code is grpc.StatusCode.INVALID_ARGUMENT
    assert ended.trailers["x-request-id"] == found["RequestInfo"].request_id == "wrong-field"
    assert [one.field for one in found["BadRequest"].field_violations] == ["top_p"]
    assert found["ErrorInfo"].reason == "BAD_REQUEST"
    assert ended.trailers["grpc-retry-pushback-ms"] == "-1"


def test_an_upstreams_limit_says_when_to_ask_again(house: House) -> None:
    """A provider's 429 with retry-after is RESOURCE_EXHAUSTED, with the target and a RetryInfo."""
    ended = house.service.call(
        "CreateChatCompletion", chat(), ("x-simulate-status", "429"), ("x-simulate-retry-after", "30")
    )
    found = details(ended)

    assert ended.code is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert found["RetryInfo"].retry_delay.seconds == 30
    assert found["ErrorInfo"].metadata["target"] == "far/upstream-name"


def test_a_stream_that_breaks_ends_with_a_status(house: House) -> None:
    """Of an answer that is cut in the middle the caller has the pieces, and UNAVAILABLE instead of OK."""
    id = house.named()
    ended = house.service.call(
        "CreateChatCompletionStream", chat(), ("x-simulate-cut", "5"), ("x-request-id", id)
    )  # fmt: skip

    assert ended.code is grpc.StatusCode.UNAVAILABLE
    assert 0 < len(ended.answers) < 6
    assert details(ended)["ErrorInfo"].reason == "UPSTREAM_CUT"
    assert house.entry(id)["state"] == "upstream_cut"


def test_a_stream_is_not_asked_for_whole(house: House) -> None:
    """`stream: true` in a call that answers whole is refused with the method to call instead."""
    ended = house.service.call("CreateChatCompletion", chat(stream=True))

    assert ended.code is grpc.StatusCode.INVALID_ARGUMENT
    assert "CreateChatCompletionStream" in ended.message


def test_a_name_that_nobody_has_is_not_found(house: House) -> None:
    """An unknown model is NOT_FOUND, and `model_id` is to blame."""
    ended = house.service.call("CreateChatCompletion", chat(model_id="publik"))

    assert ended.code is grpc.StatusCode.NOT_FOUND
    assert "Did you mean public?" in ended.message
    assert details(ended)["ErrorInfo"].metadata["field"] == "model_id"


# -- the end ---------------------------------------------------------------


def test_what_runs_may_finish_when_it_is_stopped(tmp_path_factory: pytest.TempPathFactory, house: House) -> None:
    """A running stream comes to its end with OK, an endless one is UNAVAILABLE, the process ends with 0."""
    config = CONFIG.format(key=KEY, port=house.upstream.port) + '\n[limits]\ndrain = "2s"\n'
    port = free_port()
    folder = tmp_path_factory.mktemp("stopped")
    with start_gateway(folder, config=config, grpc_port=port) as gateway, Service(port, key=KEY) as service:
        stub = service.channel.unary_stream(path_of("CreateChatCompletionStream"), bytes, bytes)
        message = chat().SerializeToString()
        short = stub(message, metadata=service.metadata((("x-simulate-pace", "0.02"),)))
        endless = stub(
            message, metadata=service.metadata((("x-simulate-endless", "1"), ("x-simulate-pace", "0.02")))
        )  # fmt: skip
        next(short)
        next(endless)
        gateway.process.send_signal(signal.SIGTERM)

        assert len(list(short)) > 3
        assert short.code() is OK
        with pytest.raises(grpc.RpcError):
            list(endless)
        assert endless.code() is grpc.StatusCode.UNAVAILABLE
        assert gateway.wait() == 0


def test_a_process_that_dies_is_replaced(tmp_path_factory: pytest.TempPathFactory, house: House) -> None:
    """`kill -9` of the gRPC process: another answers on the same port, and HTTP never stopped."""
    config = CONFIG.format(key=KEY, port=house.upstream.port)
    port = free_port()
    folder = tmp_path_factory.mktemp("killed")
    with start_gateway(folder, config=config, grpc_port=port) as gateway, Service(port, key=KEY) as first:
        assert first.call("CreateChatCompletion", chat()).code is OK  # it starts with its first call
        children = Path(f"/proc/{gateway.pid}/task/{gateway.pid}/children")
        (child,) = map(int, children.read_text().split())
        os.kill(child, signal.SIGKILL)

        def answers() -> bool:
            with Service(port, key=KEY) as service:
                return service.call("CreateChatCompletion", chat(), deadline=5.0).code is OK

        wait_until(answers, "another process to answer", 20.0)
        assert "the gRPC process ended with code -9" in gateway.stderr


def test_a_taken_port_stops_only_who_asked_for_it(tmp_path_factory: pytest.TempPathFactory) -> None:
    """A port that was asked for and is taken: nothing starts, and the error says why."""
    folder = tmp_path_factory.mktemp("taken")
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        port = holder.getsockname()[1]
        environment = {"FOZ_DATA": str(folder / "data"), "HOME": str(folder), "TEST_MODE": "true"}
        command = [sys.executable, "-m", "foz", "serve", "--port", str(free_port()), "--grpc-port", str(port)]
        with Child(command, folder, environment) as child:
            assert child.wait() == 1
            assert f"cannot listen for gRPC on 127.0.0.1:{port}" in child.stderr
