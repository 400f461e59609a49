"""
Requests per second on one core, whole answers, kept connections: nginx, Foz, LiteLLM, in turn, in each round.

Afterwards Foz's ledger is counted: an answer that wrk received and that has no complete entry would make the rate
a rate of something else.
"""

from contextlib import closing
from statistics import median

import apsw
from msgspec.structs import replace

from bench import wrk
from bench.figures import Bar, Part, Series, ratio
from bench.lab import Endpoint, Lab, alone, ask
from bench.plan import Plan
from bench.processes import cores

SATURATED = 0.95
NOISE = 0.05


def measure(plan: Plan) -> Part:
    """Interleaved rounds; ratios within each."""
    placed = cores()
    assert placed is not None
    with Lab(placed, []) as lab:
        contestants = _contestants(lab, plan)
        answered: dict[str, int] = {}
        for each in contestants:
            with alone(each, contestants):
                ask(each, "mock")
                warm = _checked(each, wrk.run(each, placed, lab.folder, seconds=min(3.0, plan.seconds)))
            answered[each.name] = 1 + warm.summary.requests
        runs: dict[str, list[wrk.Run]] = {each.name: [] for each in contestants}
        for number in range(plan.rounds):
            for each in contestants:
                with alone(each, contestants):
                    run = _checked(each, wrk.run(each, placed, lab.folder, seconds=plan.seconds))
                runs[each.name].append(run)
                answered[each.name] += run.summary.requests
                print(f"  round {number + 1} {each.name:12} {run.summary.rate:10,.0f}/s", flush=True)
        told = _told(runs)
        if plan.has("foz"):
            foz = next(each for each in contestants if each.name == "foz")
            got = answered["foz"] + answered["foz, same name"]
            missing = max(0, got - _entries(foz))
            told = replace(
                told, bars=(*told.bars, Bar(f"of {got:,} answers, missing in the ledger", "", missing, "<=", 0))
            )
    return told


def _entries(foz: Endpoint) -> int:
    """Complete entries in the ledger of a running gateway."""
    assert foz.program is not None
    path = foz.program.log.parent / "data" / "foz.db"
    with closing(apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)) as ledger:
        return int(str(ledger.execute("SELECT count(*) FROM entries WHERE state = 'complete'").get))


def _contestants(lab: Lab, plan: Plan) -> list[Endpoint]:
    contestants = [lab.direct()]
    if plan.has("nginx"):
        contestants.append(lab.nginx())
    if plan.has("foz"):
        foz = lab.foz()
        contestants += [foz, Endpoint("foz, same name", foz.program, foz.port, foz.stream_port, foz.key)]
    if plan.has("litellm"):
        contestants.append(lab.litellm())
    return contestants


def _checked(endpoint: Endpoint, run: wrk.Run) -> wrk.Run:
    """A rate of errors is no rate."""
    if run.summary.failed:
        raise RuntimeError(f"{endpoint.name}: {run.summary.failed} of {run.summary.requests} failed: {run.summary}")
    return run


def _told(runs: dict[str, list[wrk.Run]]) -> Part:
    series = []
    for name, took in runs.items():
        series += [
            Series(f"{name}: requests per second", "1/s", tuple(run.summary.rate for run in took)),
            Series(f"{name}: load core busy", "share", tuple(run.load_busy for run in took)),
        ]
        if name != "direct":
            series += [
                Series(f"{name}: gateway core busy", "share", tuple(run.gateway_busy for run in took)),
                Series(f"{name}: gateway core taken by others", "share", tuple(run.others for run in took)),
                Series(f"{name}: processor time each", "µs", tuple(run.micros_each for run in took)),
                Series(f"{name}: p99 under this load", "ms", tuple(run.summary.p99 / 1000 for run in took)),
            ]
    bars: list[Bar] = []
    notes: list[str] = []
    for other, limit in (("nginx", 0.25), ("litellm", 60.0)):
        if "foz" in runs and other in runs:
            found = _against(runs, other)
            series += found
            bars += [Bar(each.name, "x", each.middle, ">=", limit) for each in found]
    for name, took in runs.items():
        if name not in {"direct", "litellm"} and median(run.gateway_busy for run in took) < SATURATED:
            notes.append(
                f"{name} did not fill its core: load and mock were the limit in most rounds, and its rate "
                "is too low; the ratio by processor time does not depend on that and is the fair one."
            )
    if max(run.others for took in runs.values() for run in took) > NOISE:
        notes.append("Somebody else was at work on the gateway's core in some rounds (`taken by others`).")
    return Part("rps", tuple(series), tuple(bars), tuple(notes))


def _against(runs: dict[str, list[wrk.Run]], other: str) -> list[Series]:
    foz, them = runs["foz"], runs[other]
    return [
        ratio(f"requests per second, foz / {other}", [r.summary.rate for r in foz], [r.summary.rate for r in them]),
        ratio(
            f"requests per processor second, foz / {other}", [r.micros_each for r in them], [r.micros_each for r in foz]
        ),
    ]
