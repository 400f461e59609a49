"""
Where caller and upstream both speak this dialect: the bytes pass, and are looked at as they do.

Of a stream only the first frame names the model; it is taken apart and put together with the public name. All others
pass as they came, `message_stop` is withheld. A frame is decoded once, with a schema that has only what the ledger
asks; a chunk that is one piece of a block, as nearly all are, is neither cut into lines nor written anew.
"""

from functools import lru_cache

import msgspec
from msgspec import Raw, Struct

from foz.canon.estimate import at_least
from foz.canon.fault import Cut, Fault
from foz.canon.request import Ask
from foz.dialects.anthropic.faults import fault_in_stream
from foz.dialects.anthropic.frames import BROKEN, STOP, call, garbled
from foz.dialects.anthropic.unsigned import without_unsigned
from foz.dialects.anthropic.usage import Counted, later, tokens
from foz.ports.codec import Tally
from foz.wire import sse
from foz.wire.http import Call, Reply

_BAG = msgspec.json.Decoder(dict[str, Raw])
_ENCODE = msgspec.json.Encoder()


class _Block(Struct):
    type: str | None = None
    text: str | None = None
    thinking: str | None = None
    name: str | None = None
    input: Raw = Raw(b"")


class _Delta(Struct):
    text: str | None = None
    thinking: str | None = None
    partial_json: str | None = None
    stop_reason: str | None = None


class _Told(Struct):
    usage: Counted | None = None


class _Frame(Struct):
    type: str | None = None
    message: _Told | None = None
    content_block: _Block | None = None
    delta: _Delta | None = None
    usage: Counted | None = None


class _Whole(Struct):
    type: str | None = None
    content: list[_Block] | None = None
    usage: Counted | None = None


_PIECE = b"event: content_block_delta\ndata: {"
_LINES_OF_PIECE = 3
_FRAME = msgspec.json.Decoder(_Frame)
_WHOLE = msgspec.json.Decoder(_Whole)


@lru_cache(maxsize=1024)
def _name(model: str) -> Raw:
    return Raw(_ENCODE.encode(model))


def _renamed(data: bytes | Raw, model: str) -> bytes:
    return _ENCODE.encode(_BAG.decode(data) | {"model": _name(model)})


class PassingStream:
    """One stream passing through. Implements `ports.codec.RelayStream`."""

    def __init__(self, ask: Ask) -> None:
        self.tally = Tally()
        self._model = ask.model
        self._frames = sse.Decoder()
        self._counted = Counted()
        self._begun = self._ended = False
        self._fault: Fault | None = None

    def feed(self, chunk: bytes) -> bytes:
        """
        What the caller gets of this chunk. A fault that comes with good frames before it in one chunk
        is raised by the next call, so that it does not matter how the network cuts the stream.
        """
        if self._fault is not None:
            raise self._fault
        if chunk.startswith(_PIECE) and self._passes(chunk):
            return chunk
        try:
            frames = self._frames.feed(chunk)
        except sse.TooLong as error:
            raise garbled("stream", error) from None
        return self._pass_all(frames)

    def close(self) -> bytes:
        """The end of input: the withheld terminal frame. A stream that did not say that it is over was cut."""
        if self._fault is not None:
            raise self._fault
        passed = self._pass_all(self._frames.close())
        if not self.tally.finished:
            raise Cut("the upstream's stream ended before it was finished")
        return passed + STOP

    def _passes(self, chunk: bytes) -> bool:
        """Whether this is just one piece of a block, which is weighed then."""
        if chunk[-2:] != b"\n\n" or chunk.count(b"\n") != _LINES_OF_PIECE or b"\r" in chunk:
            return False
        if self._frames.pending or self.tally.finished:
            return False
        try:
            told = _FRAME.decode(chunk[len(_PIECE) - 1 : -2])
        except BROKEN:
            return False
        if told.type != "content_block_delta":
            return False
        self._weigh(told.delta)
        return True

    def _pass_all(self, frames: list[sse.Frame]) -> bytes:
        passed: list[bytes] = []
        for frame in frames:
            if self.tally.finished:
                break
            try:
                passed.append(self._pass(frame))
            except Fault as fault:
                self._fault = fault
                if not passed:
                    raise
                break
        return b"".join(passed)

    def _pass(self, frame: sse.Frame) -> bytes:
        data = frame.data
        if not data.strip():
            return b""
        try:
            told = _FRAME.decode(data)
            kind = told.type or ""
            if kind == "content_block_delta":
                self._weigh(told.delta)
            elif kind == "message_start":
                data = self._start(data, told.message)
            elif kind == "content_block_start":
                self._weigh_block(told.content_block)
            elif kind == "message_delta":
                self._end(told)
        except BROKEN as error:
            raise garbled("stream", error) from None
        if kind == "error" or frame.event == b"error":
            raise fault_in_stream(data)
        if kind == "message_stop":
            return self._stop()
        return sse.encode(data.replace(b"\n", b" "), kind.encode())

    def _start(self, data: bytes, told: _Told | None) -> bytes:
        self._begun = True
        if told is not None and told.usage is not None:
            told.usage.output_tokens = None  # a beginning: what was made is counted at the end
            self._count(told.usage)
        bag = _BAG.decode(data)
        bag["message"] = Raw(_renamed(bag["message"], self._model)) if "message" in bag else Raw(b"{}")
        return _ENCODE.encode(bag)

    def _count(self, counted: Counted | None) -> None:
        if counted is not None:
            self._counted = later(self._counted, counted)
            self.tally.usage = tokens(self._counted)

    def _weigh(self, delta: _Delta | None) -> None:
        text = None if delta is None else delta.text or delta.thinking or delta.partial_json
        if text:
            tally = self.tally
            tally.content += len(text)
            tally.fewest += at_least(text)
            tally.pieces += 1

    def _weigh_block(self, block: _Block | None) -> None:
        if block is not None and block.type != "text":
            self.tally.content += len(block.name or "")
            self.tally.pieces += block.type != "thinking"

    def _end(self, told: _Frame) -> None:
        self._ended = self._ended or (told.delta is not None and told.delta.stop_reason is not None)
        self._count(told.usage)

    def _stop(self) -> bytes:
        if not self._begun or not self._ended:
            raise garbled("stream", "it ended without beginning" if not self._begun else "it ended without saying why")
        self.tally.finished = True
        return b""


class MessagesRelay:
    """Implements `ports.codec.RelayCodec`."""

    def retarget(self, body: bytes, ask: Ask, model: str) -> Call:
        """The caller's body with the upstream's model name, without thoughts that nobody signed; usage always comes."""
        said = without_unsigned(_BAG.decode(body)) | {"model": _name(model)}
        return call(_ENCODE.encode(said), stream=ask.stream)

    def whole(self, reply: Reply, ask: Ask) -> tuple[bytes, Tally]:
        """The caller's body of a whole 2xx answer, and what it tells."""
        try:
            told = _WHOLE.decode(reply.body)
            if told.type == "error":
                raise fault_in_stream(reply.body)
            body = _renamed(reply.body, ask.model)
        except BROKEN as error:
            raise garbled("answer", error) from None
        if told.content is None:
            raise garbled("answer", "it has no content")
        tally = Tally()
        tally.finished = True
        tally.pieces = 1
        tally.content = sum(map(_size, told.content))
        tally.usage = None if told.usage is None else tokens(told.usage)
        return body, tally

    def stream(self, ask: Ask) -> PassingStream:
        """For a streamed 2xx answer."""
        return PassingStream(ask)


def _size(block: _Block) -> int:
    words = len(block.text or "") + len(block.thinking or "") + len(block.name or "")
    return words + len(bytes(block.input))
