"""`foz worker`."""

from pathlib import Path

import click

from foz.assembly.books import StoreError
from foz.assembly.launch import labour
from foz.canon.model import Placement
from foz.cli.serve import secrets
from foz.config.load import load, process_environment
from foz.config.refusal import ConfigError
from foz.config.sections import API_WORKERS, GPU_WORKERS
from foz.config.settings import Settings
from foz.telemetry.log import set_up
from foz.telemetry.redact import Redactor

_USUAL = {Placement.GPU: GPU_WORKERS, Placement.API: API_WORKERS}


@click.command("worker")
@click.option(
    "--lane",
    "lanes",
    type=click.Choice([lane.value for lane in Placement]),
    multiple=True,
    required=True,
    help="Which jobs to work at; may be given twice.",
)
@click.option(
    "--concurrency", type=click.IntRange(1, 10_000), help="Jobs at once in each lane. [default: gpu 4, api 32]"
)
@click.option("--config", type=click.Path(path_type=Path), help="The settings file instead of ./foz.toml.")
@click.option("--log-level", type=click.Choice(["debug", "info", "warning", "error"]), help="Least level that is told.")
def command(lanes: tuple[str, ...], concurrency: int | None, config: Path | None, log_level: str | None) -> None:
    """Work at jobs that gateways have accepted, until told to stop."""
    overrides = {"log.level": log_level}

    def read() -> Settings:
        return load(process_environment(), Path.cwd(), config, overrides)

    try:
        settings = read()
        set_up(settings.log.level, Redactor(secrets(settings)), format=settings.log.format)
        numbers = {lane: concurrency or usual for lane, usual in _USUAL.items() if lane.value in lanes}
        labour(settings, read, numbers)
    except (ConfigError, StoreError) as error:
        raise click.ClickException(str(error)) from error
