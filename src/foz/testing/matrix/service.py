"""How the ModelService is spoken to: requests as the proto's own JSON, messages heard field by field."""

from collections.abc import Iterable, Iterator
from typing import Any, cast

import grpc
from google.protobuf.json_format import ParseDict
from google.protobuf.message import Message as Proto
from msgspec import Raw

from foz.canon.content import Media, Message, Text, ToolCall, ToolResult
from foz.canon.request import ChatRequest
from foz.skins.model_grpc import model_pb2 as pb
from foz.testing.matrix.told import Told, Wire
from foz.testing.service import DEADLINE, Ended, Service
from foz.wire.http import Headers, Reply

STATUSES = {
    grpc.StatusCode.OK: 200,
    grpc.StatusCode.INVALID_ARGUMENT: 400,
    grpc.StatusCode.NOT_FOUND: 404,
    grpc.StatusCode.RESOURCE_EXHAUSTED: 429,
    grpc.StatusCode.FAILED_PRECONDITION: 400,
    grpc.StatusCode.UNAVAILABLE: 502,
    grpc.StatusCode.DEADLINE_EXCEEDED: 504,
}
"""The HTTP status that stands for each in the matrix."""
REFUSALS = {401: 400, 500: 502, 0: 504}
"""What callers are told of an upstream's statuses: a refusal of our own key is a precondition that failed."""


def _part(part: Any) -> Wire:
    if isinstance(part, Media):
        return {"image_url": {"url": f"data:{part.mime};base64,{part.data}"}}
    return {"text": part.text}


def _turn(message: Message) -> Wire:
    first = message.parts[0]
    if isinstance(first, ToolResult):
        words = "".join(part.text for part in first.parts if isinstance(part, Text))
        return {"role": "tool", "tool_call_id": first.call_id, "content": words}
    if isinstance(first, ToolCall):
        called = {"name": first.name, "arguments": first.arguments}
        return {"role": "assistant", "tool_calls": [{"id": first.id, "function": called}]}
    if len(message.parts) == 1 and isinstance(first, Text):
        return {"role": message.role, "content": first.text}
    return {"role": message.role, "parts": [_part(part) for part in message.parts]}


def _json(value: Raw | None) -> str:
    return bytes(value or b"").decode()


def say(request: ChatRequest, model: str) -> tuple[str, Wire]:
    """(method, body)"""
    body: Wire = {"model_id": model, "messages": [_turn(message) for message in request.messages]}
    body["tools"] = [
        {"function": {"name": tool.name, "description": tool.description or "", "parameters": _json(tool.schema)}}
        for tool in request.tools
    ]
    if request.response_format is not None:
        form = request.response_format
        schema = {"name": form.name, "schema": _json(form.schema), "strict": True}
        body["response_format"] = {"type": "json_schema", "json_schema": schema}
    if request.reasoning is not None:
        body["reasoning_effort"] = request.reasoning.effort
    body["stop"] = list(request.stop)
    if request.max_output is not None:
        body["max_tokens"] = request.max_output
    return "CreateChatCompletionStream" if request.stream else "CreateChatCompletion", body


def call(port: int, method: str, body: Wire, headers: Headers) -> tuple[Reply, Told]:
    """One call, to its end."""
    with Service(port) as service:
        ended = service.call(method, ParseDict(body, pb.ChatCompletionRequest()), *_metadata(headers))
    status = 200 if ended.answers else STATUSES[ended.code]
    return Reply(status, (), ended.message.encode()), told(ended.answers, ended)


def begin(port: int, method: str, body: Wire, headers: Headers) -> Iterator[pb.ChatCompletionChunk]:
    """A stream's messages, as they come."""
    message = ParseDict(body, pb.ChatCompletionRequest()).SerializeToString()
    with Service(port) as service:
        stream = service.channel.unary_stream(f"/model.ModelService/{method}", bytes, pb.ChatCompletionChunk.FromString)
        yield from stream(message, timeout=DEADLINE, metadata=_metadata(headers))


def told(answers: Iterable[Proto], ended: Ended | None = None) -> Told:
    """What was heard."""
    heard, calls = Told(), dict[int, list[str]]()
    for answer in answers:
        whole = isinstance(answer, pb.ChatCompletionResponse)
        for choice in cast("Any", answer).choices:
            said = choice.message if whole else choice.delta
            heard.pieces += bool(said.content)
            heard.text += said.content
            heard.thoughts += said.reasoning_content
            heard.reason = choice.finish_reason or heard.reason
            for one in said.tool_calls:
                known = calls.setdefault(one.index, ["", "", ""])
                for at, word in enumerate((one.id, one.function.name, one.function.arguments)):
                    known[at] += word
    heard.calls = [(id, name, arguments) for id, name, arguments in calls.values()]
    heard.whole = ended is None or ended.code is grpc.StatusCode.OK
    heard.error = None if heard.whole or ended is None else ended.message
    return heard


def _metadata(headers: Headers) -> tuple[tuple[str, str], ...]:
    return tuple((name.decode(), value.decode()) for name, value in headers)
