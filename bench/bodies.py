"""
The fixed bytes of every run: what callers send and what the mock upstream answers, in OpenAI's shapes.

The upstream's model name says how the mock behaves (`bench.mock`), so one mock serves all runs
and a gateway needs no header to be forwarded:

* `mock`: the whole answer at once
* `whole-D`: the whole answer after D ms
* `paced-D-N`: a stream of N content events, one every D ms
"""

from collections.abc import Mapping

import msgspec

PATH = "/v1/chat/completions"
UPSTREAM = "mock"
RENAMED = "bench-"
"""Put before an upstream's name to make the public name that differs: a gateway must swap it on both ways."""

CREATED = 1_760_000_000
ANSWER = (
    "A gateway stands between those who ask and those who answer. It knows who asked, what it cost "
    "and where the answer came from, and it gets out of the way."
)
QUESTION = "What is a gateway for language models? Answer in two sentences."


def request(model: str, *, stream: bool = False) -> bytes:
    """A chat completion as an SDK sends it."""
    body: dict[str, object] = {
        "messages": [
            {"role": "system", "content": "You answer briefly and in plain words."},
            {"role": "user", "content": QUESTION},
        ],
        "model": model,
        "max_tokens": 256,
        "temperature": 0.2,
    }
    if stream:
        body["stream"] = True
    return msgspec.json.encode(body)


def answer(model: str) -> bytes:
    """A whole chat completion."""
    return msgspec.json.encode(
        {
            "id": "chatcmpl-bench",
            "object": "chat.completion",
            "created": CREATED,
            "model": model,
            "choices": [
                {
                    "index": 0,
                    "message": {"role": "assistant", "content": ANSWER, "refusal": None},
                    "logprobs": None,
                    "finish_reason": "stop",
                }
            ],
            "usage": {"prompt_tokens": 31, "completion_tokens": 36, "total_tokens": 67},
            "system_fingerprint": "fp_bench",
        }
    )


def event(model: str, delta: Mapping[str, object], finish: str | None = None) -> bytes:
    """One chunk of a stream as an SSE event."""
    chunk = {
        "id": "chatcmpl-bench",
        "object": "chat.completion.chunk",
        "created": CREATED,
        "model": model,
        "system_fingerprint": "fp_bench",
        "choices": [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}],
    }
    return b"data: " + msgspec.json.encode(chunk) + b"\n\n"


def usage_event(model: str, tokens: int) -> bytes:
    """The chunk that `stream_options.include_usage` asks for."""
    chunk = {
        "id": "chatcmpl-bench",
        "object": "chat.completion.chunk",
        "created": CREATED,
        "model": model,
        "system_fingerprint": "fp_bench",
        "choices": [],
        "usage": {"prompt_tokens": 31, "completion_tokens": tokens, "total_tokens": 31 + tokens},
    }
    return b"data: " + msgspec.json.encode(chunk) + b"\n\n"


DONE = b"data: [DONE]\n\n"


def stream(model: str) -> bytes:
    """The whole answer as a stream: its text in one event."""
    said = event(model, {"role": "assistant", "content": ""}) + event(model, {"content": ANSWER})
    return said + event(model, {}, "stop") + usage_event(model, 36) + DONE


def events_expected(content_events: int) -> int:
    """SSE events that a caller sees who did not ask for usage: role, content, finish, `[DONE]`."""
    return content_events + 3


def http_request(host: str, body: bytes, key: str | None, path: str = PATH) -> bytes:
    """The request on the wire, keep-alive."""
    auth = f"Authorization: Bearer {key}\r\n" if key else ""
    head = (
        f"POST {path} HTTP/1.1\r\nHost: {host}\r\n{auth}Accept: application/json\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body
