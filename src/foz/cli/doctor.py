"""`foz doctor`: looks at everything that serving needs, and says what to do where something is wrong."""

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import click
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from foz.assembly.books import has_keys
from foz.assembly.engines import local
from foz.assembly.kept import examined
from foz.assembly.nodes_found import cluster
from foz.cli.asking import reached
from foz.cli.settings import config_option, json_option, read_settings, today
from foz.config.checkup import grpc, machine, place
from foz.config.checkup import settings as configured
from foz.config.checkup.finding import Finding, Level
from foz.config.checkup.reach import Reached, judged
from foz.config.directory import snapshot
from foz.config.settings import Settings
from foz.net.clock import SystemClock
from foz.wire import json

SIGNS: Mapping[Level, str] = {
    "ok": "[green]ok[/]",
    "note": "[dim]note[/]",
    "warning": "[yellow]warning[/]",
    "problem": "[red]problem[/]",
}
WIDTH = 120


def examine(settings: Settings, now: int, *, has_keys: bool, answers: Sequence[Reached]) -> list[Finding]:
    """All findings. `answers` are what came of asking providers; empty where nobody was asked."""
    bound = {one.name: one for one in settings.providers}
    judgements = {f"provider {one.name}": judged(bound[one.name], one) for one in answers}
    asked = [judgements.get(finding.topic, finding) for finding in configured.providers(settings)]
    findings = [*machine.machine(settings.limits)]
    findings.append(machine.clock(now, {one.name: one.skew for one in answers if one.skew is not None}))
    findings += configured.sources(settings)
    findings += asked
    findings += configured.models(list(snapshot(settings, {}, today(now)).all_models()))
    findings += place.trust(settings.outbound.ca_file)
    findings += place.data(settings.data)
    findings += [place.port(address, settings.server.ollama_port) for address in settings.server.addresses]
    findings += grpc.service(settings)
    findings += place.exposure(settings, has_keys=has_keys)
    if settings.server.tls_cert is not None and settings.server.tls_key is not None:
        findings += place.tls(settings.server.tls_cert, settings.server.tls_key, now)
    return findings


def _show(findings: Sequence[Finding]) -> None:
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True, max_width=40)
    table.add_column(overflow="fold")
    for finding in findings:
        what = escape(finding.what) + (f"\n[bold]->[/] {escape(finding.todo)}" if finding.todo else "")
        table.add_row(SIGNS[finding.level], escape(finding.topic), what)
    console = Console(width=None if sys.stdout.isatty() else WIDTH, highlight=False)
    console.print(table)
    wrong = sum(finding.level == "problem" for finding in findings)
    console.print(f"\n{wrong or 'No'} problem{'' if wrong == 1 else 's'}.")


@click.command("doctor")
@json_option
@click.option("--offline", is_flag=True, help="Ask no provider.")
@config_option
def command(*, as_json: bool, offline: bool, config: Path | None) -> None:
    """
    Say what is configured, what is wrong, and what to do about it.

    Exits with 1 where something is wrong.
    """
    settings = read_settings(config)
    answers = [] if offline or place.trust(settings.outbound.ca_file) else reached(settings)
    findings = examine(settings, SystemClock().now(), has_keys=has_keys(settings, SystemClock()), answers=answers)
    findings += local(settings)
    findings += cluster(settings)
    findings += [] if offline else examined(settings)
    if as_json:
        click.echo(json.encode(findings))
    else:
        _show(findings)
    sys.exit(1 if any(finding.level == "problem" for finding in findings) else 0)
