"""
Where caller and upstream both speak this dialect: the bytes pass, and are looked at as they do.

A stream's chunks all begin alike (`{"id":..,"object":..,"created":..,"model":"x"`). That head is learned from the first
frame, proven to be whole members of the top level, and swapped by slicing where a later
frame begins with it. Whatever does not begin so is learned again, or taken apart and put together:
slower, never wrong. A frame is decoded once, with a schema that only has what the ledger asks: the operation's
`Lens`. Most frames differ from the one before only in the words they bring, one string without a quote or an escape:
what stands before and after the words is learned from a decoded frame (`_learn_words`), and a frame that is the same
but for them needs no decoding.
"""

import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import lru_cache
from typing import Any, Generic, TypeVar

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType

from foz.canon.estimate import at_least
from foz.canon.fault import Cut, Fault, Garbled
from foz.canon.request import Ask
from foz.dialects.openai.faults import fault_in_stream
from foz.dialects.openai.frames import (
    BROKEN,
    DONE,
    LESSONS,
    LINES_OF_FRAME,
    NOTHING,
    PLAIN,
    PROBE,
    around,
    call,
    data_of,
    garbled,
)
from foz.dialects.openai.usage import Counted, tokens
from foz.ports.codec import Tally
from foz.wire import sse
from foz.wire.http import Call, Reply

UNKNOWN = b"\0"
"""The head of no frame."""
QUOTES_OF_FILLER = 4
_BAG = msgspec.json.Decoder(dict[str, Raw])
_ENCODE = msgspec.json.Encoder()
_NULL = Raw(b"null")
_FLAT = re.compile(rb"\{[^][{}\\]*")
_USAGE_ASKED = Raw(b'{"include_usage":true}')
_NO_USAGE = b',"usage":null'
_FILLER = b',"obfuscation":"'
SAME_NAMES: Mapping[str, str] = {}


class Spoken(Struct):
    """What every choice has; operations add what it says."""

    index: int | None = None
    finish_reason: str | None = None


C = TypeVar("C", bound=Spoken)


class Glance(Struct, Generic[C]):
    """What the ledger asks of a body or a chunk."""

    model: str | None = None
    object: str | None = None
    choices: list[C] | None = None
    usage: Counted | UnsetType | None = UNSET
    error: Any = None


class Lens(Generic[C]):
    """How one operation's answers are looked at."""

    __slots__ = ("decode", "opening", "said", "weigh")

    def __init__(
        self,
        decoder: "msgspec.json.Decoder[Glance[C]]",
        weigh: Callable[[C], int],
        said: Callable[[C], list[str]],
        words: bytes,
    ) -> None:
        self.decode = decoder.decode
        self.said = said
        """The content of a choice, text by text; of calls, what they are called with."""
        self.weigh = weigh
        """Characters of content in a choice, or in its piece of a chunk; -1 where it says nothing."""
        self.opening = b'"%b":"' % words
        """What stands before the words of a chunk."""


@lru_cache(maxsize=1024)
def _name(model: str) -> bytes:
    return _ENCODE.encode(model)


@lru_cache(maxsize=1024)
def _written(model: str) -> tuple[bytes, bytes]:
    return b'"model":' + _name(model), b'"model": ' + _name(model)


def head_of(data: bytes, model: str) -> bytes | None:
    """
    The beginning of a JSON object up to its top-level `model`, this one; None where it is not found at once.
    `data` is known to be JSON. What stands before the name opens one brace and nothing else, escapes nothing and has
    an even number of quotes: so the name is a key of the top level. Where that is not so, nothing is said.
    """
    for written in _written(model):
        at = data.find(written)
        if at > 0:
            before = data[:at]
            if _FLAT.fullmatch(before) and not before.count(b'"') & 1:
                return data[: at + len(written)]
    return None


def take_apart(data: bytes, model: str | None, *, without_usage: bool = False) -> bytes:
    """The JSON object with its top-level `model` put anew: taken apart and put together."""
    try:
        bag = _BAG.decode(data)
    except BROKEN as error:
        raise garbled("answer", error) from None
    if model is not None:
        bag["model"] = Raw(_name(model))
    if without_usage:
        bag.pop("usage", None)
    return _ENCODE.encode(bag)


def _usage_at(data: bytes) -> int:
    """
    Where the top level's `"usage":null` stands, if nothing but filler follows it: -1 if that is not certain at once.
    The text cannot be inside a string, for its quotes would be escaped there, nor deeper, for only one brace follows.
    """
    at = data.rfind(_NO_USAGE)
    if at < 0:
        return -1
    rest = data[at + len(_NO_USAGE) :]
    filler = rest.startswith(_FILLER) and rest.endswith(b'"}') and rest.count(b'"') == QUOTES_OF_FILLER
    return at if rest == b"}" or filler else -1


class PassingStream(Generic[C]):
    """One stream passing through. Implements `ports.codec.RelayStream`."""

    __slots__ = (
        "_after", "_before", "_begun", "_closed", "_done", "_fault", "_frames", "_head", "_lens", "_lessons", "_model",
        "_new_after", "_new_before", "_new_head", "_open", "_shows_usage", "tally",
    )  # fmt: skip

    def __init__(self, ask: Ask, lens: Lens[C]) -> None:
        self.tally = Tally()
        self._lens = lens
        self._model = ask.model
        self._shows_usage = ask.wants_usage
        self._frames = sse.Decoder()
        self._before: bytes | tuple[bytes, ...] = NOTHING
        self._after = self._new_before = self._new_after = b""
        """What stands around the words in a chunk of one frame, and what stands there instead for the caller."""
        self._lessons = LESSONS
        self._head = self._new_head = UNKNOWN
        self._open: set[int] = set()
        self._closed: set[int] = set()
        self._begun = False
        self._done = False
        self._fault: Fault | None = None

    def feed(self, chunk: bytes) -> bytes:
        """
        What the caller gets of this chunk. A fault that comes with good frames before it in one chunk
        is raised by the next call, so that it does not matter how the network cuts the stream.
        """
        if chunk.startswith(self._before) and chunk.endswith(self._after):
            start, end = len(self._before), len(chunk) - len(self._after)
            if PLAIN.fullmatch(chunk, start, end):
                words = chunk[start:end]
                tally = self.tally
                try:
                    text = words.decode()
                except UnicodeDecodeError:
                    pass
                else:
                    tally.content += len(text)
                    tally.fewest += at_least(text)
                    tally.pieces += 1
                    before = self._new_before
                    return before + words + self._new_after if before else chunk
        return self._take(chunk)

    def _take(self, chunk: bytes) -> bytes:
        """A chunk of any shape."""
        if self._fault is not None:
            raise self._fault
        if chunk[-2:] == b"\n\n" and chunk.find(b"\r") < 0 and not self._frames.pending:
            lines = chunk.count(b"\n")
            if lines == LINES_OF_FRAME:
                if chunk[:6] == b"data: ":
                    return self._pass_one(chunk)
            else:
                blocks = chunk[:-2].split(b"\n\n")
                plain = [block[6:] for block in blocks if block[:6] == b"data: "]
                if lines == LINES_OF_FRAME * len(plain) == LINES_OF_FRAME * len(blocks):
                    return self._pass_all(plain, chunk)
        self._before = NOTHING  # a chunk that is one frame stands for itself only while nothing is pending
        try:
            frames = self._frames.feed(chunk)
        except sse.TooLong as error:
            raise garbled("stream", error) from None
        return self._pass_all([data_of(frame) for frame in frames], None)

    def close(self) -> bytes:
        """The end of input. A frame that was cut is no frame; a stream whose choices are all finished is complete."""
        if self._fault is not None:
            raise self._fault
        passed = b""
        with suppress(Garbled):
            passed = self._pass_all([data_of(frame) for frame in self._frames.close()], None)
        if not self._done and (self._open or not self._closed):
            raise Cut("the upstream's stream ended before it was finished")
        self._done = self.tally.finished = True
        return passed + DONE

    def _pass_one(self, chunk: bytes) -> bytes:
        """A chunk of one frame, as nearly all are."""
        if self._done:
            return b""
        data = chunk[6:-2]
        try:
            piece = self._pass(data)
        except Fault as fault:
            self._fail(fault)
            raise
        if self._lessons:
            self._learn_words(data, piece)
        if piece is data and piece:
            return chunk
        return b"data: %b\n\n" % piece if piece else b""

    def _pass_all(self, frames: list[bytes], chunk: bytes | None) -> bytes:
        """The frames as the caller gets them; `chunk`, where it holds just them and none of them changes."""
        passed: list[bytes] = []
        for data in frames:
            if self._done:
                chunk = None
                break
            try:
                piece = self._pass(data)
            except Fault as fault:
                self._fail(fault)
                if not passed:
                    raise
                chunk = None
                break
            if piece is not data or not piece:
                chunk = None
            if piece:
                passed.append(b"data: %b\n\n" % piece)
        return b"".join(passed) if chunk is None else chunk

    def _pass(self, data: bytes) -> bytes:
        """One frame: itself where nothing changes, nothing where it is not for the caller."""
        if data[:6] == b"[DONE]":
            if not self._begun and not self._closed:
                raise garbled("stream", "it ended before it began")
            self._done = self.tally.finished = True
            self._before = NOTHING
            return b""
        try:
            glance = self._lens.decode(data)
        except BROKEN as error:
            if not data.strip():
                return b""
            raise garbled("stream", error) from None
        if glance.error or glance.object == "error":
            raise fault_in_stream(data)
        for choice in glance.choices or ():
            self._meter(choice)
        counted = glance.usage
        if counted:
            self._begun = True
            self.tally.usage = tokens(counted) or self.tally.usage
            if not glance.choices and not self._shows_usage:
                return b""
        strip = counted is not UNSET and not self._shows_usage
        if not strip and data.startswith(self._head):
            return self._new_head + data[len(self._head) :]
        return self._restore(data, glance.model, strip=strip)

    def _fail(self, fault: Fault) -> None:
        self._fault = fault
        self._before = NOTHING

    def _learn_words(self, data: bytes, piece: bytes) -> None:
        """
        Takes a frame that passed as the pattern of those to come, where it is certain that its words alone could
        differ: they are one string, said once, and with others in their place the frame is decoded to these others.
        """
        opening = self._lens.opening
        cut = around(data, opening)
        new = cut if piece is data else around(piece, opening)
        if cut is None or new is None or cut[1] != new[1]:
            return
        self._lessons -= 1
        before, words, after = cut
        for others in (words, PROBE):
            glance = self._lens.decode(before + others + after)
            if not glance.choices or len(glance.choices) != 1:
                return
            choice = glance.choices[0]
            known = (choice.index or 0) in self._open and not choice.finish_reason
            if not known or self._lens.weigh(choice) != len(others.decode()):
                return
        self._before, self._after = b"data: " + before, after + b"\n\n"
        self._new_before, self._new_after = (b"", b"") if piece is data else (b"data: " + new[0], new[2] + b"\n\n")

    def _restore(self, data: bytes, model: str | None, *, strip: bool) -> bytes:
        """The frame with the public name in it."""
        if model is None or model == self._model:
            return self._strip(data) if strip else data
        if not data.startswith(self._head):
            self._learn(data, model)
        return self._swap(data, strip=strip)

    def _meter(self, choice: C) -> None:
        size = self._lens.weigh(choice)
        if size >= 0:
            tally = self.tally
            tally.content += size
            tally.fewest += sum(map(at_least, self._lens.said(choice)))
            tally.pieces += 1
        index = choice.index or 0
        if choice.finish_reason:
            self._open.discard(index)
            self._closed.add(index)
        elif index not in self._open and index not in self._closed:
            self._begun = True
            self._open.add(index)

    def _learn(self, data: bytes, model: str) -> None:
        head = head_of(data, model)
        if head is None:
            self._head = self._new_head = UNKNOWN
        else:
            self._head = head
            self._new_head = head[: -len(_name(model))] + _name(self._model)

    def _swap(self, data: bytes, *, strip: bool) -> bytes:
        if self._head is UNKNOWN:
            return take_apart(data, self._model, without_usage=strip)
        if not strip:
            return self._new_head + data[len(self._head) :]
        at = _usage_at(data)
        if at < 0:
            return take_apart(data, self._model, without_usage=True)
        return self._new_head + data[len(self._head) : at] + data[at + len(_NO_USAGE) :]

    def _strip(self, data: bytes) -> bytes:
        at = _usage_at(data)
        if at < 0:
            return take_apart(data, None, without_usage=True)
        return data[:at] + data[at + len(_NO_USAGE) :]


class Relay(Generic[C]):
    """Implements `ports.codec.RelayCodec`. `renames` are fields that a provider calls by another name."""

    def __init__(self, path: str, lens: Lens[C], renames: Mapping[str, str] = SAME_NAMES) -> None:
        self._path = path
        self._lens = lens
        self._renames = renames

    def retarget(self, body: bytes, ask: Ask, model: str) -> Call:
        """The caller's body with the upstream's model name and usage asked for."""
        bag = _BAG.decode(body)
        bag["model"] = Raw(_name(model))
        if ask.stream and not ask.wants_usage:
            options = bag.get("stream_options")
            if options is None or options == _NULL:
                bag["stream_options"] = _USAGE_ASKED
            else:
                bag["stream_options"] = Raw(_ENCODE.encode({**_BAG.decode(options), "include_usage": True}))
        for name, other in self._renames.items():
            if name in bag:
                bag[other] = bag.pop(name)
        return call(self._path, _ENCODE.encode(bag), stream=ask.stream)

    def whole(self, reply: Reply, ask: Ask) -> tuple[bytes, Tally]:
        """The caller's body of a whole 2xx answer, and what it tells."""
        data = reply.body
        try:
            glance = self._lens.decode(data)
        except BROKEN as error:
            raise garbled("answer", error) from None
        if glance.error or glance.object == "error":
            raise fault_in_stream(data)
        if not glance.choices:
            raise garbled("answer", "it has no choices")
        tally = Tally()
        tally.finished = True
        tally.pieces = 1
        for choice in glance.choices:
            tally.content += max(self._lens.weigh(choice), 0)
        if isinstance(glance.usage, Counted):
            tally.usage = tokens(glance.usage)
        model = glance.model
        if model is None or model == ask.model:
            return data, tally
        head = head_of(data, model)
        if head is None:
            return take_apart(data, ask.model), tally
        return head[: -len(_name(model))] + _name(ask.model) + data[len(head) :], tally

    def stream(self, ask: Ask) -> PassingStream[C]:
        """For a streamed 2xx answer."""
        return PassingStream(ask, self._lens)
