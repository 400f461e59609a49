"""
What callers ask, in our words.

Ollama's SDKs send calls back without their ids, and results that only name their tool, in the order of the calls. Ids
are made, by the place of each call, and a result belongs to the first call of its tool that has none yet.
A prompt (`/api/generate`) is one turn of a user, with its system message and its pictures, unless it is `raw` or has a
`suffix`: then it is a text to continue, and what such a text has no place for stays Ollama's own.
"""

import re
from base64 import b64decode
from collections import defaultdict, deque
from collections.abc import Iterator, Sequence

import msgspec
from msgspec import Raw, Struct

from foz.canon.content import Media, Message, Part, Reasoning, Text, ToolCall, ToolResult
from foz.canon.model import Capability
from foz.canon.request import (
    ChatRequest,
    CompleteRequest,
    EmbedRequest,
    ReasoningWish,
    ResponseFormat,
    Sampling,
    Vendor,
)
from foz.canon.tool import ToolSpec
from foz.dialects.ollama import bodies
from foz.dialects.ollama.asking import PLAINLY
from foz.dialects.ollama.bodies import NULL, Bag, wrong
from foz.dialects.ollama.frames import BROKEN, DIALECT
from foz.wire import json
from foz.wire.sniff import ENOUGH, sniff

LEVELS = ("low", "medium", "high", "max")
SPEAKERS = ("system", "developer", "user", "assistant")
"""Who says words that are nothing more."""
ROLES = (*SPEAKERS, "tool")
MOST = 2**31 - 1
NOTHING: frozenset[str] = frozenset()
NO_SAMPLING = Sampling()
_FLOATS = frozenset({"temperature", "top_p", "min_p", "frequency_penalty", "presence_penalty", "repeat_penalty"})
_WHOLES = frozenset({"top_k", "seed", "num_predict"})
_NAMES = {"repeat_penalty": "repetition_penalty"}
_SHARED = frozenset({"model", "stream", "options", "logprobs", "top_logprobs"})
_CHAT = _SHARED | {"messages", "tools", "format", "think"}
_TURN = _SHARED | {"prompt", "system", "images", "format", "think", "suffix", "raw"}
_TEXT = _SHARED | {"prompt", "suffix"}
_NUMBER: msgspec.json.Decoder[float] = msgspec.json.Decoder(int | float)
_STRINGS = msgspec.json.Decoder(list[str])
_BASE64 = re.compile(r"[A-Za-z0-9+/]+={0,2}")
_HEAD = -(-ENOUGH // 3) * 4
"""Characters of base64 that tell what a picture is."""


# Options.


class Options(Struct, frozen=True):
    """What they say in our words."""

    sampling: Sampling = NO_SAMPLING
    """How tokens are drawn. A seed below zero is any."""
    limit: int | None = None
    """Tokens of the answer; none where it is 0 or below."""
    stop: tuple[str, ...] = ()
    """What ends the answer."""
    own: Bag = {}
    """What only Ollama knows, verbatim."""


NO_OPTIONS = Options()


def hear_options(said: Bag | bodies.Drawn | None) -> Options:
    """All options. Raises BadRequest."""
    if said is None:
        return NO_OPTIONS
    if isinstance(said, dict):
        return _check_options(said)
    if not isinstance(said, bodies.KnownDrawn):
        raise TypeError("options of which some may have been left out")
    return Options(
        Sampling(
            said.temperature,
            said.top_p,
            said.top_k,
            said.min_p,
            said.frequency_penalty,
            said.presence_penalty,
            said.repeat_penalty,
            None,
            _seed(said.seed),
        ),
        _limit(said.num_predict),
        () if said.stop is None else tuple(said.stop),
        NO_OPTIONS.own if said.num_ctx == NULL else {"num_ctx": said.num_ctx},
    )


def hear_limit(said: Bag | bodies.Drawn | None) -> int | None:
    """Tokens of the answer; none where it is 0 or below. Raises BadRequest for any option."""
    return _limit(said.num_predict) if isinstance(said, bodies.Drawn) else hear_options(said).limit


def _check_options(said: Bag) -> Options:
    drawn: dict[str, float] = {}
    stop: tuple[str, ...] = ()
    own: Bag = {}
    for name, raw in said.items():
        if raw == NULL:
            continue
        if name in _FLOATS:
            drawn[_NAMES.get(name, name)] = float(_number(name, raw, "a number"))
        elif name in _WHOLES:
            drawn[name] = _whole(name, raw)
        elif name == "stop":
            stop = _stop(raw)
        else:
            own[name] = raw
    limit, seed = drawn.pop("num_predict", None), drawn.pop("seed", None)
    sampling = Sampling(**drawn, seed=_seed(seed))  # type: ignore[arg-type]  # what is whole is an int
    return Options(sampling, _limit(limit), stop, own)  # type: ignore[arg-type]  # so is this


def _limit(said: int | None) -> int | None:
    return min(said, MOST) if said is not None and said > 0 else None


def _seed(said: int | None) -> int | None:
    return said if said is not None and said >= 0 else None


def _stop(raw: Raw) -> tuple[str, ...]:
    try:
        return tuple(_STRINGS.decode(raw))
    except BROKEN:
        raise wrong("options.stop", "expected an array of strings") from None


def _number(name: str, raw: Raw, kind: str) -> float:
    try:
        found = _NUMBER.decode(raw)
    except BROKEN:
        raise wrong(f"options.{name}", f"expected {kind}") from None
    if not -(2**63) <= found < 2**63:
        raise wrong(f"options.{name}", "it is out of range")
    return found


def _whole(name: str, raw: Raw) -> int:
    found = _number(name, raw, "an integer")
    if found != int(found):
        raise wrong(f"options.{name}", "expected an integer")
    return int(found)


# What is wished for.


def hear_think(think: bool | str | None) -> ReasoningWish | None:
    """How much to think. Raises BadRequest."""
    if think is None or think == "":
        return None
    if isinstance(think, bool):
        return PLAINLY if think else ReasoningWish(enabled=False)
    if think not in LEVELS:
        raise wrong("think", f'expected true, false, or one of "{", ".join(LEVELS)}"')
    return ReasoningWish(think)


def hear_format(form: str | Bag | None) -> ResponseFormat | None:
    """Any JSON, or JSON of a schema. Raises BadRequest."""
    if form is None or form == "":
        return None
    if form == "json":
        return ResponseFormat("json")
    if isinstance(form, str):
        raise wrong("format", 'expected "json" or a JSON schema')
    return ResponseFormat("schema", schema=Raw(json.encode(form)))


def needs(asked: bodies.Asked, *, images: bool, tools: bool) -> frozenset[str]:
    """What a target must be able to do."""
    if asked.think is None and asked.format is None and not (images or tools or asked.logprobs):
        return NOTHING
    wish = hear_think(asked.think)
    form = hear_format(asked.format)
    found = {
        Capability.IMAGES: images,
        Capability.TOOLS: tools,
        Capability.LOGPROBS: bool(asked.logprobs),
        Capability.REASONING: wish is not None and wish.enabled is not False,
        Capability.JSON_SCHEMA: form is not None and form.kind == "schema",
    }
    return frozenset(need for need, there in found.items() if there)


# Conversations.


class _Ids:
    """The ids of a conversation's calls, and which of them wait for a result."""

    def __init__(self, messages: Sequence[bodies.Message]) -> None:
        self._known = {call.id for message in messages for call in message.tool_calls or () if call.id}
        self._open: dict[int, str] = {}
        """The ids of the calls that wait, by the calls' numbers."""
        self._all: deque[int] = deque()
        """The numbers of calls, those that have their result among them."""
        self._by_id: defaultdict[str, deque[int]] = defaultdict(deque)
        self._by_name: defaultdict[str, deque[int]] = defaultdict(deque)
        self._called = 0
        self._made = 0

    def of_call(self, call: bodies.Call) -> str:
        """The caller's, else a new one."""
        id = call.id or self._new()
        self._open[self._called] = id
        for numbers in (self._all, self._by_id[id], self._by_name[call.function.name]):
            numbers.append(self._called)
        self._called += 1
        return id

    def of_result(self, message: bodies.Message) -> str:
        """Whose result it is: by its id, else the first call of the tool, or of any, that has none."""
        said, name = message.tool_call_id, message.tool_name
        numbers = self._by_id.get(said) if said else self._by_name.get(name) if name else self._all
        while numbers:
            id = self._open.pop(numbers.popleft(), None)
            if id is not None:
                return id
        return said or self._new()

    def _new(self) -> str:
        while True:
            id = f"call_{self._made}"
            self._made += 1
            if id not in self._known:
                return id


def hear_image(data: str, field: str) -> Media:
    """A picture. Raises BadRequest."""
    data = data.replace("\n", "").replace("\r", "")
    if len(data) % 4 or not _BASE64.fullmatch(data):
        raise wrong(field, "expected a picture's bytes in base64, without a 'data:' before them")
    found = sniff(b64decode(data[:_HEAD]))
    return Media("image", data=data, mime=None if found is None else found.mime)


def _images(images: Sequence[str] | None, field: str) -> Iterator[Media]:
    for at, data in enumerate(images or ()):
        yield hear_image(data, f"{field}[{at}]")


def hear_messages(messages: Sequence[bodies.Message]) -> tuple[Message, ...]:
    """The turns of a conversation. Raises BadRequest."""
    said: list[Message] = []
    for one in messages:
        if one.images or one.tool_calls or one.thinking or one.role not in SPEAKERS:
            break
        said.append(Message(one.role, (Text(one.content or ""),)))  # type: ignore[arg-type]  # it is one of ROLES
    else:
        return tuple(said)
    ids = _Ids(messages)
    return tuple(_message(message, ids, f"messages[{at}]") for at, message in enumerate(messages))


def check_messages(messages: Sequence[bodies.Message]) -> bool:
    """Whether any has a picture. Raises BadRequest as `hear_messages` does."""
    for message in messages:
        if message.images or message.tool_calls or message.role not in ROLES:
            hear_messages(messages)
            return any(one.images for one in messages)
    return False


def _message(message: bodies.Message, ids: _Ids, field: str) -> Message:
    role = message.role.lower()
    text = message.content or ""
    images = tuple(_images(message.images, f"{field}.images"))
    if role not in ROLES:
        raise wrong(f"{field}.role", f"'{message.role[:40]}' is none of {', '.join(ROLES)}")
    if role == "tool":
        result = ToolResult(ids.of_result(message), (Text(text), *images), message.tool_name or None)
        return Message("tool", (result,))
    calls = [
        ToolCall(ids.of_call(call), call.function.name, json.encode(call.function.arguments or {}).decode())
        for call in message.tool_calls or ()
    ]
    if calls and role != "assistant":
        raise wrong(f"{field}.tool_calls", "only an assistant calls tools")
    parts: list[Part] = [Reasoning(message.thinking)] if message.thinking and role == "assistant" else []
    if text or not (images or calls or parts):
        parts.append(Text(text))
    return Message(role, (*parts, *images, *calls))  # type: ignore[arg-type]  # it is one of ROLES


def _tool(tool: bodies.Tool) -> ToolSpec:
    function = tool.function
    schema = None if function.parameters is None else Raw(json.encode(function.parameters))
    return ToolSpec(function.name, function.description, schema)


def _own(asked: bodies.Asked, body: bytes, known: frozenset[str], options: Options) -> Vendor:
    no_more = asked.__class__ is bodies.KnownBody and asked.keep_alive is None
    bag = {} if no_more else bodies.extras(body, known)
    if options.own:
        bag["options"] = Raw(json.encode(options.own))
    return {DIALECT: bag} if bag else {}


def _chat(asked: bodies.Asked, messages: tuple[Message, ...], body: bytes, known: frozenset[str]) -> ChatRequest:
    options = hear_options(asked.options)
    return ChatRequest(
        model=asked.model,
        messages=messages,
        response_format=hear_format(asked.format),
        reasoning=hear_think(asked.think),
        sampling=options.sampling,
        max_output=options.limit,
        stop=options.stop,
        logprobs=bool(asked.logprobs),
        top_logprobs=asked.top_logprobs if asked.logprobs else None,
        stream=asked.stream is not False,
        vendor=_own(asked, body, known, options),
    )


def hear_chat(asked: bodies.ChatBody, body: bytes) -> ChatRequest:
    """`/api/chat`. Raises BadRequest."""
    request = _chat(asked, hear_messages(asked.messages or ()), body, _CHAT)
    return msgspec.structs.replace(request, tools=tuple(map(_tool, asked.tools))) if asked.tools else request


# Prompts.


def is_text(asked: bodies.GenerateBody) -> bool:
    """Whether the prompt is a text to continue, not a turn."""
    return bool(asked.raw or asked.suffix)


def hear_turn(asked: bodies.GenerateBody, body: bytes) -> ChatRequest:
    """`/api/generate`, as a conversation of one turn. Raises BadRequest."""
    said: list[Message] = [Message("system", (Text(asked.system),))] if asked.system else []
    if asked.prompt or asked.images:
        said.append(Message("user", (Text(asked.prompt or ""), *_images(asked.images, "images"))))
    return _chat(asked, tuple(said), body, _TURN)


def hear_text(asked: bodies.GenerateBody, body: bytes) -> CompleteRequest:
    """`/api/generate`, as a text to continue. Raises BadRequest."""
    options = hear_options(asked.options)
    return CompleteRequest(
        model=asked.model,
        prompts=(asked.prompt or "",),
        suffix=asked.suffix or None,
        sampling=options.sampling,
        max_output=options.limit,
        stop=options.stop,
        logprobs=(asked.top_logprobs or 0) if asked.logprobs else None,
        stream=asked.stream is not False,
        vendor=_own(asked, body, _TEXT, options),
    )


# Embeddings.


def hear_embed(asked: bodies.EmbedBody | bodies.EmbeddingsBody, body: bytes) -> EmbedRequest:
    """`/api/embed`, or its older form. Raises BadRequest."""
    if isinstance(asked, bodies.EmbeddingsBody):
        said: str | list[str] | None = asked.prompt
        known, dimensions = frozenset({"model", "prompt"}), None
    else:
        said, dimensions = asked.input, asked.dimensions
        known = frozenset({"model", "input", "dimensions"})
    inputs = (said,) if isinstance(said, str) and said else tuple(said or ())
    if "" in inputs:
        raise wrong("input", "a text to embed cannot be empty")
    vendor = bodies.extras(body, known)
    return EmbedRequest(
        model=asked.model,
        inputs=inputs,
        dimensions=dimensions if dimensions is not None and dimensions > 0 else None,
        vendor={DIALECT: vendor} if vendor else {},
    )
