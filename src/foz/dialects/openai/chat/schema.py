"""
What callers may send to `/v1/chat/completions`, as msgspec checks it while it decodes: types, roles, ranges.

The hot path: both lanes decode each body once into `Body`. Fields that only OpenAI has a word for stand here too,
so that their types are checked; they travel on verbatim. What does not stand here is forwarded unchecked.
"""

from typing import Annotated, Literal

from msgspec import Meta, Raw, Struct

from foz.dialects.openai.fields import MOST, Whole

Name = Annotated[str, Meta(min_length=1)]
Penalty = Annotated[float, Meta(ge=-2, le=2)]
Share = Annotated[float, Meta(ge=0, le=1)]
Count = Annotated[int, Meta(ge=1, le=MOST)]
Bag = dict[str, Raw]


# Parts of a message's content.


class TextPart(Struct, gc=False, tag_field="type", tag="text"):
    """Words."""

    text: str
    uuid: str | None = None
    """vLLM's: of a part that bears it, any address in it is followed."""


class RefusalPart(Struct, gc=False, tag_field="type", tag="refusal"):
    """A refusal, said again."""

    refusal: str
    uuid: str | None = None


class Link(Struct, gc=False):
    """Where it is: a URL or a data URI."""

    url: Name
    detail: Literal["auto", "low", "high", "original"] | None = None


class ImagePart(Struct, tag_field="type", tag="image_url"):
    """A picture."""

    image_url: Link
    uuid: str | None = None


class Sound(Struct, gc=False):
    """Base64, and its format (`wav`, `mp3`)."""

    data: Name
    format: Name


class AudioPart(Struct, tag_field="type", tag="input_audio"):
    """A sound."""

    input_audio: Sound
    uuid: str | None = None


class Document(Struct, gc=False):
    """`file_data` (a data URI) or the id of an uploaded file."""

    file_data: str | None = None
    file_id: str | None = None
    filename: str | None = None


class FilePart(Struct, tag_field="type", tag="file"):
    """A file."""

    file: Document
    uuid: str | None = None


class AudioLinkPart(Struct, tag_field="type", tag="audio_url"):
    """Not OpenAI's: vLLM's and others'."""

    audio_url: Link
    uuid: str | None = None


class VideoPart(Struct, tag_field="type", tag="video_url"):
    """Not OpenAI's: vLLM's and others'."""

    video_url: Link
    uuid: str | None = None


Part = TextPart | RefusalPart | ImagePart | AudioPart | FilePart | AudioLinkPart | VideoPart
MEDIA = (ImagePart, AudioPart, FilePart, AudioLinkPart, VideoPart)


# Messages.


class SystemMessage(Struct, tag_field="role", tag="system"):
    """What the model is told to be."""

    content: str | list[TextPart]
    name: str | None = None


class DeveloperMessage(Struct, tag_field="role", tag="developer"):
    """The same, for newer models."""

    content: str | list[TextPart]
    name: str | None = None


class UserMessage(Struct, tag_field="role", tag="user"):
    """What the user says."""

    content: str | list[Part]
    name: str | None = None


class Called(Struct, gc=False):
    """A function and its arguments, as JSON text."""

    name: Name
    arguments: str


class FunctionCall(Struct, tag_field="type", tag="function"):
    """A call by the model."""

    id: str
    function: Called


class Tooled(Struct, gc=False):
    """A custom tool and its input."""

    name: Name
    input: str


class CustomCall(Struct, tag_field="type", tag="custom"):
    """A call of a custom tool."""

    id: str
    custom: Tooled


class AssistantMessage(Struct, tag_field="role", tag="assistant"):
    """`reasoning_content` and `reasoning` are not OpenAI's: servers of open models take back what they gave."""

    content: str | list[TextPart | RefusalPart] | None = None
    name: str | None = None
    refusal: str | None = None
    tool_calls: list[FunctionCall | CustomCall] | None = None
    function_call: Called | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None


class ToolMessage(Struct, tag_field="role", tag="tool"):
    """What a call came to."""

    content: str | list[Part]
    tool_call_id: str
    name: str | None = None


class FunctionMessage(Struct, tag_field="role", tag="function"):
    """What a legacy call came to."""

    content: str | None
    name: Name


Message = SystemMessage | DeveloperMessage | UserMessage | AssistantMessage | ToolMessage | FunctionMessage


# Tools.


class Function(Struct):
    """A function the caller offers."""

    name: Name
    description: str | None = None
    parameters: Bag | None = None
    strict: bool | None = None


class FunctionTool(Struct, tag_field="type", tag="function"):
    """A tool that is a function."""

    function: Function


class CustomTool(Struct, tag_field="type", tag="custom"):
    """A tool whose input is free text."""

    custom: Bag


class Named(Struct, gc=False):
    """By name."""

    name: Name


class FunctionChoice(Struct, tag_field="type", tag="function"):
    """The function to call."""

    function: Named


class CustomChoice(Struct, tag_field="type", tag="custom"):
    """The custom tool to call."""

    custom: Named


class Allowed(Struct):
    """Only these."""

    mode: Literal["auto", "required"]
    tools: list[FunctionChoice | CustomChoice]


class AllowedChoice(Struct, tag_field="type", tag="allowed_tools"):
    """Only some of the tools."""

    allowed_tools: Allowed


# The answer's form.


class TextFormat(Struct, gc=False, tag_field="type", tag="text"):
    """Any text."""


class JsonFormat(Struct, tag_field="type", tag="json_object"):
    """`schema` is not OpenAI's: llama.cpp's, Together's and others'."""

    schema: Bag | None = None


class Schema(Struct):
    """A JSON schema, by name."""

    name: Name
    description: str | None = None
    schema: Bag | None = None
    strict: bool | None = None


class SchemaFormat(Struct, tag_field="type", tag="json_schema"):
    """JSON that satisfies a schema."""

    json_schema: Schema


class StreamOptions(Struct, gc=False):
    """What a stream shows beside its answer."""

    include_usage: bool | None = None
    include_obfuscation: bool | None = None


Effort = Literal["none", "minimal", "low", "medium", "high", "xhigh", "ultra", "max", "default"]


class Body(Struct):
    """The body of a request."""

    model: Name
    messages: Annotated[list[Message], Meta(min_length=1)]
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    max_tokens: Count | None = None
    max_completion_tokens: Count | None = None
    temperature: Annotated[float, Meta(ge=0, le=2)] | None = None
    top_p: Share | None = None
    top_k: Whole | None = None
    min_p: Share | None = None
    frequency_penalty: Penalty | None = None
    presence_penalty: Penalty | None = None
    repetition_penalty: float | None = None
    logit_bias: dict[str, Annotated[float, Meta(ge=-100, le=100)]] | None = None
    seed: Whole | None = None
    n: Annotated[int, Meta(ge=1, le=128)] | None = None
    stop: str | list[str] | None = None
    logprobs: bool | None = None
    top_logprobs: Annotated[int, Meta(ge=0, le=20)] | None = None
    tools: list[FunctionTool | CustomTool] | None = None
    tool_choice: Literal["auto", "none", "required"] | FunctionChoice | CustomChoice | AllowedChoice | None = None
    parallel_tool_calls: bool | None = None
    response_format: TextFormat | JsonFormat | SchemaFormat | None = None
    reasoning_effort: Effort | None = None
    user: str | None = None
    functions: list[Function] | None = None
    function_call: Literal["auto", "none"] | Named | None = None
    # OpenAI's own, carried verbatim:
    audio: Bag | None = None
    metadata: dict[str, str] | None = None
    modalities: list[Literal["text", "audio"]] | None = None
    prediction: Bag | None = None
    prompt_cache_key: str | None = None
    safety_identifier: str | None = None
    service_tier: str | None = None
    store: bool | None = None
    verbosity: str | None = None
    web_search_options: Bag | None = None


# The same, where nothing is said that does not stand here: then nothing is lost by reading it so.


class KnownSystem(SystemMessage, forbid_unknown_fields=True, tag_field="role", tag="system"):
    """What the model is told to be."""


class KnownDeveloper(DeveloperMessage, forbid_unknown_fields=True, tag_field="role", tag="developer"):
    """The same, for newer models."""


class KnownUser(UserMessage, forbid_unknown_fields=True, tag_field="role", tag="user"):
    """What the user says."""


class KnownAssistant(AssistantMessage, forbid_unknown_fields=True, tag_field="role", tag="assistant"):
    """What the model said."""


class KnownTool(ToolMessage, forbid_unknown_fields=True, tag_field="role", tag="tool"):
    """What a call came to."""


class KnownBody(Body, forbid_unknown_fields=True):
    """A body without the legacy of functions."""

    messages: Annotated[list[KnownSystem | KnownDeveloper | KnownUser | KnownAssistant | KnownTool], Meta(min_length=1)]  # type: ignore[assignment]  # nobody puts another message there
    functions: None = None
    function_call: None = None

    @property
    def own(self) -> bool:
        """Whether it says what canon has no word for."""
        said = (
            self.audio, self.metadata, self.modalities, self.prediction, self.prompt_cache_key, self.safety_identifier,
            self.service_tier, self.store, self.verbosity, self.web_search_options,
        )  # fmt: skip
        return said != _NONE or isinstance(self.tool_choice, CustomChoice)


_NONE = (None,) * 10
