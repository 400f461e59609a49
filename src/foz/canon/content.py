"""
What messages are made of.

Every part is said in our words; a part that only one vendor knows is `Opaque`,
kept verbatim and replayed only to its own dialect.
"""

from typing import Literal

from msgspec import Raw, Struct


class Text(Struct, frozen=True, tag="text"):
    """Words."""

    text: str


class Media(Struct, frozen=True, tag="media"):
    """A picture, a sound, a film or a file: by `url`, by base64 `data` or by an uploaded file's `file_id`."""

    kind: Literal["image", "audio", "video", "file"]
    url: str | None = None
    data: str | None = None
    mime: str | None = None
    """A media type (`image/png`); for audio from dialects that say a format, `audio/<format>`."""
    name: str | None = None
    file_id: str | None = None
    detail: str | None = None

    @property
    def is_link(self) -> bool:
        """Whether somebody would have to go and fetch it."""
        return self.url is not None and self.url[:5].lower() != "data:"


class Reasoning(Struct, frozen=True, tag="reasoning"):
    """What a model thought. `signature` and `sealed` belong to the vendor and are replayed unchanged."""

    text: str = ""
    signature: str | None = None
    sealed: str | None = None


class Refusal(Struct, frozen=True, tag="refusal"):
    """A model's words for no."""

    text: str


class ToolCall(Struct, frozen=True, tag="tool_call"):
    """A call by the model. `arguments` is JSON text, exactly as the model wrote it."""

    id: str
    name: str
    arguments: str


class ToolResult(Struct, frozen=True, tag="tool_result"):
    """The caller's answer to a tool call."""

    call_id: str
    parts: "tuple[Text | Media, ...]" = ()
    name: str | None = None
    failed: bool = False


class Opaque(Struct, frozen=True, tag="opaque"):
    """A part only `dialect` knows, verbatim."""

    dialect: str
    raw: Raw


Part = Text | Media | Reasoning | Refusal | ToolCall | ToolResult | Opaque


class Message(Struct, frozen=True):
    """One turn's saying. Roles are ours: `developer` ranks with `system`; tool results have role `tool`."""

    role: Literal["system", "developer", "user", "assistant", "tool"]
    parts: tuple[Part, ...] = ()
    name: str | None = None
    vendor: dict[str, dict[str, Raw]] = {}
    """Fields only one dialect knows, verbatim, keyed by dialect."""
