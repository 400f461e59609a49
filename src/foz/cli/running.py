"""A command that works on what a gateway works on, opened as long as it takes: what goes wrong is told in a line."""

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any, TypeVar

import click

from foz.assembly.books import StoreError
from foz.canon.fault import Fault
from foz.cli.settings import read_settings
from foz.config.refusal import ConfigError
from foz.config.settings import Settings

P = TypeVar("P")
T = TypeVar("T")
Opened = Callable[[Settings], AbstractAsyncContextManager[P]]


def run(config: Path | None, opened: Opened[P], work: Callable[[P], Coroutine[Any, Any, T]]) -> T:
    """Does it."""
    settings = read_settings(config)

    async def there() -> T:
        async with opened(settings) as found:
            return await work(found)

    try:
        return asyncio.run(there())
    except (ConfigError, StoreError) as error:
        raise click.ClickException(str(error)) from error
    except Fault as fault:
        raise click.ClickException(fault.message) from fault
