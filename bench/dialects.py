"""
The same question and the same answer in each dialect: what the callers of `pairs` send, and what its upstreams say.

Upstreams say it as those do whose format it is: OpenAI's chunks with their five fields before the choices, Anthropic's
frames with an `event:` line, Ollama's lines with the moment in each.
"""

from collections.abc import Mapping

import msgspec
from msgspec import Struct

from bench import bodies

SYSTEM = "You answer briefly and in plain words."
WORDS = " token"
MARK = b'" token"'
"""How a piece of a stream looks in every dialect: its words, quoted. What repeats a whole text is longer."""
_MOMENT = "2025-10-09T08:53:20.123456789Z"
_TURN = {"role": "user", "content": bodies.QUESTION}


class Dialect(Struct, frozen=True):
    """One wire format, as callers of it call and as upstreams of it answer."""

    name: str
    path: str
    ending: bytes
    """What a caller's stream has in its last event."""
    content_type: bytes = b"text/event-stream"
    """Of an upstream's stream."""


OPENAI = Dialect("openai", "/v1/chat/completions", b"[DONE]")
ANTHROPIC = Dialect("anthropic", "/v1/messages", b"message_stop")
OLLAMA = Dialect("ollama", "/api/chat", b'"done":true', b"application/x-ndjson")
RESPONSES = Dialect("responses", "/v1/responses", b"response.completed")
CALLERS = (OPENAI, ANTHROPIC, OLLAMA, RESPONSES)
UPSTREAMS = (OPENAI, ANTHROPIC, OLLAMA)


def spoken_at(path: bytes) -> Dialect:
    """The dialect of an upstream's path."""
    return next((one for one in UPSTREAMS if one.path.encode() == path), OPENAI)


# Callers.


def request(dialect: Dialect, model: str, *, stream: bool) -> bytes:
    """The question, as an SDK of this dialect sends it."""
    body: dict[str, object] = {"model": model}
    match dialect.name:
        case "anthropic":
            body |= {"max_tokens": 256, "system": SYSTEM, "messages": [_TURN], "temperature": 0.2}
        case "ollama":
            body |= {"messages": [{"role": "system", "content": SYSTEM}, _TURN]}
            body |= {"options": {"temperature": 0.2, "num_predict": 256}, "stream": stream}
        case "responses":
            body |= {"input": bodies.QUESTION, "instructions": SYSTEM, "max_output_tokens": 256}
            body |= {"temperature": 0.2, "store": False}
        case _:
            return bodies.request(model, stream=stream)
    if stream:
        body["stream"] = True
    return msgspec.json.encode(body)


# Upstreams.


def answer(dialect: Dialect, model: str) -> bytes:
    """A whole answer."""
    match dialect.name:
        case "anthropic":
            said = _message(model, [{"type": "text", "text": bodies.ANSWER}], "end_turn")
            return msgspec.json.encode({**said, "usage": {"input_tokens": 31, "output_tokens": 36}})
        case "ollama":
            return msgspec.json.encode({**_line(model, bodies.ANSWER), **_done(36)})
        case _:
            return bodies.answer(model)


def first(dialect: Dialect, model: str) -> list[bytes]:
    """How a stream begins."""
    match dialect.name:
        case "anthropic":
            started = {**_message(model, [], None), "usage": {"input_tokens": 31, "output_tokens": 1}}
            block = {"index": 0, "content_block": {"type": "text", "text": ""}}
            return [_frame("message_start", {"message": started}), _frame("content_block_start", block)]
        case "ollama":
            return []
        case _:
            return [bodies.event(model, {"role": "assistant", "content": "", "refusal": None})]


def piece(dialect: Dialect, model: str) -> bytes:
    """One event of a stream."""
    match dialect.name:
        case "anthropic":
            return _frame("content_block_delta", {"index": 0, "delta": {"type": "text_delta", "text": WORDS}})
        case "ollama":
            return msgspec.json.encode({**_line(model, WORDS), "done": False}) + b"\n"
        case _:
            return bodies.event(model, {"content": WORDS})


def last(dialect: Dialect, model: str, tokens: int, *, usage: bool) -> list[bytes]:
    """How a stream ends; `usage` says whether the caller of OpenAI's asked for it."""
    match dialect.name:
        case "anthropic":
            ended = {"delta": {"stop_reason": "end_turn", "stop_sequence": None}, "usage": {"output_tokens": tokens}}
            stop = _frame("content_block_stop", {"index": 0})
            return [stop, _frame("message_delta", ended), _frame("message_stop", {})]
        case "ollama":
            return [msgspec.json.encode({**_line(model, ""), **_done(tokens)}) + b"\n"]
        case _:
            counted = [bodies.usage_event(model, tokens)] if usage else []
            return [bodies.event(model, {}, "stop"), *counted, bodies.DONE]


def _message(model: str, content: list[object], reason: str | None) -> dict[str, object]:
    said = {"id": "msg_bench", "type": "message", "role": "assistant", "model": model, "content": content}
    return {**said, "stop_reason": reason, "stop_sequence": None}


def _frame(kind: str, fields: Mapping[str, object]) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (kind.encode(), msgspec.json.encode({"type": kind, **fields}))


def _line(model: str, text: str) -> dict[str, object]:
    return {"model": model, "created_at": _MOMENT, "message": {"role": "assistant", "content": text}}


def _done(tokens: int) -> dict[str, object]:
    took = {"total_duration": 5_000_000_000, "load_duration": 1_000_000, "prompt_eval_duration": 40_000_000}
    counts = {"prompt_eval_count": 31, "eval_count": tokens, "eval_duration": 4_900_000_000}
    return {"done": True, "done_reason": "stop", **took, **counts}
