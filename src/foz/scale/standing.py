"""What both servers say of themselves, for a check-up: asked once, within the deadline."""

import aio_pika
from msgspec import Struct
from redis import exceptions
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from foz.scale import pool
from foz.scale.link import TROUBLES, WHO, hush
from foz.scale.trouble import DEADLINE, within


class Keeping(Struct, frozen=True):
    """How Redis keeps its data. None where it does not tell."""

    version: str
    appends: bool
    fsync: str | None
    eviction: str | None


async def keeping(url: str, deadline: float = DEADLINE) -> Keeping:
    """Asks a Redis. Raises NoCapacity."""
    client = Redis.from_url(url, retry=Retry(NoBackoff(), 0), protocol=2, decode_responses=True)
    try:
        async with within(deadline, pool.WHO, exceptions.RedisError, OSError):
            told = await client.info("everything")
            fsync = None
            try:
                fsync = (await client.config_get("appendfsync")).get("appendfsync")
            except exceptions.ResponseError:  # a managed one does not tell
                fsync = None
    finally:
        await client.aclose()
    eviction = told.get("maxmemory_policy")
    return Keeping(
        version=str(told.get("redis_version", "")),
        appends=bool(told.get("aof_enabled")),
        fsync=None if fsync is None else str(fsync),
        eviction=None if eviction is None else str(eviction),
    )


async def broker(url: str, deadline: float = DEADLINE) -> str:
    """The version of a RabbitMQ that answers. Raises NoCapacity."""
    hush()
    async with within(deadline, WHO, *TROUBLES):
        connection = await aio_pika.connect(url)
        transport = connection.transport
        properties = {} if transport is None else transport.connection.server_properties or {}
        await connection.close()
    return str(properties.get("version", ""))
