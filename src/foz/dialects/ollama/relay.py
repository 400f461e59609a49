"""
Where caller and upstream both speak this dialect: the lines pass, and are looked at as they do.

A line begins with the model's name (`{"model":"x",`), which is swapped by slicing where that is so, else by taking the
line apart. Which path was asked is told by the body: a conversation has `messages`, texts to embed are `input`, and the
server codecs let nothing pass that has the words of another path. The last line is withheld until the entry is settled.
"""

from contextlib import suppress
from functools import lru_cache

from msgspec import Raw

from foz.canon.estimate import at_least
from foz.canon.fault import Cut, Fault, Garbled
from foz.canon.request import Ask
from foz.canon.usage import Usage
from foz.dialects.ollama import schema
from foz.dialects.ollama.answer import NULL, arguments_of, usage_of
from foz.dialects.ollama.client import CHAT, EMBED, GENERATE
from foz.dialects.ollama.faults import NO_ERROR, fault_in_stream
from foz.dialects.ollama.frames import BROKEN, call, garbled
from foz.ports.codec import RelayStream, Tally
from foz.wire import json, ndjson
from foz.wire.http import Call, Reply

OLDER = "/api/embeddings"


@lru_cache(maxsize=1024)
def _head(model: str) -> bytes:
    """How a line begins that is of this model."""
    return b'{"model":' + json.encode(model)


def _swapped(line: bytes, said: str | None, model: str) -> bytes:
    """The JSON object with the public name in it, where it has a name."""
    if said is None or said == model:
        return line
    head = _head(said)
    if line.startswith(head):
        return _head(model) + line[len(head) :]
    return json.encode({**schema.BAG.decode(line), "model": Raw(json.encode(model))})


def _weigh(tally: Tally, chunk: schema.Chunk) -> None:
    """Adds what a line says to what is known of the answer. The name of a call may have been no token of its own."""
    said = chunk.message or schema.Said(chunk.response, chunk.thinking)
    texts = [text for text in (said.content, said.thinking) if text]
    for called in said.tool_calls or ():
        tally.content += len(called.function.name)
        texts.append(arguments_of(called.function.arguments))
    for text in texts:
        tally.content += len(text)
        tally.fewest += at_least(text)
    tally.pieces += bool(texts)
    if chunk.done:
        tally.usage = usage_of(chunk)
        tally.finished = True


def _read(data: bytes, what: str) -> schema.Chunk:
    """A line or a body. Raises Garbled, or the fault that the upstream reports."""
    try:
        chunk = schema.CHUNK.decode(data)
        if bytes(chunk.error) not in NO_ERROR:
            raise fault_in_stream(chunk.error)
        if not data.isascii():
            data.decode()
    except BROKEN as error:
        raise garbled(what, error) from None
    if chunk.message is None and chunk.response is None and not chunk.done:
        raise garbled(what, "it says nothing and is not done")
    return chunk


class PassingLines:
    """One stream passing through. Implements `ports.codec.RelayStream`."""

    def __init__(self, ask: Ask) -> None:
        self.tally = Tally()
        self._model = ask.model
        self._lines = ndjson.Decoder()
        self._last = b""
        self._fault: Fault | None = None

    def feed(self, chunk: bytes) -> bytes:
        """
        What the caller gets of this chunk. A fault that comes with good lines before it in one chunk is raised by the
        next call, so that it does not matter how the network cuts the stream.
        """
        if self._fault is not None:
            raise self._fault
        try:
            lines = self._lines.feed(chunk)
        except ndjson.TooLong as error:
            raise garbled("stream", error) from None
        passed: list[bytes] = []
        for line in lines:
            if self.tally.finished:
                break
            try:
                passed.append(self._pass(line))
            except Fault as fault:
                self._fault = fault
                if not passed:
                    raise
                break
        return b"".join(passed)

    def close(self) -> bytes:
        """The end of input: the line that says that it is done. One without its end counts if it is whole."""
        if self._fault is not None:
            raise self._fault
        passed = b""
        for line in self._lines.close():
            if not self.tally.finished:
                with suppress(Garbled):
                    passed = self._pass(line)
        if not self.tally.finished:
            raise Cut("the upstream's stream ended before it said that it was done")
        return passed + self._last

    def _pass(self, line: bytes) -> bytes:
        chunk = _read(line, "stream")
        try:
            piece = ndjson.encode(_swapped(line, chunk.model, self._model))
        except BROKEN as error:
            raise garbled("stream", error) from None
        _weigh(self.tally, chunk)
        if not chunk.done:
            return piece
        self._last = piece
        return b""


class WordsRelay:
    """Implements `ports.codec.RelayCodec` for conversations and for prompts."""

    def retarget(self, body: bytes, ask: Ask, model: str) -> Call:
        """The caller's body with the upstream's model name."""
        bag = schema.BAG.decode(body)
        path = CHAT if _says(bag, "messages") else GENERATE
        return call(path, _named(bag, model), stream=ask.stream)

    def whole(self, reply: Reply, ask: Ask) -> tuple[bytes, Tally]:
        """The caller's body of a whole 2xx answer, and what it tells."""
        tally = Tally()
        chunk = _read(reply.body, "answer")
        if not chunk.done:
            raise garbled("answer", "it is whole and says that it is not done")
        _weigh(tally, chunk)
        tally.pieces = 1
        return _renamed(reply.body, chunk.model, ask.model), tally

    def stream(self, ask: Ask) -> PassingLines:
        """For a streamed 2xx answer."""
        return PassingLines(ask)


class EmbedRelay:
    """Implements `ports.codec.RelayCodec` for texts to place in a space, also in the older form."""

    def retarget(self, body: bytes, ask: Ask, model: str) -> Call:
        """The caller's body with the upstream's model name."""
        bag = schema.BAG.decode(body)
        return call(EMBED if _says(bag, "input") else OLDER, _named(bag, model), stream=ask.stream)

    def whole(self, reply: Reply, ask: Ask) -> tuple[bytes, Tally]:
        """The caller's body of a whole 2xx answer, and what it tells."""
        tally = Tally()
        tally.finished = True
        tally.pieces = 1
        try:
            answer = schema.EMBEDDED.decode(reply.body)
            if bytes(answer.error) not in NO_ERROR:
                raise fault_in_stream(answer.error)
        except BROKEN as error:
            raise garbled("answer", error) from None
        if not answer.embeddings and not answer.embedding:
            raise garbled("answer", "there is no vector in it")
        if answer.prompt_eval_count is not None:
            tally.usage = Usage(input=answer.prompt_eval_count, output=0)
        return _renamed(reply.body, answer.model, ask.model), tally

    def stream(self, ask: Ask) -> RelayStream:
        """There is none."""
        raise TypeError(f"embeddings do not stream: {ask.model}")


def _says(bag: schema.Bag, field: str) -> bool:
    """Whether it is there: null is as good as nothing."""
    return bytes(bag.get(field, NULL)) != NULL


def _named(bag: schema.Bag, model: str) -> bytes:
    return json.encode({**bag, "model": Raw(json.encode(model))})


def _renamed(body: bytes, said: str | None, model: str) -> bytes:
    try:
        return _swapped(body.strip(), said, model)
    except BROKEN as error:
        raise garbled("answer", error) from None
