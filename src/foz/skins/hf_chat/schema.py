"""What callers may send, as msgspec checks it while it decodes: types, roles, and the document's ranges."""

from typing import Annotated, Literal

from msgspec import Meta, Struct

from foz.dialects.openai.fields import Words

DEFAULT_MODEL = "microsoft/DialoGPT-medium"
"""Whom the older form asks where it names nobody: the document recommends it."""

Name = Annotated[str, Meta(min_length=1)]
Temperature = Annotated[float, Meta(ge=0, le=2)]
MaxTokens = Annotated[int, Meta(ge=1, le=4096)]
TopP = Annotated[float, Meta(ge=0, le=1)]
TopK = Annotated[int, Meta(ge=1, le=100)]
RepetitionPenalty = Annotated[float, Meta(ge=0.1, le=2)]
MaxTime = Annotated[int, Meta(ge=1, le=120)]
"""Seconds."""


class TextPart(Struct, gc=False, tag_field="type", tag="text"):
    """Words."""

    text: str


class Link(Struct, gc=False):
    """Where a picture is: a URL or a data URI."""

    url: Name


class ImagePart(Struct, tag_field="type", tag="image_url"):
    """A picture: its URL is in `image_url.url`, in `image_url` or in `text`."""

    image_url: Link | Name | None = None
    text: str | None = None


Parts = Annotated[list[TextPart | ImagePart], Meta(min_length=1)]


class Message(Struct):
    """What one side says."""

    role: Literal["user", "assistant", "system"]
    content: str | Parts


class Options(Struct, kw_only=True):
    """How to answer; all may be left out."""

    stream: bool | None = None
    temperature: Temperature | None = None
    max_tokens: MaxTokens | None = None
    top_p: TopP | None = None
    top_k: TopK | None = None
    repetition_penalty: RepetitionPenalty | None = None
    max_time: MaxTime | None = None


class ChatCompletion(Options, kw_only=True):
    """A conversation, and the model that continues it."""

    messages: Annotated[list[Message], Meta(min_length=1)]
    model: Name


class HuggingFaceChat(Options, kw_only=True):
    """The older form: one text, in `message` or in `prompt` or `inputs`, which mean the same."""

    message: Name | None = None
    prompt: Name | None = None
    inputs: Name | None = None
    model: Name | None = None


WORDS: Words = {
    "messages[].role": ("user", "assistant", "system"),
    "messages[].content[].type": ("text", "image_url"),
}


class Counts(Struct):
    """Tokens. `estimated` is there, and true, where the provider did not count them itself."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    estimated: bool | None = None


class Data(Struct):
    """The model's words. In a stream `response` is a piece of them, and `usage` comes with the last event only."""

    response: str
    model: str
    usage: Counts


class Answer(Struct):
    """A whole answer."""

    success: Literal[True]
    data: Data


class Error(Struct):
    """What went wrong, and in which field, where it is one."""

    success: Literal[False]
    error: str
    field: str | None = None
