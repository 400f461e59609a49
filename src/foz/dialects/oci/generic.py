"""A chat in the GENERIC format: Meta's, xAI's, OpenAI's, Google's and Mistral's models."""

from collections import deque
from collections.abc import Sequence

from foz.canon.content import Media, Message, Part, Text, ToolCall, ToolResult
from foz.canon.request import ChatRequest, ResponseFormat
from foz.canon.tool import ToolChoice, ToolSpec, among
from foz.dialects.oci import saying
from foz.dialects.oci.frames import DIALECT
from foz.dialects.oci.saying import Wire
from foz.dialects.oci.telling import DEFAULT_LIMIT, Limit

FORMAT = "GENERIC"
_KINDS = {"image": "image", "audio": "audio", "video": "video", "file": "document"}
_ROLES = {"system": "SYSTEM", "developer": "SYSTEM", "user": "USER", "tool": "USER"}
_SILENT = "."
"""What stands for an assistant's silence before calls: the API breaks on a message without content."""


def say(request: ChatRequest, limit: Limit, *, singly: bool = False) -> Wire:
    """`chatRequest`. `singly` where a turn may hold one call only. Raises Unsupported."""
    messages = _messages(request)
    said: Wire = {
        "apiFormat": FORMAT,
        "messages": _singly(messages) if singly else messages,
        **saying.streaming(request),
        **saying.sampling(request),
        **_limits(request, limit),
        **_tools(request),
    }
    if request.sampling.logit_bias:
        said["logitBias"] = {token: round(bias) for token, bias in request.sampling.logit_bias.items()}
    if request.logprobs:
        said["logProbs"] = request.top_logprobs or 1
    if request.response_format is not None:
        said["responseFormat"] = _format(request.response_format)
    effort = saying.effort(request.reasoning)
    if effort is not None:
        said["reasoningEffort"] = effort
    for name, raw in request.vendor.get(DIALECT, {}).items():
        said.setdefault(name, raw)
    return said


def _limits(request: ChatRequest, limit: Limit) -> Wire:
    """Models whose limit is `maxCompletionTokens` have no short default."""
    said: Wire = {}
    if request.max_output is not None:
        said[limit] = request.max_output
    elif limit == "maxTokens":
        said[limit] = DEFAULT_LIMIT
    if request.choices != 1:
        said["numGenerations"] = request.choices
    if request.stop:
        said["stop"] = request.stop
    return said


def _messages(request: ChatRequest) -> list[Wire]:
    said: list[Wire] = []
    shown: list[Wire] = []
    for message in request.messages:
        results = [part for part in message.parts if isinstance(part, ToolResult)]
        if shown and not results:
            said.append({"role": "USER", "content": shown})
            shown = []
        said += [_result(result) for result in results]
        shown += [_media(media) for media in saying.shown(results)]
        rest = [part for part in message.parts if not isinstance(part, ToolResult)]
        if message.role == "tool" and not rest:
            continue
        if shown:
            said.append({"role": "USER", "content": shown})
            shown = []
        said.append(_message(message, rest))
    return [*said, {"role": "USER", "content": shown}] if shown else said


def _singly(messages: list[Wire]) -> list[Wire]:
    """A turn of several calls as several turns, each with its result behind it. Calls without one stay together."""
    said: list[Wire] = []
    left = deque(messages)
    while left:
        message = left.popleft()
        calls = message.get("toolCalls")
        results: dict[object, Wire] = {}
        while left and left[0]["role"] == "TOOL":
            result = left.popleft()
            results[result["toolCallId"]] = result
        if not isinstance(calls, list) or {call["id"] for call in calls} != results.keys():
            said += [message, *results.values()]
            continue
        for place, call in enumerate(calls):
            content = message["content"] if place == 0 else [saying.text_part(_SILENT)]
            said += [{**message, "content": content, "toolCalls": [call]}, results[call["id"]]]
    return said


def _result(result: ToolResult) -> Wire:
    texts = saying.result_texts(result) or [""]
    return {
        "role": "TOOL",
        "toolCallId": result.call_id,
        "content": [saying.text_part(text) for text in texts],
    }


def _message(message: Message, parts: Sequence[Part]) -> Wire:
    if message.role == "assistant":
        said = _assistant(parts)
    else:
        role = _ROLES[message.role]
        content = [_part(part, role) for part in parts] or [saying.text_part("")]
        said = {"role": role, "content": content}
    if message.name is not None:
        said["name"] = message.name
    return {**said, **message.vendor.get(DIALECT, {})}


def _part(part: Part, role: str) -> Wire:
    if isinstance(part, Text):
        return saying.text_part(part.text)
    if isinstance(part, Media) and role == "USER":
        return _media(part)
    raise saying.unsayable(f"{saying.named(part)} in a message of role {role}", FORMAT)


def _media(media: Media) -> Wire:
    kind = _KINDS[media.kind]
    target: Wire = {"url": saying.link(media)}
    if media.kind == "image" and media.detail is not None:
        target["detail"] = media.detail.upper()
    return {"type": kind.upper(), f"{kind}Url": target}


def _assistant(parts: Sequence[Part]) -> Wire:
    """Earlier thoughts are not given back: few models here take them."""
    said = saying.sort(parts, FORMAT)
    texts = said.texts + said.refusals
    if not any(texts):
        texts = [_SILENT] if said.calls else texts or [""]
    wire: Wire = {"role": "ASSISTANT", "content": [saying.text_part(text) for text in texts]}
    if said.calls:
        wire["toolCalls"] = [_call(call) for call in said.calls]
    return wire


def _call(call: ToolCall) -> Wire:
    return {"id": call.id, "type": "FUNCTION", "name": call.name, "arguments": call.arguments or "{}"}


def _tools(request: ChatRequest) -> Wire:
    choice = request.tool_choice
    offered = among(request.tools, () if choice is None or choice.mode == "named" else choice.allowed)
    said: Wire = {"tools": [_tool(tool) for tool in offered]} if offered else {}
    if choice is not None and offered:
        said["toolChoice"] = _choice(choice)
    if request.parallel_tools is not None and offered:
        said["isParallelToolCalls"] = request.parallel_tools
    return said


def _tool(tool: ToolSpec) -> Wire:
    said: Wire = {"type": "FUNCTION", "name": tool.name, "parameters": saying.plain_schema(tool.schema)}
    if tool.description is not None:
        said["description"] = tool.description
    return said


def _choice(choice: ToolChoice) -> Wire:
    if choice.mode == "named":
        return {"type": "FUNCTION", "name": choice.name}
    return {"type": choice.mode.upper()}


def _format(form: ResponseFormat) -> Wire:
    if form.kind != "schema":
        return {"type": "TEXT" if form.kind == "text" else "JSON_OBJECT"}
    said: Wire = {"name": form.name or "response"}
    if form.description is not None:
        said["description"] = form.description
    if form.schema is not None:
        said["schema"] = form.schema
    if form.strict is not None:
        said["isStrict"] = form.strict
    return {"type": "JSON_SCHEMA", "jsonSchema": said}
