"""
Jobs, from their submission to their end: Foz by itself, Foz on RabbitMQ and Redis, Celery on the same two, in turn, in
each round: first with many jobs under way, as fast as each can, then a few a second, each at its moment.

Celery runs with the pool that did most jobs per processor second here, out of those of `POOLS`, tried
beforehand in turn.
"""

from statistics import median

from msgspec import Struct

from bench.figures import Bar, Part, Series, quantile, ratio
from bench.houses import AT_ONCE, House, JobLab
from bench.plan import Plan
from bench.processes import cores
from bench.submitters import Order, Took

RATE = 50.0
POOLS = (("prefork", 2), ("prefork", 8), ("threads", AT_ONCE), ("gevent", AT_ONCE))
TRIALS = 3
RIVAL = "celery"


class Run(Struct, frozen=True):
    """One turn of one contestant."""

    full: Took
    paced: Took
    own: float
    """Processor time each job took of the contestant's processes, while many were under way. Microseconds."""
    broker: float
    redis: float

    @property
    def rate(self) -> float:
        return len(self.full.done) / self.full.elapsed


def measure(plan: Plan) -> Part:
    """Interleaved rounds; ratios within each."""
    placed = cores()
    assert placed is not None
    with JobLab(placed) as lab:
        houses = [lab.embedded(), lab.scale()] if plan.has("foz") else []
        tried: dict[str, tuple[float, ...]] = {}
        if plan.has(RIVAL):
            houses.append(_fastest(lab, plan, tried))
        for house in houses:
            house.submit(Order(min(2.0, plan.seconds), callers=AT_ONCE))
        runs: dict[str, list[Run]] = {house.name: [] for house in houses}
        for number in range(plan.rounds):
            for house in houses:
                run = _run(lab, house, plan)
                runs[house.name].append(run)
                print(
                    f"  round {number + 1} {house.name:20} {run.rate:7,.0f}/s, {run.own:6,.0f} µs each; "
                    f"submit p99 {quantile(run.full.submit, 0.99):.1f} and {quantile(run.paced.submit, 0.99):.1f} ms",
                    flush=True,
                )
    return _told(runs, tried)


def _fastest(lab: JobLab, plan: Plan, tried: dict[str, tuple[float, ...]]) -> House:
    """Celery with the pool that suits it best, the others ended; `tried` is told jobs per processor second of each."""
    houses = [lab.celery(pool, at_once) for pool, at_once in POOLS]
    for house in houses:
        house.submit(Order(1.0, callers=AT_ONCE))
    for _ in range(TRIALS):
        for house in houses:
            found = 1e6 / _full(lab, house, min(2.0, plan.seconds)).own
            tried[house.name] = (*tried.get(house.name, ()), found)
    best = max(houses, key=lambda house: median(tried[house.name]))
    for house in houses:
        print(f"  tried {house.name}: {median(tried[house.name]):,.0f} jobs per processor second", flush=True)
        if house is not best:
            lab.leave(house)
    return best


class _Full(Struct, frozen=True):
    took: Took
    own: float
    broker: float
    redis: float


def _full(lab: JobLab, house: House, seconds: float) -> _Full:
    own, (broker, redis) = house.cpu_seconds(), lab.servers_cpu()
    took = house.submit(Order(seconds, callers=AT_ONCE))
    own_then, (broker_then, redis_then) = house.cpu_seconds(), lab.servers_cpu()
    each = 1e6 / len(took.done)
    return _Full(took, (own_then - own) * each, (broker_then - broker) * each, (redis_then - redis) * each)


def _run(lab: JobLab, house: House, plan: Plan) -> Run:
    full = _full(lab, house, plan.seconds)
    paced = house.submit(Order(plan.seconds, rate=RATE))
    return Run(full.took, paced, full.own, full.broker, full.redis)


def _told(runs: dict[str, list[Run]], tried: dict[str, tuple[float, ...]]) -> Part:
    series = [Series(f"{name}, tried: jobs per processor second", "1/s", values) for name, values in tried.items()]
    for name, took in runs.items():
        series += [
            Series(f"{name}: jobs per second", "1/s", tuple(run.rate for run in took)),
            Series(f"{name}: processor time each", "µs", tuple(run.own for run in took)),
            Series(f"{name}: the broker's processor time each", "µs", tuple(run.broker for run in took)),
            Series(f"{name}: Redis' processor time each", "µs", tuple(run.redis for run in took)),
        ]
        for how, what in (("full", f"{AT_ONCE} under way"), ("paced", f"{RATE:g} a second")):
            for step in ("submit", "done"):
                for share in (0.5, 0.99):
                    values = tuple(quantile(getattr(getattr(run, how), step), share) for run in took)
                    title = "submission" if step == "submit" else "submission to done"
                    series.append(Series(f"{name}, {what}: {title}, p{share * 100:.0f}", "ms", values))
    bars: list[Bar] = []
    rival = next((name for name in runs if name.startswith(RIVAL)), None)
    for name in ("foz embedded", "foz scale"):
        if rival and name in runs:
            found = _against(name, runs[name], rival, runs[rival])
            series += found
            bars.append(Bar(found[0].name, "x", found[0].middle, ">=", 2.0))
    if "foz embedded" in runs:
        late = median(quantile(run.paced.submit, 0.99) for run in runs["foz embedded"])
        bars.append(Bar(f"foz embedded, {RATE:g} a second: submission, p99", "ms", late, "<=", 15.0))
    jobs = sum(len(run.full.done) + len(run.paced.done) for took in runs.values() for run in took)
    notes = [f"{jobs:,} jobs; none was lost, failed, or answered with another text: that would have ended the run."]
    if rival:
        notes.append(f"Celery's fastest pool was taken: {rival.removeprefix(RIVAL).strip()}.")
    return Part("jobs", tuple(series), tuple(bars), tuple(notes))


def _against(name: str, ours: list[Run], rival: str, theirs: list[Run]) -> list[Series]:
    return [
        ratio(f"jobs per processor second, {name} / {rival}", [r.own for r in theirs], [r.own for r in ours]),
        ratio(f"jobs per second, {name} / {rival}", [r.rate for r in ours], [r.rate for r in theirs]),
    ]
