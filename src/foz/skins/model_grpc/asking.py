"""
Requests of the ModelService as bodies of the REST API: the same names, so that one schema judges both.

What is not set is not said. Where a field without presence has an exact twin, the twin wins. JSON text (schemas, extra
fields) is looked at before it becomes part of a body: it is one value, or the request is refused.
"""

from collections.abc import Iterable, Mapping, Sequence
from math import isfinite

import msgspec
from msgspec import Raw

from foz.canon.fault import BadRequest
from foz.skins.model_grpc import model_pb2 as pb
from foz.wire import json

Wire = dict[str, object]

_CHAT = ("max_tokens", "n", "reasoning_effort", "user", "logprobs", "max_completion_tokens")
_CHAT_EXACT = ("parallel_tool_calls", "seed", "top_logprobs", "top_k")
_COMPLETION = ("max_tokens", "n", "suffix", "echo", "best_of", "user")
_COMPLETION_EXACT = ("seed", "logprobs", "top_k")
_NUMBERS = ("top_p", "frequency_penalty", "presence_penalty", "min_p", "repetition_penalty")
_TURN = ("name", "tool_call_id", "refusal", "reasoning_content")
_SPEAKS_ALONE = "assistant"
"""Who may say something else instead of words."""
_PLAIN_CHAT = frozenset(
    getattr(pb.ChatCompletionRequest, f"{name}_FIELD_NUMBER")
    for name in ("MODEL_ID", "MESSAGES", "MAX_TOKENS", "TEMPERATURE", "STREAM")
)
"""The fields that nearly all requests have, and no others."""
_PLAIN_TURN = [pb.Message.ROLE_FIELD_NUMBER, pb.Message.CONTENT_FIELD_NUMBER]
_RAW = msgspec.json.Decoder(Raw)


def chat(asked: pb.ChatCompletionRequest, *, stream: bool) -> bytes:
    """The body of a chat. Raises BadRequest."""
    said = _begun(asked.model_id, asked.extra, stream=stream)
    messages = [_message(one, at) for at, one in enumerate(asked.messages)]
    if messages:
        said["messages"] = messages
    if _PLAIN_CHAT.issuperset([field.number for field, _ in asked.ListFields()]):
        if asked.max_tokens:
            said["max_tokens"] = asked.max_tokens
        if asked.temperature:
            said["temperature"] = _number(asked.temperature, "temperature")
        return json.encode(said)
    _sample(said, asked, _CHAT, _CHAT_EXACT)
    if asked.tools:
        said["tools"] = [_tool(one, f"tools[{at}]") for at, one in enumerate(asked.tools)]
    if asked.HasField("tool_choice"):
        said["tool_choice"] = _choice(asked.tool_choice)
    if asked.HasField("response_format"):
        said["response_format"] = _form(asked.response_format)
    return json.encode(said)


def completion(asked: pb.CompletionRequest, *, stream: bool) -> bytes:
    """The body of a completion. Raises BadRequest."""
    said = _begun(asked.model_id, asked.extra, stream=stream)
    several = [*asked.prompts, *(list(one.tokens) for one in asked.token_prompts)]
    said["prompt"] = [*([asked.prompt] if asked.prompt else []), *several] if several else asked.prompt
    _sample(said, asked, _COMPLETION, _COMPLETION_EXACT)
    if asked.HasField("exact_max_tokens"):
        said["max_tokens"] = asked.exact_max_tokens
    return json.encode(said)


def embeddings(asked: pb.EmbeddingsRequest) -> bytes:
    """The body of a request for vectors. Raises BadRequest."""
    said = _begun(asked.model_id, asked.extra)
    inputs = [*asked.input, *(list(one.tokens) for one in asked.token_input)]
    if inputs:
        said["input"] = inputs
    _plain(said, asked, ("encoding_format", "dimensions", "user"))
    return json.encode(said)


def extras(extra: Mapping[str, str], where: str) -> Wire:
    """Fields that have no place of their own, by name. Raises BadRequest where a value is no JSON."""
    return {name: raw(text, f"{where}[{name}]") for name, text in extra.items()} if extra else {}


def raw(text: str, field: str) -> Raw:
    """JSON text as a value of a body. Raises BadRequest."""
    data = text.encode()
    if json.too_deep(data):
        raise BadRequest(f"Invalid '{field}': nested too deeply.", field=field)
    try:
        return _RAW.decode(data)
    except (json.DecodeError, RecursionError) as error:
        raise BadRequest(f"Invalid '{field}': expected one value as JSON text: {error}.", field=field) from None


def _begun(model: str, extra: Mapping[str, str], *, stream: bool | None = None) -> Wire:
    if not model:
        raise BadRequest(
            "Missing required parameter: 'model_id'.", field="model_id", vendor_code="missing_required_parameter"
        )
    said = extras(extra, "extra")
    said["model"] = model
    if stream is not None:
        said["stream"] = stream
    if stream:
        said["stream_options"] = {"include_usage": True}
    return said


def _sample(
    said: Wire,
    asked: pb.ChatCompletionRequest | pb.CompletionRequest,
    plain: Iterable[str],
    exact: Iterable[str],
) -> None:
    """What both have."""
    has = asked.HasField
    _plain(said, asked, plain)
    for name in exact:
        if has(name):
            said[name] = getattr(asked, name)
    for name in _NUMBERS:
        if has(name):
            said[name] = _number(getattr(asked, name), name)
    if has("exact_temperature"):
        said["temperature"] = _number(asked.exact_temperature, "exact_temperature")
    elif asked.temperature:
        said["temperature"] = _number(asked.temperature, "temperature")
    if asked.stop:
        said["stop"] = list(asked.stop)
    if asked.logit_bias:
        said["logit_bias"] = {token: _number(bias, "logit_bias") for token, bias in asked.logit_bias.items()}


def _plain(said: Wire, asked: object, names: Iterable[str]) -> None:
    """Fields without presence."""
    for name in names:
        value = getattr(asked, name)
        if value:
            said[name] = value


def _number(value: float, field: str) -> float:
    """JSON has no word for what is not finite."""
    if not isfinite(value):
        raise BadRequest(f"Invalid '{field}': expected a finite number.", field=field)
    return value


def _message(turn: pb.Message, at: int) -> Wire:
    told = turn.ListFields()
    if [field.number for field, _ in told] == _PLAIN_TURN:
        return {"role": told[0][1], "content": told[1][1]}
    role, content = turn.role, turn.content
    said = extras(turn.extra, f"messages[{at}].extra")
    said["role"] = role
    if turn.parts:
        said["content"] = _parts(content, turn.parts, at)
    elif content or role != _SPEAKS_ALONE:
        said["content"] = content
    _plain(said, turn, _TURN)
    if turn.tool_calls:
        said["tool_calls"] = [_call(call) for call in turn.tool_calls]
    return said


def _call(call: pb.ToolCall) -> Wire:
    called = {"name": call.function.name, "arguments": call.function.arguments}
    return {"id": call.id, "type": call.type or "function", "function": called}


def _parts(content: str, parts: Sequence[pb.ContentPart], at: int) -> list[Wire]:
    before: list[Wire] = [{"type": "text", "text": content}] if content else []
    return [*before, *(_part(part, f"messages[{at}].parts[{place}]") for place, part in enumerate(parts))]


def _part(part: pb.ContentPart, field: str) -> Wire:
    kind = part.WhichOneof("part")
    match kind:
        case None:
            raise BadRequest(f"Invalid '{field}': an empty part.", field=field)
        case "text" | "refusal":
            return {"type": kind, kind: getattr(part, kind)}
        case "input_audio":
            return {"type": kind, kind: _set(part.input_audio, ("data", "format"))}
        case "file":
            return {"type": kind, kind: _set(part.file, ("file_id", "file_data", "filename"))}
        case _:
            return {"type": kind, kind: _set(getattr(part, kind), ("url", "detail"))}


def _set(asked: object, names: Iterable[str]) -> Wire:
    said: Wire = {}
    _plain(said, asked, names)
    return said


def _tool(tool: pb.Tool, field: str) -> Wire:
    kind = tool.type or "function"
    return {"type": kind, "function": _schema(tool.function, "parameters", f"{field}.function.parameters")}


def _schema(named: pb.Function | pb.JsonSchema, schema: str, field: str) -> Wire:
    """What has a name and a JSON schema."""
    said: Wire = {"name": named.name}
    _plain(said, named, ("description",))
    text = getattr(named, schema)
    if text:
        said[schema] = raw(text, field)
    if named.HasField("strict"):
        said["strict"] = named.strict
    return said


def _choice(choice: pb.ToolChoice) -> object:
    match choice.WhichOneof("choice"):
        case "function":
            return {"type": "function", "function": {"name": choice.function}}
        case "allowed":
            tools = [{"type": "function", "function": {"name": name}} for name in choice.allowed.functions]
            return {"type": "allowed_tools", "allowed_tools": {"mode": choice.allowed.mode or "auto", "tools": tools}}
        case "mode":
            return choice.mode
        case _:
            raise BadRequest("Invalid 'tool_choice': an empty choice.", field="tool_choice")


def _form(form: pb.ResponseFormat) -> Wire:
    said: Wire = {"type": form.type or "text"}
    if form.HasField("json_schema"):
        said["json_schema"] = _schema(form.json_schema, "schema", "response_format.json_schema.schema")
    return said
