"""What jobs are kept in, on RabbitMQ and Redis: whether what it has acknowledged is still there tomorrow."""

from foz.config.checkup.finding import Finding, ok, problem, warning

REDIS, BROKER = "redis", "rabbitmq"


def redis(*, version: str, appends: bool, fsync: str | None, eviction: str | None) -> list[Finding]:
    """
    Redis by what it says of itself: whether it has an append-only file, how often that is synced, and what it removes
    when its memory is full. None where it does not tell.
    """
    findings = []
    if not appends:
        todo = "redis-cli CONFIG SET appendonly yes, and appendonly yes and appendfsync always in redis.conf"
        findings.append(warning(REDIS, "keeps nothing (no AOF): a restart loses all jobs that it has accepted", todo))
    elif fsync == "no":
        todo = "appendfsync always in redis.conf"
        findings.append(warning(REDIS, "leaves it to the system when jobs are written to disk", todo))
    elif fsync == "everysec":
        todo = "appendfsync always, where no accepted job may be lost"
        findings.append(
            warning(REDIS, "may lose a second of accepted jobs with the power (appendfsync everysec)", todo)
        )
    if eviction not in {None, "noeviction"}:
        todo = "maxmemory-policy noeviction in redis.conf"
        findings.append(warning(REDIS, f"removes jobs when its memory is full ({eviction})", todo))
    return findings or [ok(REDIS, f"Redis {version} keeps what it acknowledges")]


def unreachable(topic: str, why: str) -> Finding:
    """It does not answer."""
    return problem(topic, why, "start it, or correct its address: until then submissions of jobs get 503")


def broker(version: str) -> Finding:
    """RabbitMQ, which answers."""
    return ok(BROKER, f"RabbitMQ {version} answers")
