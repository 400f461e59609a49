"""
The fake Hugging Face: `python -m foz.testing.huggingface --port 0 --pace 0.02 --log FILE`.

A real socket, the simulated model's words. It misbehaves on the headers of `foz.testing.simulated.mischief`, and tells
at `/_seen` what it saw and how many tokens it made.
"""

from foz.testing.clock import LoopClock
from foz.testing.huggingface.play import HuggingFaceFace
from foz.testing.server import run
from foz.testing.simulated.upstream import SimulatedUpstream


def make(pace: float) -> SimulatedUpstream:
    """Hugging Face without its socket."""
    return SimulatedUpstream({}, LoopClock(), pace=pace, misbehaves=True, face=HuggingFaceFace())


if __name__ == "__main__":
    run("foz.testing.huggingface", "A fake Hugging Face.", make)
