"""
How each face is spoken to, written by hand: our requests in its words, and its answers and faults heard.

Nothing here uses the codecs that it tests.
"""

from collections.abc import Callable
from typing import Any

import msgspec
from msgspec import Struct

from foz.canon.content import Media, Message, Text, ToolCall, ToolResult
from foz.canon.request import ChatRequest
from foz.testing.matrix import anthropic, responses, service
from foz.testing.matrix.told import Streamed, Told, Wire
from foz.wire.http import Reply
from foz.wire.sse import Decoder


class Face(Struct, frozen=True):
    """One skin. `statuses` are what its callers are told of an upstream's statuses; 0 is silence."""

    name: str
    """The skin's; behind a dot, which of its faces."""
    losses: tuple[str, ...]
    say: Callable[[ChatRequest, str], tuple[str, Wire]]
    """(path, body)"""
    hear: Callable[[Reply], Told]
    hear_stream: Callable[[Streamed], Told]
    statuses: Callable[[int], int]
    breaks_silently: bool = False
    """It has no words for a fault in the middle of a stream."""
    reasons: bool = True
    """It says why an answer ended."""
    called: bool = False
    """It is asked over gRPC: `say` gives a method and the JSON of its message."""
    follows: str = ""
    """It answers with a job, whose status and events are under this path; what stands against it may be found late."""


# OpenAI's shapes.


def _part(part: Any) -> Wire:
    if isinstance(part, Media):
        return {"type": "image_url", "image_url": {"url": f"data:{part.mime};base64,{part.data}"}}
    return {"type": "text", "text": part.text}


def _message(message: Message) -> Wire:
    first = message.parts[0]
    if isinstance(first, ToolResult):
        return {"role": "tool", "tool_call_id": first.call_id, "content": "".join(_texts(first.parts))}
    if isinstance(first, ToolCall):
        called = {"name": first.name, "arguments": first.arguments}
        return {"role": "assistant", "tool_calls": [{"id": first.id, "type": "function", "function": called}]}
    if len(message.parts) == 1 and isinstance(first, Text):
        return {"role": message.role, "content": first.text}
    return {"role": message.role, "content": [_part(part) for part in message.parts]}


def _texts(parts: tuple[Text | Media, ...]) -> list[str]:
    return [part.text for part in parts if isinstance(part, Text)]


def _openai_body(request: ChatRequest) -> Wire:
    body: Wire = {"messages": [_message(message) for message in request.messages], "stream": request.stream}
    if request.tools:
        body["tools"] = [
            {
                "type": "function",
                "function": {
                    "name": tool.name,
                    "description": tool.description,
                    "parameters": msgspec.json.decode(tool.schema or b"{}"),
                },
            }
            for tool in request.tools
        ]
    if request.response_format is not None:
        form = request.response_format
        named = {"name": form.name, "schema": msgspec.json.decode(form.schema or b"{}"), "strict": True}
        body["response_format"] = {"type": "json_schema", "json_schema": named}
    if request.reasoning is not None:
        body["reasoning_effort"] = request.reasoning.effort
    if request.stop:
        body["stop"] = list(request.stop)
    if request.max_output is not None:
        body["max_tokens"] = request.max_output
    return body


def _hear_message(answer: Wire) -> Told:
    (choice,) = answer["choices"]
    message = choice["message"]
    calls = [
        (one["id"], one["function"]["name"], one["function"]["arguments"]) for one in message.get("tool_calls") or []
    ]
    thoughts = message.get("reasoning_content") or ""
    return Told(message["content"] or "", thoughts, calls, choice["finish_reason"], 1, whole=True)


def _hear_chunk(told: Told, chunk: Wire, calls: dict[int, list[str]]) -> None:
    for choice in chunk["choices"]:
        delta = choice["delta"]
        told.pieces += bool(delta.get("content"))
        told.text += delta.get("content") or ""
        told.thoughts += delta.get("reasoning_content") or ""
        told.reason = choice["finish_reason"] or told.reason
        for one in delta.get("tool_calls") or []:
            call = calls.setdefault(one["index"], ["", "", ""])
            call[0] += one.get("id") or ""
            call[1] += one["function"].get("name") or ""
            call[2] += one["function"].get("arguments") or ""


def _error(said: Wire) -> str:
    """A fault's words, wherever the face has them."""
    error = said.get("message") or said["error"]
    return str(error if isinstance(error, str) else error["message"])


def _hear_chunks(stream: Streamed, unwrap: Callable[[Wire], Wire]) -> Told:
    told, calls = Told(), dict[int, list[str]]()
    for frame in Decoder().feed(stream.body):
        if frame.data == b"[DONE]":
            told.whole = stream.ended
            continue
        said = msgspec.json.decode(frame.data)
        if "error" in said or said.get("code", 200) != 200:  # noqa: PLR2004 - the envelope's code of what is well
            told.error = _error(said)
        else:
            _hear_chunk(told, unwrap(said), calls)
    told.calls = [(id, name, arguments) for id, name, arguments in calls.values()]
    return told


def _openai(request: ChatRequest, model: str) -> tuple[str, Wire]:
    return "/v1/chat/completions", {"model": model, **_openai_body(request)}


def _hear_openai(reply: Reply) -> Told:
    said = msgspec.json.decode(reply.body)
    return Told(error=_error(said)) if "error" in said else _hear_message(said)


def _model_api(request: ChatRequest, model: str) -> tuple[str, Wire]:
    return f"/models/{model}/chat/completions", _openai_body(request)


def _hear_model_api(reply: Reply) -> Told:
    said = msgspec.json.decode(reply.body)
    return _hear_message(said["data"]) if said["code"] == 200 else Told(error=said["message"])  # noqa: PLR2004 - as above


_OURS = {401: 502, 500: 502, 0: 504}
"""A refusal of the gateway's own key is not the caller's; silence is a gateway's timeout."""


# The Chat Completion API of Hugging Face's models.


def _hf_part(part: Any) -> Wire:
    if isinstance(part, Media):
        return {"type": "image_url", "image_url": f"data:{part.mime};base64,{part.data}"}
    return {"type": "text", "text": part.text}


def _hf_chat(request: ChatRequest, model: str) -> tuple[str, Wire]:
    messages = [{"role": one.role, "content": [_hf_part(part) for part in one.parts]} for one in request.messages]
    body: Wire = {"messages": messages, "model": model, "stream": request.stream}
    if request.max_output is not None:
        body["max_tokens"] = request.max_output
    return "/api/chat/completions", body


def _hear_hf_chat(reply: Reply) -> Told:
    said = msgspec.json.decode(reply.body)
    return Told(said["data"]["response"], pieces=1, whole=True) if said["success"] else Told(error=said["error"])


def _hear_hf_pieces(stream: Streamed) -> Told:
    told = Told()
    for frame in Decoder().feed(stream.body):
        if frame.data == b"[DONE]":
            told.whole = stream.ended
            continue
        said = msgspec.json.decode(frame.data)
        if said["success"]:
            told.text += said["data"]["response"]
            told.pieces += bool(said["data"]["response"])
        else:
            told.error = said["error"]
    return told


# The API Ollama Host: questions and answers in plain text.


def _ollama_host(request: ChatRequest, model: str) -> tuple[str, Wire]:
    said = {one.role: "".join(part.text for part in one.parts if isinstance(part, Text)) for one in request.messages}
    body: Wire = {"agent": model, "content": said["user"]}
    if "system" in said:
        body["template"] = said["system"]
    return f"/api/v1/ai/ask_{'async' if request.stream else 'sync'}", body


def _hear_text(reply: Reply) -> Told:
    if reply.status == 200:  # noqa: PLR2004 - what is well
        return Told(reply.body.decode(), pieces=1, whole=True)
    return Told(error=msgspec.json.decode(reply.body)["detail"])


# The OCI GenAI Proxy: OpenAI's shapes at a path of its own, and errors of one sentence.


def _oci_proxy(request: ChatRequest, model: str) -> tuple[str, Wire]:
    return f"/genai/{model}/v1/chat/completions", _openai_body(request)


# The Nemotron Chat API: a message becomes a job, whose status and events are asked for.


def _nemotron(request: ChatRequest, model: str) -> tuple[str, Wire]:
    turns = [{"role": one.role, "content": "".join(_words(one))} for one in request.messages]
    body: Wire = {"model": model, "messages": [turn for turn in turns if turn["role"] != "system"]}
    system = [turn["content"] for turn in turns if turn["role"] == "system"]
    if system:
        body["system"] = "".join(system)
    if request.max_output is not None:
        body["max_tokens"] = request.max_output
    if request.reasoning is not None:
        body["use_reasoning"] = True
    return "/chat?mode=api", body


def _words(message: Message) -> list[str]:
    return [part.text for part in message.parts if isinstance(part, Text)]


def _hear_status(reply: Reply) -> Told:
    said = msgspec.json.decode(reply.body)
    if said.get("status") == "completed":
        return Told(said["result"]["response"], pieces=1, whole=True)
    return Told(error=said.get("error") or str(said["detail"]))


def _hear_events(stream: Streamed) -> Told:
    told = Told()
    for frame in Decoder().feed(stream.body):
        said = msgspec.json.decode(frame.data)
        if frame.event == b"piece":
            told.text += said.get("text", "")
            told.thoughts += said.get("reasoning", "")
            told.pieces += "text" in said
        elif frame.event == b"end":
            told.whole = stream.ended and said["status"] == "completed"
            told.error = said.get("error")
    return told


# Ollama: lines of JSON, the last of which says that it is done; calls come without pieces, and results without ids.


def _ollama_message(message: Message) -> Wire:
    first = message.parts[0]
    if isinstance(first, ToolResult):
        return {"role": "tool", "tool_name": first.name, "content": "".join(_texts(first.parts))}
    said: Wire = {"role": message.role, "content": "".join(_words(message))}
    calls = [part for part in message.parts if isinstance(part, ToolCall)]
    if calls:
        named = [{"name": call.name, "arguments": msgspec.json.decode(call.arguments)} for call in calls]
        said["tool_calls"] = [{"function": function} for function in named]
    images = [part.data for part in message.parts if isinstance(part, Media)]
    return {**said, "images": images} if images else said


def _ollama(request: ChatRequest, model: str) -> tuple[str, Wire]:
    body: Wire = {"model": model, "messages": [_ollama_message(one) for one in request.messages]}
    if not request.stream:  # else it is left out: it means to stream
        body["stream"] = False
    options: Wire = {"stop": list(request.stop)} if request.stop else {}
    if request.max_output is not None:
        options["num_predict"] = request.max_output
    if options:
        body["options"] = options
    if request.tools:
        body["tools"] = _openai_body(request)["tools"]
    if request.response_format is not None:
        body["format"] = msgspec.json.decode(request.response_format.schema or b"{}")
    if request.reasoning is not None:
        body["think"] = request.reasoning.effort
    return "/api/chat", body


def _hear_line(told: Told, said: Wire) -> None:
    if "error" in said:
        told.error = said["error"]
        return
    message = said["message"]
    told.text += message["content"]
    told.pieces += bool(message["content"])
    told.thoughts += message.get("thinking", "")
    for call in message.get("tool_calls", ()):
        function = call["function"]
        told.calls.append((call["id"], function["name"], msgspec.json.encode(function["arguments"]).decode()))
    if said["done"]:
        told.whole = True
        told.reason = "tool_calls" if told.calls and said["done_reason"] == "stop" else said["done_reason"]


def _hear_ollama(reply: Reply) -> Told:
    told = Told()
    _hear_line(told, msgspec.json.decode(reply.body))
    return told


def _hear_lines(stream: Streamed) -> Told:
    told = Told()
    for line in stream.body.splitlines():
        _hear_line(told, msgspec.json.decode(line))
    told.whole = told.whole and stream.ended
    return told


FACES = (
    Face(
        "openai",
        ("foz/dialects/openai/LOSSES.md",),
        _openai,
        _hear_openai,
        lambda stream: _hear_chunks(stream, lambda said: said),
        lambda status: _OURS.get(status, status),
    ),
    Face(
        "openai.responses",
        ("foz/dialects/openai/responses/LOSSES.md", "foz/dialects/openai/LOSSES.md"),
        responses.say,
        responses.hear,
        responses.hear_stream,
        lambda status: _OURS.get(status, status),
    ),
    Face(
        "anthropic",
        ("foz/dialects/anthropic/LOSSES.md",),
        anthropic.say,
        anthropic.hear,
        anthropic.hear_stream,
        lambda status: _OURS.get(status, status),
    ),
    Face(
        "model_api",
        ("foz/dialects/openai/LOSSES.md", "foz/skins/model_api/LOSSES.md"),
        _model_api,
        _hear_model_api,
        lambda stream: _hear_chunks(stream, lambda said: said["data"]),
        lambda status: _OURS.get(status, status),
    ),
    Face(
        "model_grpc",
        ("foz/dialects/openai/LOSSES.md", "foz/skins/model_grpc/LOSSES.md"),
        service.say,
        lambda _: Told(),  # messages are no bodies: `service` hears them
        lambda _: Told(),
        lambda status: service.REFUSALS.get(status, status),
        called=True,
    ),
    Face(
        "hf_chat",
        ("foz/skins/hf_chat/LOSSES.md",),
        _hf_chat,
        _hear_hf_chat,
        _hear_hf_pieces,
        lambda status: status if status in {401, 404} else 500,
        reasons=False,
    ),
    Face(
        "ollama_host",
        ("foz/skins/ollama_host/LOSSES.md",),
        _ollama_host,
        _hear_text,
        lambda stream: Told(stream.body.decode(), pieces=len(stream.chunks), whole=stream.ended),
        lambda status: _OURS.get(status, status),
        breaks_silently=True,
        reasons=False,
    ),
    Face(
        "ollama",
        ("foz/dialects/ollama/LOSSES.md",),
        _ollama,
        _hear_ollama,
        _hear_lines,
        lambda status: _OURS.get(status, status),
    ),
    Face(
        "oci_proxy",
        ("foz/dialects/openai/LOSSES.md", "foz/skins/oci_proxy/LOSSES.md"),
        _oci_proxy,
        _hear_openai,
        lambda stream: _hear_chunks(stream, lambda said: said),
        lambda status: _OURS.get(status, status),
    ),
    Face(
        "nemotron",
        ("foz/skins/nemotron/LOSSES.md",),
        _nemotron,
        _hear_status,
        _hear_events,
        lambda _: 200,
        reasons=False,
        follows="/chat",
    ),
)
