"""The bench's arithmetic: a wrong sum there would be a wrong claim about everything else."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench import bodies, leavers, metrics, wrk
from bench.figures import Bar, Series, quantile, ratio
from bench.profile import told

SUMMARY = (
    'Running 8s test\nWRK {"requests":80,"micros":8000000,"p50":1.5,"p99":9.0,"status":1,"broken":2,"timeout":3}\n'
)


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1), st.floats(0.001, 1))
def test_quantile_covers_its_share(values: list[float], share: float) -> None:
    """At least the share of values is at or below the quantile, and it is the smallest value of which that is true."""
    found = quantile(values, share)

    assert sum(value <= found for value in values) >= share * len(values)
    assert sum(value < found for value in values) < share * len(values)


def test_quantile_of_nothing_is_refused() -> None:
    """Where nothing was measured there is no quantile."""
    with pytest.raises(ValueError, match="nothing was measured"):
        quantile([], 0.5)


def test_ratios_are_taken_within_rounds() -> None:
    """A round that was slow for both has the same ratio as the others, whatever the medians are."""
    assert ratio("r", [100, 10, 50], [200, 20, 100]).values == (0.5, 0.5, 0.5)


def test_series_tells_median_and_spread() -> None:
    """The median is not moved by one bad round, and the spread shows it."""
    assert Series("s", "ms", (1.0, 2.0, 900.0)).told() == ("2", "1", "900")


@pytest.mark.parametrize(
    ("bar", "verdict", "margin"),
    [
        (Bar("b", "x", 0.25, ">=", 0.25), "pass", "at the limit"),
        (Bar("b", "x", 0.2, ">=", 0.25), "miss", "20% below"),
        (Bar("b", "s", 1.5, "<", 1.5), "miss", "at the limit"),
        (Bar("b", "s", 0.75, "<", 1.5), "pass", "50% below"),
        (Bar("b", "ms", 0.6, "<=", 0.4), "miss", "50% above"),
        (Bar("b", "", 3, "<=", 0), "miss", "3 more"),
        (Bar("b", "", 0, "<=", 0), "pass", "at the limit"),
        (Bar("b", "", -2, "<=", 0), "pass", "2 fewer"),
        (Bar("b", "x", None, ">=", 1.7, "2 cores"), "not measured", "2 cores"),
    ],
)
def test_bars_judge(bar: Bar, verdict: str, margin: str) -> None:
    """A bar passes only on its own side of the limit, and what was not measured never passes."""
    assert bar.verdict == verdict
    assert bar.margin() == margin


def test_wrk_counts_every_kind_of_failure() -> None:
    """Wrong statuses, broken connections and timeouts all count as failed."""
    summary = wrk.parse(SUMMARY)

    assert (summary.rate, summary.failed) == (10.0, 6)


def test_wrk_without_a_summary_is_an_error() -> None:
    """A run of which wrk says nothing is not a run without failures."""
    with pytest.raises(ValueError, match="no summary"):
        wrk.parse("unable to connect to 127.0.0.1:1")


def test_metrics_are_summed_over_labels() -> None:
    """A label with spaces and braces does not disturb the sum."""
    text = '# HELP a b\na{model="x y}"} 2\na{model="z"} 3 1700000000\nb 1e3\n'

    assert metrics.parse(text) == {"a": 5.0, "b": 1000.0}


@given(st.integers(0, 2**32))
def test_every_second_caller_leaves(seed: int) -> None:
    """Half of the planned calls hang up, whatever the dice say."""
    dice = random.Random(seed)
    visits = [leavers.planned(index, dice) for index in range(100)]

    assert sum(visit.leave is not leavers.Moment.NEVER for visit in visits) == 50


def test_a_profile_counts_samples_by_function() -> None:
    """A recursive function is counted once per sample, and a sample belongs to its innermost function."""
    stacks = "process 1;thread (main);a (m.py);b (m.py);a (m.py) 3\nprocess 1;thread (writer);b (m.py) 1\n"
    lines = [line.split(maxsplit=1) for line in told(stacks) if "%" in line]

    assert ["75.0%", "a (m.py)"] in lines
    assert ["25.0%", "b (m.py)"] in lines
    assert ["100.0%", "b (m.py)"] in lines
    assert ["75.0%", "thread (main)"] in lines


def test_requests_and_answers_name_the_model() -> None:
    """The caller's body names the model that it was made for, and so does the answer."""
    assert b'"model":"bench-mock"' in bodies.request("bench-mock")
    assert b'"model":"mock"' in bodies.answer("mock")
