"""
A caller's body in our words.

A user's message may hold results of tools before what the user says: that is two messages of ours. Whatever canon has
no word for (`cache_control`, citations, a text document's title) makes the message's content travel verbatim beside its
parts, and an upstream of this dialect gets it as it was; so do the system's blocks and the tools.
"""

from collections.abc import Sequence

import msgspec
from msgspec import Raw

from foz.canon.content import Media, Message, Opaque, Part, Reasoning, Text, ToolCall, ToolResult
from foz.canon.request import ChatRequest, ReasoningWish, ResponseFormat, Sampling, Vendor
from foz.canon.tool import ToolChoice, ToolSpec
from foz.dialects.anthropic import schema
from foz.dialects.anthropic.fields import decode, invalid
from foz.dialects.anthropic.frames import DIALECT, NULL
from foz.dialects.anthropic.unsigned import is_unsigned
from foz.wire import json

SAID_BEFORE = Raw(NULL)
"""In place of the content of a message that the one before it has told too."""
_HEARD = frozenset(
    {"model", "messages", "max_tokens", "stream", "stop_sequences", "temperature", "top_p", "top_k", "tool_choice"}
    | {"system", "tools", "metadata"}
)
"""What canon has words for; `thinking` and `output_config` it has words for too, but not for all of them."""
_PLAIN = {
    "text": frozenset({"type", "text"}),
    "image": frozenset({"type", "source"}),
    "document": frozenset({"type", "source", "title"}),
    "tool_use": frozenset({"type", "id", "name", "input"}),
    "tool_result": frozenset({"type", "tool_use_id", "content", "is_error"}),
    "thinking": frozenset({"type", "thinking", "signature"}),
    "redacted_thinking": frozenset({"type", "data"}),
}
"""What of a block canon has words for."""
_TOOL = frozenset({"type", "name", "description", "input_schema", "strict"})
_CUSTOM = (None, "custom")
_PAGES = frozenset({"text", "image"})
"""What a document may hold."""
_RESULTS = _PAGES | {"document"}
"""What a result may hold. Whatever holds more is not told as text of text of text: that doubles at each level."""


# Blocks.


def _media(kind: str, source: schema.Encoded | schema.Link | schema.Uploaded, name: str | None = None) -> Media:
    said = "image" if kind == "image" else "file"
    match source:
        case schema.Encoded(media_type=mime, data=data):
            return Media(said, data=data, mime=mime, name=name)  # type: ignore[arg-type]  # one of the two
        case schema.Link(url=url):
            return Media(said, url=url, name=name)  # type: ignore[arg-type]  # as above
        case schema.Uploaded(file_id=file_id):
            return Media(said, file_id=file_id, name=name)  # type: ignore[arg-type]  # as above


def _document(block: schema.DocumentBlock, at: str) -> list[Part]:
    """A text is text to every model; a PDF is a file."""
    match block.source:
        case schema.Words(data=text) | schema.Within(content=str(text)):
            return [Text(f"{block.title}\n\n{text}" if block.title else text)]
        case schema.Within(content=list(blocks)):
            inner = [part for place, raw in enumerate(blocks) for part in _within(raw, f"{at}.{place}", _PAGES)]
            return [Text(block.title), *inner] if block.title else inner
        case schema.Encoded() | schema.Link() | schema.Uploaded() as source:
            return [_media("document", source, block.title)]
        case _:
            raise invalid(at, "a document's source must be base64, url, text, content or file")


def _result(raw: Raw, at: str) -> ToolResult:
    block = decode(schema.TOOL_RESULT, raw, at)
    if block.content is None or isinstance(block.content, str):
        parts: tuple[Text | Media, ...] = (Text(block.content),) if block.content else ()
    else:
        inner = [_within(one, f"{at}.content.{place}", _RESULTS) for place, one in enumerate(block.content)]
        parts = tuple(_shown(part) for one in inner for part in one)
    return ToolResult(block.tool_use_id, parts, failed=bool(block.is_error))


def _within(raw: Raw, at: str, kinds: frozenset[str]) -> list[Part]:
    """A block in another one; what may not be there is kept as it is written, and nothing in it is looked at."""
    kind = decode(schema.KIND, raw, at).type
    return hear_block(raw, at) if kind is None or kind in kinds else [Opaque(DIALECT, Raw(bytes(raw)))]


def _shown(part: Part) -> Text | Media:
    """What a result may hold: a block of a kind that canon does not know is shown as it is written."""
    if isinstance(part, Text | Media):
        return part
    if isinstance(part, Opaque):
        return Text(bytes(part.raw).decode())
    raise TypeError(f"a {type(part).__name__} within a result")


def hear_block(raw: Raw, at: str) -> list[Part]:
    """One block. Raises BadRequest, naming its place."""
    kind = decode(schema.KIND, raw, at).type
    match kind:
        case "text":
            return [Text(decode(schema.TEXT, raw, at).text)]
        case "image":
            return [_media("image", decode(schema.IMAGE, raw, at).source)]
        case "document":
            return _document(decode(schema.DOCUMENT, raw, at), at)
        case "tool_use":
            called = decode(schema.TOOL_USE, raw, at)
            return [ToolCall(called.id, called.name, bytes(schema.INPUT.decode(raw).input).decode())]
        case "tool_result":
            return [_result(raw, at)]
        case "thinking":
            thought = decode(schema.THINKING, raw, at)
            return [Reasoning(thought.thinking, thought.signature or None)]
        case "redacted_thinking":
            return [Reasoning(sealed=decode(schema.REDACTED, raw, at).data)]
        case None:
            raise invalid(f"{at}.type", "Field required")
        case _:
            return [Opaque(DIALECT, Raw(bytes(raw)))]


def _more(raw: Raw) -> bool:
    """Whether a block says more than canon has words for."""
    bag = schema.BAG.decode(raw)
    kind = schema.KIND.decode(raw).type
    known = _PLAIN.get(kind or "")
    if known is None:
        return False  # verbatim already
    if any(name not in known and bytes(value) != NULL for name, value in bag.items()):
        return True
    if kind == "document":
        return not isinstance(schema.DOCUMENT.decode(raw).source, schema.Encoded | schema.Link | schema.Uploaded)
    content = bag.get("content")
    if kind != "tool_result" or content is None or not bytes(content).startswith(b"["):
        return False
    inner = msgspec.json.decode(content, type=list[Raw])
    return any(schema.KIND.decode(one).type not in _RESULTS or _more(one) for one in inner)


# Messages.


def _exactly(blocks: Sequence[Raw]) -> Vendor:
    """The content verbatim but for thoughts that nobody signed, where canon would lose something of it."""
    if not any(map(_more, blocks)):
        return {}
    return {DIALECT: {"content": Raw(json.encode([block for block in blocks if not is_unsigned(block)]))}}


def _hear(message: schema.Message, blocks: Sequence[Raw], place: int) -> list[Message]:
    at = f"messages.{place}.content"
    parts = [part for number, raw in enumerate(blocks) for part in hear_block(raw, f"{at}.{number}")]
    vendor = _exactly(blocks)
    results = tuple(part for part in parts if isinstance(part, ToolResult))
    if not results or message.role != "user":
        return [Message(message.role, tuple(parts), vendor=vendor)]
    heard = [Message("tool", results, vendor=vendor)]
    rest = tuple(part for part in parts if not isinstance(part, ToolResult))
    if rest:
        heard.append(Message("user", rest, vendor={DIALECT: {"content": SAID_BEFORE}} if vendor else {}))
    return heard


def hear_messages(asked: schema.Asked) -> tuple[Message, ...]:
    """The system's message, then all others."""
    heard: list[Message] = []
    if isinstance(asked.system, str):
        heard.append(Message("system", (Text(asked.system),)))
    elif asked.system:
        parts = [part for place, raw in enumerate(asked.system) for part in hear_block(raw, f"system.{place}")]
        heard.append(Message("system", tuple(parts), vendor=_exactly(asked.system)))
    for place, message in enumerate(asked.messages):
        content = message.content
        if isinstance(content, str):
            heard.append(Message(message.role, (Text(content),)))
        else:
            heard += _hear(message, content, place)
    return tuple(heard)


# The rest.


def hear_tools(tools: Sequence[Raw]) -> tuple[ToolSpec, ...]:
    """The tools that the caller runs; those that Anthropic's servers run are no model's but theirs."""
    heard: list[ToolSpec] = []
    for place, raw in enumerate(tools):
        at = f"tools.{place}"
        if decode(schema.KIND, raw, at).type in _CUSTOM:
            tool = decode(schema.TOOL, raw, at)
            written = Raw(bytes(schema.SCHEMA.decode(raw).input_schema))
            heard.append(ToolSpec(tool.name, tool.description, written, tool.strict))
    return tuple(heard)


def _tools_say_more(tools: Sequence[Raw]) -> bool:
    return any(_is_served(raw) or not schema.BAG.decode(raw).keys() <= _TOOL for raw in tools)


def _choice(asked: schema.Asked) -> tuple[ToolChoice | None, bool | None]:
    """The choice, and whether several tools may be called at once."""
    choice = asked.tool_choice
    if choice is None:
        return None, None
    if isinstance(choice, schema.NoTool):
        return ToolChoice("none"), None
    alone = choice.disable_parallel_tool_use
    parallel = None if alone is None else not alone
    match choice:
        case schema.Auto():
            return ToolChoice("auto"), parallel
        case schema.Any():
            return ToolChoice("required"), parallel
        case schema.One(name=name):
            return ToolChoice("named", name), parallel


def _is_served(raw: Raw) -> bool:
    """Whether Anthropic's servers run this tool."""
    return schema.KIND.decode(raw).type not in _CUSTOM


def _choice_among(tools: Sequence[ToolSpec], asked: schema.Asked) -> tuple[ToolChoice | None, bool | None]:
    """The same, of the tools that the caller runs: others are offered to no model but Anthropic's, nor chosen there."""
    choice, parallel = _choice(asked)
    ours = choice is None or choice.name is None or any(tool.name == choice.name for tool in tools)
    return choice if ours or not any(map(_is_served, asked.tools or ())) else None, parallel


def wish(asked: schema.Asked) -> ReasoningWish | None:
    """How much to think."""
    thinking = asked.thinking
    effort = asked.output_config.effort if asked.output_config is not None else None
    if thinking is None:
        return None if effort is None else ReasoningWish(effort)
    if thinking.type == "disabled":
        return ReasoningWish(enabled=False)
    return ReasoningWish(effort, thinking.budget_tokens, enabled=True)


def _format(asked: schema.Asked) -> ResponseFormat | None:
    form = asked.output_config.format if asked.output_config is not None else None
    form = form or asked.output_format
    if form is None:
        return None
    decode(schema.BAG, form.schema, "output_config.format.schema")
    return ResponseFormat("schema", schema=Raw(bytes(form.schema)))


def _vendor(asked: schema.Asked, body: bytes) -> Vendor:
    bag: schema.Bag = {}
    if not isinstance(asked, schema.KnownBody) or asked.own:
        said = schema.BAG.decode(body)
        bag = {name: raw for name, raw in said.items() if name not in _HEARD and bytes(raw) != NULL}
    if asked.tools and _tools_say_more(asked.tools):
        bag["tools"] = Raw(json.encode(asked.tools))
        if asked.tool_choice is not None and any(map(_is_served, asked.tools)):
            bag["tool_choice"] = schema.BAG.decode(body)["tool_choice"]
    return {DIALECT: bag} if bag else {}


def hear(asked: schema.Asked, body: bytes) -> ChatRequest:
    """A checked body in our words."""
    tools = hear_tools(asked.tools) if asked.tools else ()
    choice, parallel = _choice_among(tools, asked) if tools else (None, None)
    config = asked.output_config
    return ChatRequest(
        model=asked.model,
        messages=hear_messages(asked),
        tools=tools,
        tool_choice=choice,
        parallel_tools=parallel,
        response_format=None if config is None and asked.output_format is None else _format(asked),
        reasoning=None if config is None and asked.thinking is None else wish(asked),
        sampling=Sampling(temperature=asked.temperature, top_p=asked.top_p, top_k=asked.top_k),
        max_output=asked.max_tokens if isinstance(asked, schema.Body) else None,
        stop=tuple(asked.stop_sequences or ()),
        stream=bool(asked.stream),
        user=None if asked.metadata is None else asked.metadata.user_id,
        vendor=_vendor(asked, body),
    )
