"""
Chats as Oracle's three formats say them, heard in our words: the fake's own reading, so that it also judges ours.

It is as strict as the service is known to be: unknown fields, a format that is not the model's, lower-case roles and
limits by a wrong name are refused.
"""

from typing import Any, Literal

import msgspec
from msgspec import Raw, Struct, structs

from foz.canon.content import Media, Message, Part, Reasoning, Text, ToolCall, ToolResult
from foz.canon.request import ChatRequest, EmbedRequest, ReasoningWish, ResponseFormat, Sampling
from foz.canon.tool import ToolChoice, ToolSpec
from foz.wire import json

Bag = dict[str, Any]
_ROLES: dict[str, Literal["system", "developer", "user", "assistant", "tool"]] = {
    "SYSTEM": "system",
    "DEVELOPER": "developer",
    "USER": "user",
    "ASSISTANT": "assistant",
    "CHATBOT": "assistant",
    "TOOL": "tool",
}
_GENERIC = frozenset(
    {"apiFormat", "messages", "isStream", "streamOptions", "maxTokens", "maxCompletionTokens", "temperature", "topP"}
    | {"topK", "stop", "seed", "frequencyPenalty", "presencePenalty", "numGenerations", "logProbs", "isEcho"}
    | {"logitBias", "tools", "toolChoice", "isParallelToolCalls", "responseFormat", "reasoningEffort", "verbosity"}
    | {"serviceTier", "metadata", "prediction", "webSearchOptions"}
)
_COHERE = frozenset(
    {"apiFormat", "message", "chatHistory", "documents", "responseFormat", "isSearchQueriesOnly", "preambleOverride"}
    | {"isStream", "streamOptions", "maxTokens", "maxInputTokens", "temperature", "topK", "topP", "promptTruncation"}
    | {"frequencyPenalty", "presencePenalty", "seed", "isEcho", "tools", "toolResults", "isForceSingleStep"}
    | {"stopSequences", "isRawPrompting", "citationQuality", "safetyMode"}
)
_COHERE2 = frozenset(
    {"apiFormat", "messages", "documents", "citationOptions", "toolsChoice", "tools", "isStrictToolsEnabled"}
    | {"isLogProbsEnabled", "thinking", "responseFormat", "isSearchQueriesOnly", "streamOptions", "isStream"}
    | {"maxTokens", "temperature", "topK", "topP", "frequencyPenalty", "presencePenalty", "seed", "stopSequences"}
    | {"priority", "isRawPrompting", "safetyMode"}
)
FIELDS = {"GENERIC": _GENERIC, "COHERE": _COHERE, "COHEREV2": _COHERE2}
DEFAULT_LIMIT = 20
"""What the service gives who names no limit."""
_PYTHON = {"str": "string", "int": "integer", "float": "number", "bool": "boolean", "List": "array", "Dict": "object"}


class Refused(ValueError):
    """What the service answers 400 to; `parameter` where a vendor's error names one, with its `code`."""

    def __init__(self, message: str, parameter: str | None = None, code: str = "unsupported_parameter") -> None:
        super().__init__(message)
        self.parameter = parameter
        self.code = code


class Serving(Struct, frozen=True):
    """`servingMode`."""

    servingType: Literal["ON_DEMAND", "DEDICATED"]  # noqa: N815 - Oracle's name
    modelId: str | None = None  # noqa: N815 - Oracle's name
    endpointId: str | None = None  # noqa: N815 - Oracle's name

    @property
    def name(self) -> str:
        """What it names."""
        return (self.modelId if self.servingType == "ON_DEMAND" else self.endpointId) or ""


class Chat(Struct, frozen=True, forbid_unknown_fields=True):
    """The body of `actions/chat`."""

    compartmentId: str  # noqa: N815 - Oracle's name
    servingMode: Serving  # noqa: N815 - Oracle's name
    chatRequest: Bag  # noqa: N815 - Oracle's name


class Embed(Struct, frozen=True, forbid_unknown_fields=True):
    """The body of `actions/embedText`."""

    compartmentId: str  # noqa: N815 - Oracle's name
    servingMode: Serving  # noqa: N815 - Oracle's name
    inputs: list[str]
    inputType: Literal["SEARCH_DOCUMENT", "SEARCH_QUERY", "CLASSIFICATION", "CLUSTERING", "IMAGE"] | None = None  # noqa: N815 - Oracle's name
    truncate: Literal["NONE", "START", "END"] | None = None
    outputDimensions: Literal[256, 512, 1024, 1536] | None = None  # noqa: N815 - Oracle's name
    embeddingTypes: list[str] | None = None  # noqa: N815 - Oracle's name
    isEcho: bool | None = None  # noqa: N815 - Oracle's name


_CHAT = msgspec.json.Decoder(Chat)
_EMBED = msgspec.json.Decoder(Embed)


def read_chat(body: bytes) -> Chat:
    """A body of the right shape. Raises Refused."""
    try:
        return _CHAT.decode(body)
    except msgspec.DecodeError as error:
        raise Refused(f"Cannot parse the request: {error}") from None


def read_embed(body: bytes) -> Embed:
    """A body of the right shape. Raises Refused."""
    try:
        return _EMBED.decode(body)
    except msgspec.DecodeError as error:
        raise Refused(f"Cannot parse the request: {error}") from None


def embedding(embed: Embed, model: str) -> EmbedRequest:
    """What is to be embedded."""
    if not embed.inputs or len(embed.inputs) > 96:  # noqa: PLR2004 - the service's own limit
        raise Refused(f"inputs must have 1 to 96 texts, not {len(embed.inputs)}")
    return EmbedRequest(model, tuple(embed.inputs), embed.outputDimensions)


def _check_drawing(asked: Bag, limit: str) -> None:
    """Models that reason draw in one way only."""
    for name in ("temperature", "topP") if limit == "maxCompletionTokens" else ():
        if asked.get(name, 1) != 1:
            message = (
                f"Unsupported value: '{name}' does not support {asked[name]} with this model; only 1 is supported."
            )
            raise Refused(message, name, "unsupported_value")


def chat(asked: Bag, model: str, limit: str = "maxTokens") -> ChatRequest:
    """What a `chatRequest` asks; `limit` is what the model calls its limit. Raises Refused."""
    format = asked.get("apiFormat")
    if format not in FIELDS:
        raise Refused(f"apiFormat must be one of {', '.join(FIELDS)}")
    unknown = asked.keys() - FIELDS[format]
    if unknown:
        raise Refused(f"Unrecognized field {min(unknown)} for {format}")
    for name in ("maxTokens", "maxCompletionTokens"):
        if name in asked and name != limit:
            raise Refused(f"Unsupported parameter: '{name}' is not supported with this model.", name)
    _check_drawing(asked, limit)
    hear = {"GENERIC": _generic, "COHERE": _cohere, "COHEREV2": _cohere2}[format]
    try:
        request = hear(asked, model)
    except (KeyError, TypeError, AttributeError) as error:
        raise Refused(f"Cannot parse the chat request: {type(error).__name__} {error}") from None
    options = asked.get("streamOptions") or {}
    return msgspec.structs.replace(
        request,
        sampling=_sampling(asked),
        stream=bool(asked.get("isStream")),
        wants_usage=bool(options.get("isIncludeUsage")) or not asked.get("isStream"),
        max_output=asked.get(limit, DEFAULT_LIMIT if limit == "maxTokens" else None),
        stop=tuple(asked.get("stop") or asked.get("stopSequences") or ()),
    )


def _sampling(asked: Bag) -> Sampling:
    return Sampling(temperature=asked.get("temperature"), top_p=asked.get("topP"), seed=asked.get("seed"))


def _role(said: str) -> Literal["system", "developer", "user", "assistant", "tool"]:
    if said not in _ROLES:
        raise Refused(f"Unknown role {said}")
    return _ROLES[said]


def _raw(value: object) -> Raw:
    return Raw(json.encode(value))


def _media(url: str) -> Media:
    if url.startswith("data:"):
        head, _, data = url.partition(",")
        return Media("image", data=data, mime=head[5:].removesuffix(";base64"))
    return Media("image", url)


_FILED: dict[str, tuple[str, Literal["file", "audio", "video"]]] = {
    "DOCUMENT": ("documentUrl", "file"),
    "AUDIO": ("audioUrl", "audio"),
    "VIDEO": ("videoUrl", "video"),
}
"""Of GENERIC only: where it is, and what it is here."""


def _parts(content: list[Bag], image: str) -> tuple[Part, ...]:
    parts: list[Part] = []
    for part in content:
        kind = part["type"]
        if kind == "TEXT":
            parts.append(Text(part["text"]))
        elif kind == image:
            parts.append(_media(part["imageUrl"]["url"]))
        elif kind in _FILED and image == "IMAGE":
            field, told = _FILED[kind]
            parts.append(structs.replace(_media(part[field]["url"]), kind=told))
        elif kind == "THINKING" and image == "IMAGE_URL":
            parts.append(Reasoning(part["thinking"]))
        else:
            raise Refused(f"Unknown content type {kind}")
    return tuple(parts)


def _refuse_hard_schemas(schema: object) -> None:
    if isinstance(schema, dict):
        hard = schema.keys() & {"$ref", "$defs", "anyOf"}
        if hard:
            raise Refused(f"Unsupported keyword in a tool's schema: {min(hard)}")
        for inner in schema.values():
            _refuse_hard_schemas(inner)
    elif isinstance(schema, list):
        for inner in schema:
            _refuse_hard_schemas(inner)


def _tool(name: str, description: str | None, schema: Bag) -> ToolSpec:
    _refuse_hard_schemas(schema)
    return ToolSpec(name, description, _raw(schema))


def _generic(asked: Bag, model: str) -> ChatRequest:
    messages = []
    for said in asked["messages"]:
        parts = _parts(said.get("content") or [], "IMAGE")
        calls = [ToolCall(call["id"], call["name"], call["arguments"]) for call in said.get("toolCalls") or ()]
        if calls and not any(isinstance(part, Text) and part.text for part in parts):
            raise Refused("NullPointerException")  # the service's own
        if said["role"] == "TOOL":
            parts = (ToolResult(said["toolCallId"], tuple(part for part in parts if isinstance(part, Text))),)
        messages.append(Message(_role(said["role"]), (*parts, *calls)))
    choice = asked.get("toolChoice")
    effort = asked.get("reasoningEffort")
    if effort not in {None, "NONE", "MINIMAL", "LOW", "MEDIUM", "HIGH"}:
        raise Refused(f"Unknown reasoningEffort {effort}")
    return ChatRequest(
        model=model,
        messages=tuple(messages),
        tools=tuple(_tool(it["name"], it.get("description"), it["parameters"]) for it in asked.get("tools") or ()),
        tool_choice=None if choice is None else _choice(choice),
        parallel_tools=asked.get("isParallelToolCalls"),
        response_format=_format(asked.get("responseFormat")),
        reasoning=None if effort is None else ReasoningWish(effort.lower()),
        choices=asked.get("numGenerations", 1),
        logprobs="logProbs" in asked,
        top_logprobs=asked.get("logProbs"),
    )


def _choice(choice: Bag) -> ToolChoice:
    match choice["type"]:
        case "FUNCTION":
            return ToolChoice("named", choice["name"])
        case "AUTO":
            return ToolChoice("auto")
        case "NONE":
            return ToolChoice("none")
        case "REQUIRED":
            return ToolChoice("required")
        case other:
            raise Refused(f"Unknown toolChoice {other}")


def _format(form: Bag | None) -> ResponseFormat | None:
    if form is None or form["type"] == "TEXT":
        return None
    if form["type"] == "JSON_SCHEMA":
        it = form["jsonSchema"]
        schema = _raw(it["schema"]) if "schema" in it else None
        return ResponseFormat("schema", it["name"], None, schema, it.get("isStrict"))
    if form["type"] != "JSON_OBJECT":
        raise Refused(f"Unknown responseFormat {form['type']}")
    return ResponseFormat("schema", schema=_raw(form["schema"])) if form.get("schema") else ResponseFormat("json")


def _cohere(asked: Bag, model: str) -> ChatRequest:
    messages = [Message("system", (Text(asked["preambleOverride"]),))] if asked.get("preambleOverride") else []
    ids: list[str] = []
    messages += [_entry(entry, ids) for entry in asked.get("chatHistory") or ()]
    if asked.get("toolResults"):
        messages.append(Message("tool", tuple(_results(asked["toolResults"], ids))))
    elif not asked["message"]:
        raise Refused("message must not be empty")
    if asked["message"]:
        messages.append(Message("user", (Text(asked["message"]),)))
    return ChatRequest(
        model=model,
        messages=tuple(messages),
        tools=tuple(_cohere_tool(tool) for tool in asked.get("tools") or ()),
        response_format=_format(asked.get("responseFormat")),
    )


def _entry(entry: Bag, ids: list[str]) -> Message:
    role = _role(entry["role"])
    if role == "tool":
        return Message("tool", tuple(_results(entry["toolResults"], ids)))
    words = (Text(entry["message"]),) if entry.get("message") else ()
    if role != "assistant":
        return Message(role, words)
    calls = []
    for call in entry.get("toolCalls") or ():
        ids.append(f"call_{len(ids)}")
        calls.append(ToolCall(ids[-1], call["name"], json.encode(call["parameters"]).decode()))
    return Message("assistant", (*words, *calls))


def _results(results: list[Bag], ids: list[str]) -> list[ToolResult]:
    first = max(len(ids) - len(results), 0)
    return [
        ToolResult(
            ids[first + at] if first + at < len(ids) else f"call_{at}",
            (Text(json.encode(result["outputs"]).decode()),),
            result["call"]["name"],
        )
        for at, result in enumerate(results)
    ]


def _cohere_tool(tool: Bag) -> ToolSpec:
    properties: Bag = {}
    required = []
    for name, about in (tool.get("parameterDefinitions") or {}).items():
        if about["type"] not in _PYTHON:
            raise Refused(f"Unknown parameter type {about['type']}")
        properties[name] = {"type": _PYTHON[about["type"]], "description": about.get("description", "")}
        if about.get("isRequired"):
            required.append(name)
    schema = {"type": "object", "properties": properties, "required": required}
    return ToolSpec(tool["name"], tool["description"], _raw(schema))


def _cohere2(asked: Bag, model: str) -> ChatRequest:
    messages = []
    for said in asked["messages"]:
        parts = _parts(said.get("content") or [], "IMAGE_URL")
        calls = [
            ToolCall(call["id"], call["function"]["name"], call["function"]["arguments"])
            for call in said.get("toolCalls") or ()
        ]
        if said["role"] == "TOOL":
            parts = (ToolResult(said["toolCallId"], tuple(part for part in parts if isinstance(part, Text))),)
        messages.append(Message(_role(said["role"]), (*parts, *calls)))
    functions = [tool["function"] for tool in asked.get("tools") or ()]
    choice = asked.get("toolsChoice")
    if choice not in {None, "REQUIRED", "NONE"}:
        raise Refused(f"Unknown toolsChoice {choice}")
    thinking = asked.get("thinking")
    return ChatRequest(
        model=model,
        messages=tuple(messages),
        tools=tuple(_tool(it["name"], it.get("description"), it["parameters"]) for it in functions),
        tool_choice=None if choice is None else ToolChoice("required" if choice == "REQUIRED" else "none"),
        response_format=_format(asked.get("responseFormat")),
        reasoning=None
        if thinking is None
        else ReasoningWish(budget=thinking.get("tokenBudget"), enabled=thinking["type"] == "ENABLED"),
    )
