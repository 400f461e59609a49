"""Bodies of very many small things, in every dialect that callers speak: what one caller sends keeps nobody waiting."""

import time
from typing import Any

import msgspec
import pytest

from foz.canon.content import Message, Text
from foz.canon.event import CallGrew, CallOpened, Finished, Started
from foz.canon.request import ChatRequest
from foz.canon.tool import ToolChoice, ToolSpec
from foz.dialects.anthropic.client import MessagesClient
from foz.dialects.anthropic.server import MessagesServer
from foz.dialects.ollama.client import WordsClient
from foz.dialects.ollama.server import ChatServer as OllamaServer
from foz.dialects.openai.chat.server import ChatServer
from foz.dialects.openai.responses.server import ResponsesServer

MANY = 12_000
FUNCTION = {"name": "f", "arguments": "{}"}
CALLS = [{"id": f"c{place}", "type": "function", "function": FUNCTION} for place in range(MANY)]
BARE = [{"function": {"name": "f", "arguments": {}}}] * MANY
USES = [{"type": "tool_use", "id": f"c{place}", "name": "f", "input": {}} for place in range(MANY)]
RESULTS = [{"type": "tool_result", "tool_use_id": f"x{place}"} for place in range(MANY)]
ASKED: dict[str, tuple[Any, dict[str, Any]]] = {
    "calls and results, anthropic": (
        MessagesServer(),
        {"max_tokens": 9, "messages": [{"role": "assistant", "content": USES}, {"role": "user", "content": RESULTS}]},
    ),
    "calls and results, ollama": (
        OllamaServer(),
        {"messages": [{"role": "assistant", "tool_calls": BARE}, *[{"role": "tool", "tool_call_id": "x"}] * MANY]},
    ),
    "calls and results by name, ollama": (
        OllamaServer(),
        {"messages": [{"role": "assistant", "tool_calls": BARE}, *[{"role": "tool", "tool_name": "g"}] * MANY]},
    ),
    "calls and results, openai": (
        ChatServer(),
        {
            "messages": [
                {"role": "assistant", "tool_calls": CALLS},
                *[{"role": "tool", "tool_call_id": "x", "content": ""}] * MANY,
            ]
        },
    ),
    "calls, responses": (
        ResponsesServer(),
        {"input": [{"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"}] * MANY},
    ),
    "thoughts, responses": (ResponsesServer(), {"input": [{"type": "reasoning", "summary": []}] * MANY}),
}


@pytest.mark.parametrize("kind", ASKED)
def test_a_body_of_many_things_is_read_soon(kind: str) -> None:
    """Reading takes time by the length of a body, not by its square: twelve thousand things take less than 2 s."""
    server, said = ASKED[kind]
    body = msgspec.json.encode({"model": "m", **said})
    began = time.process_time()
    server.read(body)
    server.decode_request(body)

    assert time.process_time() - began < 2


@pytest.mark.parametrize("between", [None, "document"])
def test_what_is_nested_is_not_told_longer_than_it_was_written(between: str | None) -> None:
    """A result in a result, or in a document of one, is shown as it is written: no quotes are doubled at each level."""
    block: dict[str, Any] = {"type": "text", "text": "x"}
    for _ in range(12):
        block = {"type": "tool_result", "tool_use_id": "t", "content": [block]}
        if between is not None:
            block = {"type": between, "source": {"type": "content", "content": [block]}}
    messages = [{"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t", "content": [block]}]}]
    body = msgspec.json.encode({"model": "m", "max_tokens": 9, "messages": messages})

    assert len(msgspec.json.encode(MessagesServer().decode_request(body))) < 4 * len(body)


@pytest.mark.parametrize("client", [MessagesClient(), WordsClient()], ids=["anthropic", "ollama"])
def test_a_choice_among_many_tools_is_told_soon(client: Any) -> None:
    """Of ten thousand tools, those that may be called are found by their names, not by going through all names."""
    names = tuple(f"f{place}" for place in range(MANY))
    tools = tuple(ToolSpec(name, None, msgspec.Raw(b'{"type":"object"}')) for name in names)
    asked = ChatRequest("m", (Message("user", (Text("Hi"),)),), tools=tools, tool_choice=ToolChoice(allowed=names))
    began = time.process_time()
    client.encode_request(asked, "up")

    assert time.process_time() - began < 0.5


@pytest.mark.parametrize("arguments", ["", '{"a":'])
def test_many_calls_that_are_not_whole_are_told_soon(arguments: str) -> None:
    """Four thousand calls that wait for the one before them are told in less than a second."""
    server = MessagesServer()
    said = {"model": "m", "max_tokens": 9, "stream": True, "messages": [{"role": "user", "content": "Hi"}]}
    encoder = server.encoder(server.decode_request(msgspec.json.encode(said)), "m")
    encoder.feed(Started("i", "m", 1))
    began = time.process_time()
    told = b"".join(
        encoder.feed(event)
        for place in range(4_000)
        for event in (CallOpened(place, f"c{place}", "f"), CallGrew(place, arguments))
    )
    told += encoder.feed(Finished())

    assert time.process_time() - began < 1
    assert told.count(b"event: content_block_start") == 4_000
