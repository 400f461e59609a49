"""`foz keys`: make, list and revoke callers' keys. Running gateways hear of it within a second."""

from pathlib import Path

import click
import msgspec
from rich.table import Column, Table

from foz.canon.principal import Allowance, Role
from foz.cli.place import data_directory, now, reading, writing
from foz.cli.settings import config_option
from foz.cli.words import Dollars, Moment, moment, money, plain, shown
from foz.store import keys
from foz.store.keys import KeyRow, NewKey


@click.group()
def command() -> None:
    """Make, list and revoke callers' keys."""


@command.command()
@click.option("--name", default="", help="What you call it: who has it, what for.")
@click.option("--role", type=click.Choice([role.value for role in Role]), default=Role.USER.value, show_default=True)
@click.option("--project", help="Its project; callers cannot name another one.")
@click.option("--model", "models", multiple=True, help="A model it may call, or a prefix with *; several times.")
@click.option("--rate", type=click.IntRange(min=1), help="Most requests a minute.")
@click.option("--tokens-per-minute", type=click.IntRange(min=1), help="Most tokens a minute, in and out.")
@click.option("--budget", type=Dollars(), help="Most US dollars in each period of --budget-days.")
@click.option("--budget-days", type=click.IntRange(1, 3650), default=30, show_default=True)
@click.option("--expires", type=Moment("ahead"), help="When it ends: a date (UTC), or a span such as 90d.")
@click.option("--json", "as_json", is_flag=True, help="Answer in JSON.")
@config_option
def create(  # noqa: PLR0913, PLR0917 - one argument for each option
    name: str,
    role: str,
    project: str | None,
    models: tuple[str, ...],
    rate: int | None,
    tokens_per_minute: int | None,
    budget: int | None,
    budget_days: int,
    expires: int | None,
    as_json: bool,
    config: Path | None,
) -> None:
    """Make a key. It is shown once and kept nowhere."""
    if expires is not None and expires <= now():
        raise click.BadParameter(f"{moment(expires)} UTC has passed already.", param_hint="--expires")
    new = NewKey(
        label=name,
        role=Role(role),
        project=project,
        models=models or None,
        allowance=Allowance(rate, tokens_per_minute, budget, budget_days),
        expires=expires,
    )
    if any(not model.strip() for model in models):
        raise click.BadParameter("an empty name allows no model; leave it out to allow all.", param_hint="--model")
    data = data_directory(config)
    with writing(data) as connection:
        id, key = keys.create(connection, new, now())
    if as_json:
        click.echo(msgspec.json.encode({"id": id, "key": key}))
        return
    click.echo(key)
    click.echo(
        f"\nThis is the key of {id}, shown this once: keep it. Callers send it as\n"
        f"  Authorization: Bearer {key[: len(keys.PREFIX)]}...    or    X-API-Key: {key[: len(keys.PREFIX)]}...\n"
        f"and it ends with `foz keys revoke {id}`. It is known to gateways whose data directory is {data}.",
        err=True,
    )


@command.command("list")
@click.option("--json", "as_json", is_flag=True, help="Answer in JSON.")
@config_option
def list_(as_json: bool, config: Path | None) -> None:
    """List all keys, without what would let anybody use them."""
    with reading(data_directory(config)) as connection:
        rows = keys.list_keys(connection)
    if as_json:
        click.echo(msgspec.json.encode(rows))
        return
    if not rows:
        click.echo("No keys. Make one with `foz keys create`.")
        return
    table = Table(Column("id", no_wrap=True), "name", "role", "project", "models", "allowance", "times (UTC)", "state")
    for row in rows:
        table.add_row(
            row.id,
            plain(row.label),
            row.role.value,
            plain(row.project),
            "all" if row.models is None else "\n".join(map(plain, row.models)),
            _allowance(row.allowance),
            f"made {moment(row.created)}\nused {moment(row.last_used) or 'never'}",
            _state(row),
        )
    shown(table)


@command.command()
@click.argument("id")
@config_option
def revoke(id: str, config: Path | None) -> None:
    """End a key for good, by its ID. Running gateways refuse it within a second."""
    with writing(data_directory(config)) as connection:
        known = keys.revoke(connection, id, now())
        if not known and id.startswith(keys.PREFIX):
            raise click.ClickException("That is a key, not a key's id. `foz keys list` shows the ids (key-...).")
        if not known:
            raise click.ClickException(f"No key has the id {id!r}. `foz keys list` shows the ids.")
    click.echo(f"{id} is revoked.")


def _allowance(allowance: Allowance) -> str:
    said = []
    if allowance.requests_per_minute is not None:
        said.append(f"{allowance.requests_per_minute:,} requests/min")
    if allowance.tokens_per_minute is not None:
        said.append(f"{allowance.tokens_per_minute:,} tokens/min")
    if allowance.budget is not None:
        said.append(f"{money(allowance.budget)} USD in {allowance.budget_days} days")
    return "\n".join(said) or "without limit"


def _state(row: KeyRow) -> str:
    if row.revoked is not None:
        return f"revoked {moment(row.revoked)}"
    if row.expires is None:
        return "active"
    return f"{'active until' if row.expires > now() else 'expired'} {moment(row.expires)}"
