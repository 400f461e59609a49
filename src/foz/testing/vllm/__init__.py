"""
A stand-in for vLLM, which needs a GPU and gigabytes: its command line, its words, its processes and its server, without
a model. It is no vLLM: what it answers is the simulated model's.
"""

import sys
from pathlib import Path

import foz


def install(folder: Path) -> Path:
    """A program `vllm` in this folder."""
    program = folder / "vllm"
    source = Path(foz.__file__).parents[1]
    program.write_text(f'#!/bin/sh\nPYTHONPATH="{source}" exec {sys.executable} -m foz.testing.vllm "$@"\n')
    program.chmod(0o755)
    return program
