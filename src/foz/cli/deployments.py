"""`foz deployments`: what runs on this machine, and what does not."""

from pathlib import Path

import click
import msgspec
from msgspec import Struct
from rich.table import Column, Table

from foz.canon.amount import size
from foz.canon.deployment import Deployment, Wanted
from foz.canon.principal import LOCAL_ADMIN
from foz.cli.local import Yard, on_deployments
from foz.cli.settings import config_option, json_option
from foz.cli.words import iso, moment, plain, shown
from foz.deploy.stages import current, progress
from foz.skins.model_api.local import is_whole


class Card(Struct, frozen=True):
    """A deployment, for programs. Times are UTC, memory is bytes."""

    id: str
    model_id: str
    status: str
    wanted: str
    stage: str
    progress: int
    healthy: bool
    node: str | None
    memory: int | None
    created: str
    error: str | None


@click.command("deployments")
@click.option("--all", "every", is_flag=True, help="Also those that are unloaded.")
@json_option
@config_option
def command(every: bool, as_json: bool, config: Path | None) -> None:
    """List the models that run on this machine, that should, and how they stand."""

    async def work(yard: Yard) -> list[Deployment]:
        return [one for one in await yard.intake.listed(LOCAL_ADMIN) if every or not one.seen.gone]

    found = on_deployments(config, work)
    if as_json:
        click.echo(msgspec.json.encode([_card(one) for one in found]))
        return
    if not found:
        click.echo("No model is deployed on this machine: foz deploy --help.")
        return
    table = Table(Column("id", no_wrap=True), "model", "status", "%", "node", "memory", "since (UTC)", "error")
    for one in found:
        card = _card(one)
        table.add_row(
            card.id,
            plain(card.model_id),
            _status(one),
            str(card.progress),
            plain(card.node),
            "" if card.memory is None else size(card.memory),
            moment(one.at),
            plain(card.error),
        )
    shown(table)


def _card(one: Deployment) -> Card:
    replicas = one.seen.replicas
    return Card(
        id=one.id,
        model_id=one.wish.model_id,
        status=one.seen.status.value,
        wanted=one.wanted.value,
        stage=current(one.seen).value,
        progress=progress(one.seen),
        healthy=is_whole(one),
        node=", ".join(replica.node for replica in replicas) or None,
        memory=sum(replica.memory or 0 for replica in replicas) or None,
        created=iso(one.at),
        error=one.seen.trouble,
    )


def _status(one: Deployment) -> str:
    if one.seen.gone:
        return "unloaded"
    if one.wanted is not Wanted.RUNNING:
        return "unloading"
    return one.seen.status.value
