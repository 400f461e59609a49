"""Laws of the plan: order, weights, modes, needs, health."""

import random
from collections import Counter
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from foz.canon.fault import NoRoute, Unsupported
from foz.canon.model import Capability, Model, Placement, Profile, Target
from foz.canon.request import Ask, Mode, Operation
from foz.gateway.choose import plan

CHAT = Ask(operation=Operation.CHAT, model="m")
NEEDS = [capability.value for capability in Capability]


def _well(target: Target) -> bool:
    return True


def _sick(target: Target) -> bool:
    return False


def _half() -> float:
    return 0.5


def _model(*targets: Target) -> Model:
    return Model(name="m", targets=targets)


def _named(*names: str, weights: tuple[float, ...] = ()) -> tuple[Target, ...]:
    given_weights = weights or (1.0,) * len(names)
    return tuple(
        Target(provider=name, model="x", weight=weight) for name, weight in zip(names, given_weights, strict=True)
    )


targets = st.builds(
    Target,
    provider=st.uuids().map(str),
    model=st.just("x"),
    placement=st.sampled_from(Placement),
    rank=st.integers(0, 3),
    weight=st.sampled_from([0.0, 0.1, 1.0, 7.5]),
    barred=st.sampled_from([None, None, None, "no key"]),
    profile=st.builds(
        Profile,
        operations=st.frozensets(st.sampled_from(Operation)),
        lacks=st.frozensets(st.sampled_from(NEEDS)),
    ),
)
models = st.lists(targets, max_size=8).map(lambda given: _model(*given))
asks = st.builds(
    Ask,
    operation=st.sampled_from(Operation),
    model=st.just("m"),
    needs=st.frozensets(st.sampled_from(NEEDS), max_size=2),
    mode=st.sampled_from(Mode),
)


def _can(target: Target, ask: Ask) -> bool:
    in_mode = ask.mode is Mode.AUTO or target.placement.value == ask.mode.value
    operations = target.profile.operations
    by_chat = ask.operation is Operation.COMPLETE and Operation.CHAT in operations
    return in_mode and (ask.operation in operations or by_chat) and not ask.needs & target.profile.lacks


@given(models, asks, st.integers(), st.sets(st.integers(0, 7)))
def test_a_plan_is_every_target_that_may_be_asked_and_no_other(
    model: Model, ask: Ask, seed: int, sick: set[int]
) -> None:
    """A plan holds, once each, the healthy targets of the mode that lack nothing; with none there is a fault."""
    healthy = {target.name for index, target in enumerate(model.targets) if index not in sick}
    expected = {
        target.name
        for target in model.targets
        if _can(target, ask) and target.name in healthy and target.barred is None
    }

    try:
        planned = plan(model, ask, lambda target: target.name in healthy, random.Random(seed).random)
    except (NoRoute, Unsupported):
        assert not expected
    else:
        assert sorted(target.name for target in planned) == sorted(expected)


@given(models, asks, st.integers())
def test_ours_comes_before_bought_and_lower_ranks_before_higher(model: Model, ask: Ask, seed: int) -> None:
    """A plan is sorted by placement (gpu first), then by rank, whatever the dice."""
    try:
        planned = plan(model, ask, _well, random.Random(seed).random)
    except (NoRoute, Unsupported):
        return

    standing = [(target.placement is not Placement.GPU, target.rank) for target in planned]
    assert standing == sorted(standing)


@given(models, asks, st.integers())
def test_the_same_dice_give_the_same_plan(model: Model, ask: Ask, seed: int) -> None:
    """The decision is pure: nothing but its arguments plays a part."""

    def once() -> tuple[Target, ...] | str:
        try:
            return plan(model, ask, _well, random.Random(seed).random)
        except (NoRoute, Unsupported) as fault:
            return fault.message

    assert once() == once()


@given(models, asks)
def test_unsupported_means_that_no_health_could_help(model: Model, ask: Ask) -> None:
    """Unsupported is raised exactly where targets of the mode exist and each of them lacks something."""
    allowed = [t for t in model.targets if ask.mode is Mode.AUTO or t.placement.value == ask.mode.value]
    hopeless = bool(allowed) and not any(_can(target, ask) for target in allowed)

    with pytest.raises((NoRoute, Unsupported)) as caught:
        plan(model, ask, _sick, _half)

    assert isinstance(caught.value, Unsupported) == hopeless


@pytest.mark.parametrize("weights", [(1.0, 1.0), (9.0, 1.0), (0.7, 0.2, 0.1), (5.0, 0.0, 5.0)])
def test_the_first_is_drawn_by_weight(weights: tuple[float, ...]) -> None:
    """Over 20,000 draws each target is first as often as its share of the weights, within 1.5 points."""
    model = _model(*_named(*"abc"[: len(weights)], weights=weights))
    dice = random.Random(7)
    firsts = Counter(plan(model, CHAT, _well, dice.random)[0].provider for _ in range(20_000))

    for target in model.targets:
        assert firsts[target.provider] / 20_000 == pytest.approx(target.weight / sum(weights), abs=0.015)


def test_fall_backs_are_drawn_by_weight_too() -> None:
    """With weights 2, 6, 2 the second place after the heavy one is shared evenly by the light ones."""
    model = _model(*_named("a", "b", "c", weights=(2.0, 6.0, 2.0)))
    dice = random.Random(11)
    seconds = Counter(
        planned[1].provider
        for planned in (plan(model, CHAT, _well, dice.random) for _ in range(20_000))
        if planned[0].provider == "b"
    )

    assert seconds["a"] / seconds.total() == pytest.approx(0.5, abs=0.02)


@pytest.mark.parametrize("roll", [0.0, 0.5, 0.9999999999999999])
def test_a_weight_of_zero_is_only_a_fall_back(roll: float) -> None:
    """A target of weight 0 is behind every positive one, at the ends of the dice too."""
    model = _model(*_named("never", "always", "neither", weights=(0.0, 1.0, 0.0)))

    assert [target.provider for target in plan(model, CHAT, _well, lambda: roll)] == ["always", "never", "neither"]


def test_one_target_needs_no_dice() -> None:
    """A model with one target is planned without rolling."""

    def forbidden() -> float:
        raise AssertionError

    model = _model(*_named("only"))

    assert plan(model, CHAT, _well, forbidden) == model.targets


@pytest.mark.parametrize(
    ("mode", "expected"),
    [(Mode.AUTO, ["own", "bought"]), (Mode.GPU, ["own"]), (Mode.API, ["bought"])],
)
def test_modes(mode: Mode, expected: list[str]) -> None:
    """Auto takes ours first, then what is bought; `gpu` and `api` take only their own."""
    model = _model(
        Target(provider="bought", model="x", rank=0), Target(provider="own", model="x", rank=9, placement=Placement.GPU)
    )
    planned = plan(model, Ask(operation=Operation.CHAT, model="m", mode=mode), _well, _half)

    assert [target.provider for target in planned] == expected


def _fault(model: Model, ask: Ask, health: Callable[[Target], bool] = _well) -> NoRoute | Unsupported:
    with pytest.raises((NoRoute, Unsupported)) as caught:
        plan(model, ask, health, _half)
    assert isinstance(caught.value, NoRoute | Unsupported)
    return caught.value


def test_no_route_says_of_each_target_why() -> None:
    """Where a target is misplaced, sick, blind or barred the message names each with its reason, and no variable."""
    model = _model(
        Target(provider="bought", model="x"),
        Target(provider="sick", model="x", placement=Placement.GPU),
        Target(provider="blind", model="x", placement=Placement.GPU, profile=Profile(lacks=frozenset({"images"}))),
        Target(provider="bare", model="x", placement=Placement.GPU, barred="no key: set BARE_API_KEY"),
    )
    ask = Ask(operation=Operation.CHAT, model="m", mode=Mode.GPU, needs=frozenset({"images"}))
    fault = _fault(model, ask, lambda target: target.provider != "sick")

    assert isinstance(fault, NoRoute)
    assert fault.status == 503
    assert "bought/x is api, not gpu" in fault.message
    assert "sick/x failed too often lately" in fault.message
    assert "blind/x cannot do images" in fault.message
    assert "bare/x is not configured here" in fault.message
    assert "BARE_API_KEY" not in fault.message


def test_unsupported_names_the_need() -> None:
    """Where every target lacks tools the fault is the caller's (400) and says `tools`."""
    model = _model(Target(provider="a", model="x", profile=Profile(lacks=frozenset({"tools"}))))
    fault = _fault(model, Ask(operation=Operation.CHAT, model="m", needs=frozenset({"tools", "images"})))

    assert isinstance(fault, Unsupported)
    assert fault.status == 400
    assert "tools" in fault.message
    assert "images" not in fault.message


def test_unsupported_names_the_operation() -> None:
    """A chat model asked to embed is Unsupported and the message says `embed`."""
    model = _model(Target(provider="a", model="x", profile=Profile(operations=frozenset({Operation.CHAT}))))

    assert "embed" in _fault(model, Ask(operation=Operation.EMBED, model="m")).message


def test_a_crowd_of_targets_is_not_recited() -> None:
    """A fault names at most eight targets and counts the others."""
    fault = _fault(_model(*_named(*(f"p{n}" for n in range(200)))), CHAT, _sick)

    assert "and 192 more" in fault.message
    assert len(fault.message) < 1_000
