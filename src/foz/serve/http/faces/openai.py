"""What OpenAI's face has beside inference: files, chats whose answer was not waited for, and responses again."""

from fastapi import APIRouter

from foz.dialects.openai.deferred import CHATS, say_cancelled, say_waiting
from foz.serve.http.desk import Desk, response
from foz.serve.http.faces import deferred, files
from foz.serve.http.faces.responses import add_responses

NAME = "openai"
ANSWER = {
    "id": "chatcmpl-0123456789abcdef",
    "object": "chat.completion",
    "created": 1764000000,
    "model": "gpt-4o",
    "choices": [
        {"index": 0, "message": {"role": "assistant", "content": "Into the sea."}, "finish_reason": "stop"},
    ],
    "usage": {"prompt_tokens": 9, "completion_tokens": 4, "total_tokens": 13},
}
_JOB = {
    "id": "0198a2b4-7c1e-7d3a-9f10-2b5c6d7e8f90",
    "status": "cancelled",
    "created": 1764000000,
    "model": "gpt-4o",
    "object": "chat.completion.job",
}
_CHATS = deferred.Deferred(
    NAME, CHATS, "chat", ANSWER, _JOB, say_waiting, say_cancelled, lambda _, reply: response(reply)
)


def router(desk: Desk) -> APIRouter:
    """Everything beside inference."""
    made = files.router(desk)
    if desk.jobs is not None:
        deferred.add(made, desk.jobs, _CHATS)
    if desk.responding is not None:
        add_responses(made, desk.responding)
    return made
