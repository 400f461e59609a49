"""What is counted, what is bounded, and what a scrape says."""

import re
import timeit
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from foz.canon.entry import EntryEnd, State
from foz.canon.usage import Usage
from foz.ports.metrics import Meters
from foz.telemetry.exposition import GAUGES, Exposition
from foz.telemetry.figures import FIRST_TOKEN_BOUNDS, LATENCY_BOUNDS, Snapshot, read_process, summed
from foz.telemetry.metrics import MAX_BREAKERS, MAX_SLOTS, OTHER, Counts
from foz.testing.clock import StillClock

CONFIGURED = {"small", "large"}
ID = b"\x00" * 16


def counts(
    pid: int = 1, clock: StillClock | None = None, gauges: dict[str, Callable[[], float]] | None = None
) -> Counts:
    return Counts(run="r", pid=pid, clock=clock or StillClock(), known=CONFIGURED.__contains__, gauges=gauges)


def end(
    state: State = State.COMPLETE,
    status: int = 200,
    usage: Usage = Usage(),  # noqa: B008 - it is frozen
    first_token: int | None = 30,
    duration: int = 400,
) -> EntryEnd:
    return EntryEnd(ID, state, status, usage, first_token, duration, None, None, None)


def call(meters: Meters, model: str, target: str, how: EntryEnd, skin: str = "openai") -> None:
    meters.began(model)
    meters.ended(skin, model, target, how)


def samples(text: bytes) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text.decode())
        for sample in family.samples
    }


def value(text: bytes, name: str, **labels: str) -> float | None:
    return samples(text).get((name, frozenset(labels.items())))


def test_a_scrape_says_requests_tokens_and_states() -> None:
    """Requests are summed by state and status, tokens by kind."""
    one = counts()
    call(one, "small", "gpu/s", end(usage=Usage(input=10, output=5, cached=4, reasoning=2)))
    call(one, "small", "gpu/s", end(usage=Usage(input=1, output=1)))
    call(one, "small", "gpu/s", end(State.CALLER_GONE, 200))
    call(one, "small", "", end(State.FAILED, 503, first_token=None))
    text = Exposition(one.snapshot)()
    who = {"skin": "openai", "model": "small", "target": "gpu/s"}

    assert value(text, "foz_requests_total", **who, state="complete", status="200") == 2
    assert value(text, "foz_requests_total", **who, state="caller_gone", status="200") == 1
    assert value(text, "foz_requests_total", **{**who, "target": ""}, state="failed", status="503") == 1
    assert value(text, "foz_tokens_total", **who, kind="input") == 11
    assert value(text, "foz_tokens_total", **who, kind="output") == 6
    assert value(text, "foz_tokens_total", **who, kind="cached") == 4
    assert value(text, "foz_tokens_total", **who, kind="reasoning") == 2


def test_histograms_are_by_model_and_target_over_all_skins() -> None:
    """Latency and time to first token are summed over skins, cumulative, in seconds."""
    one = counts()
    call(one, "small", "gpu/s", end(duration=5, first_token=5))
    call(one, "small", "gpu/s", end(duration=6, first_token=None), skin="nemotron")
    call(one, "small", "gpu/s", end(duration=10_000_000, first_token=10_000_000))
    text = Exposition(one.snapshot)()
    who = {"model": "small", "target": "gpu/s"}

    assert value(text, "foz_request_duration_seconds_bucket", **who, le="0.005") == 1
    assert value(text, "foz_request_duration_seconds_bucket", **who, le="0.01") == 2
    assert value(text, "foz_request_duration_seconds_bucket", **who, le="600") == 2
    assert value(text, "foz_request_duration_seconds_bucket", **who, le="+Inf") == 3
    assert value(text, "foz_request_duration_seconds_count", **who) == 3
    assert value(text, "foz_request_duration_seconds_sum", **who) == 10_000.011
    assert value(text, "foz_time_to_first_token_seconds_count", **who) == 2


def test_a_request_without_a_target_has_no_latency() -> None:
    """What was refused at the door does not make the models look fast."""
    one = counts()
    call(one, "small", "", end(State.FAILED, 401, first_token=None))

    assert b"foz_request_duration_seconds_bucket" not in Exposition(one.snapshot)()


@given(st.lists(st.sampled_from(["began", "ended"])), st.sampled_from(["small", "nobody"]))
def test_in_flight_never_goes_below_zero_and_comes_back_to_it(steps: list[str], model: str) -> None:
    """However calls begin and end, in flight is what began and has not ended, and nothing is kept of it."""
    one, flying = counts(), 0
    for step in steps:
        if step == "began":
            one.began(model)
            flying += 1
        elif flying:
            one.ended("openai", model, "", end(State.FAILED, 404))
            flying -= 1
    seen = one.snapshot().in_flight
    assert seen.get(OTHER if model == "nobody" else model, 0) == flying

    for _ in range(flying):
        one.ended("openai", model, "", end(State.FAILED, 404))
    assert not any(one.snapshot().in_flight.values())
    assert not one._in_flight


def test_unknown_names_do_not_grow_the_figures() -> None:
    """Ten thousand made-up names that nobody answered share one slot."""
    one = counts()
    for number in range(10_000):
        call(one, f"made-up-{number}", "", end(State.FAILED, 404, first_token=None))
        call(one, f"openai/made-up-{number}", f"openai/made-up-{number}", end(State.FAILED, 404))
    now = one.snapshot()

    assert {(slot.model, slot.target) for slot in now.slots} == {(OTHER, ""), (OTHER, OTHER)}
    assert now.in_flight == {OTHER: 0}


def test_an_answered_name_earns_its_figures_up_to_a_bound() -> None:
    """A name that was not configured is counted by itself once a target answered it whole, until the slots are full."""
    one = counts()
    for number in range(MAX_SLOTS + 50):
        call(one, f"openai/m{number}", f"openai/m{number}", end())
    call(one, "large", "gpu/l", end())
    slots = {slot.model: slot for slot in one.snapshot().slots}

    assert slots["openai/m0"].outcomes == {"complete 200": 1}
    assert slots[OTHER].outcomes == {"complete 200": 50}
    assert slots["large"].outcomes == {"complete 200": 1}
    assert len(slots) == MAX_SLOTS + 2


def test_a_breaker_has_one_state() -> None:
    """A target's breaker is 1 in the state it is in and 0 in the others."""
    one = counts()
    one.breaker("openai/gpt", "open")
    one.breaker("openai/gpt", "half_open")
    text = Exposition(one.snapshot)()

    assert value(text, "foz_breaker_workers", target="openai/gpt", state="half_open") == 1
    assert value(text, "foz_breaker_workers", target="openai/gpt", state="open") == 0
    assert value(text, "foz_breaker_workers", target="openai/gpt", state="closed") == 0


def test_breakers_are_bounded_and_calm_ones_give_way() -> None:
    """Beyond the bound a closed breaker is forgotten for one that moves; open ones are kept."""
    one = counts()
    one.breaker("calm", "closed")
    for number in range(MAX_BREAKERS + 10):
        one.breaker(f"t{number}", "open")
    seen = one.snapshot().breakers

    assert len(seen) == MAX_BREAKERS
    assert "calm" not in seen
    assert f"t{MAX_BREAKERS - 1}" in seen


def test_gauges_are_read_when_asked() -> None:
    """A gauge that is handed in is read at each scrape, with its help."""
    depth = 3.0
    one = counts(gauges={"foz_ledger_waiting": lambda: depth})
    ask = Exposition(one.snapshot)
    assert value(ask(), "foz_ledger_waiting") == 3

    depth = 7.0
    text = ask()
    assert value(text, "foz_ledger_waiting") == 7
    assert b"# HELP foz_ledger_waiting Writes that wait for the ledger.\n" in text


def test_process_figures_are_there() -> None:
    """Memory, open files, processor time and uptime are in a scrape."""
    clock = StillClock()
    one = counts(clock=clock)
    clock.shift(2.5)
    text = Exposition(one.snapshot)()
    process = read_process()

    assert value(text, "foz_uptime_seconds") == 2.5
    assert value(text, "foz_workers") == 1
    assert (value(text, "process_resident_memory_bytes") or 0) > 1_000_000
    assert (value(text, "process_open_fds") or 0) >= 3
    assert 0 < (value(text, "process_cpu_seconds_total") or 0) <= process.cpu


@pytest.mark.parametrize("name", ['quo"te', "back\\slash", "line\nbreak", "模型"])
def test_strange_names_cannot_break_the_text(name: str) -> None:
    """A model's name is escaped, so that a parser gets it back."""
    one = counts()
    call(one, name, "t", end())

    assert value(Exposition(one.snapshot)(), "foz_time_to_first_token_seconds_count", model=name, target="t") == 1


def test_sums_are_of_counters_everywhere_and_of_gauges_only_of_the_living() -> None:
    """A process that stopped writing keeps its counters and loses its gauges."""
    clock = StillClock()
    one, other = counts(1, clock), counts(2, clock)
    for worker in (one, other):
        call(worker, "small", "gpu/s", end(usage=Usage(input=2)))
        worker.began("small")
        worker.breaker("gpu/s", "open")
    stale = other.snapshot()
    clock.shift(5)
    total = summed([one.snapshot(), stale], fresh_since=clock.now() - 1)

    assert total.slots[0].outcomes == {"complete 200": 2}
    assert total.slots[0].tokens == [4, 0, 0, 0]
    assert total.in_flight == {"small": 1}
    assert total.breakers == {"gpu/s": {"open": 1}}
    assert total.workers == 1


@given(st.lists(st.integers(0, 700_000), min_size=1), st.lists(st.integers(0, 700_000), min_size=1))
def test_counting_apart_and_summing_is_counting_together(first: list[int], second: list[int]) -> None:
    """The sum of two workers' figures is what one worker would have counted."""

    def counted(durations: list[int]) -> Snapshot:
        one = counts()
        for duration in durations:
            call(one, "small", "gpu/s", end(duration=duration, first_token=duration // 2, usage=Usage(input=duration)))
        return one.snapshot()

    apart = summed([counted(first), counted(second)], fresh_since=0)

    assert apart.slots == counted(first + second).slots
    assert sum(apart.slots[0].latency) == len(first) + len(second)


def test_the_guide_names_every_figure() -> None:
    """`docs/guides/watching.md` lists exactly the figures that a scrape has."""
    page = (Path(__file__).parents[3] / "docs/guides/watching.md").read_text()
    text = Exposition(counts(gauges=dict.fromkeys(GAUGES, float)).snapshot)().decode()

    assert set(re.findall(r"^\| `([a-z_]+)`", page, re.MULTILINE)) == set(
        re.findall(r"^# TYPE (\S+)", text, re.MULTILINE)
    )


def test_bounds_rise() -> None:
    """The histograms' bounds are sorted and distinct, as the search in them needs."""
    for bounds in (LATENCY_BOUNDS, FIRST_TOKEN_BOUNDS):
        assert sorted(set(bounds)) == list(bounds)


def test_a_call_costs_little() -> None:
    """Counting the beginning and the end of a call takes less than 6 µs (1.2 µs on a quiet machine)."""
    one, how = counts(), end(usage=Usage(input=10, output=5, cached=4, reasoning=2))
    best = min(timeit.repeat(lambda: call(one, "small", "gpu/s", how), number=2000, repeat=10)) / 2000

    assert best < 6e-6
