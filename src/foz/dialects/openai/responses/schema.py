"""
What callers may send to `/v1/responses`, as msgspec checks it while it decodes: types, ranges, words.

Items, tools and the tool choice are checked one by one where they are heard (`items`, `asking`): which schema holds
depends on a `type` that may be left out, and a wrong one is told by its place.
"""

from typing import Annotated, Any, Literal

from msgspec import Meta, Raw, Struct

from foz.dialects.openai.fields import MOST

Name = Annotated[str, Meta(min_length=1)]
Count = Annotated[int, Meta(ge=1, le=MOST)]
Share = Annotated[float, Meta(ge=0, le=1)]
Heat = Annotated[float, Meta(ge=0, le=2)]
Effort = Literal["none", "minimal", "low", "medium", "high", "xhigh", "ultra", "max", "default"]
Summary = Literal["auto", "concise", "detailed"]
Detail = Literal["auto", "low", "high", "original"]
Known = Literal[
    "code_interpreter_call.outputs",
    "computer_call_output.output.image_url",
    "file_search_call.results",
    "message.input_image.image_url",
    "message.output_text.logprobs",
    "reasoning.encrypted_content",
    "web_search_call.action.sources",
    "web_search_call.results",
]
NULL = Raw(b"null")


# What is said: the parts of a message.


class InputText(Struct, tag_field="type", tag="input_text"):
    """Words of the user's side."""

    text: str


class PlainText(Struct, tag_field="type", tag="text"):
    """The same, as some programs write it."""

    text: str


class OutputText(Struct, tag_field="type", tag="output_text"):
    """Words of the model, given back."""

    text: str


class RefusalPart(Struct, tag_field="type", tag="refusal"):
    """A refusal, given back."""

    refusal: str


class InputImage(Struct, tag_field="type", tag="input_image"):
    """A picture: a URL, a data URI, or the id of an uploaded file."""

    image_url: str | None = None
    file_id: str | None = None
    detail: Detail | None = None


class InputFile(Struct, tag_field="type", tag="input_file"):
    """A file: base64 or a data URI, a URL, or the id of an uploaded file."""

    file_data: str | None = None
    file_url: str | None = None
    file_id: str | None = None
    filename: str | None = None


class Sound(Struct):
    """Base64, and its format (`wav`, `mp3`)."""

    data: Name
    format: Name


class InputAudio(Struct, tag_field="type", tag="input_audio"):
    """A sound."""

    input_audio: Sound


Other = RefusalPart | InputImage | InputFile | InputAudio
"""What is more than words."""
Part = InputText | PlainText | OutputText | Other
PARTS = ("input_text", "output_text", "refusal", "input_image", "input_file", "input_audio")


# Items.


class MessageItem(Struct):
    """A message of any role."""

    role: Literal["user", "assistant", "system", "developer"]
    content: str | list[Part]


class CallItem(Struct):
    """A call by the model, given back. `arguments` is JSON text."""

    call_id: Name
    name: Name
    arguments: str


class OutputItem(Struct):
    """The caller's answer to a call."""

    call_id: Name
    output: str | list[Part]


class Thought(Struct):
    """A piece of the thinking, or of its summary."""

    text: str


class ReasoningItem(Struct):
    """What the model thought, given back."""

    summary: list[Thought] | None = None
    content: list[Thought] | None = None
    encrypted_content: str | None = None


class ReferenceItem(Struct):
    """An item of an answer that is kept here, by its id."""

    id: Name


class Kind(Struct):
    """What an item, a tool or a choice is, and its name, where it has one."""

    type: str | None = None
    id: str | None = None


# The rest of the body.


class FunctionTool(Struct):
    """A function that may be called."""

    name: Name
    description: str | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None


class FunctionChoice(Struct):
    """The function that must be called."""

    name: Name


class AllowedTool(Struct):
    """One of the tools that may be called."""

    type: Literal["function"]
    name: Name


class AllowedChoice(Struct):
    """The only tools that may be called."""

    mode: Literal["auto", "required"]
    tools: list[AllowedTool]


class Thinking(Struct):
    """How much to think, and whether the thoughts are told as their summary."""

    effort: Effort | None = None
    summary: Summary | None = None
    generate_summary: Summary | None = None


class TextFormat(Struct, tag_field="type", tag="text"):
    """Words."""


class JsonFormat(Struct, tag_field="type", tag="json_object"):
    """Any JSON object."""


class SchemaFormat(Struct, tag_field="type", tag="json_schema"):
    """JSON that satisfies a schema."""

    name: Name
    schema: dict[str, Any]
    description: str | None = None
    strict: bool | None = None


class TextForm(Struct):
    """What the words are to be like."""

    format: TextFormat | JsonFormat | SchemaFormat | None = None
    verbosity: Literal["low", "medium", "high"] | None = None


class StreamOptions(Struct):
    """Accepted; our own events carry no filler."""

    include_obfuscation: bool | None = None


MetadataKey = Annotated[str, Meta(max_length=64)]
MetadataValue = Annotated[str, Meta(max_length=512)]
Metadata = Annotated[dict[MetadataKey, MetadataValue], Meta(max_length=16)]


class Body(Struct):
    """A request for a response."""

    model: Name
    input: str | list[Raw] | None = None
    instructions: str | None = None
    previous_response_id: str | None = None
    store: bool | None = None
    background: bool | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    include: list[Known] | None = None
    max_output_tokens: Count | None = None
    max_tool_calls: Count | None = None
    metadata: Metadata | None = None
    parallel_tool_calls: bool | None = None
    reasoning: Thinking | None = None
    temperature: Heat | None = None
    text: TextForm | None = None
    tool_choice: Any = None
    tools: list[Raw] | None = None
    top_logprobs: Annotated[int, Meta(ge=0, le=20)] | None = None
    top_p: Share | None = None
    truncation: Literal["auto", "disabled"] | None = None
    user: str | None = None
    safety_identifier: str | None = None
    prompt_cache_key: str | None = None
    service_tier: str | None = None
    conversation: Any = None
    prompt: Any = None
    context_management: Any = None


class KnownBody(Body, forbid_unknown_fields=True):
    """One that says nothing but what stands here."""


WORDS = {
    "include[]": Known.__args__,  # type: ignore[attr-defined]  # typing does not tell that a Literal has them
    "reasoning.effort": ("none", "minimal", "low", "medium", "high", "xhigh", "ultra", "max", "default"),
    "reasoning.summary": ("auto", "concise", "detailed"),
    "text.format.type": ("text", "json_object", "json_schema"),
    "text.verbosity": ("low", "medium", "high"),
    "truncation": ("auto", "disabled"),
    "input[].role": ("user", "assistant", "system", "developer"),
    "input[].content[].type": PARTS,
    "input[].output[].type": PARTS,
    "tool_choice.mode": ("auto", "required"),
}
"""Which words a field takes, for whoever sends another."""
