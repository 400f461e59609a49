"""Where a job waits, and what becomes of it: every decision is a pure one."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from foz.canon.fault import (
    LEAVES,
    BadRequest,
    CallerFault,
    Cut,
    Down,
    Draining,
    Fault,
    Limited,
    NoRoute,
    RateLimited,
    Refused,
    Timeout,
    Unsupported,
)
from foz.canon.job import Job
from foz.canon.model import Placement
from foz.canon.principal import LOCAL_ADMIN
from foz.canon.request import Mode
from foz.jobs.lanes import Again, Failed, Limits, fate, lane, spent, worn

GPU, API = Placement.GPU, Placement.API
NOW = 1_700_000_000_000
LIMITS = Limits(attempts=3, pause=1.0, longest_pause=8.0, gpu_full=10)
GONE = NoRoute("nothing stands")
CANNOT = Unsupported("it cannot")
JOB = Job(
    id=bytes(16),
    at=NOW,
    principal=LOCAL_ADMIN,
    project="",
    skin="nemotron",
    model="nemotron",
    mode=Mode.AUTO,
    lane=GPU,
    key="k",
    stream=True,
    digest=b"",
    attempts=1,
)


def faults() -> st.SearchStrategy[Fault]:
    """Any fault there is."""
    return st.builds(
        lambda leaf, wait: leaf("it went wrong", retry_after=wait),
        st.sampled_from(LEAVES),
        st.none() | st.floats(0, 1e6),
    )


def of(fault: Fault, job: Job = JOB, *, api: bool = True, now: int = NOW) -> Again | Failed:
    """What becomes of it."""
    return fate(job, fault, LIMITS, now, api_stands=api, dice=0.5)


@pytest.mark.parametrize(
    ("gpu", "api", "waiting", "expected"),
    [
        (None, None, 0, GPU),
        (None, None, 9, GPU),
        (None, None, 10, API),
        (GONE, None, 0, API),
        (None, GONE, 10, GPU),
        (CANNOT, None, 0, API),
    ],
)
def test_auto_takes_gpu_while_it_stands_and_is_not_full(
    gpu: Fault | None, api: Fault | None, waiting: int, expected: Placement
) -> None:
    """A job of mode auto waits for gpu where gpu stands and is not full or api does not stand, else for api."""
    assert lane(Mode.AUTO, gpu, api, waiting, LIMITS) is expected


@pytest.mark.parametrize(("mode", "other"), [(Mode.GPU, API), (Mode.API, GPU)])
def test_a_mode_is_kept_or_refused(mode: Mode, other: Placement) -> None:
    """A job that names its placement never waits for the other one: what stands against it is raised."""
    gpu, api = (GONE, None) if other is API else (None, GONE)
    with pytest.raises(NoRoute):
        lane(mode, gpu, api, 0, LIMITS)
    assert lane(mode, None, None, 1_000, LIMITS).value == mode.value


def test_the_callers_own_fault_is_told_first() -> None:
    """Where neither placement can take an auto job, the fault that the caller can mend is the one raised."""
    with pytest.raises(Unsupported):
        lane(Mode.AUTO, GONE, CANNOT, 0, LIMITS)
    with pytest.raises(NoRoute):
        lane(Mode.AUTO, GONE, NoRoute("nor this"), 0, LIMITS)


@pytest.mark.parametrize("fault", [Down("x"), Cut("x"), Timeout("x"), GONE, Limited("x"), CANNOT])
def test_a_gpu_job_of_mode_auto_falls_over_to_api(fault: Fault) -> None:
    """A run that failed on the gpu lane of an auto job is followed by one on the api lane, at once, free of charge."""
    assert of(fault) == Again(API, counts=False)


@pytest.mark.parametrize("mode", [Mode.GPU, Mode.AUTO])
def test_it_stays_where_api_is_not_allowed_or_does_not_stand(mode: Mode) -> None:
    """A gpu job goes to api only in mode auto and where api stands; else it is tried again in its lane."""
    step = of(Down("x"), structs.replace(JOB, mode=mode), api=mode is Mode.GPU)
    assert isinstance(step, Again)
    assert (step.lane, step.counts) == (GPU, True)


@pytest.mark.parametrize("fault", [BadRequest("x"), Refused("x"), Timeout("x")])
def test_what_cannot_pass_is_failed_at_once(fault: Fault) -> None:
    """A job whose fault would be the same again is failed with it, and is no dead letter."""
    step = of(fault, structs.replace(JOB, lane=API))
    assert isinstance(step, Failed)
    assert (step.trouble.code, step.trouble.status, step.dead) == (fault.code, fault.status, False)


def test_pauses_double_up_to_the_longest_and_heed_retry_after() -> None:
    """The pause before the next try is 1, 2, 4, 8 seconds and not more, and no shorter than was asked for."""
    limits = structs.replace(LIMITS, attempts=100)
    pauses = []
    for attempts in range(1, 7):
        step = fate(
            structs.replace(JOB, lane=API, attempts=attempts), Down("x"), limits, NOW, api_stands=True, dice=0.5
        )
        assert isinstance(step, Again)
        pauses.append(step.pause)
    assert pauses == [1.0, 2.0, 4.0, 8.0, 8.0, 8.0]
    told = of(Limited("x", retry_after=5.0), structs.replace(JOB, lane=API))
    assert told == Again(API, 5.0)


def test_the_callers_own_rate_costs_a_job_nothing_but_time() -> None:
    """A job whose caller's rate is used up waits in its lane, however often, until it is too old."""
    limited = RateLimited("x", retry_after=5.0)
    for attempts in (1, 3):
        assert of(limited, structs.replace(JOB, epoch=1, attempts=attempts)) == Again(GPU, 5.0, counts=False)
    often = of(limited, structs.replace(JOB, epoch=50))
    assert often == Again(GPU, LIMITS.longest_pause, counts=False)
    old = of(limited, now=NOW + round(LIMITS.oldest * 1000) + 1)
    assert isinstance(old, Failed)
    assert old.dead


def test_a_job_is_a_dead_letter_after_its_last_attempt_or_its_oldest_age() -> None:
    """What may pass makes a dead letter of a job whose attempts are used up or that is too old."""
    last = of(Down("x"), structs.replace(JOB, lane=API, attempts=3))
    old = of(Down("x"), structs.replace(JOB, lane=API), now=NOW + round(LIMITS.oldest * 1000) + 1)
    assert isinstance(last, Failed)
    assert isinstance(old, Failed)
    assert last.dead
    assert old.dead


def test_whoever_dies_at_a_job_uses_up_its_attempts() -> None:
    """A job is worn once it is claimed more often than it may be tried, and says how often it was."""
    assert not spent(structs.replace(JOB, attempts=3), LIMITS)
    assert spent(structs.replace(JOB, attempts=4), LIMITS)
    assert "3 times" in worn(structs.replace(JOB, attempts=4)).message


@given(
    faults(), st.sampled_from(Placement), st.sampled_from(Mode), st.integers(1, 9), st.booleans(), st.floats(0, 0.99)
)
def test_every_job_comes_to_an_end(
    fault: Fault, place: Placement, mode: Mode, attempts: int, api: bool, dice: float
) -> None:
    """Whatever goes wrong again and again, a job is failed after bounded runs, but for what costs it nothing."""
    job = structs.replace(JOB, lane=place, mode=mode, attempts=attempts)
    runs = 0
    while not isinstance(fault, Draining | RateLimited):
        step = fate(job, fault, LIMITS, NOW, api_stands=api, dice=dice)
        if isinstance(step, Failed):
            break
        assert 0 <= step.pause <= LIMITS.longest_pause * 1.5
        assert step.lane is job.lane or (mode is Mode.AUTO and api and step.lane is API)
        assert not (step.lane is job.lane and not step.counts)
        job = structs.replace(job, lane=step.lane, attempts=job.attempts + step.counts)
        runs += 1
        assert runs <= LIMITS.attempts + 1
    assert not isinstance(fault, CallerFault) or isinstance(fault, RateLimited | Unsupported) or runs == 0
