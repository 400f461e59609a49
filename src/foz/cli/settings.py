"""How a command reads its settings: the option, and a refusal in one line."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path

import click

from foz.config.load import load, process_environment
from foz.config.refusal import ConfigError
from foz.config.settings import Settings

config_option: Callable[[Callable[..., None]], Callable[..., None]] = click.option(
    "--config", type=click.Path(path_type=Path), help="The settings file instead of ./foz.toml."
)
json_option: Callable[[Callable[..., None]], Callable[..., None]] = click.option(
    "--json", "as_json", is_flag=True, help="As JSON, for programs."
)


def read_settings(config: Path | None, overrides: Mapping[str, object] | None = None) -> Settings:
    """The settings of this process."""
    try:
        return load(process_environment(), Path.cwd(), config, overrides)
    except ConfigError as error:
        raise click.ClickException(str(error)) from error


def today(now: int) -> str:
    """The day of a time in UTC milliseconds, as `2026-10-12`."""
    return datetime.fromtimestamp(now / 1000, UTC).date().isoformat()
