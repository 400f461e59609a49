"""
The fake Anthropic: `python -m foz.testing.anthropic --port 0 --pace 0.02 --log FILE`.

A real socket, Anthropic's own API (`/v1/messages`, `/v1/messages/count_tokens`, `/v1/models`), the simulated model's
words. It refuses what Anthropic refuses, misbehaves on the headers of `foz.testing.simulated.mischief`, and tells at
`/_seen` what it saw and how many tokens it made.
"""

from foz.testing.anthropic.play import AnthropicFace
from foz.testing.clock import LoopClock
from foz.testing.server import run
from foz.testing.simulated.upstream import SimulatedUpstream


def make(pace: float) -> SimulatedUpstream:
    """Anthropic without its socket."""
    return SimulatedUpstream({}, LoopClock(), pace=pace, misbehaves=True, face=AnthropicFace())


if __name__ == "__main__":
    run("foz.testing.anthropic", "A fake Anthropic.", make)
