"""
Ollama's own API as values: what is asked at `/api/chat`, `/api/generate` and `/api/embed`, and what is answered there
and at `/api/tags`.

Both roles of the dialect read and write these. A field that is left out is not written; JSON that only one side
looks into (a schema, arguments, an option) stays verbatim. Answers are read leniently: counts and durations that are
zero are left out by the server, older ones know fewer fields, and null stands where nothing is.
"""

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType

Bag = dict[str, Raw]
"""An object whose fields are looked up by name and kept as they were written."""


# Asked.


class Called(Struct, frozen=True, omit_defaults=True):
    """What a call calls. `arguments` is an object; a server may write it as text."""

    name: str = ""
    arguments: Raw = Raw(b"null")
    index: int | None = None


class Call(Struct, frozen=True, omit_defaults=True):
    """A call, always whole. Servers before 0.12 give no `id`."""

    function: Called = Called()
    id: str | None = None


class Message(Struct, omit_defaults=True):
    """One turn. `images` are bare base64; `tool_name` and `tool_call_id` say whose result a tool's message is."""

    role: str
    content: str | UnsetType | None = UNSET
    thinking: str | None = None
    images: list[str] | None = None
    tool_calls: list[Call] | None = None
    tool_name: str | None = None
    tool_call_id: str | None = None


class Function(Struct, omit_defaults=True):
    """A function that is offered; `parameters` must be there, and must be an object."""

    name: str
    parameters: Raw
    description: str | None = None


class Tool(Struct):
    """A tool that is offered: a function, there is no other kind."""

    function: Function
    type: str = "function"


class Options(Struct, frozen=True, omit_defaults=True):
    """How the answer is made: what canon has words for. There are more; all together are read as a bag."""

    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    min_p: float | None = None
    frequency_penalty: float | None = None
    presence_penalty: float | None = None
    repeat_penalty: float | None = None
    seed: int | None = None
    num_predict: int | None = None
    stop: tuple[str, ...] | None = None


class Asked(Struct, omit_defaults=True, kw_only=True):
    """What every operation may be told. `stream` is always said: left out it means true."""

    model: str
    stream: bool | UnsetType = UNSET
    options: Bag | None = None
    keep_alive: Raw | UnsetType = UNSET
    format: Raw | UnsetType = UNSET
    think: bool | str | None = None
    truncate: bool | None = None
    shift: bool | None = None
    logprobs: bool = False
    top_logprobs: int = 0


class ChatBody(Asked, omit_defaults=True, kw_only=True):
    """`POST /api/chat`."""

    messages: list[Message]
    tools: list[Tool] | None = None


class GenerateBody(Asked, omit_defaults=True, kw_only=True):
    """`POST /api/generate`."""

    prompt: str
    suffix: str | None = None
    system: str | None = None
    template: str | None = None
    raw: bool = False
    images: list[str] | None = None
    context: list[int] | None = None


class EmbedBody(Struct, omit_defaults=True, kw_only=True):
    """`POST /api/embed`."""

    model: str
    input: str | list[str]
    truncate: bool | None = None
    dimensions: int | None = None
    options: Bag | None = None
    keep_alive: Raw | UnsetType = UNSET


class ShowBody(Struct):
    """`POST /api/show`."""

    model: str


# Answered.


class Token(Struct):
    """One token and how likely it was."""

    token: str
    logprob: float | None = None
    bytes: list[int] | None = None
    top_logprobs: "list[Token] | None" = None


class Said(Struct):
    """The message of an answer, or more of it."""

    content: str | None = None
    thinking: str | None = None
    tool_calls: list[Call] | None = None


class Counted(Struct):
    """What an answer took: tokens, and nanoseconds. Whatever is zero is left out."""

    prompt_eval_count: int | None = None
    eval_count: int | None = None
    total_duration: int | None = None
    load_duration: int | None = None
    prompt_eval_duration: int | None = None
    eval_duration: int | None = None


class Chunk(Counted):
    """A line of a stream, or a whole answer. Chat says `message`, generate `response` and `thinking`."""

    model: str | None = None
    created_at: str | float | None = None
    message: Said | None = None
    response: str | None = None
    thinking: str | None = None
    done: bool | None = None
    done_reason: str | None = None
    logprobs: list[Token] | None = None
    error: Raw = Raw(b"null")


class _KnownSaid(Said, forbid_unknown_fields=True):
    role: Raw = Raw(b"null")


class KnownChunk(Chunk, forbid_unknown_fields=True):
    """One that says nothing but what stands here."""

    message: _KnownSaid | None = None
    error: None = None  # type: ignore[assignment]  # there is none: else it is not read so


class Embedded(Counted):
    """The answer of `/api/embed`; the older form's has one `embedding`."""

    model: str | None = None
    embeddings: list[list[float]] | None = None
    embedding: list[float] | None = None
    error: Raw = Raw(b"null")


class Listed(Struct):
    """One model that the server has. `model` says the same as `name`; older servers have only this."""

    name: str = ""
    model: str = ""


class Tags(Struct):
    """The answer of `/api/tags`."""

    models: list[Listed] | None = None


CHUNK = msgspec.json.Decoder(Chunk)
KNOWN = msgspec.json.Decoder(KnownChunk)
EMBEDDED = msgspec.json.Decoder(Embedded)
TAGS = msgspec.json.Decoder(Tags)
BAG = msgspec.json.Decoder(Bag)
