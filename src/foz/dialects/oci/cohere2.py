"""A chat in the COHEREV2 format: Command A with pictures or with thoughts."""

from collections.abc import Sequence

from foz.canon.content import Media, Message, Part, Text, ToolCall, ToolResult
from foz.canon.request import ChatRequest, ReasoningWish, ResponseFormat
from foz.canon.tool import ToolSpec, among
from foz.dialects.oci import saying
from foz.dialects.oci.frames import DIALECT
from foz.dialects.oci.saying import Wire
from foz.dialects.oci.telling import DEFAULT_LIMIT

FORMAT = "COHEREV2"
_ROLES = {"system": "SYSTEM", "developer": "SYSTEM", "user": "USER", "tool": "USER"}


def say(request: ChatRequest) -> Wire:
    """`chatRequest`. Raises Unsupported."""
    if request.choices != 1:
        raise saying.unsayable("more than one choice", FORMAT, "n")
    if request.logprobs:
        raise saying.unsayable("logprobs", FORMAT, "logprobs")
    said: Wire = {
        "apiFormat": FORMAT,
        "messages": _messages(request),
        **saying.streaming(request),
        **saying.sampling(request),
        **_tools(request),
        "maxTokens": DEFAULT_LIMIT if request.max_output is None else request.max_output,
    }
    if request.stop:
        said["stopSequences"] = request.stop
    if request.response_format is not None and request.response_format.kind != "text":
        said["responseFormat"] = _format(request.response_format)
    thinking = _thinking(request.reasoning)
    if thinking is not None:
        said["thinking"] = thinking
    for name, raw in request.vendor.get(DIALECT, {}).items():
        said.setdefault(name, raw)
    return said


def _messages(request: ChatRequest) -> list[Wire]:
    said: list[Wire] = []
    for message in request.messages:
        results = [part for part in message.parts if isinstance(part, ToolResult)]
        said += [_result(result) for result in results]
        shown = saying.shown(results)
        if shown:
            said.append({"role": "USER", "content": [_part(media, "USER") for media in shown]})
        rest = [part for part in message.parts if not isinstance(part, ToolResult)]
        if message.role != "tool" or rest:
            said.append(_message(message, rest))
    return said


def _result(result: ToolResult) -> Wire:
    texts = saying.result_texts(result) or [""]
    return {"role": "TOOL", "toolCallId": result.call_id, "content": [saying.text_part(text) for text in texts]}


def _message(message: Message, parts: Sequence[Part]) -> Wire:
    if message.role == "assistant":
        said = _assistant(parts)
    else:
        role = _ROLES[message.role]
        said = {"role": role, "content": [_part(part, role) for part in parts] or [saying.text_part("")]}
    return {**said, **message.vendor.get(DIALECT, {})}


def _part(part: Part, role: str) -> Wire:
    if isinstance(part, Text):
        return saying.text_part(part.text)
    if isinstance(part, Media) and part.kind == "image" and role == "USER":
        target: Wire = {"url": saying.link(part)}
        if part.detail is not None:
            target["detail"] = part.detail.upper()
        return {"type": "IMAGE_URL", "imageUrl": target}
    raise saying.unsayable(f"{saying.named(part)} in a message of role {role}", FORMAT)


def _assistant(parts: Sequence[Part]) -> Wire:
    """Thoughts before calls are the plan; other thoughts are given back as such."""
    said = saying.sort(parts, FORMAT)
    content = [saying.text_part(text) for text in said.texts + said.refusals if text]
    thoughts = "".join(said.thoughts)
    wire: Wire = {"role": "ASSISTANT", "content": content or ([] if said.calls else [saying.text_part("")])}
    if said.calls:
        wire["toolCalls"] = [_call(call) for call in said.calls]
        if thoughts:
            wire["toolPlan"] = thoughts
    elif thoughts:
        wire["content"] = [{"type": "THINKING", "thinking": thoughts}, *content]
    return wire


def _call(call: ToolCall) -> Wire:
    return {"id": call.id, "type": "FUNCTION", "function": {"name": call.name, "arguments": call.arguments or "{}"}}


def _tools(request: ChatRequest) -> Wire:
    """The choice is REQUIRED or NONE; tools that may not be called are not offered."""
    choice = request.tool_choice
    wanted: tuple[str | None, ...] = ()
    if choice is not None:
        wanted = (choice.name,) if choice.mode == "named" else choice.allowed
    offered = among(request.tools, wanted)
    said: Wire = {"tools": [_tool(tool) for tool in offered]} if offered else {}
    if choice is not None and offered and choice.mode != "auto":
        said["toolsChoice"] = "NONE" if choice.mode == "none" else "REQUIRED"
    if any(tool.strict for tool in offered):
        said["isStrictToolsEnabled"] = True
    return said


def _tool(tool: ToolSpec) -> Wire:
    function: Wire = {"name": tool.name, "parameters": saying.plain_schema(tool.schema)}
    if tool.description is not None:
        function["description"] = tool.description
    return {"type": "FUNCTION", "function": function}


def _format(form: ResponseFormat) -> Wire:
    said: Wire = {"type": "JSON_OBJECT"}
    if form.kind == "schema" and form.schema is not None:
        said["schema"] = form.schema
    return said


def _thinking(wish: ReasoningWish | None) -> Wire | None:
    """On or off, with a budget; a level says only that it is on."""
    if wish is None or (wish.enabled is None and wish.effort is None and wish.budget is None):
        return None
    if wish.enabled is False or wish.effort == "none":
        return {"type": "DISABLED"}
    return {"type": "ENABLED"} if wish.budget is None else {"type": "ENABLED", "tokenBudget": wish.budget}
