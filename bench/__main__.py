"""`python -m bench [part ...]`: measures, prints, and writes the results. It judges by bars but never fails by them."""

import argparse
import os
import sys
from collections.abc import Callable

from bench import facts, install
from bench.figures import Part
from bench.parts import grpc, jobs, latency, local, memory, pairs, rps, startup, streams, workers
from bench.plan import Plan
from bench.processes import cores
from bench.report import Report, bars_told, page, save

PARTS: dict[str, Callable[[Plan], Part]] = {
    "startup": startup.measure,
    "latency": latency.measure,
    "rps": rps.measure,
    "streams": streams.measure,
    "workers": workers.measure,
    "memory": memory.measure,
    "jobs": jobs.measure,
    "grpc": grpc.measure,
    "pairs": pairs.measure,
    "local": local.measure,
}


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("part", nargs="*", choices=[[], *PARTS], help=f"of {', '.join(PARTS)}; all if none is named")
    parser.add_argument("--rounds", type=int, default=5, help="interleaved rounds (5)")
    parser.add_argument("--seconds", type=float, default=8.0, help="of load per contestant and round (8)")
    parser.add_argument(
        "--quick", action="store_true", help="2 rounds of 2 s, a twentieth of the memory run: no evidence"
    )
    parser.add_argument(
        "--without", action="append", default=[], choices=["litellm", "foz", "nginx", "celery", "llama-cpp-python"]
    )
    parser.add_argument("--seed", type=int, default=1, help="of the moments at which callers hang up")
    return parser.parse_args()


def _plan(given: argparse.Namespace) -> Plan:
    without = frozenset(given.without)
    if given.quick:
        return Plan(rounds=2, seconds=2.0, quick=True, without=without, seed=given.seed)
    return Plan(rounds=given.rounds, seconds=given.seconds, without=without, seed=given.seed)


def main() -> int:
    """Runs the parts that were asked for, one after the other."""
    given = _arguments()
    plan, names = _plan(given), given.part or list(PARTS)
    placed = cores()
    assert placed is not None
    try:
        install.needed()
        tools = install.versions()
        if plan.has("litellm") and {"rps", "latency"} & set(names):
            tools["litellm"] = install.version("litellm")
        if plan.has("celery") and "jobs" in names:
            tools["celery"] = install.version("celery")
    except install.Missing as lost:
        print(f"bench: {lost}", file=sys.stderr)
        return 2
    told = facts.gather(tools)
    print(page(Report(told, plan, ())).split("| part")[0].strip(), flush=True)
    print(f"gateway on core {placed.gateway}, load on {placed.load}, mock on {placed.mock}\n", flush=True)
    os.sched_setaffinity(0, placed.load)  # the bench is part of the load
    parts: list[Part] = []
    for name in names:
        print(f"{name}:", flush=True)
        parts.append(PARTS[name](plan))
    report = Report(told, plan, tuple(parts))
    path = save(report, "all" if len(names) == len(PARTS) else "-".join(names))
    print("\n" + "\n".join(bars_told(report.parts)))
    print(f"\nwritten: {path.relative_to(facts.ROOT)} and .json")
    return 0


if __name__ == "__main__":
    sys.exit(main())
