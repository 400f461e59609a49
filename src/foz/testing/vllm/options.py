"""
The command line of `vllm serve`, as far as anybody here says it, with vLLM's own names and defaults (0.28). What is not
among them ends the program, as it ends vLLM.
"""

import argparse
from collections.abc import Sequence


def read(words: Sequence[str]) -> argparse.Namespace:
    """What was said."""
    top = argparse.ArgumentParser(prog="vllm", allow_abbrev=False)
    serve = top.add_subparsers(dest="subparser", required=True).add_parser("serve", allow_abbrev=False)
    serve.add_argument("model_tag")
    for name in ("--host", "--quantization", "--attention-backend", "--tool-call-parser", "--reasoning-parser"):
        serve.add_argument(name)
    serve.add_argument("--served-model-name", nargs="+")
    serve.add_argument("--api-key", nargs="+")
    serve.add_argument("--allowed-media-domains", nargs="+")
    serve.add_argument("--allowed-origins", default='["*"]')
    serve.add_argument("--load-format", default="auto")
    serve.add_argument("--dtype", default="auto")
    serve.add_argument("--port", type=int, default=8000)
    serve.add_argument("--max-num-seqs", type=int)
    serve.add_argument("--max-model-len", type=int)
    serve.add_argument("--tensor-parallel-size", "-tp", type=int, default=1)
    serve.add_argument("--gpu-memory-utilization", type=float, default=0.9)
    serve.add_argument("--cpu-offload-gb", type=float, default=0.0)
    for name in ("--disable-uvicorn-access-log", "--enable-auto-tool-choice", "--enforce-eager", "--trust-remote-code"):
        serve.add_argument(name, action="store_true")
    return top.parse_args(words)
