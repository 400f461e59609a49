"""What is decided of deployments without doing anything: what comes next, what fits, how far it is."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from foz.canon.deployment import (
    Deployment,
    DeploymentStatus,
    Options,
    Replica,
    Seen,
    Stage,
    StageState,
    Wanted,
    Weights,
    Wish,
)
from foz.canon.fault import BadRequest, NoCapacity, Unsupported
from foz.deploy import stages
from foz.deploy.decide import Doing, Facts, Step, decide
from foz.deploy.fit import ALL_LAYERS, DRIVER, Manner, load, refuse, takes
from foz.deploy.intake import RESERVED, named
from foz.ports.devices import Device
from foz.ports.machine import Room

MIB = 1 << 20
GIB = 1 << 30
WISH = Wish("m", "m", "7b", source="m.gguf")
WEIGHTS = Weights(
    "/m.gguf", 100 * MIB, "llama", "Q8_0", context=8192, layers=16, cache_per_token=16_384, vocabulary=512
)
ROOM = Room(8 * GIB, 4 * GIB, 4)
REPLICA = Replica("here", "http://127.0.0.1:1", "key", 1, 0)


def _deployment(wanted: Wanted = Wanted.RUNNING, **seen: object) -> Deployment:
    return Deployment("d", 0, WISH, "p", wanted=wanted, seen=structs.replace(Seen(), **seen))


@pytest.mark.parametrize(
    ("deployment", "facts", "step"),
    [
        (_deployment(), Facts(), Step.CLIMB),
        (_deployment(status=DeploymentStatus.COMPLETED), Facts(), Step.CLIMB),
        (_deployment(status=DeploymentStatus.FAILED, again=99), Facts(), Step.WAIT),
        (_deployment(status=DeploymentStatus.FAILED, again=100), Facts(), Step.CLIMB),
        (_deployment(status=DeploymentStatus.FAILED), Facts(), Step.WAIT),
        (_deployment(status=DeploymentStatus.FAILED, asked=1), Facts(), Step.CLIMB),
        (_deployment(), Facts(Doing.CLIMBING), Step.WAIT),
        (_deployment(replicas=(REPLICA,)), Facts(Doing.SERVING, probe_at=101), Step.WAIT),
        (_deployment(replicas=(REPLICA,)), Facts(Doing.SERVING, probe_at=100), Step.PROBE),
        (_deployment(replicas=(REPLICA,)), Facts(Doing.SERVING, ended=True), Step.BURY),
        (_deployment(Wanted.UNLOADED), Facts(Doing.CLIMBING), Step.STOP_CLIMBING),
        (_deployment(Wanted.UNLOADED), Facts(Doing.SERVING), Step.LEAVE),
        (_deployment(Wanted.UNLOADED), Facts(Doing.LEAVING), Step.WAIT),
        (_deployment(Wanted.PURGED), Facts(), Step.FINISH),
        (_deployment(Wanted.PURGED, gone=True), Facts(), Step.WAIT),
    ],
)
def test_the_next_step(deployment: Deployment, facts: Facts, step: Step) -> None:
    """At time 100 the next step is the one of the table, from what is wanted and what is so."""
    now = 100 if deployment.seen.again != 99 else 98
    assert decide(deployment, facts, now) is step


@given(st.integers(0, 10_000))
def test_pauses_double_up_to_five_minutes(failures: int) -> None:
    """The pause is 10 s after the first failure, never falls with more of them, and is never above 300 s."""
    assert stages.pause(1) == 10_000
    assert stages.pause(failures) <= stages.pause(failures + 1) <= 300_000
    assert stages.pause(6) == 300_000


@given(st.lists(st.integers(1, 1000), min_size=1, max_size=20), st.booleans())
def test_progress_never_falls(pieces: list[int], fetches: bool) -> None:
    """From the first byte to the last stage the progress of the whole rises or stays, and ends at 100."""
    seen, total, figures = Seen(), sum(pieces), []
    for stage in Stage:
        seen = stages.begun(seen, stage, 0)
        moves = stage is Stage.LOADING or (stage is Stage.DOWNLOADING and fetches)
        seen = stages.moved(seen, stage, 0 if moves else total, total)
        done = 0
        for piece in pieces if moves else ():
            done += piece
            seen = stages.moved(seen, stage, done, total)
            figures.append(stages.progress(seen))
        seen = stages.over(seen, stage, 1)
        figures.append(stages.progress(seen))
    assert figures == sorted(figures)
    assert figures[-1] == 100


def test_an_estimate_is_of_what_moved_now() -> None:
    """What was there before a resumed download does not count for its speed; without movement there is no estimate."""
    seen = stages.begun(Seen(), Stage.DOWNLOADING, 1_000)
    seen = stages.moved(seen, Stage.DOWNLOADING, 500, 1_000)
    assert stages.estimate(seen, 2_000) is None
    seen = stages.moved(seen, Stage.DOWNLOADING, 750, 1_000)
    assert stages.estimate(seen, 2_000) == 3_000


def test_a_failure_says_its_stage() -> None:
    """The stage that ran is the failed one, and the try after it begins with none."""
    seen = stages.failed(stages.begun(Seen(), Stage.LOADING, 0), "why", 5, lasting=False)
    assert [one.state for one in seen.stages if one.stage is Stage.LOADING] == [StageState.FAILED]
    assert stages.current(seen) is Stage.LOADING
    assert {one.state for one in stages.anew(seen, 0).stages} == {StageState.PENDING}


@given(st.integers(1, 64), st.integers(128, 8192), st.integers(0, 8 * GIB))
def test_what_is_loaded_fits(slots: int, context: int, free: int) -> None:
    """Whatever the sizes, a plan needs no more than is free, or there is none and the sum is said."""
    wish = structs.replace(WISH, options=Options(max_batch_size=slots, context=context))
    if takes(WEIGHTS, slots, context).total > free:
        with pytest.raises(NoCapacity, match="of weights \\+ "):
            load(wish, WEIGHTS, Room(8 * GIB, free, 4), (), Manner())
    else:
        plan = load(wish, WEIGHTS, Room(8 * GIB, free, 4), (), Manner())
        assert (plan.slots, plan.context) == (slots, context)


def test_context_is_the_models_up_to_ours() -> None:
    """Unsaid, the context is what the model was trained for, but no more than the gateway's usual one."""
    assert load(WISH, WEIGHTS, ROOM, (), Manner(context=4096)).context == 4096
    small = structs.replace(WEIGHTS, context=1024)
    assert load(WISH, small, ROOM, (), Manner(context=4096)).context == 1024


def test_a_gpu_has_all_layers_or_a_share() -> None:
    """On a GPU with room all layers go there; without, a share where that is wanted, else it is refused."""
    gpu = Device("A GPU", 24 * GIB, 20 * GIB)
    assert load(WISH, WEIGHTS, ROOM, (gpu,), Manner()).layers_on_gpu == ALL_LAYERS
    full = structs.replace(gpu, free=DRIVER + 200 * MIB)
    with pytest.raises(NoCapacity, match="onto a GPU"):
        load(WISH, WEIGHTS, ROOM, (full,), Manner())
    shared = structs.replace(WISH, options=Options(cpu_offload=True))
    assert 0 < load(shared, WEIGHTS, ROOM, (full,), Manner()).layers_on_gpu < 16


@pytest.mark.parametrize(
    ("options", "gpus", "field"),
    [
        (Options(use_kv_cache=False), 0, "use_kv_cache"),
        (Options(tensor_parallel_size=2), 0, "tensor_parallel_size"),
        (Options(tensor_parallel_size=2), 1, "tensor_parallel_size"),
        (Options(tensor_parallel_size=5), 4, "tensor_parallel_size"),
    ],
)
def test_what_the_engine_cannot_is_refused_by_name(options: Options, gpus: int, field: str) -> None:
    """A field that cannot be done is named in the refusal."""
    with pytest.raises(Unsupported) as raised:
        refuse(options, gpus)
    assert raised.value.field == f"deployment_config.{field}"
    assert field in raised.value.message


@given(st.text(min_size=1, max_size=200))
def test_a_name_is_one_word_or_none(name: str) -> None:
    """Whatever is said as an id, what comes of it holds no slash, no dots to walk with and nothing unprintable."""
    wish = structs.replace(WISH, model_id=name)
    if re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,127}", name) and name not in RESERVED:
        assert named(wish).model_id == name
    else:
        with pytest.raises(BadRequest, match=r"^model_id: "):
            named(wish)
