"""
A deployment on several nodes, as one: each of its placements goes its own way, and what is shown is all of them.

It serves while one of them serves, and it is under way while one that never served is. Its stages are those of the
placement that is furthest behind, so that progress only rises.
"""

from collections.abc import Mapping, Sequence

from foz.canon.deployment import Deployment, DeploymentStatus, Seen
from foz.deploy.stages import progress


def nodes_of(deployment: Deployment, here: str) -> tuple[str, ...]:
    """Where it is to run."""
    return deployment.wish.nodes or (here,)


def together(placements: Mapping[str, Seen]) -> Seen:
    """What is seen of a deployment, from what is seen on each of its nodes."""
    each = tuple(placements.values())
    if len(each) == 1:
        return each[0]
    behind = min(each, key=_standing)
    again = [seen.again for seen in each if seen.again is not None]
    troubles = [f"{node}: {seen.trouble}" for node, seen in placements.items() if seen.trouble is not None]
    return Seen(
        status=_status(each),
        stages=behind.stages,
        replicas=tuple(replica for seen in each for replica in seen.replicas),
        weights=next((seen.weights for seen in each if seen.weights is not None), None),
        trouble="; ".join(troubles) or None,
        failures=max(seen.failures for seen in each),
        again=min(again, default=None),
        asked=min(seen.asked for seen in each),
        served=any(seen.served for seen in each),
        gone=all(seen.gone for seen in each),
        files=tuple(dict.fromkeys(file for seen in each for file in seen.files)),
    )


def _standing(seen: Seen) -> tuple[bool, int]:
    """Those that are under way come before those that are not; of them the one that is furthest behind."""
    return seen.status is not DeploymentStatus.IN_PROGRESS or seen.served, progress(seen)


def _status(each: Sequence[Seen]) -> DeploymentStatus:
    under_way = [seen for seen in each if seen.status is DeploymentStatus.IN_PROGRESS]
    if any(not seen.served for seen in under_way):
        return DeploymentStatus.IN_PROGRESS
    for status in (DeploymentStatus.COMPLETED, DeploymentStatus.IN_PROGRESS, DeploymentStatus.FAILED):
        if any(seen.status is status for seen in each):
            return status
    return DeploymentStatus.CANCELLED
