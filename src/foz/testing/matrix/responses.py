"""OpenAI's Responses API, spoken to by hand: our requests as items, and its items and events heard."""

from typing import Any

import msgspec

from foz.canon.content import Media, Message, Text, ToolCall, ToolResult
from foz.canon.request import ChatRequest
from foz.testing.matrix.told import Streamed, Told, Wire
from foz.wire.http import Reply
from foz.wire.sse import Decoder

_ENDS = {"max_output_tokens": "length", "content_filter": "content_filter"}


def _part(part: Any, role: str) -> Wire:
    if isinstance(part, Media):
        return {"type": "input_image", "image_url": f"data:{part.mime};base64,{part.data}"}
    return {"type": "output_text" if role == "assistant" else "input_text", "text": part.text}


def _item(message: Message) -> Wire:
    first = message.parts[0]
    if isinstance(first, ToolResult):
        told = "".join(part.text for part in first.parts if isinstance(part, Text))
        return {"type": "function_call_output", "call_id": first.call_id, "output": told}
    if isinstance(first, ToolCall):
        return {"type": "function_call", "call_id": first.id, "name": first.name, "arguments": first.arguments}
    if len(message.parts) == 1 and isinstance(first, Text):
        return {"role": message.role, "content": first.text}
    return {"type": "message", "role": message.role, "content": [_part(part, message.role) for part in message.parts]}


def say(request: ChatRequest, model: str) -> tuple[str, Wire]:
    """Where to, and what."""
    body: Wire = {"model": model, "input": [_item(one) for one in request.messages], "stream": request.stream}
    if request.tools:
        body["tools"] = [
            {
                "type": "function",
                "name": tool.name,
                "description": tool.description,
                "parameters": msgspec.json.decode(tool.schema or b"{}"),
            }
            for tool in request.tools
        ]
    if request.response_format is not None:
        form = request.response_format
        schema = msgspec.json.decode(form.schema or b"{}")
        body["text"] = {"format": {"type": "json_schema", "name": form.name, "schema": schema, "strict": True}}
    if request.reasoning is not None:
        body["reasoning"] = {"effort": request.reasoning.effort}
    if request.max_output is not None:
        body["max_output_tokens"] = request.max_output
    return "/v1/responses", body


def hear(reply: Reply) -> Told:
    """A whole answer."""
    said = msgspec.json.decode(reply.body)
    if said.get("error"):
        return Told(error=said["error"]["message"])
    return _heard(said)


def _heard(said: Wire) -> Told:
    told = Told(pieces=1, whole=said["status"] in {"completed", "incomplete"})
    for item in said["output"]:
        match item["type"]:
            case "message":
                told.text += "".join(part["text"] for part in item["content"])
            case "reasoning":
                told.thoughts += "".join(part["text"] for part in item["content"])
            case "function_call":
                told.calls.append((item["call_id"], item["name"], item["arguments"]))
    details = said["incomplete_details"]
    told.reason = "tool_calls" if told.calls else "stop" if details is None else _ENDS[details["reason"]]
    return told


def hear_stream(stream: Streamed) -> Told:
    """A streamed one: its pieces, which must be what its last event shows."""
    told, last = Told(), Told()
    calls: dict[str, list[str]] = {}
    for frame in Decoder().feed(stream.body):
        said = msgspec.json.decode(frame.data)
        match said["type"]:
            case "response.output_text.delta":
                told.text += said["delta"]
                told.pieces += 1
            case "response.reasoning_text.delta":
                told.thoughts += said["delta"]
            case "response.output_item.added" if said["item"]["type"] == "function_call":
                calls[said["item"]["id"]] = [said["item"]["call_id"], said["item"]["name"], ""]
            case "response.function_call_arguments.delta":
                calls[said["item_id"]][2] += said["delta"]
            case "response.completed" | "response.incomplete":
                last = _heard(said["response"])
            case "response.failed" | "error":
                told.error = (said.get("response") or said)["error"]["message"]
    told.calls = [(id, name, arguments) for id, name, arguments in calls.values()]
    told.reason = last.reason
    told.whole = last.whole and stream.ended and (last.text, last.thoughts, last.calls) == (
        told.text, told.thoughts, told.calls)  # fmt: skip
    return told
