"""
256 streams at once, one event every 20 ms each: does one stall, and what does an event cost?

A stream has stalled when two of its pieces came more than `STALL` apart: twelve times its pace. The cost is all
processor time of the contestant over the run, connecting included, by all events that its callers saw. The run
`direct` shows what load and mock do by themselves on their core.
"""

import asyncio
import gc
import time

import uvloop
from msgspec import Struct

from bench import bodies
from bench.callers import listen
from bench.figures import Bar, Part, Series, quantile, ratio
from bench.lab import Endpoint, Lab, alone, ask
from bench.plan import Plan
from bench.processes import Busy, cores

STREAMS = 256
PACE_MS = 20
STALL = 0.25
RAMP = 1.0
NOISE = 0.05


class Run(Struct, frozen=True):
    """One contestant in one round."""

    stalled: int
    broken: int
    """Streams without all their events and `[DONE]`."""
    events: int
    cpu: float
    p99_gap: float
    longest_gap: float
    p50_first: float
    others: float
    """The share of the gateway's core that neither the contestant nor idleness had."""
    load_busy: float

    @property
    def micros_each(self) -> float:
        return self.cpu * 1e6 / max(1, self.events)


def measure(plan: Plan) -> Part:
    """Interleaved rounds."""
    placed = cores()
    assert placed is not None
    count = int(plan.seconds * 1000 / PACE_MS)
    model = f"paced-{PACE_MS}-{count}"
    with Lab(placed, [model]) as lab:
        contestants = [lab.direct()]
        if plan.has("nginx"):
            contestants.append(lab.nginx())
        if plan.has("foz"):
            foz = lab.foz()
            ask(foz, "mock")
            contestants += [foz, Endpoint("foz, same name", foz.program, foz.port, foz.stream_port, foz.key)]
        runs: dict[str, list[Run]] = {each.name: [] for each in contestants}
        for number in range(plan.rounds):
            for each in contestants:
                with alone(each, contestants):
                    run = _run(each, model, count, lab)
                runs[each.name].append(run)
                print(
                    f"  round {number + 1} {each.name:15} {run.micros_each:6.1f} µs an event, longest gap "
                    f"{run.longest_gap * 1000:.0f} ms, {run.stalled} stalled, {run.broken} broken",
                    flush=True,
                )
    return _told(runs)


def _run(endpoint: Endpoint, model: str, count: int, lab: Lab) -> Run:
    gc.collect()
    gc.disable()
    before = endpoint.program.cpu_seconds() if endpoint.program else 0.0
    began, gateway, load = time.perf_counter(), Busy(lab.cores.gateway), Busy(lab.cores.load)
    limit = RAMP + count * PACE_MS / 1000 * 2 + 10
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        request = endpoint.wire(model, stream=True)
        seen, gaps = runner.run(listen(endpoint.stream_port, request, STREAMS, ramp=RAMP, limit=limit))
    ended, gateway_busy = time.perf_counter(), gateway.share()
    after = endpoint.program.cpu_seconds() if endpoint.program else 0.0
    gc.enable()
    expected = bodies.events_expected(count)
    return Run(
        stalled=sum(stream.longest > STALL for stream in seen),
        broken=sum(not (stream.ok and stream.finished and stream.events == expected) for stream in seen),
        events=sum(stream.events for stream in seen),
        cpu=after - before,
        p99_gap=quantile(gaps, 0.99),
        longest_gap=max(gaps),
        p50_first=quantile([stream.first - stream.began for stream in seen], 0.5),
        others=max(0.0, gateway_busy - (after - before) / (ended - began)),
        load_busy=load.share(),
    )


def _told(runs: dict[str, list[Run]]) -> Part:
    series = []
    for name, took in runs.items():
        series += [
            Series(f"{name}: p99 between pieces", "ms", tuple(run.p99_gap * 1000 for run in took)),
            Series(f"{name}: longest between pieces", "ms", tuple(run.longest_gap * 1000 for run in took)),
            Series(f"{name}: p50 to first byte", "ms", tuple(run.p50_first * 1000 for run in took)),
            Series(f"{name}: stalled streams", "", tuple(run.stalled for run in took)),
            Series(f"{name}: broken streams", "", tuple(run.broken for run in took)),
            Series(f"{name}: load core busy", "share", tuple(run.load_busy for run in took)),
        ]
        if name != "direct":
            series += [
                Series(f"{name}: processor time per event", "µs", tuple(run.micros_each for run in took)),
                Series(f"{name}: gateway core taken by others", "share", tuple(run.others for run in took)),
            ]
    bars: list[Bar] = []
    if "foz" in runs:
        bars.append(Bar(f"stalled of {STREAMS} streams, all rounds", "", sum(r.stalled for r in runs["foz"]), "<=", 0))
        bars.append(Bar(f"broken of {STREAMS} streams, all rounds", "", sum(r.broken for r in runs["foz"]), "<=", 0))
    if "foz" in runs and "nginx" in runs:
        cost = [[run.micros_each for run in runs[name]] for name in ("foz", "nginx")]
        series.append(ratio("processor time per event, foz / nginx", *cost))
        bars.append(Bar("processor time per streamed event, foz / nginx", "x", series[-1].middle, "<=", 1.5))
    return Part("streams", tuple(series), tuple(bars), _warned(runs))


def _warned(runs: dict[str, list[Run]]) -> tuple[str, ...]:
    notes = []
    bad = sum(run.stalled for run in runs["direct"])
    if bad:
        notes.append(f"{bad} streams stalled without any gateway: the load's core was too busy to judge by.")
    if max(run.others for took in runs.values() for run in took) > NOISE:
        notes.append("Somebody else was at work on the gateway's core in some rounds: a stall there may be theirs.")
    return tuple(notes)
