"""`foz usage` on the command line."""

import csv
import io
import os
from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner, Result

from bench.reports import fill
from foz.cli.main import main
from foz.cli.place import now
from foz.cli.words import Moment, money, plain
from foz.store.database import connect

Run = Callable[..., Result]


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data directory that the settings name."""
    for name in list(os.environ):
        if name.startswith("FOZ_") or name.endswith("_KEY"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("FOZ_DATA", str(tmp_path / "data"))
    monkeypatch.chdir(tmp_path)
    return tmp_path / "data"


def usage(*words: str) -> Result:
    return CliRunner().invoke(main, ["usage", *words])


def test_json_and_csv_say_the_same(data: Path) -> None:
    """The groups of `--json` and of `--csv` have the same keys and counts."""
    fill(data, 300)

    groups = msgspec.json.decode(usage("--by", "project", "--by", "day", "--json").stdout)
    rows = list(csv.DictReader(io.StringIO(usage("--by", "project", "--by", "day", "--csv").stdout)))

    assert len(groups) == 21
    assert [(group["project"], group["day"], group["calls"]) for group in groups] == [
        (row["project"], row["day"], int(row["calls"])) for row in rows
    ]
    assert sum(group["calls"] for group in groups) == 300


def test_a_table_sums_by_model(data: Path) -> None:
    """Without options there is one line for each model, with its calls and its money."""
    fill(data, 300)

    shown = usage().stdout

    assert all(f"model-{number}" in shown for number in range(10))
    assert shown.count(" 30 ") >= 10
    assert "USD" in shown


def test_rows_go_on_at_the_cursor(data: Path) -> None:
    """The pages that follow the printed cursor show every call once."""
    fill(data, 25)
    seen: list[str] = []
    words = ["--rows", "--limit", "10", "--json"]
    for _ in range(3):
        page = msgspec.json.decode(usage(*words).stdout.splitlines()[0])
        seen += [line["request_id"] for line in page["lines"]]
        words = ["--rows", "--limit", "10", "--json", "--cursor", page["next"] or ""]

    assert seen == [f"req-{number}" for number in range(24, -1, -1)]
    assert page["next"] is None


def test_filters_of_the_command_are_those_of_the_report(data: Path) -> None:
    """Time, project, model and key narrow the answer together."""
    fill(data, 300)

    page = usage("--rows", "--csv", "--project", "project-3", "--since", "2023-11-14", "--until", "2023-11-15")
    none = usage("--project", "project-3", "--model", "model-0")

    rows = list(csv.DictReader(io.StringIO(page.stdout)))
    assert {row["project"] for row in rows} == {"project-3"}
    assert none.stdout == "No calls.\n"


def test_a_fresh_directory_has_no_calls(data: Path) -> None:
    """Before anything was called the answer is empty in every form, says so, and makes no database."""
    said = f"Nothing yet: no gateway has written to {data}.\n"
    assert usage().stdout == usage("--rows").stdout == said
    assert usage("--json").stdout == "[]\n"
    assert usage("--rows", "--json").stdout == '{"lines":[],"next":null}\n'
    assert usage("--csv").stdout.startswith("model,calls,")
    assert not data.exists()


def test_the_rows_of_csv_are_for_spreadsheets(data: Path) -> None:
    """Money is in units of its currency, the currency beside it, and times are ISO 8601 in UTC."""
    fill(data, 30)

    rows = list(csv.DictReader(io.StringIO(usage("--rows", "--csv").stdout)))
    lines = msgspec.json.decode(usage("--rows", "--json").stdout)["lines"]

    for row, line in zip(rows, lines, strict=True):
        assert datetime.fromisoformat(row["at"]).timestamp() == line["at"] / 1000
        assert (row["price"] == "") == (line["price"] is None)
        assert not row["price"] or Decimal(row["price"]) == Decimal(line["price"]) / 10**12
        assert row["currency"] == (line["currency"] or "")
    assert any(row["price"] for row in rows)


def test_today_and_yesterday_begin_at_midnight(data: Path) -> None:
    """`--since today` is the last midnight in UTC, `yesterday` the one before it."""
    today, yesterday = (Moment("ago").convert(word, None, None) for word in ("today", "yesterday"))

    assert today % 86_400_000 == 0
    assert 0 <= now() - today < 86_400_000 + 60_000
    assert yesterday in {today - 86_400_000, today}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--rows", "--cursor", "x"], "is not an id"),
        (["--cursor", "x"], "--cursor belongs to --rows"),
        (["--json", "--csv"], "Choose one"),
        (["--since", "someday"], "expected a date"),
        (["--rows", "--by", "model"], "Choose one of --rows and --by"),
        (["--limit", "5"], "--limit belongs to --rows"),
        (["--by", "colour"], "--by"),
        (["--limit", "1001"], "--limit"),
    ],
)
def test_a_wrong_option_is_named(data: Path, words: list[str], said: str) -> None:
    """What cannot be understood ends with a message that names it."""
    fill(data, 1)
    result = usage(*words)

    assert result.exit_code == 2
    assert said in result.output


def test_what_a_caller_wrote_cannot_steer_the_terminal(data: Path) -> None:
    """Escape sequences and markup in a caller's words are shown as letters."""
    fill(data, 1)
    connection = connect(data)
    connection.execute("UPDATE entries SET model = ?", ("\x1b[31m[bold]red",))
    connection.close()

    shown = usage("--rows").stdout

    assert "\x1b" not in shown
    assert "[31m[bold]red" in shown


@pytest.mark.parametrize(("pico", "said"), [(0, "0.00"), (1, "0.000000000001"), (25 * 10**11, "2.50")])
def test_no_money_rounds_to_nothing(pico: int, said: str) -> None:
    """An amount is written with all its places."""
    assert money(pico) == said
    assert plain("a\nb") == "a\N{REPLACEMENT CHARACTER}b"


def test_usage_reads_where_the_named_settings_say(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`--config` names the settings whose data directory is read."""
    fill(data, 30)
    (data.parent / "other.toml").write_text(f"data = '{data}'")
    monkeypatch.setenv("FOZ_DATA", "")

    assert sum(group["calls"] for group in msgspec.json.decode(usage("--config", "other.toml", "--json").stdout)) == 30
