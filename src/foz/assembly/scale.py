"""Jobs on RabbitMQ and Redis. Loaded only where the settings name both: the libraries are an extra, `foz[scale]`."""

from collections.abc import Mapping

from foz.assembly.kept import Kept
from foz.canon.fault import NoCapacity
from foz.canon.model import Placement
from foz.config.checkup import jobs as checkup
from foz.config.checkup.finding import Finding
from foz.config.settings import Settings
from foz.scale.jobs import RedisJobs
from foz.scale.post import RedisPost
from foz.scale.rabbit import RabbitQueue
from foz.scale.standing import broker, keeping


async def examined(settings: Settings) -> list[Finding]:
    """What a check-up finds at both addresses."""
    scale = settings.scale
    if scale.redis_url is None or scale.rabbitmq_url is None:
        return []
    findings: list[Finding] = []
    try:
        keeps = await keeping(scale.redis_url.get_secret_value(), scale.deadline)
        findings += checkup.redis(
            version=keeps.version, appends=keeps.appends, fsync=keeps.fsync, eviction=keeps.eviction
        )
    except NoCapacity as fault:
        findings.append(checkup.unreachable(checkup.REDIS, _why(fault)))
    try:
        findings.append(checkup.broker(await broker(scale.rabbitmq_url.get_secret_value(), scale.deadline)))
    except NoCapacity as fault:
        findings.append(checkup.unreachable(checkup.BROKER, _why(fault)))
    return findings


def _why(fault: NoCapacity) -> str:
    """In an operator's words: callers are not told what stands behind it."""
    cause = str(fault.__cause__ or "")
    return f"cannot be used: {cause}" if cause else "does not answer"


def kept(settings: Settings, hands: Mapping[Placement, int], name: str) -> Kept:
    """What the addresses in the settings lead to; `name` is this data directory's, among all that receive."""
    scale = settings.scale
    if scale.redis_url is None or scale.rabbitmq_url is None:
        raise ValueError("jobs on RabbitMQ and Redis need both addresses")
    redis, rabbit = scale.redis_url.get_secret_value(), scale.rabbitmq_url.get_secret_value()
    return Kept(
        RedisJobs(redis, deadline=scale.deadline, name=scale.name),
        RabbitQueue(rabbit, hands, deadline=scale.deadline, name=scale.name),
        RedisPost(redis, name, deadline=scale.deadline, name=scale.name),
    )
