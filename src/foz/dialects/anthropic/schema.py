"""
What callers may send to `/v1/messages`, as msgspec checks it while it decodes: types, roles, ranges.

Blocks of content and tools are of many kinds, more of them every year, and tools of Anthropic's own servers among them:
each is read by its `type`, and what is of no type that stands here is kept verbatim.
"""

from typing import Annotated, Literal

import msgspec
from msgspec import UNSET, Meta, Raw, Struct, UnsetType

Name = Annotated[str, Meta(min_length=1)]
MOST = 2**31 - 1
"""Nothing is counted further."""
Count = Annotated[int, Meta(ge=1, le=MOST)]
Bag = dict[str, Raw]


# Where pictures and documents are.


class Encoded(Struct, tag_field="type", tag="base64"):
    """Here, as base64."""

    media_type: str
    data: Name


class Link(Struct, tag_field="type", tag="url"):
    """Somewhere else."""

    url: Name


class Words(Struct, tag_field="type", tag="text"):
    """Here, as text."""

    data: str
    media_type: str = "text/plain"


class Within(Struct, tag_field="type", tag="content"):
    """Here, as blocks."""

    content: str | list[Raw]


class Uploaded(Struct, tag_field="type", tag="file"):
    """A file that was uploaded to Anthropic."""

    file_id: Name


# Blocks.


class Kind(Struct):
    """What a block or a tool is."""

    type: str | None = None


class TextBlock(Struct):
    """Words."""

    text: str


class ImageBlock(Struct):
    """A picture."""

    source: Encoded | Link | Uploaded


class DocumentBlock(Struct):
    """A document: a PDF or a text."""

    source: Encoded | Link | Words | Within | Uploaded
    title: str | None = None


class ToolUseBlock(Struct):
    """A call by the model. `input` is an object."""

    id: Name
    name: Name
    input: Bag


class _RawInput(Struct):
    input: Raw


class ToolResultBlock(Struct):
    """The caller's answer to a call."""

    tool_use_id: Name
    content: str | list[Raw] | None = None
    is_error: bool | None = None


class ThinkingBlock(Struct):
    """What the model thought, and the vendor's mark that it did."""

    thinking: str
    signature: str = ""


class RedactedBlock(Struct):
    """What the model thought, sealed by the vendor."""

    data: str


# Tools.


class Tool(Struct):
    """A tool that the caller runs."""

    name: Name
    input_schema: Bag
    description: str | None = None
    strict: bool | None = None


class _RawSchema(Struct):
    input_schema: Raw


class Auto(Struct, tag_field="type", tag="auto"):
    """As the model likes."""

    disable_parallel_tool_use: bool | None = None


class Any(Struct, tag_field="type", tag="any"):
    """Some tool."""

    disable_parallel_tool_use: bool | None = None


class One(Struct, tag_field="type", tag="tool"):
    """The named tool."""

    name: Name
    disable_parallel_tool_use: bool | None = None


class NoTool(Struct, tag_field="type", tag="none"):
    """No tool."""


# The body.


class Message(Struct):
    """One turn."""

    role: Literal["user", "assistant", "system"]
    content: str | list[Raw]


class Thinking(Struct):
    """Whether to think, and how much."""

    type: Literal["enabled", "disabled", "adaptive", "between_tools"]
    budget_tokens: Count | None = None


class Format(Struct):
    """The schema that the answer keeps to."""

    type: Literal["json_schema"]
    schema: Raw


Effort = Literal["low", "medium", "high", "xhigh", "max"]


class OutputConfig(Struct):
    """How much to do for an answer, and of what form it is."""

    effort: Effort | None = None
    format: Format | None = None


class Metadata(Struct):
    """For whom it is asked."""

    user_id: str | None = None


class Asked(Struct, kw_only=True):
    """What both paths take."""

    model: Name
    messages: Annotated[list[Message], Meta(min_length=1, max_length=100_000)]
    system: str | list[Raw] | None = None
    tools: list[Raw] | None = None
    tool_choice: Auto | Any | One | NoTool | None = None
    thinking: Thinking | None = None
    output_config: OutputConfig | None = None
    output_format: Format | None = None
    """As betas had it."""
    stop_sequences: list[str] | None = None
    temperature: Annotated[float, Meta(ge=0, le=2)] | None = None
    top_p: Annotated[float, Meta(ge=0, le=1)] | None = None
    top_k: Annotated[int, Meta(ge=0, le=MOST)] | None = None
    stream: bool | None = None
    metadata: Metadata | None = None
    thread: Raw | UnsetType = UNSET
    """A conversation that Anthropic's servers hold."""


class Body(Asked, kw_only=True):
    """`/v1/messages`."""

    max_tokens: Count


class KnownBody(Body, forbid_unknown_fields=True, kw_only=True):
    """One that says nothing but what stands here: then nothing is lost by reading it so."""

    service_tier: Raw | UnsetType = UNSET
    container: Raw | UnsetType = UNSET
    mcp_servers: Raw | UnsetType = UNSET
    context_management: Raw | UnsetType = UNSET
    cache_control: Raw | UnsetType = UNSET
    inference_geo: Raw | UnsetType = UNSET

    @property
    def own(self) -> bool:
        """Whether it says what canon has no word for, or not for all of it."""
        said = (
            self.thinking, self.output_config, self.output_format, self.thread, self.service_tier, self.container,
            self.mcp_servers, self.context_management, self.cache_control, self.inference_geo,
        )  # fmt: skip
        return said != _NONE


_NONE = (None, None, None) + (UNSET,) * 7
ASKED = msgspec.json.Decoder(Asked)
BODY = msgspec.json.Decoder(Body)
KNOWN: msgspec.json.Decoder[Body] = msgspec.json.Decoder(KnownBody)
KIND = msgspec.json.Decoder(Kind)
BAG = msgspec.json.Decoder(Bag)
TEXT = msgspec.json.Decoder(TextBlock)
IMAGE = msgspec.json.Decoder(ImageBlock)
DOCUMENT = msgspec.json.Decoder(DocumentBlock)
TOOL_USE = msgspec.json.Decoder(ToolUseBlock)
INPUT = msgspec.json.Decoder(_RawInput)
TOOL_RESULT = msgspec.json.Decoder(ToolResultBlock)
THINKING = msgspec.json.Decoder(ThinkingBlock)
REDACTED = msgspec.json.Decoder(RedactedBlock)
TOOL = msgspec.json.Decoder(Tool)
SCHEMA = msgspec.json.Decoder(_RawSchema)
