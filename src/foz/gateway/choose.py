"""
Who gets the request: a pure decision. The same model, ask, health and dice give the same plan.

A plan is the order in which targets are tried; the first attempt goes to the first, the rest are fall-backs.

1. The mode keeps a placement: `gpu`, `api`, or both in `auto`, where all that is ours comes before all that is bought.
2. What cannot do the operation, or lacks a need of the request, is left out: nobody is asked for what they cannot do.
3. What configuration bars is left out, and what is unhealthy. A breaker that wants to try its target again says
   that the target is healthy.
4. Lower ranks first; within a rank the order is drawn by weight, without putting back, so that fall-backs share
   the load by weight too. A weight of 0 is never drawn before a positive one; equal zeros keep their order.

Where nothing is left the fault says of each target why; what configuration lacks is not for callers to read.
`Unsupported` is the caller's to change and is raised only where health plays no part in it: every target that the
mode allows lacks something.
"""

from collections.abc import Callable

from foz.canon.deployment import HERE
from foz.canon.fault import NoRoute, Unsupported
from foz.canon.model import Model, Placement, Target
from foz.canon.request import Ask, Mode
from foz.gateway.completing import can_do

Dice = Callable[[], float]
"""Gives a number from 0 up to but not including 1."""
Health = Callable[[Target], bool]
"""Whether a target may be asked now."""

_SHOWN = 8
"""Targets named in a fault: a message is for people."""


def _lacking(target: Target, ask: Ask) -> tuple[str, ...]:
    """What the request wants and this target cannot do, by name."""
    profile = target.profile
    if not can_do(profile.operations, ask.operation):
        return (ask.operation.value,)
    return tuple(sorted(ask.needs & profile.lacks))


def _in_mode(target: Target, mode: Mode) -> bool:
    return mode is Mode.AUTO or target.placement.value == mode.value


def _draw(tied: list[Target], dice: Dice) -> list[Target]:
    """Targets of one rank in the order drawn by weight."""
    left = list(tied)
    drawn = []
    while len(left) > 1:
        total = sum(max(target.weight, 0.0) for target in left)
        if total <= 0:
            break
        point = dice() * total
        index = last = 0
        for index, target in enumerate(left):
            if target.weight <= 0:
                continue
            last = index
            point -= target.weight
            if point < 0:
                break
        drawn.append(left.pop(last))
    return drawn + left


def _standing(target: Target) -> tuple[bool, int]:
    return target.placement is not Placement.GPU, target.rank


def _order(targets: list[Target], dice: Dice) -> tuple[Target, ...]:
    tiers: dict[tuple[bool, int], list[Target]] = {}
    for target in targets:
        tiers.setdefault(_standing(target), []).append(target)
    return tuple(target for standing in sorted(tiers) for target in _draw(tiers[standing], dice))


def _barred(target: Target) -> str:
    """Why, as far as it is a caller's to know: what we run ourselves says how it stands."""
    return target.barred or "" if target.provider == HERE else "is not configured here"


def _nothing(model: Model, ask: Ask) -> NoRoute | Unsupported:
    """Why no target is left, of each target."""
    whys = []
    allowed = [target for target in model.targets if _in_mode(target, ask.mode)]
    lacks = {target.name: _lacking(target, ask) for target in allowed}
    for target in model.targets[:_SHOWN]:
        if target.name not in lacks:
            whys.append(f"{target.name} is {target.placement.value}, not {ask.mode.value}")
        elif target.barred:
            whys.append(f"{target.name} {_barred(target)}")
        elif lacks[target.name]:
            whys.append(f"{target.name} cannot do {', '.join(lacks[target.name])}")
        else:
            whys.append(f"{target.name} failed too often lately and is being left alone")
    if len(model.targets) > _SHOWN:
        whys.append(f"and {len(model.targets) - _SHOWN} more")
    told = "; ".join(whys) or "it has no targets"
    if allowed and all(lacks.values()):
        wanted = ", ".join(sorted({need for needs in lacks.values() for need in needs}))
        return Unsupported(f"No target of model '{model.name}' can do {wanted}: {told}. Ask another model for it.")
    return NoRoute(f"No target of model '{model.name}' can be asked now: {told}.")


def plan(model: Model, ask: Ask, health: Health, dice: Dice) -> tuple[Target, ...]:
    """The targets to try, in order; at least one. Raises NoRoute or Unsupported."""
    if len(model.targets) == 1 and not ask.needs and ask.mode is Mode.AUTO:
        only = model.targets[0]
        if not only.barred and can_do(only.profile.operations, ask.operation) and health(only):
            return model.targets
    usable = [
        target
        for target in model.targets
        if not target.barred and _in_mode(target, ask.mode) and not _lacking(target, ask) and health(target)
    ]
    if not usable:
        raise _nothing(model, ask)
    if len(usable) == 1:
        return (usable[0],)
    return _order(usable, dice)
