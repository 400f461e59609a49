"""Where jobs are kept and wait, as the settings say: in the data directory, or in Redis and RabbitMQ."""

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from importlib import import_module
from types import ModuleType

from msgspec import Struct

from foz.assembly.books import Books
from foz.canon.model import Placement
from foz.config.checkup.finding import Finding, problem
from foz.config.refusal import ConfigError
from foz.config.settings import Settings
from foz.ports.jobs import JobQueue, JobStore
from foz.ports.post import Post

_SCALE = "foz.assembly.scale"


class Kept(Struct, frozen=True):
    """Both, and the way of the workers' ledgers to the gateways', where they may be on other machines."""

    store: JobStore
    queue: JobQueue
    post: Post | None = None


def kept(settings: Settings, books: Books, hands: Mapping[Placement, int]) -> Kept:
    """Raises ConfigError where the libraries are not installed that the settings ask for."""
    if not settings.scale.on:
        return Kept(books.jobs, books.queue)
    made: Callable[[Settings, Mapping[Placement, int], str], Kept] = _scale().kept
    return made(settings, hands, books.name)


def examined(settings: Settings) -> list[Finding]:
    """What a check-up finds where jobs are kept and wait, beside the data directory."""
    if not settings.scale.on:
        return []
    try:
        look: Callable[[Settings], Coroutine[None, None, list[Finding]]] = _scale().examined
    except ConfigError as error:
        return [problem("jobs", str(error), "install it, or unset both addresses")]
    return asyncio.run(look(settings))


def _scale() -> ModuleType:
    try:
        return import_module(_SCALE)
    except ModuleNotFoundError as error:
        raise ConfigError(
            f"RABBITMQ_URL and REDIS_URL are set, and {error.name} is not installed: pip install 'foz[scale]'."
        ) from error
