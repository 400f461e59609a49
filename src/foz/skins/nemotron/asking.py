"""A request, heard in our words: the body's fields, and the mode behind the path."""

from urllib.parse import parse_qsl

from msgspec import Struct

from foz.canon.content import Message, Text
from foz.canon.fault import BadRequest
from foz.canon.model import Capability
from foz.canon.request import Ask, ChatRequest, Mode, Operation, ReasoningWish, Sampling
from foz.skins.nemotron.refusals import missing, one_of, problem, read
from foz.skins.nemotron.schema import Chat

MOST_FIELDS = 32
WISHES = {True: ReasoningWish("medium", enabled=True), False: ReasoningWish(enabled=False)}
"""A level too: there are providers who know nothing else."""
MODES = tuple(mode.value for mode in Mode)


class Heard(Struct, frozen=True):
    """The facts, and the whole of it."""

    ask: Ask
    request: ChatRequest


def mode_of(query: str) -> Mode:
    """What `?mode=` says: the last one, as FastAPI takes it. Raises BadRequest."""
    try:
        said = dict(parse_qsl(query, keep_blank_values=True, max_num_fields=MOST_FIELDS))
    except ValueError:
        raise BadRequest(f"The query has more than {MOST_FIELDS} fields.") from None
    word = said.get("mode", Mode.AUTO.value)
    if word not in MODES:
        raise one_of("mode", MODES)
    return Mode(word)


def hear(body: bytes, query: str, default: str) -> Heard:
    """A request; `default` is the model where none is named. Raises BadRequest, naming the field."""
    mode = mode_of(query)
    asked = read(body)
    messages = _messages(asked)
    model = asked.model or default
    needs = frozenset({Capability.REASONING.value} if asked.use_reasoning else ())
    ask = Ask(
        Operation.CHAT,
        model,
        stream=True,
        needs=needs,
        max_output=asked.max_tokens,
        mode=mode,
        key=asked.idempotency_key,
    )
    request = ChatRequest(
        model=model,
        messages=messages,
        reasoning=None if asked.use_reasoning is None else WISHES[asked.use_reasoning],
        sampling=Sampling(temperature=asked.temperature),
        max_output=asked.max_tokens,
        stream=True,
    )
    return Heard(ask, request)


def _messages(asked: Chat) -> tuple[Message, ...]:
    if asked.message is None and asked.messages is None:
        raise missing("message")
    said = [Message(turn.role, (Text(turn.content),)) for turn in asked.messages or ()]
    if asked.message is not None:
        said.append(Message("user", (Text(asked.message),)))
    if all(message.role == "system" for message in said):
        raise problem("messages", "value_error", "Value error, nobody but the system says something")
    if asked.system:
        said.insert(0, Message("system", (Text(asked.system),)))
    return tuple(said)
