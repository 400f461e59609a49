"""`foz usage`: what was called, by whom, and what it cost. Reads beside a running gateway, without disturbing it."""

import csv
import sys
from collections.abc import Iterable
from pathlib import Path

import click
import msgspec
from rich.table import Table

from foz.cli.place import data_directory
from foz.cli.settings import config_option, read_settings
from foz.cli.words import Moment, iso, moment, money, plain, shown
from foz.ledger.report import KEYS, MOST_LINES, Filter, Group, Key, Latency, Line, Page
from foz.store.database import path_of
from foz.store.reader import SqliteReports

SHOWN = 100
_KEYS: dict[str, Key] = {str(key): key for key in KEYS}


@click.command()
@click.option(
    "--since", type=Moment("ago"), help="From then on: a date (UTC), today, yesterday, or a span such as 24h or 7d ago."
)
@click.option("--until", type=Moment("ago"), help="Up to then.")
@click.option("--project", help="Of this project only.")
@click.option("--model", help="Of this model only, by its public name.")
@click.option("--principal", help="Of this key only, by its id.")
@click.option("--process-id", help="Of this process only.")
@click.option("--subprocess-id", help="Of this subprocess only.")
@click.option("--user-key", help="Of this user only.")
@click.option("--by", multiple=True, type=click.Choice(KEYS), help="Sum by this; several times. [default: model]")
@click.option("--rows", is_flag=True, help="Show the calls themselves, newest first.")
@click.option("--limit", type=click.IntRange(1, MOST_LINES), help=f"Most calls shown by --rows. [default: {SHOWN}]")
@click.option("--cursor", help="Go on where the last page ended.")
@click.option("--json", "as_json", is_flag=True, help="Answer in JSON. Money is in 10^-12 of its currency.")
@click.option("--csv", "as_csv", is_flag=True, help="Answer in CSV.")
@config_option
def command(  # noqa: PLR0913, PLR0917 - one argument for each option
    since: int | None,
    until: int | None,
    project: str | None,
    model: str | None,
    principal: str | None,
    process_id: str | None,
    subprocess_id: str | None,
    user_key: str | None,
    by: tuple[str, ...],
    rows: bool,
    limit: int | None,
    cursor: str | None,
    as_json: bool,
    as_csv: bool,
    config: Path | None,
) -> None:
    """Show what was called, by whom, and what it cost."""
    if as_json and as_csv:
        raise click.UsageError("Choose one of --json and --csv.")
    if not rows:
        for option, given in (("--cursor", cursor), ("--limit", limit)):
            if given is not None:
                raise click.UsageError(f"{option} belongs to --rows.")
    elif by:
        raise click.UsageError("Choose one of --rows and --by: rows are single calls, --by sums them.")
    data = read_settings(config).data
    reports = SqliteReports(data_directory(config)) if path_of(data).exists() else None
    if reports is None and not (as_json or as_csv):
        click.echo(f"Nothing yet: no gateway has written to {data}.")
        return
    filter = Filter(since, until, project, model, principal, process_id, subprocess_id, user_key)
    if rows:
        _show_page(_page(reports, filter, limit or SHOWN, cursor) if reports else Page([], None), as_json, as_csv)
        return
    keys = tuple(_KEYS[key] for key in by) or ("model",)
    groups = reports.groups(filter, keys) if reports else []
    if as_json:
        click.echo(msgspec.json.encode(groups))
    elif as_csv:
        _write_csv([*keys, *_GROUP_COLUMNS], ([*_named(group, keys), *_figures(group)] for group in groups))
    else:
        _show_groups(groups, keys)


def _page(reports: SqliteReports, filter: Filter, limit: int, cursor: str | None) -> Page:
    try:
        return reports.page(filter, limit, cursor)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--cursor") from error


def _show_page(page: Page, as_json: bool, as_csv: bool) -> None:
    if as_json:
        click.echo(msgspec.json.encode(page))
        return
    if as_csv:
        fields = Line.__struct_fields__
        _write_csv(fields, ([_cell(line, field) for field in fields] for line in page.lines))
    elif not page.lines:
        click.echo("No calls.")
    else:
        columns = ["time (UTC)", "project", "process", "key", "model", "target", "state", "status", "fault"]
        table = Table(*columns, "in", "out", "price", "ms")
        for line in page.lines:
            table.add_row(
                moment(line.at),
                plain(line.project),
                plain("/".join(filter(None, (line.process_id, line.subprocess_id)))),
                plain(line.principal),
                plain(line.model),
                plain(line.target) + (f" ({line.attempts} attempts)" if line.attempts > 1 else ""),
                line.state,
                _count(line.status),
                plain(line.fault),
                _count(line.input),
                _count(line.output) + ("~" if line.estimated else ""),
                "" if line.price is None else f"{money(line.price)} {line.currency or ''}".strip(),
                _count(line.duration),
            )
        shown(table)
    if page.next is not None:
        click.echo(f"There are more: --cursor {page.next}", err=True)


def _cell(line: Line, field: str) -> object:
    """A figure as spreadsheets read it: money in units of its currency, times in ISO 8601."""
    if field == "at":
        return iso(line.at)
    if field == "price":
        return "" if line.price is None else money(line.price)
    return getattr(line, field)


def _show_groups(groups: list[Group], keys: tuple[Key, ...]) -> None:
    if not groups:
        click.echo("No calls.")
        return
    table = Table(*keys)
    for heading in ("calls", "complete", "in", "out", "cached", "price", "ms avg", "p50", "p95", "first token p50"):
        table.add_column(heading, justify="right")
    for group in groups:
        table.add_row(
            *map(plain, _named(group, keys)),
            _count(group.calls),
            f"{100 * group.states.get('complete', 0) / group.calls:.1f} %",
            _count(group.input),
            _count(group.output),
            _count(group.cached),
            _prices(group),
            *_times(group.duration),
            _count(group.first_token.p50),
        )
    shown(table)


_GROUP_COLUMNS = (
    *("calls", "open", "complete", "caller_gone", "upstream_cut", "failed", "interrupted"),
    *("input", "output", "cached", "reasoning", "estimated", "prices", "unpriced"),
    *("duration_average", "duration_p50", "duration_p95"),
    *("first_token_average", "first_token_p50", "first_token_p95"),
)


def _figures(group: Group) -> list[object]:
    states = [group.states.get(state, 0) for state in _GROUP_COLUMNS[1:7]]
    prices = " ".join(f"{money(pico)} {currency}" for currency, pico in sorted(group.prices.items()))
    tokens = [group.input, group.output, group.cached, group.reasoning, group.estimated]
    return [
        group.calls,
        *states,
        *tokens,
        prices,
        group.unpriced,
        *_latency(group.duration),
        *_latency(group.first_token),
    ]


def _latency(latency: Latency) -> list[object]:
    return [latency.average, latency.p50, latency.p95]


def _named(group: Group, keys: tuple[Key, ...]) -> list[str]:
    return [getattr(group, key) or "" for key in keys]


def _prices(group: Group) -> str:
    said = [f"{money(pico)} {currency}" for currency, pico in sorted(group.prices.items())]
    if group.unpriced:
        said.append(f"({group.unpriced:,} unpriced)")
    return "\n".join(said)


def _times(latency: Latency) -> list[str]:
    return [_count(latency.average), _count(latency.p50), _count(latency.p95)]


def _count(figure: float | None) -> str:
    return "" if figure is None else f"{figure:,.0f}"


def _write_csv(columns: Iterable[str], rows: Iterable[list[object]]) -> None:
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(rows)
