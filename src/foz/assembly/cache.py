"""Where answers are kept that answer again, as the settings say: in the data directory, or in Redis, where jobs are."""

from collections.abc import Callable
from importlib import import_module
from typing import Protocol

from foz.config.refusal import ConfigError
from foz.config.settings import Settings
from foz.ports.cache import Cache
from foz.store.cache import SqliteCache

_SCALE = "foz.scale.cache"


class Opened(Cache, Protocol):
    """A cache that is this process's to close."""

    size: int
    """Bytes that it may take up."""

    async def close(self) -> None:
        """Writes what waits."""
        ...


def opened(settings: Settings) -> Opened:
    """Made in the loop that uses it. Raises StoreError, or ConfigError where the libraries for Redis are missing."""
    size, redis = settings.cache.max_size, settings.scale.redis_url
    if redis is None:
        return SqliteCache(settings.data, size)
    try:
        made: Callable[[str, int], Opened] = import_module(_SCALE).RedisCache
    except ModuleNotFoundError as error:
        raise ConfigError(f"REDIS_URL is set, and {error.name} is not installed: pip install 'foz[scale]'.") from error
    return made(redis.get_secret_value(), size)
