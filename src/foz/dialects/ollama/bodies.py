"""
What callers may send, as schemas: they check bodies, and the reference is made of them.

Null is as good as nothing, as with Ollama itself. What only an Ollama server understands is not looked at here; it
travels beside (`vendor["ollama"]`), verbatim. What is wrong is told with the place where it is.
"""

import re
from typing import Annotated, TypeVar

import msgspec
from msgspec import Meta, Raw, Struct

from foz.canon.fault import BadRequest
from foz.wire.json import MAX_DEPTH, decode_known, too_deep

T = TypeVar("T")

NULL = Raw(b"null")
MOST_TOP = 20
Bag = dict[str, Raw]
Name = Annotated[str, Meta(min_length=1)]
Number = Annotated[float, Meta(gt=-(2.0**63), lt=2.0**63)]
Whole = Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)]
Lasts = str | int | float | None
"""Seconds, or a duration such as `5m`."""

_PATH = re.compile(r" - at (?:`key` in )?`\$\.?([^`]*)`$")
_MISSING = re.compile(r"^Object missing required field `([^`]*)`")


class Called(Struct, frozen=True):
    """What was called. `arguments` is an object."""

    name: Name
    arguments: Bag | None = None


class Call(Struct, frozen=True):
    """A call by the model. Ollama's own SDKs send no `id` back: then one is made."""

    function: Called
    id: str | None = None


class Message(Struct, frozen=True):
    """One turn. `images` are bytes in base64; a tool's result says whose it is by `tool_name` or `tool_call_id`."""

    role: str
    content: str | None = None
    thinking: str | None = None
    images: list[str] | None = None
    tool_calls: list[Call] | None = None
    tool_name: str | None = None
    tool_call_id: str | None = None


class Function(Struct, frozen=True):
    """A function that may be called; `parameters` is a JSON schema."""

    name: Name
    description: str | None = None
    parameters: Bag | None = None


class Tool(Struct, frozen=True):
    """A tool that is offered: a function, there is no other kind."""

    function: Function
    type: str | None = None


class Asked(Struct, frozen=True, kw_only=True):
    """What conversations and prompts have in common. Without `stream` the answer is streamed."""

    model: Name
    stream: bool | None = None
    format: str | Bag | None = None
    """`json`, or a JSON schema."""
    options: Bag | None = None
    think: bool | str | None = None
    """Whether to think, or how much: `low`, `medium`, `high`, `max`."""
    logprobs: bool | None = None
    top_logprobs: Annotated[int, Meta(ge=0, le=MOST_TOP)] | None = None
    keep_alive: Lasts = None


class ChatBody(Asked, frozen=True, kw_only=True):
    """A conversation. Without messages only the model is asked for, and nothing of it."""

    messages: list[Message] | None = None
    tools: list[Tool] | None = None


# A chat as most are, where no option is wrong: that is seen while it is decoded. Others are read as `ChatBody` has it.


class Drawn(Struct, frozen=True):
    """The options that canon has words for."""

    temperature: Number | None = None
    top_p: Number | None = None
    top_k: Whole | None = None
    min_p: Number | None = None
    frequency_penalty: Number | None = None
    presence_penalty: Number | None = None
    repeat_penalty: Number | None = None
    seed: Whole | None = None
    num_predict: Whole | None = None
    stop: list[str] | None = None


class KnownDrawn(Drawn, frozen=True, forbid_unknown_fields=True):
    """All that is said, the commonest of Ollama's own among it."""

    num_ctx: Raw = NULL


class PlainBody(ChatBody, frozen=True, kw_only=True):
    """A conversation, and of its options what canon has words for."""

    options: Drawn | None = None  # type: ignore[assignment]  # whoever reads one knows which it is


class KnownBody(PlainBody, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One of which nothing is lost by reading it so."""

    options: KnownDrawn | None = None


class GenerateBody(Asked, frozen=True, kw_only=True):
    """A prompt: one turn of a user, unless `raw` or `suffix` is said. Without one nothing is asked."""

    prompt: str | None = None
    suffix: str | None = None
    system: str | None = None
    template: str | None = None
    context: list[int] | None = None
    raw: bool | None = None
    images: list[str] | None = None


class EmbedBody(Struct, frozen=True, kw_only=True):
    """Texts to turn into vectors of length 1."""

    model: Name
    input: str | list[str] | None = None
    truncate: bool | None = None
    dimensions: Annotated[int, Meta(le=2**31 - 1)] | None = None
    options: Bag | None = None
    keep_alive: Lasts = None


class EmbeddingsBody(Struct, frozen=True, kw_only=True):
    """The older form: one text."""

    model: Name
    prompt: str | None = None
    options: Bag | None = None
    keep_alive: Lasts = None


class ModelBody(Struct, frozen=True, kw_only=True):
    """A model to show. Older clients call it `name`."""

    model: str | None = None
    name: str | None = None
    verbose: bool | None = None


class PullBody(Struct, frozen=True, kw_only=True):
    """A model to have here. Without `stream` it is told in lines how that goes."""

    model: str | None = None
    name: str | None = None
    stream: bool | None = None


class CopyBody(Struct, frozen=True, kw_only=True):
    """A model to have under one more name."""

    source: Name
    destination: Name


class CreateBody(Struct, frozen=True, kw_only=True):
    """A model to make of another. What else Ollama takes is not looked at here."""

    model: str | None = None
    name: str | None = None
    origin: Annotated[str | None, Meta(description="The model that it is made of.")] = msgspec.field(
        name="from", default=None
    )
    parameters: Bag | None = None
    quantize: str | None = None
    stream: bool | None = None


CHAT = msgspec.json.Decoder(ChatBody)
PLAIN: msgspec.json.Decoder[ChatBody] = msgspec.json.Decoder(PlainBody)
KNOWN: msgspec.json.Decoder[ChatBody] = msgspec.json.Decoder(KnownBody)
GENERATE = msgspec.json.Decoder(GenerateBody)
EMBED = msgspec.json.Decoder(EmbedBody)
EMBEDDINGS = msgspec.json.Decoder(EmbeddingsBody)
MODEL = msgspec.json.Decoder(ModelBody)
PULL = msgspec.json.Decoder(PullBody)
COPY = msgspec.json.Decoder(CopyBody)
CREATE = msgspec.json.Decoder(CreateBody)
ANY = msgspec.json.Decoder(Bag)


def decode(decoder: "msgspec.json.Decoder[T]", body: bytes, known: "msgspec.json.Decoder[T] | None" = None) -> T:
    """The body as the schema has it, or `known` where that takes it. Raises BadRequest."""
    if not body.strip():
        raise BadRequest("missing request body")
    if too_deep(body):
        raise _deep()
    try:
        if not body.isascii():
            body.decode()
        return decode_known(known, decoder, body)
    except msgspec.ValidationError as error:
        raise _explain(str(error)) from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise BadRequest(f"the body is not JSON in UTF-8: {error}") from None
    except RecursionError:
        raise _deep() from None


def extras(body: bytes, known: frozenset[str]) -> Bag:
    """The fields of a body that was decoded before which are not known, verbatim, but for nulls."""
    return {name: raw for name, raw in ANY.decode(body).items() if name not in known and raw != NULL}


def wrong(field: str, why: str) -> BadRequest:
    """A field whose value cannot be, and why."""
    return BadRequest(f"invalid {field}: {why}", field=field, vendor_code="invalid_value")


def _deep() -> BadRequest:
    return BadRequest(f"the body is nested too deeply: at most {MAX_DEPTH} levels are read")


def _explain(said: str) -> BadRequest:
    """What msgspec said, naming the place."""
    path = _PATH.search(said)
    field = path[1].replace("[...]", "") if path else ""
    why = said[: path.start()] if path else said
    missing = _MISSING.match(why)
    if missing is not None:
        field = f"{field}.{missing[1]}" if field else missing[1]
        return BadRequest(f"{field} is required", field=field, vendor_code="missing_required_parameter")
    if not field:
        return BadRequest(f"the body must be a JSON object: {why}")
    if field == "model" and "length" in why:
        return BadRequest("model is required", field=field, vendor_code="missing_required_parameter")
    return wrong(field, why.replace("`", ""))
