"""
Events as a response's own, in which items open, grow and close in their order, and each event has its number.

Only one item grows at a time, but for calls: a call that another one follows stays open until its arguments are an
object, since some models tell of several at once. Items close in the order in which they opened. A whole answer is
what the last event shows, so that streamed and whole ones do not drift apart; of one text it is made at once
(`whole.py`), and a test holds it to that event.
"""

from collections.abc import Sequence

from msgspec import Raw, structs

from foz.canon.event import (
    CallGrew,
    CallOpened,
    ChoiceFinished,
    Event,
    Finished,
    Measured,
    ReasoningGrew,
    RefusalGrew,
    Started,
    TextGrew,
    TokenLogprob,
)
from foz.canon.fault import Fault, Garbled
from foz.canon.usage import Usage
from foz.dialects.openai.responses.growing import Call, Growing, Item, Speech, Thoughts
from foz.dialects.openai.responses.saying import Manner, Wire, event, incomplete, item_id, object_of
from foz.wire import json

LONGEST = 64 * 2**20
"""Characters of one answer."""
MOST_ITEMS = 10_000
TOLD_WHEN_ACCEPTED = 2
"""Events of a response in the background that its maker does not tell."""


class ResponseEncoder:
    """Events to the bytes of a stream. Implements `ports.codec.EventEncoder`."""

    def __init__(self, manner: Manner, model: str, *, quiet: bool = False) -> None:
        self._manner = manner
        self._model = model
        self._quiet = quiet
        """Nothing is told: only what it comes to is asked for. So it is with whole answers."""
        self._number = TOLD_WHEN_ACCEPTED if manner.queued else 0
        self._items: list[Item] = []
        self._closed = 0
        """How many of them, which are the first ones."""
        self._calls: dict[int, Call] = {}
        self._size = 0
        self._usage: Usage | None = None
        self._finish = ChoiceFinished("stop")
        self._speech: Speech | None = None
        """The message whose words grow, while nothing else does."""
        self._head = b""
        """How each piece of them begins."""
        self._bodies: dict[bool, bytes] = {}

    def feed(self, event: Event) -> bytes:
        """The bytes that say this event; may be none."""
        match event:
            case Started() | ChoiceFinished() | Measured() | Finished():
                return self._note(event)
            case TextGrew(text=text, choice=0, logprobs=()) if self._speech is not None and text:
                return self._more(self._speech, text)
            case TextGrew(text=text, choice=0, logprobs=logprobs):
                return self._speak("output_text", text, logprobs)
            case RefusalGrew(text=text, choice=0):
                return self._speak("refusal", text, ())
            case ReasoningGrew(choice=0):
                return self._think(event)
            case CallOpened(choice=0):
                return self._call(event)
            case CallGrew(index=index, arguments=arguments, choice=0):
                return self._grow(self._calls[index], arguments)
            case _:
                return b""

    def say(self, words: bytes, text: str) -> bytes | None:
        """The event that brings these words, where it is more of a message that brought some before."""
        item = self._speech
        if item is None or not text:
            return None
        item.add(text)
        self._count(text)
        told = b'%b"%b","logprobs":[],"sequence_number":%d}\n\n' % (self._head, words, self._number)
        self._number += 1
        return told

    def close(self) -> bytes:
        """The terminal frame. Where it cannot be sent, `fail` takes its number."""
        return event(f"response.{self._status}", {"response": Raw(self.body(seals=self._manner.seals))}, self._number)

    def body(self, *, seals: bool) -> bytes:
        """The whole response, once all is said; with what vendors want back of thoughts, where that is wanted."""
        seals = seals and any(isinstance(item, Thoughts) for item in self._items)
        if seals not in self._bodies:
            self._bodies[seals] = self._object(seals=seals)
        return self._bodies[seals]

    @property
    def seals(self) -> bool:
        """Whether the caller is given what vendors want back."""
        return self._manner.seals

    def fail(self, fault: Fault) -> bytes:
        """A fault in the middle: the response ends with it, and what was said so far is shown."""
        output = [item.whole(seals=self._manner.seals) for item in self._items]
        said = object_of(self._manner, self._model, "failed", output, error=fault, usage=self._usage)
        return self._event("response.failed", {"response": said})

    # -- what comes in -----------------------------------------------------

    def _note(self, event: Started | ChoiceFinished | Measured | Finished) -> bytes:
        match event:
            case Started():
                return self._start(event)
            case ChoiceFinished(choice=0):
                self._finish = event
            case Measured(usage=usage):
                self._usage = usage
            case Finished():
                return self._shut(len(self._items))
            case _:
                pass
        return b""

    def _start(self, event: Started) -> bytes:
        manner = self._manner
        self._manner = structs.replace(
            manner, id=manner.id or f"resp_{event.id}", created=manner.created or event.created
        )
        if self._quiet:
            return b""
        said: Wire = {"response": object_of(self._manner, self._model, "in_progress", [])}
        created = b"" if manner.queued else self._event("response.created", said)
        return created + self._event("response.in_progress", said)

    def _speak(self, kind: str, text: str, logprobs: tuple[TokenLogprob, ...]) -> bytes:
        if not text and not logprobs:
            return b""
        item = self._current()
        opened = b""
        if not isinstance(item, Speech):
            item = Speech(self._name("msg"), len(self._items), quiet=self._quiet)
            opened = self._open(item)
        told = opened + self._told(item.begin(kind)) + self._told(item.grow(text, logprobs), text)
        self._speech = item if kind == "output_text" else None
        self._head = item.head()
        return told

    def _more(self, item: Speech, text: str) -> bytes:
        """What a stream mostly is: more words of one message."""
        item.add(text)
        self._count(text)
        told = b'%b%b,"logprobs":[],"sequence_number":%d}\n\n' % (self._head, json.encode(text), self._number)
        self._number += 1
        return told

    def _think(self, event: ReasoningGrew) -> bytes:
        item = self._current()
        opened = said = b""
        if not isinstance(item, Thoughts) or item.ended:
            item = Thoughts(self._name("rs"), len(self._items), summarizes=self._manner.summarizes)
            opened = self._open(item)
        if event.text:
            said = self._told(item.begin()) + self._told(item.grow(event.text), event.text)
        if event.signature is not None or event.sealed is not None:
            item.seal(event.signature, event.sealed)
        return opened + said

    def _call(self, event: CallOpened) -> bytes:
        item = self._calls[event.index] = Call(self._name("fc"), len(self._items), event.id, event.name)
        return self._open(item)

    def _grow(self, call: Call, arguments: str) -> bytes:
        if not arguments or call.index < self._closed:  # closed: an object already, so what follows can only be blank
            return b""
        return self._told(call.grow(arguments), arguments)

    # -- items -------------------------------------------------------------

    def _name(self, kind: str) -> str:
        return item_id(kind, self._manner.id, len(self._items))

    def _current(self) -> Item | None:
        """The item that grows, where it may still."""
        return self._items[-1] if len(self._items) > self._closed else None

    def _open(self, item: Item) -> bytes:
        """Behind those before it, of which what can close does."""
        if len(self._items) >= MOST_ITEMS:
            raise Garbled(f"the answer has more than {MOST_ITEMS} items")
        ready = self._closed
        while ready < len(self._items) and self._items[ready].closable:
            ready += 1
        told = self._shut(ready)
        self._speech = None
        self._items.append(item)
        if self._quiet:
            return b""
        return told + self._told([Growing("output_item.added", {"item": item.bare()}, item.index)])

    def _shut(self, until: int) -> bytes:
        """Closes the first ones. What a limit or a filter has cut is not complete."""
        told: list[Growing] = []
        for item in self._items[self._closed : until]:
            cut = self._status == "incomplete" and (item is self._items[-1] or not item.closable)
            told += item.close(complete=not cut)
            if self._quiet:
                continue
            told.append(Growing("output_item.done", {"item": item.whole(seals=self._manner.seals)}, item.index))
        self._closed = max(self._closed, until)
        return self._told(told)

    def _told(self, growing: Sequence[Growing], grown: str = "") -> bytes:
        self._count(grown)
        if self._quiet:
            return b""
        return b"".join(
            self._event(f"response.{name}", {"output_index": place, **fields}) for name, fields, place in growing
        )

    def _count(self, grown: str) -> None:
        self._size += len(grown)
        if self._size > LONGEST:
            raise Garbled(f"the answer is longer than {LONGEST} characters")

    # -- the response ------------------------------------------------------

    @property
    def _status(self) -> str:
        return "completed" if incomplete(self._finish.reason) is None else "incomplete"

    def _object(self, *, seals: bool) -> bytes:
        output = [item.whole(seals=seals) for item in self._items]
        details = incomplete(self._finish.reason)
        return bytes(object_of(self._manner, self._model, self._status, output, usage=self._usage, details=details))

    def _event(self, kind: str, fields: Wire) -> bytes:
        told = event(kind, fields, self._number)
        self._number += 1
        return told
