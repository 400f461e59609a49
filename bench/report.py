"""What was found, as JSON for programs and as a short page for people."""

from pathlib import Path

import msgspec

from bench.facts import ROOT, Facts
from bench.figures import Bar, Part, shown
from bench.install import WORK
from bench.plan import Plan


class Report(msgspec.Struct, frozen=True):
    """One run of the bench."""

    facts: Facts
    plan: Plan
    parts: tuple[Part, ...]


def bars_told(parts: tuple[Part, ...]) -> list[str]:
    """The bars as a table."""
    lines = ["| part | bar | measured | limit | verdict | by |", "|---|---|--:|--:|---|---|"]
    lines += [f"| {part.name} | {_bar(bar)} |" for part in parts for bar in part.bars]
    return lines


def _bar(bar: Bar) -> str:
    value = "" if bar.value is None else f"{shown(bar.value)} {bar.unit}".strip()
    limit = f"{bar.sense} {shown(bar.limit)} {bar.unit}".strip()
    verdict = bar.verdict if bar.verdict != "miss" else "**miss**"
    return f"{bar.name} | {value} | {limit} | {verdict} | {bar.margin()}"


def series_told(part: Part) -> list[str]:
    """Everything measured in one part, as a table."""
    lines = ["| measured | unit | median | smallest | largest |", "|---|---|--:|--:|--:|"]
    lines += [f"| {each.name} | {each.unit} | {' | '.join(each.told())} |" for each in part.series]
    return lines


def page(report: Report) -> str:
    """The whole report as markdown."""
    facts, plan = report.facts, report.plan
    versions = ", ".join(f"{name} {version}" for name, version in facts.versions.items())
    machine = (
        f"{facts.cpu}, {facts.cores} cores, {facts.memory_gib} GiB; {facts.system}, Linux {facts.kernel}, "
        f"{facts.filesystem}; Python {facts.python}; {versions}. Load average before: {facts.load_before:.2f}. "
        f"{plan.rounds} rounds of {plan.seconds:g} s{', quick' if plan.quick else ''}."
    )
    lines = [
        f"# Bench of {facts.commit}, {facts.at}",
        "",
        machine,
        "",
        *bars_told(report.parts),
    ]
    for part in report.parts:
        lines += ["", f"## {part.name}", "", *series_told(part)] if part.series else ["", f"## {part.name}"]
        lines += [line for note in part.notes for line in ("", note)]
    return "\n".join(lines) + "\n"


def save(report: Report, name: str) -> Path:
    """Both forms; where they were put. Quick runs are no evidence and stay in the work folder."""
    folder = WORK / "results" if report.plan.quick else ROOT / "bench" / "results"
    folder.mkdir(parents=True, exist_ok=True)
    stamp = report.facts.at.replace(":", "").replace("-", "")[:13]
    path = folder / f"{stamp}-{report.facts.commit}-{name}.md"
    path.write_text(page(report))
    path.with_suffix(".json").write_bytes(msgspec.json.format(msgspec.json.encode(report)) + b"\n")
    return path
