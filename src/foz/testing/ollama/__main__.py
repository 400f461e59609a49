"""
The fake Ollama server: `python -m foz.testing.ollama --port 0 --pace 0.02 --log FILE`.

A real socket, Ollama's own API (`/api/chat`, `/api/generate`, `/api/embed`, `/api/tags`, ...), the simulated model's
words. It misbehaves on the headers of `foz.testing.simulated.mischief`, and tells at `/_seen` what it saw and how many
tokens it made.
"""

from foz.testing.clock import LoopClock
from foz.testing.ollama.play import OllamaFace
from foz.testing.server import run
from foz.testing.simulated.upstream import SimulatedUpstream


def make(pace: float) -> SimulatedUpstream:
    """An Ollama server without its socket."""
    return SimulatedUpstream({}, LoopClock(), pace=pace, misbehaves=True, face=OllamaFace())


if __name__ == "__main__":
    run("foz.testing.ollama", "A fake Ollama server.", make)
