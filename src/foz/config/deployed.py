"""What we run, as models that callers can name: a deployment is a model whose targets are its replicas."""

from collections.abc import Iterable

from msgspec import structs

from foz.canon.deployment import HERE, Deployment, DeploymentStatus, Replica, Seen, Wanted
from foz.canon.model import Capability, Model, Patience, Placement, Target
from foz.canon.money import FREE
from foz.canon.request import Operation
from foz.deploy.stages import progress
from foz.providers.profile import profile, staying

STARTING, DEPLOYING = "is being started", "is being deployed"
"""How the reason begins where waiting is all that is to be done."""
_TALKS = frozenset({Operation.CHAT, Operation.COMPLETE})
_EMBEDS = frozenset({Operation.EMBED})
_LACKS = frozenset(
    {
        Capability.IMAGES.value,
        Capability.AUDIO.value,
        Capability.FILES.value,
        Capability.LINKS.value,
        Capability.DIMENSIONS.value,
    }
)


def deployed(deployments: Iterable[Deployment], patience: Patience) -> tuple[Model, ...]:
    """The models that are wanted, also those that cannot be asked just now: they say why."""
    return tuple(_model(one, patience) for one in deployments if one.wanted is Wanted.RUNNING and not one.seen.gone)


def _model(deployment: Deployment, patience: Patience) -> Model:
    wish, weights = deployment.wish, deployment.seen.weights
    healthy = [replica for replica in deployment.seen.replicas if replica.healthy]
    first = healthy[0] if healthy else None
    known = profile(wish.model_type)
    ours = structs.replace(
        known,
        operations=_EMBEDS if weights is not None and weights.pooling else known.operations & _TALKS or _TALKS,
        lacks=known.lacks | _LACKS,
        context=min((one.context for one in healthy), default=known.context),
    )
    served = first if first and first.provider else None
    target = Target(
        provider=served.provider if served else HERE,
        model=served.model if served else wish.model_id,
        placement=Placement.GPU,
        profile=staying(profile(served.model)) if served else ours,
        rates=FREE,
        patience=patience,
        barred=None if first else _why(deployment),
    )
    return Model(
        name=wish.model_id,
        targets=(target,),
        created=deployment.at // 1000,
        owner=HERE,
        description=None if weights is None else f"{weights.title or wish.model_type}, {_where(served)}.",
        title=weights.title if weights else None,
        version=weights.version if weights else None,
    )


def _where(served: Replica | None) -> str:
    return f"on the server '{served.provider}'" if served else "run on this machine"


def _why(deployment: Deployment) -> str:
    seen = deployment.seen
    if seen.replicas:
        return "does not answer just now"
    match seen.status:
        case DeploymentStatus.IN_PROGRESS:
            return f"{DEPLOYING} ({progress(seen)} %)"
        case DeploymentStatus.COMPLETED:  # it ran when the gateway was stopped, and will again
            return STARTING
        case _:
            return "is not running just now: " + ("it is started again" if seen.again else "its deployment failed")


def settled(deployments: Iterable[Deployment], began: int, now: int) -> bool:
    """
    Whether a wait for these is over, in a gateway that began then: each runs, will not, or is not wanted. What is kept
    of the run before is no sign: it says of engines that are no more that they run.
    """
    wanted = [one.seen for one in deployments if one.wanted is Wanted.RUNNING and not one.seen.gone]
    return all(_settled(seen, began, now) for seen in wanted)


def _settled(seen: Seen, began: int, now: int) -> bool:
    if seen.status is DeploymentStatus.FAILED:
        return seen.again is None or seen.again > now
    return any(replica.loaded_at >= began for replica in seen.replicas)


def asked(deployments: Iterable[Deployment]) -> dict[str, tuple[Replica, ...]]:
    """Which replicas answer for each target that can be asked, by the target's name."""
    found = {f"{HERE}/{one.wish.model_id}": _ours(one) for one in deployments if one.wanted is Wanted.RUNNING}
    return {name: replicas for name, replicas in found.items() if replicas}


def _ours(deployment: Deployment) -> tuple[Replica, ...]:
    """Those that are well; what a server has is asked there."""
    return tuple(replica for replica in deployment.seen.replicas if replica.healthy and not replica.provider)
