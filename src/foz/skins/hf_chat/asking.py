"""Both forms of a request, heard in our words: the conversation and the one question of old."""

import msgspec

from foz.canon.content import Media, Message, Part, Text
from foz.canon.model import Capability
from foz.canon.request import Ask, ChatRequest, Operation, Sampling
from foz.dialects.openai.chat import schema as openai
from foz.dialects.openai.chat.media import hear_media
from foz.dialects.openai.fields import decode, refusal
from foz.skins.hf_chat import schema
from foz.skins.hf_chat.schema import DEFAULT_MODEL, WORDS

_CHAT = msgspec.json.Decoder(schema.ChatCompletion)
_QUESTION = msgspec.json.Decoder(schema.HuggingFaceChat)
SAYINGS = ("message", "prompt", "inputs")
"""Where the older form may have its text."""


class Heard:
    """A request: the facts, and the whole of it."""

    __slots__ = ("ask", "request")

    def __init__(self, options: schema.Options, model: str, messages: tuple[Message, ...]) -> None:
        stream = bool(options.stream)
        shown = [part for message in messages for part in message.parts if isinstance(part, Media)]
        needs = {Capability.IMAGES.value} if shown else set()
        if any(one.is_link for one in shown):
            needs.add(Capability.LINKS.value)
        self.ask = Ask(
            Operation.CHAT,
            model,
            stream,
            frozenset(needs),
            max_output=options.max_tokens,
            seconds=options.max_time,
        )
        self.request = ChatRequest(
            model=model,
            messages=messages,
            sampling=Sampling(
                temperature=options.temperature,
                top_p=options.top_p,
                top_k=options.top_k,
                repetition_penalty=options.repetition_penalty,
            ),
            max_output=options.max_tokens,
            stream=stream,
        )


def hear_chat(body: bytes) -> Heard:
    """A conversation. Raises BadRequest, naming the field."""
    asked = decode(_CHAT, body, WORDS)
    return Heard(asked, asked.model, tuple(_message(message, at) for at, message in enumerate(asked.messages)))


def hear_question(body: bytes) -> Heard:
    """The older form. Raises BadRequest, naming the field."""
    asked = decode(_QUESTION, body, WORDS)
    said = [(name, text) for name in SAYINGS if (text := getattr(asked, name)) is not None]
    if not said:
        raise refusal("Missing required parameter: 'message'.", "message", "missing_required_parameter")
    if len(said) > 1:
        (first, _), (second, _), *_ = said
        raise refusal(f"'{first}' and '{second}' mean the same: send one of them.", second, "invalid_value")
    return Heard(asked, asked.model or DEFAULT_MODEL, (Message("user", (Text(said[0][1]),)),))


def _message(message: schema.Message, at: int) -> Message:
    if isinstance(message.content, str):
        return Message(message.role, (Text(message.content),))
    parts: list[Part] = []
    for index, part in enumerate(message.content):
        if isinstance(part, schema.TextPart):
            parts.append(Text(part.text))
        else:
            parts += _picture(part, f"messages[{at}].content[{index}].image_url")
    return Message(message.role, tuple(parts))


def _picture(part: schema.ImagePart, field: str) -> list[Part]:
    """The picture, after its words where `text` is not its URL."""
    link = part.image_url.url if isinstance(part.image_url, schema.Link) else part.image_url
    url, words = (link, part.text) if link else (part.text, None)
    if not url:
        raise refusal(f"Missing required parameter: '{field}'.", field, "missing_required_parameter")
    if not url.lower().startswith(("http://", "https://", "data:")):
        raise refusal(
            f"Invalid value for '{field}': expected a URL that begins with http://, https:// or data:.",
            field,
            "invalid_value",
        )
    picture = hear_media(openai.ImagePart(openai.Link(url)))
    return [Text(words), picture] if words else [picture]
