"""`foz unload`: a model that runs on this machine ends, when what runs on it has ended."""

import sys
from pathlib import Path

import click

from foz.canon.deployment import Deployment
from foz.canon.principal import LOCAL_ADMIN
from foz.cli.local import LOOK_SECONDS, Yard, has_left, on_deployments, told
from foz.cli.settings import config_option
from foz.deploy.stages import ended
from foz.net.clock import SystemClock


@click.command("unload")
@click.argument("model_id")
@click.option("--purge", is_flag=True, help="Remove its file too, where Foz has fetched or made it.")
@click.option("--wait/--no-wait", default=True, show_default=True, help="Wait until it is gone.")
@config_option
def command(model_id: str, *, purge: bool, wait: bool, config: Path | None) -> None:
    """
    End a model by its name: nobody is let in any more, and requests that run on it end first.

    Exit code 1 where its file was to be removed and could not be.
    """

    async def work(yard: Yard) -> tuple[Deployment, bool]:
        found = await yard.intake.unload(LOCAL_ADMIN, model_id, purge=purge)
        runs = yard.runs()
        while wait and runs and not ended(found):
            await SystemClock().sleep(LOOK_SECONDS)
            found = await yard.intake.find(LOCAL_ADMIN, found.id)
        return found, runs

    found, runs = on_deployments(config, work)
    if found.seen.gone:
        click.echo(told(found), err=has_left(found))
    else:
        click.echo(f"{model_id} is being unloaded.")
    if not runs:
        click.echo("No gateway runs here now: it is done as soon as `foz serve` does.", err=True)
    sys.exit(has_left(found))
