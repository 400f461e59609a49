"""
llama.cpp in this very process, for tests and scripts that want to know what a model file says and nothing else.

It has none of what a deployment has: no supervision, no key, one request at a time, and the process stands still while
it loads. What is served to callers runs in a process of its own.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
from xllamacpp import CommonParams, Server


class Said(msgspec.Struct, frozen=True):
    """An answer: its text, why it ended (`stop` or `length`), how many tokens it has, and how many were asked."""

    text: str
    end: str
    tokens: int
    asked: int


class Engine:
    """A loaded model; `say` gives its likeliest answer."""

    def __init__(self, path: Path, *, context: int = 1024) -> None:
        asked = CommonParams()
        asked.model.path = str(path)
        asked.n_ctx = context
        asked.n_parallel = 1
        asked.cpuparams.n_threads = 1
        asked.cpuparams_batch.n_threads = 1
        asked.port = 0
        asked.cache_ram_mib = 0
        asked.warmup = False
        asked.verbosity = 0
        self._server = Server(asked)

    def say(self, messages: Sequence[dict[str, Any]], *, tokens: int = 200) -> Said:
        """The answer to a conversation in OpenAI's shape, at temperature 0."""
        told = self._server.handle_chat_completions(
            {"messages": list(messages), "max_tokens": tokens, "temperature": 0, "cache_prompt": False}
        )
        if "choices" not in told:
            raise ValueError(f"the engine refused: {told}")
        choice = told["choices"][0]
        usage = told["usage"]
        return Said(
            choice["message"]["content"], choice["finish_reason"], usage["completion_tokens"], usage["prompt_tokens"]
        )
