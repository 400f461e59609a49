"""
The fake NVIDIA: `python -m foz.testing.nvidia --port 0 --pace 0.02 --log FILE`.

A real socket, the simulated model's words. It misbehaves on the headers of `foz.testing.simulated.mischief`, and tells
at `/_seen` what it saw and how many tokens it made. Calls that it puts off are asked for at `/v2/nvcf/pexec/status/ID`.
"""

from foz.testing.clock import LoopClock
from foz.testing.nvidia.play import NvidiaFace
from foz.testing.server import run
from foz.testing.simulated.upstream import SimulatedUpstream


def make(pace: float) -> SimulatedUpstream:
    """NVIDIA without its socket."""
    return SimulatedUpstream({}, LoopClock(), pace=pace, misbehaves=True, face=NvidiaFace())


if __name__ == "__main__":
    run("foz.testing.nvidia", "A fake NVIDIA.", make)
