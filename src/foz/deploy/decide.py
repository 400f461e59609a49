"""What to do next about a deployment, from what is wanted and what is so: a pure function, asked again and again."""

from enum import Enum, auto

from msgspec import Struct

from foz.canon.deployment import Deployment, DeploymentStatus, Wanted
from foz.deploy import stages


class Doing(Enum):
    """What the loop has in hand for a deployment."""

    NOTHING = auto()
    CLIMBING = auto()
    """It goes through the stages."""
    SERVING = auto()
    LEAVING = auto()
    """What runs on it ends; then it does."""


class Step(Enum):
    """What is to be done."""

    WAIT = auto()
    CLIMB = auto()
    STOP_CLIMBING = auto()
    PROBE = auto()
    BURY = auto()
    """Its engine has ended by itself."""
    LEAVE = auto()
    LOSE = auto()
    """Its node does not answer: whatever was there is taken for gone."""
    RETURN = auto()
    """Its node answers again: it is tried there at once."""
    FINISH = auto()
    """Nothing of it runs: it is gone, and its files if they are to go."""


class Facts(Struct, frozen=True):
    """What the loop knows of a deployment, besides what is kept of it."""

    doing: Doing = Doing.NOTHING
    ended: bool = False
    """Its engine has ended by itself."""
    probe_at: int = 0
    away: bool = False
    """Its node does not answer just now."""
    lost: bool = False
    """It was given up for lost while its node was away."""


def decide(deployment: Deployment, facts: Facts, now: int) -> Step:
    """The next step."""
    if deployment.wanted is Wanted.RUNNING:
        return _towards_running(deployment, facts, now)
    match facts.doing:
        case Doing.CLIMBING:
            return Step.STOP_CLIMBING
        case Doing.SERVING:
            return Step.LEAVE
        case Doing.NOTHING if not stages.ended(deployment):
            return Step.FINISH
        case _:
            return Step.WAIT


def _towards_running(deployment: Deployment, facts: Facts, now: int) -> Step:
    seen = deployment.seen
    if facts.away:
        busy = facts.doing is Doing.CLIMBING or (facts.doing is Doing.NOTHING and facts.lost)
        return Step.WAIT if busy else Step.LOSE  # what climbs fails of it by itself
    match facts.doing:
        case Doing.NOTHING if facts.lost:
            return Step.RETURN
        case Doing.NOTHING:
            return Step.CLIMB if _due(deployment, now) else Step.WAIT
        case Doing.SERVING if facts.ended:
            return Step.BURY
        case Doing.SERVING if now >= facts.probe_at and seen.replicas:
            return Step.PROBE
        case _:
            return Step.WAIT


def _due(deployment: Deployment, now: int) -> bool:
    seen = deployment.seen
    if deployment.asked != seen.asked or seen.status is not DeploymentStatus.FAILED:
        return True
    return seen.again is not None and now >= seen.again
