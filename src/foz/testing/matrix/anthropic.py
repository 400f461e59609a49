"""Anthropic's Messages API, spoken to by hand: our requests as blocks, and its blocks and events heard."""

from typing import Any

import msgspec

from foz.canon.content import Media, Message, Text, ToolCall, ToolResult
from foz.canon.request import ChatRequest
from foz.testing.matrix.told import Streamed, Told, Wire
from foz.wire.http import Reply
from foz.wire.sse import Decoder

_REASONS = {
    "end_turn": "stop", "stop_sequence": "stop", "max_tokens": "length", "tool_use": "tool_calls",
    "refusal": "content_filter",
}  # fmt: skip
_ENOUGH = 4000


def _block(part: Any) -> Wire:
    match part:
        case Media():
            return {"type": "image", "source": {"type": "base64", "media_type": part.mime, "data": part.data}}
        case ToolCall():
            return {"type": "tool_use", "id": part.id, "name": part.name, "input": msgspec.json.decode(part.arguments)}
        case ToolResult():
            return {"type": "tool_result", "tool_use_id": part.call_id, "content": [_block(one) for one in part.parts]}
        case _:
            return {"type": "text", "text": part.text}


def _message(message: Message) -> Wire:
    role = "assistant" if message.role == "assistant" else "user"
    if len(message.parts) == 1 and isinstance(message.parts[0], Text):
        return {"role": role, "content": message.parts[0].text}
    return {"role": role, "content": [_block(part) for part in message.parts]}


def say(request: ChatRequest, model: str) -> tuple[str, Wire]:
    """Where to, and what."""
    system = [_block(part) for message in request.messages if message.role == "system" for part in message.parts]
    body: Wire = {"model": model, "max_tokens": request.max_output or _ENOUGH, "stream": request.stream}
    if system:
        body["system"] = system
    body["messages"] = [_message(one) for one in request.messages if one.role != "system"]
    if request.tools:
        body["tools"] = [
            {
                "name": tool.name,
                "description": tool.description,
                "input_schema": msgspec.json.decode(tool.schema or b"{}"),
            }
            for tool in request.tools
        ]
    if request.response_format is not None:
        wanted = msgspec.json.decode(request.response_format.schema or b"{}")
        body["output_config"] = {"format": {"type": "json_schema", "schema": wanted}}
    if request.reasoning is not None:
        body["thinking"] = {"type": "enabled", "budget_tokens": 1024}
    if request.stop:
        body["stop_sequences"] = list(request.stop)
    return "/v1/messages", body


def hear(reply: Reply) -> Told:
    """A whole answer, or a fault."""
    said = msgspec.json.decode(reply.body)
    if said["type"] == "error":
        return Told(error=said["error"]["message"])
    told = Told(reason=_REASONS[said["stop_reason"]], pieces=1, whole=True)
    for block in said["content"]:
        told.text += block.get("text", "")
        told.thoughts += block.get("thinking", "")
        if block["type"] == "tool_use":
            told.calls.append((block["id"], block["name"], msgspec.json.encode(block["input"]).decode()))
    return told


def hear_stream(stream: Streamed) -> Told:
    """A stream: each frame is named as its data says, and blocks come one behind the other."""
    told, calls = Told(), list[list[str]]()
    open_block: int | None = None
    for frame in Decoder().feed(stream.body):
        said = msgspec.json.decode(frame.data)
        if frame.event.decode() != said["type"]:
            raise AssertionError(f"the frame {frame.event!r} holds {frame.data!r}")
        match said["type"]:
            case "content_block_start":
                if open_block is not None:
                    raise AssertionError(f"a block begins in block {open_block}")
                open_block = said["index"]
                _begin(calls, said["content_block"])
            case "content_block_delta":
                _grow(told, calls, said["delta"])
            case "content_block_stop":
                open_block = None
            case "message_delta":
                told.reason = _REASONS[said["delta"]["stop_reason"]]
            case kind:
                told.whole = told.whole or (kind == "message_stop" and stream.ended)
                told.error = said["error"]["message"] if kind == "error" else told.error
    told.calls = [(id, name, _plain(arguments) if told.whole else arguments) for id, name, arguments in calls]
    return told


def _plain(arguments: str) -> str:
    """As in a whole answer, which has the object and not its text."""
    return msgspec.json.encode(msgspec.json.decode(arguments)).decode()


def _begin(calls: list[list[str]], block: Wire) -> None:
    if block["type"] == "tool_use":
        calls.append([block["id"], block["name"], ""])


def _grow(told: Told, calls: list[list[str]], delta: Wire) -> None:
    told.text += delta.get("text", "")
    told.pieces += bool(delta.get("text"))
    told.thoughts += delta.get("thinking", "")
    if "partial_json" in delta:
        calls[-1][2] += delta["partial_json"]
