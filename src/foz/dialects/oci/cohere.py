"""
A chat in the COHERE format: Command R and its like.

The last user's message stands alone, what came before is history, and system messages are the preamble. Tool calls
have no id: a result is told with the call that it answers, found by the id that the caller gives. Results of the turn
that is going on stand beside an empty message, those of earlier turns in the history.
"""

from foz.canon.content import Media, Message, ToolCall, ToolResult
from foz.canon.fault import BadRequest
from foz.canon.request import ChatRequest, ResponseFormat
from foz.canon.tool import ToolSpec, among
from foz.dialects.oci import saying
from foz.dialects.oci.frames import DIALECT
from foz.dialects.oci.saying import Wire
from foz.dialects.oci.telling import DEFAULT_LIMIT

FORMAT = "COHERE"
_TYPES = {"string": "str", "integer": "int", "number": "float", "boolean": "bool", "array": "List", "object": "Dict"}


def say(request: ChatRequest) -> Wire:
    """`chatRequest`. Raises Unsupported."""
    _refuse(request)
    preamble = [message for message in request.messages if message.role in {"system", "developer"}]
    history = _history([message for message in request.messages if message.role not in {"system", "developer"}])
    said: Wire = {
        "apiFormat": FORMAT,
        **_now(history),
        **saying.streaming(request),
        **saying.sampling(request),
        "maxTokens": DEFAULT_LIMIT if request.max_output is None else request.max_output,
    }
    if preamble:
        said["preambleOverride"] = "\n".join(saying.text_of(message.parts, FORMAT) for message in preamble)
    if request.stop:
        said["stopSequences"] = request.stop
    tools = _offered(request)
    if tools:
        said["tools"] = [_tool(tool) for tool in tools]
    if request.response_format is not None and request.response_format.kind != "text":
        said["responseFormat"] = _format(request.response_format)
    for name, raw in request.vendor.get(DIALECT, {}).items():
        said.setdefault(name, raw)
    return said


def _refuse(request: ChatRequest) -> None:
    if request.choices != 1:
        raise saying.unsayable("more than one choice", FORMAT, "n")
    if request.logprobs:
        raise saying.unsayable("logprobs", FORMAT, "logprobs")


def _history(messages: list[Message]) -> list[Wire]:
    """All messages as entries of a history; neighbouring results are one entry."""
    entries: list[Wire] = []
    calls: dict[str, ToolCall] = {}
    for message in messages:
        results = [part for part in message.parts if isinstance(part, ToolResult)]
        rest = [part for part in message.parts if not isinstance(part, ToolResult)]
        if results:
            told = [_result(result, calls) for result in results]
            last = entries[-1].get("toolResults") if entries else None
            if isinstance(last, list):
                last.extend(told)
            else:
                entries.append({"role": "TOOL", "toolResults": told})
        if message.role == "assistant":
            calls |= {part.id: part for part in rest if isinstance(part, ToolCall)}
            entries.append(_chatbot(message))
        elif rest or not results:
            entries.append({"role": "USER", "message": saying.text_of(rest, FORMAT)})
    return entries


def _chatbot(message: Message) -> Wire:
    said = saying.sort(message.parts, FORMAT)
    wire: Wire = {"role": "CHATBOT", "message": "\n".join(said.texts + said.refusals)}
    if said.calls:
        wire["toolCalls"] = [_call(call) for call in said.calls]
    return wire


def _call(call: ToolCall) -> Wire:
    return {"name": call.name, "parameters": saying.bag(call.arguments)}


def _result(result: ToolResult, calls: dict[str, ToolCall]) -> Wire:
    call = calls.get(result.call_id)
    if call is None:
        raise BadRequest(
            f"There is no tool call '{result.call_id[:100]}' before its result; this model needs the call itself.",
            field="messages",
        )
    if any(isinstance(part, Media) for part in result.parts):
        raise saying.unsayable("pictures or files in a tool's result", FORMAT)
    texts = saying.result_texts(result)
    outputs = [_output(text) for text in texts] or [{"output": ""}]
    return {"call": _call(call), "outputs": outputs}


def _output(text: str) -> Wire:
    """An object as it is, other words in one."""
    value = saying.bag(text) if text.lstrip().startswith("{") else None
    return {"output": text} if value is None or value == {"input": text} else value


def _now(history: list[Wire]) -> Wire:
    """The turn that is going on, and what came before it."""
    last = history[-1] if history else {}
    if last.get("role") == "TOOL":
        now: Wire = {"message": "", "toolResults": last["toolResults"]}
    elif last.get("role") == "USER":
        now = {"message": last["message"]}
    else:
        return {"message": "", "chatHistory": history} if history else {"message": ""}
    return {**now, "chatHistory": history[:-1]} if history[:-1] else now


def _offered(request: ChatRequest) -> list[ToolSpec]:
    """There is no choice of tools here: those that may not be called are not offered."""
    choice = request.tool_choice
    if choice is None:
        return list(request.tools)
    if choice.mode == "none":
        return []
    wanted = (choice.name,) if choice.mode == "named" else choice.allowed
    return among(request.tools, wanted)


def _tool(tool: ToolSpec) -> Wire:
    schema = saying.plain_schema(tool.schema)
    properties, required = schema.get("properties"), schema.get("required")
    definitions = {
        name: _parameter(
            name, about if isinstance(about, dict) else {}, isinstance(required, list) and name in required
        )
        for name, about in (properties if isinstance(properties, dict) else {}).items()
    }
    return {"name": tool.name, "description": tool.description or tool.name, "parameterDefinitions": definitions}


def _parameter(name: str, about: dict[str, object], needed: bool) -> Wire:
    """One parameter; what its type cannot say (choices) stands in its description."""
    description = str(about.get("description") or name)
    choices = about.get("enum")
    if isinstance(choices, list) and choices:
        description += f" (one of: {', '.join(str(choice) for choice in choices)})"
    return {"description": description, "type": _TYPES.get(str(about.get("type")), "str"), "isRequired": needed}


def _format(form: ResponseFormat) -> Wire:
    said: Wire = {"type": "JSON_OBJECT"}
    if form.kind == "schema" and form.schema is not None:
        said["schema"] = form.schema
    return said
