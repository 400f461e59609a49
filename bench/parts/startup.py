"""
From the command to the first 200 on `/ready`, and what the gateway takes while nobody asks.

Each start has a fresh data directory, so migrations are part of it; gRPC is on, as it is by default, and nobody calls.
The first start is told apart: it may have to compile what Python caches for the others.
"""

import subprocess
import sys
import time

from bench.figures import Bar, Part, Series
from bench.lab import ROOT, Lab
from bench.plan import Plan
from bench.processes import cores, free_port, wait_for

IDLE = 3.0
"""Seconds after `/ready` at which idle memory is read."""


def measure(plan: Plan) -> Part:
    """One start per round and one before them."""
    placed = cores()
    assert placed is not None
    ready: list[float] = []
    rss: list[float] = []
    pss: list[float] = []
    processes: list[float] = []
    with Lab(placed, []) as lab:
        for _ in range(plan.rounds + 1):
            foz = lab.foz(wait=False, grpc_port=free_port())
            assert foz.program is not None
            wait_for(foz.program, foz.port, "/ready", 30, pause=0.002)
            ready.append(time.perf_counter() - foz.program.began)
            time.sleep(IDLE)
            memory = foz.program.memory()
            rss.append(memory.rss)
            pss.append(memory.pss)
            processes.append(len(foz.program.tree()))
            lab.stop(foz)
            print(f"  ready in {ready[-1]:.3f} s, idle {memory.rss:.1f} MiB", flush=True)
    first, *later = ready
    series = (
        Series("first start to ready", "s", (first,)),
        Series("start to ready", "s", tuple(later)),
        Series("import foz.cli.serve, less a bare interpreter", "s", tuple(_import() for _ in range(plan.rounds))),
        Series("idle rss, all processes", "MiB", tuple(rss)),
        Series("idle pss, all processes", "MiB", tuple(pss)),
        Series("processes", "", tuple(processes)),
    )
    bars = (
        Bar("start to ready", "s", series[1].middle, "<", 1.5),
        Bar("idle memory (rss)", "MiB", series[3].middle, "<", 90),
    )
    return Part("startup", series, bars)


def _import() -> float:
    return _timed("import foz.cli.serve") - _timed("pass")


def _timed(code: str) -> float:
    began = time.perf_counter()
    subprocess.run([sys.executable, "-c", code], cwd=ROOT / "src", check=True)
    return time.perf_counter() - began
