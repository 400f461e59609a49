"""
llama.cpp on files that may end it: `python gguf_engine.py FILE...`. Each is loaded in a fork, and asked for two tokens.
For each file a line: `loads`, `refuses`, or `signal N`.
"""

import os
import sys

from xllamacpp import CommonParams, Server


def load(path: str) -> None:
    """Loads it, and has it say something."""
    asked = CommonParams()
    asked.model.path = path
    asked.n_ctx = 64
    asked.n_parallel = 1
    asked.cpuparams.n_threads = 1
    asked.cpuparams_batch.n_threads = 1
    asked.warmup = False
    asked.port = 0
    server = Server(asked)
    server.handle_chat_completions({"messages": [{"role": "user", "content": "hi"}], "max_tokens": 2})


def tried(path: str) -> str:
    """What came of it."""
    child = os.fork()
    if child == 0:
        silence = os.open(os.devnull, os.O_WRONLY)
        os.dup2(silence, 1)
        os.dup2(silence, 2)
        try:
            load(path)
        except (RuntimeError, ValueError):
            os._exit(3)
        os._exit(0)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    return {0: "loads", 3: "refuses"}.get(code, f"signal {-code}")


if __name__ == "__main__":
    for path in sys.argv[1:]:
        sys.stdout.write(f"{tried(path)}\n")
        sys.stdout.flush()
