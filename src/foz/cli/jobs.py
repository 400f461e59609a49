"""
`foz jobs`: what was asked and not waited for. Looks where the settings say that jobs are kept, beside running gateways.

An operator sees everybody's jobs. What is changed here (a job that waits again, one that is cancelled) running gateways
and workers find by themselves.
"""

from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

import click
import msgspec
from msgspec import Struct
from rich.table import Column, Table

from foz.assembly.books import Books
from foz.assembly.kept import Kept, kept
from foz.canon.identity import parse, text
from foz.canon.job import Job, JobState
from foz.cli.following import Screen, said
from foz.cli.place import now
from foz.cli.running import run
from foz.cli.settings import config_option, json_option, read_settings
from foz.cli.words import iso, moment, plain, shown
from foz.config.exposure import make_data
from foz.config.settings import Settings
from foz.jobs.following import followed
from foz.net.clock import SystemClock
from foz.scale.topology import told, topology

T = TypeVar("T")
PAGE = 500
DEFAULT = 50
MOST = 10_000


class Card(Struct, frozen=True):
    """A job, for programs. Times are UTC."""

    id: str
    state: str
    dead: bool
    skin: str
    model: str
    mode: str
    lane: str
    principal: str
    project: str
    key: str
    attempts: int
    created: str
    began: str | None
    ended: str | None
    served: str | None
    latency_ms: float | None
    error: str | None


@click.group("jobs")
def command() -> None:
    """List, follow, retry and cancel jobs, and look at dead letters."""


# Where they are kept.


@asynccontextmanager
async def _opened(settings: Settings) -> AsyncIterator[Kept]:
    make_data(settings.data)
    books = Books(settings, SystemClock())
    try:
        found = kept(settings, books, {})
        try:
            yield found
        finally:
            await found.queue.close()
            await found.store.close()
            if found.post is not None:
                await found.post.close()
    finally:
        await books.close()


def _run(config: Path | None, work: Callable[[Kept], Coroutine[Any, Any, T]]) -> T:
    """Does it where jobs are kept."""
    return run(config, _opened, work)


async def _find(found: Kept, id: str) -> Job:
    try:
        job = await found.store.find(parse(id))
    except ValueError as error:
        raise click.ClickException(str(error)) from error
    if job is None:
        raise click.ClickException(f"There is no job {id}: it was never accepted, or its time is over.")
    return job


# Looking.


@command.command("list")
@click.option("--state", type=click.Choice([state.value for state in JobState]), help="In this state only.")
@click.option("--principal", help="Of this key only, by its id.")
@click.option("--limit", type=click.IntRange(1, MOST), default=DEFAULT, show_default=True, help="Most jobs.")
@json_option
@config_option
def list_(state: str | None, principal: str | None, limit: int, as_json: bool, config: Path | None) -> None:
    """List jobs, newest first."""

    async def work(found: Kept) -> list[Job]:
        jobs: list[Job] = []
        before: bytes | None = None
        while len(jobs) < limit:
            page = await found.store.listed(principal, PAGE, before)
            jobs += [job for job in page if state is None or job.state.value == state]
            if len(page) < PAGE:
                break
            before = page[-1].id
        return jobs[:limit]

    _show(_run(config, work), as_json, "No jobs.")


@command.command()
@click.option("--limit", type=click.IntRange(1, MOST), default=DEFAULT, show_default=True, help="Most jobs.")
@json_option
@config_option
def dead(limit: int, as_json: bool, config: Path | None) -> None:
    """List dead letters: jobs that failed each time they were tried. `foz jobs retry` tries them again."""
    jobs = _run(config, lambda found: found.store.dead(limit))
    _show(jobs, as_json, "No dead letters.", errors=True)


@command.command()
@click.argument("id")
@click.option("--follow", is_flag=True, help="Wait for its end; tell its answer as it is made.")
@json_option
@config_option
def show(id: str, follow: bool, as_json: bool, config: Path | None) -> None:
    """Show a job, and its answer where it has one. With --follow, exit code 1 where it does not complete."""

    async def work(found: Kept) -> Job:
        job = await _find(found, id)
        if follow:
            with Screen(quiet=as_json) as screen:
                async for one in followed(found.store, job):
                    screen.tell(one)
            return await _find(found, id)
        if not as_json and job.state is JobState.COMPLETED:
            click.echo(said(job.skin, await found.store.answer(job.id)))
        return job

    job = _run(config, work)
    if as_json:
        click.echo(msgspec.json.encode(_card(job)))
    else:
        _tell(job)
    if follow and job.state is not JobState.COMPLETED:
        raise click.exceptions.Exit(1)


# Changing.


@command.command()
@click.argument("ids", nargs=-1)
@click.option("--dead", "all_dead", is_flag=True, help="All dead letters.")
@config_option
def retry(ids: tuple[str, ...], all_dead: bool, config: Path | None) -> None:
    """Try failed jobs again, with all their attempts."""
    if bool(ids) == all_dead:
        raise click.UsageError("Name jobs by their ids, or say --dead for all dead letters.")

    async def work(found: Kept) -> list[tuple[str, Job | None]]:
        jobs = [(text(job.id), job) for job in await found.store.dead(MOST)]
        if ids:
            jobs = [(id, await _find(found, id)) for id in ids]
        return [(id, await _revived(found, job)) for id, job in jobs]

    done = _run(config, work)
    for id, job in done:
        click.echo(f"{id} waits again." if job is None else f"{id} is {job.state.value}, not failed: it stays so.")
    if not done:
        click.echo("No dead letters.")


async def _revived(found: Kept, job: Job) -> Job | None:
    """None where it waits again, else as it stands."""
    if job.state is not JobState.FAILED:
        return job
    stands = await found.store.revive(job.id, now())
    if stands is None or stands.state is not JobState.PENDING:
        return stands or job
    await found.queue.publish(stands.lane, stands.id)
    await found.store.published(stands.id, now())
    return None


@command.command()
@click.argument("ids", nargs=-1, required=True)
@config_option
def cancel(ids: tuple[str, ...], config: Path | None) -> None:
    """Cancel jobs, up to the model that is asked. Who works at one finds it within a lease's third."""

    async def work(found: Kept) -> list[Job]:
        jobs = [await _find(found, id) for id in ids]
        return [await found.store.cancel(job.id, now()) or job for job in jobs]

    for job in _run(config, work):
        kept_so = "" if job.state is JobState.CANCELLED else ": it had its end already"
        click.echo(f"{text(job.id)} is {job.state.value}{kept_so}.")


@command.command("topology")
@config_option
def topology_(config: Path | None) -> None:
    """Show where jobs are kept and wait, and what RabbitMQ must have where it is used."""
    settings = read_settings(config)
    lanes = ", ".join(f"{number} {lane.value}" for lane, number in settings.lanes.items())
    where = "Redis, their ids wait in RabbitMQ" if settings.scale.on else f"SQLite in {settings.data}"
    click.echo(f"Jobs are kept in {where}.\nOne process of `foz serve` works at {lanes} jobs at once.\n")
    click.echo(
        "RabbitMQ has:" if settings.scale.on else "With RABBITMQ_URL and REDIS_URL set, RabbitMQ would be given:"
    )
    click.echo(told(topology(settings.scale.name)))


# Words.


def _card(job: Job) -> Card:
    return Card(
        id=text(job.id),
        state=job.state.value,
        dead=job.dead,
        skin=job.skin,
        model=job.model,
        mode=job.mode.value,
        lane=job.lane.value,
        principal=job.principal.id,
        project=job.project,
        key=job.key,
        attempts=job.attempts,
        created=iso(job.at),
        began=None if job.began is None else iso(job.began),
        ended=None if job.ended is None else iso(job.ended),
        served=None if job.served is None else job.served.value,
        latency_ms=job.latency,
        error=None if job.trouble is None else job.trouble.message,
    )


def _show(jobs: Sequence[Job], as_json: bool, nothing: str, *, errors: bool = False) -> None:
    if as_json:
        click.echo(msgspec.json.encode([_card(job) for job in jobs]))
        return
    if not jobs:
        click.echo(nothing)
        return
    table = Table(Column("id", no_wrap=True), "state", "model", "lane", "key", "created (UTC)", "tries")
    table.add_column("error" if errors else "ms", justify="left" if errors else "right")
    for job in jobs:
        table.add_row(
            text(job.id),
            job.state.value + (" (dead)" if job.dead else ""),
            plain(job.model),
            _lane(job),
            plain(job.principal.id),
            moment(job.at),
            str(job.attempts),
            _error(job) if errors else _latency(job),
        )
    shown(table)


def _lane(job: Job) -> str:
    place = job.served or job.lane
    return place.value if job.mode.value == place.value else f"{place.value} ({job.mode.value})"


def _latency(job: Job) -> str:
    return "" if job.latency is None else f"{job.latency:,.0f}"


def _error(job: Job) -> str:
    return "" if job.trouble is None else plain(job.trouble.message)


def _lines(job: Job) -> Iterable[tuple[str, str]]:
    yield "job", text(job.id)
    yield "state", job.state.value + (" (a dead letter)" if job.dead else "")
    yield "asked", f"{moment(job.at)} UTC by {plain(job.principal.id)}, in {job.skin}'s words, of {plain(job.model)}"
    yield "mode", f"{job.mode.value}, in the lane {job.lane.value}"
    yield "attempts", str(job.attempts)
    if job.ended is not None:
        yield "ended", f"{moment(job.ended)} UTC"
    if job.latency is not None:
        yield "took", f"{job.latency:,.0f} ms" + ("" if job.served is None else f" on {job.served.value}")
    if job.trouble is not None:
        yield "error", f"{_error(job)} ({plain(job.trouble.code)})"
    if job.dead:
        yield "do", f"foz jobs retry {text(job.id)}"


def _tell(job: Job) -> None:
    for name, words in _lines(job):
        click.echo(f"{name:<9} {words}", err=job.state is JobState.COMPLETED)
