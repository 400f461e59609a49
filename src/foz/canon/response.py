"""
A whole answer: the fold of its events. `unfold` is the way back. A dialect may make the commonest ones, a text and its
count, without any events; a test holds each of these to the fold.
"""

from collections.abc import Iterable, Iterator, Sequence

from msgspec import Raw, Struct

from foz.canon.content import ToolCall
from foz.canon.event import (
    CallGrew,
    CallOpened,
    ChoiceFinished,
    Event,
    Finished,
    Measured,
    Reason,
    ReasoningGrew,
    RefusalGrew,
    Started,
    TextGrew,
    TokenLogprob,
    VendorSaid,
)
from foz.canon.usage import Timing, Usage

Vendor = dict[str, dict[str, Raw]]


class ReasoningBlock(Struct, frozen=True):
    """One block of thinking, closed by its signature where the vendor signs."""

    text: str = ""
    signature: str | None = None
    sealed: str | None = None


class Choice(Struct, frozen=True):
    """One answer of several."""

    text: str | None = None
    refusal: str | None = None
    reasoning: tuple[ReasoningBlock, ...] = ()
    calls: tuple[ToolCall, ...] = ()
    reason: Reason | None = None
    detail: str | None = None
    logprobs: tuple[TokenLogprob, ...] = ()
    refusal_logprobs: tuple[TokenLogprob, ...] = ()
    vendor: Vendor = {}


class Response(Struct, frozen=True):
    """What the target said, whole."""

    id: str
    model: str
    created: int
    choices: tuple[Choice, ...]
    usage: Usage | None = None
    vendor: Vendor = {}
    usage_vendor: Vendor = {}
    timing: Timing | None = None


class EmbedResponse(Struct, frozen=True):
    """Vectors in the order of the inputs."""

    model: str
    vectors: tuple[tuple[float, ...], ...]
    usage: Usage | None = None
    vendor: Vendor = {}
    timing: Timing | None = None


class _Growing:
    """One choice while its events come in. Most of what may come never does: that is made when it comes."""

    text: list[str] | None = None
    refusal: list[str] | None = None
    reasoning: list[ReasoningBlock] | None = None
    open_block = False
    calls: dict[int, tuple[str, str, list[str]]] | None = None
    reason: Reason | None = None
    detail: str | None = None
    logprobs: list[TokenLogprob] | None = None
    refusal_logprobs: list[TokenLogprob] | None = None
    vendor: Vendor = {}  # noqa: RUF012 - never changed, but put anew

    def speak(self, event: TextGrew) -> None:
        if self.text is None:
            self.text = []
        self.text.append(event.text)
        if event.logprobs:
            self.logprobs = self.logprobs or []
            self.logprobs += event.logprobs

    def refuse(self, event: RefusalGrew) -> None:
        if self.refusal is None:
            self.refusal = []
        self.refusal.append(event.text)
        if event.logprobs:
            self.refusal_logprobs = self.refusal_logprobs or []
            self.refusal_logprobs += event.logprobs

    def think(self, event: ReasoningGrew) -> None:
        if self.reasoning is None:
            self.reasoning = []
        if event.sealed is not None:
            self.reasoning.append(ReasoningBlock(event.text, event.signature, event.sealed))
            self.open_block = False
            return
        if self.open_block:
            last = self.reasoning[-1]
            self.reasoning[-1] = ReasoningBlock(last.text + event.text, event.signature)
        else:
            self.reasoning.append(ReasoningBlock(event.text, event.signature))
        self.open_block = event.signature is None

    def call(self, event: CallOpened) -> None:
        if self.calls is None:
            self.calls = {}
        self.calls[event.index] = (event.id, event.name, [])

    def choice(self) -> Choice:
        calls = () if self.calls is None else sorted(self.calls.items())
        return Choice(
            None if self.text is None else "".join(self.text),
            None if self.refusal is None else "".join(self.refusal),
            tuple(self.reasoning or ()),
            tuple([ToolCall(id, name, "".join(pieces)) for _, (id, name, pieces) in calls]),
            self.reason,
            self.detail,
            tuple(self.logprobs or ()),
            tuple(self.refusal_logprobs or ()),
            self.vendor,
        )


def _grow(growing: _Growing, event: Event) -> None:
    match event:
        case TextGrew():
            growing.speak(event)
        case ChoiceFinished():
            growing.reason, growing.detail = event.reason, event.detail
        case ReasoningGrew():
            growing.think(event)
        case CallGrew():
            (growing.calls or {})[event.index][2].append(event.arguments)
        case CallOpened():
            growing.call(event)
        case RefusalGrew():
            growing.refuse(event)
        case VendorSaid(dialect=dialect, fields=fields):
            growing.vendor = {**growing.vendor, dialect: {**growing.vendor.get(dialect, {}), **fields}}
        case _:
            pass


def fold(events: Iterable[Event]) -> Response:
    """The answer that these events make. Raises ValueError where they do not start or never finish."""
    events = list(events)
    return _fold_words(events) or _fold_all(events)


def _fold_words(events: Sequence[Event]) -> Response | None:
    """What most answers are: one text that came at once, and its count."""
    match events:
        case [Started() as started, TextGrew(choice=0) as said, ChoiceFinished(choice=0) as ended, *rest]:
            match rest:
                case [Measured() as counted, Finished(timing=timing)]:
                    pass
                case _:
                    return None
        case _:
            return None
    choice = Choice(said.text, reason=ended.reason, detail=ended.detail, logprobs=said.logprobs)
    return Response(
        started.id, started.model, started.created, (choice,), counted.usage, started.vendor, counted.vendor, timing
    )


def _fold_all(events: Iterable[Event]) -> Response:
    started: Started | None = None
    usage: Measured | None = None
    finished: Finished | None = None
    growing: dict[int, _Growing] = {}
    for event in events:
        match event:
            case Started():
                started = event
            case Measured():
                usage = event
            case Finished():
                finished = event
            case _:
                choice = growing.get(event.choice)
                if choice is None:
                    choice = growing[event.choice] = _Growing()
                _grow(choice, event)
    if started is None or finished is None:
        msg = "an answer needs its first and its last event"
        raise ValueError(msg)
    return Response(
        started.id,
        started.model,
        started.created,
        tuple([growing[index].choice() for index in sorted(growing)]),
        usage.usage if usage else None,
        started.vendor,
        usage.vendor if usage else {},
        finished.timing,
    )


def _unfold_choice(index: int, choice: Choice) -> Iterator[Event]:
    for block in choice.reasoning:
        yield ReasoningGrew(block.text, index, block.signature, block.sealed)
    if choice.text is not None:
        yield TextGrew(choice.text, index, choice.logprobs)
    if choice.refusal is not None:
        yield RefusalGrew(choice.refusal, index, choice.refusal_logprobs)
    for position, call in enumerate(choice.calls):
        yield CallOpened(position, call.id, call.name, index)
        yield CallGrew(position, call.arguments, index)
    for dialect, fields in choice.vendor.items():
        yield VendorSaid(dialect, fields, index)
    if choice.reason is not None:
        yield ChoiceFinished(choice.reason, index, choice.detail)


def unfold(response: Response) -> Iterator[Event]:
    """The shortest stream that folds to this response."""
    yield Started(response.id, response.model, response.created, response.vendor)
    for index, choice in enumerate(response.choices):
        yield from _unfold_choice(index, choice)
    if response.usage is not None:
        yield Measured(response.usage, response.usage_vendor)
    yield Finished(response.timing)
