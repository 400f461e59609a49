"""
Added latency at one connection: each contestant's p50 and p99 less those of the mock asked directly.

The contestants take turns in short blocks, so that a machine's bad moment falls on all of them.
"""

from bench.callers import OneByOne
from bench.figures import Bar, Part, Series, quantile
from bench.lab import Endpoint, Lab, alone, ask
from bench.plan import Plan
from bench.processes import cores

BLOCK = 200
SHORT_BLOCK = 20
"""LiteLLM's: it takes tens of milliseconds a request."""


def measure(plan: Plan) -> Part:
    """p50 and p99 per round."""
    placed = cores()
    assert placed is not None
    blocks = 3 if plan.quick else max(5, int(plan.seconds * 4))
    with Lab(placed, []) as lab:
        contestants = [lab.direct()]
        if plan.has("nginx"):
            contestants.append(lab.nginx())
        if plan.has("foz"):
            contestants.append(lab.foz())
        if plan.has("litellm"):
            contestants.append(lab.litellm())
        for each in contestants:
            ask(each, "mock")
            _block(each, contestants, 100 if each.name == "litellm" else 2000)
        p50: dict[str, list[float]] = {each.name: [] for each in contestants}
        p99: dict[str, list[float]] = {each.name: [] for each in contestants}
        for _ in range(plan.rounds):
            took: dict[str, list[float]] = {each.name: [] for each in contestants}
            for _ in range(blocks):
                for each in contestants:
                    took[each.name] += _block(each, contestants, SHORT_BLOCK if each.name == "litellm" else BLOCK)
            for name, times in took.items():
                p50[name].append(quantile(times, 0.50) / 1000)
                p99[name].append(quantile(times, 0.99) / 1000)
            print("  p50 ms: " + ", ".join(f"{name} {values[-1]:.3f}" for name, values in p50.items()), flush=True)
    return _told(p50, p99)


def _block(endpoint: Endpoint, contestants: list[Endpoint], count: int) -> list[float]:
    with alone(endpoint, contestants):
        line = OneByOne(endpoint.port, endpoint.wire("mock"))
        try:
            return line.micros(count + 5)[5:]
        finally:
            line.close()


def _told(p50: dict[str, list[float]], p99: dict[str, list[float]]) -> Part:
    series = []
    bars: list[Bar] = []
    for share, found, limit in (("p50", p50, 0.4), ("p99", p99, 1.5)):
        series.append(Series(f"direct: {share}", "ms", tuple(found["direct"])))
        for name, values in found.items():
            if name == "direct":
                continue
            added = tuple(mine - base for mine, base in zip(values, found["direct"], strict=True))
            series.append(Series(f"{name}: added {share}", "ms", added))
            if name == "foz":
                bars.append(Bar(f"added latency at one connection, {share}", "ms", series[-1].middle, "<=", limit))
    return Part("latency", tuple(series), tuple(bars))
