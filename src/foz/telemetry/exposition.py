"""Figures as Prometheus' text. Everything here runs when somebody asks for /metrics, never for a request."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import accumulate

from prometheus_client import CollectorRegistry, Metric, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.registry import Collector
from typing_extensions import override

from foz.telemetry.figures import FIRST_TOKEN_BOUNDS, LATENCY_BOUNDS, TOKEN_KINDS, SlotFigures, Snapshot, summed
from foz.telemetry.siblings import STALE, Siblings

GAUGES = {
    "foz_connections": "Open connections of callers.",
    "foz_ledger_waiting": "Writes that wait for the ledger.",
    "foz_tasks": "Tasks of the event loop.",
}
"""What the gauges say that a process hands to `Counts`."""


def _counters(slots: Sequence[SlotFigures]) -> Iterator[Metric]:
    requests = CounterMetricFamily(
        "foz_requests",
        "Requests that have ended, by how they ended.",
        labels=["skin", "model", "target", "state", "status"],
    )
    tokens = CounterMetricFamily(
        "foz_tokens",
        "Tokens; cached ones are among the input, reasoning ones among the output.",
        labels=["skin", "model", "target", "kind"],
    )
    for slot in slots:
        who = [slot.skin, slot.model, slot.target]
        for outcome, count in slot.outcomes.items():
            requests.add_metric([*who, *outcome.split(" ")], count)
        for kind, count in zip(TOKEN_KINDS, slot.tokens, strict=True):
            tokens.add_metric([*who, kind], count)
    yield requests
    yield tokens


def _histogram(
    name: str,
    help_text: str,
    bounds: Sequence[int],
    rows: Iterable[tuple[tuple[str, str], list[int], int]],
) -> Metric:
    family = HistogramMetricFamily(name, help_text, labels=["model", "target"])
    counts: dict[tuple[str, str], list[int]] = {}
    sums: dict[tuple[str, str], int] = {}
    for key, buckets, total in rows:
        so_far = counts.get(key)
        counts[key] = buckets if so_far is None else [one + other for one, other in zip(so_far, buckets, strict=True)]
        sums[key] = sums.get(key, 0) + total
    labels = [*(f"{bound / 1000:g}" for bound in bounds), "+Inf"]
    for key, buckets in counts.items():
        if any(buckets):
            family.add_metric(list(key), list(zip(labels, accumulate(buckets), strict=True)), sums[key] / 1000)
    return family


def _histograms(slots: Sequence[SlotFigures]) -> Iterator[Metric]:
    yield _histogram(
        "foz_request_duration_seconds",
        "From the request's opening to its end.",
        LATENCY_BOUNDS,
        (((slot.model, slot.target), slot.latency, slot.latency_sum) for slot in slots),
    )
    yield _histogram(
        "foz_time_to_first_token_seconds",
        "From the request's opening to the first content.",
        FIRST_TOKEN_BOUNDS,
        (((slot.model, slot.target), slot.first_token, slot.first_token_sum) for slot in slots),
    )


def _refusals(total: Snapshot) -> Iterator[Metric]:
    refusals = CounterMetricFamily(
        "foz_refusals",
        "Requests that came to no entry: wrong, unknown, not allowed, or too much.",
        labels=["skin", "code", "status"],
    )
    for what, count in total.refusals.items():
        refusals.add_metric(what.split(" "), count)
    yield refusals


def _gauges(total: Snapshot) -> Iterator[Metric]:
    in_flight = GaugeMetricFamily("foz_in_flight", "Requests being served now.", labels=["model"])
    for model, count in total.in_flight.items():
        in_flight.add_metric([model], count)
    yield in_flight
    breakers = GaugeMetricFamily(
        "foz_breaker_workers",
        "How many workers see a target's breaker in a state; targets that never failed are not listed.",
        labels=["target", "state"],
    )
    for target, states in total.breakers.items():
        for state in ("closed", "half_open", "open"):
            breakers.add_metric([target, state], states.get(state, 0))
    yield breakers
    for name, value in total.gauges.items():
        yield GaugeMetricFamily(name, GAUGES.get(name, name), value)


def _process(total: Snapshot, now: int) -> Iterator[Metric]:
    process = total.process
    yield GaugeMetricFamily("foz_workers", "Processes whose figures these are.", total.workers)
    yield GaugeMetricFamily("foz_uptime_seconds", "Since the first process of this run.", (now - total.started) / 1000)
    yield CounterMetricFamily("process_cpu_seconds", "Of all processes of this run.", process.cpu)
    yield GaugeMetricFamily("process_start_time_seconds", "Since the epoch.", total.started / 1000)
    if process.memory is not None:
        yield GaugeMetricFamily("process_resident_memory_bytes", "Of all live processes.", process.memory)
    if process.files is not None:
        yield GaugeMetricFamily("process_open_fds", "Of all live processes.", process.files)


class _Figures(Collector):
    def __init__(self, total: Snapshot, now: int) -> None:
        self._total = total
        self._now = now

    @override
    def collect(self) -> Iterator[Metric]:
        yield from _counters(self._total.slots)
        yield from _histograms(self._total.slots)
        yield from _refusals(self._total)
        yield from _gauges(self._total)
        yield from _process(self._total, self._now)


class Exposition:
    """Answers /metrics: `take` gives this process's figures, `siblings` those of the others, where there are any."""

    def __init__(self, take: Callable[[], Snapshot], siblings: Siblings | None = None) -> None:
        self._take = take
        self._siblings = siblings

    def __call__(self) -> bytes:
        """The text, in format 0.0.4."""
        own = self._take()
        others = [] if self._siblings is None else self._siblings.others()
        total = summed([own, *others], fresh_since=own.at - STALE)
        registry = CollectorRegistry(auto_describe=False)
        registry.register(_Figures(total, own.at))
        return generate_latest(registry)
