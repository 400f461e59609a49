"""Two workers against one, where there are cores for two gateways, the load and the mock."""

from bench import wrk
from bench.figures import Bar, Part, Series, ratio
from bench.lab import Lab, alone, ask
from bench.plan import Plan
from bench.processes import ALLOWED, cores

NAME = "two workers / one"
LIMIT = 1.7


def measure(plan: Plan) -> Part:
    """Interleaved rounds. One worker gets the same two cores: it is the program that is measured, not the pinning."""
    placed = cores(gateways=2)
    if placed is None:
        why = f"not measurable here: {len(ALLOWED)} cores, needs 4"
        return Part("workers", bars=(Bar(NAME, "x", None, ">=", LIMIT, why),))
    rates: dict[int, list[float]] = {1: [], 2: []}
    with Lab(placed, []) as lab:
        contestants = {workers: lab.foz(workers) for workers in rates}
        for number in range(plan.rounds + 1):
            for workers, each in contestants.items():
                with alone(each, list(contestants.values())):
                    ask(each, "mock")
                    run = wrk.run(each, placed, lab.folder, seconds=plan.seconds)
                if run.summary.failed:
                    raise RuntimeError(f"{workers} workers: {run.summary}")
                if number:
                    rates[workers].append(run.summary.rate)
                    print(f"  round {number} {workers} workers {run.summary.rate:10,.0f}/s", flush=True)
    series = (
        Series("one worker: requests per second", "1/s", tuple(rates[1])),
        Series("two workers: requests per second", "1/s", tuple(rates[2])),
        ratio(NAME, rates[2], rates[1]),
    )
    return Part("workers", series, (Bar(NAME, "x", series[2].middle, ">=", LIMIT),))
