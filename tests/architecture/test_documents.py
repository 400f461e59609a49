"""Documents that cannot go stale: what they name exists, and what exists is named."""

import re
import subprocess
import tomllib
from itertools import chain
from pathlib import Path

import pytest

from foz.cli.main import COMMANDS
from foz.config.refusal import section
from foz.config.sections import Written
from scripts import docs

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("src/**/*.md")])
RECORDS = sorted(ROOT.glob("docs/adr/[0-9]*.md"))
FRAGMENTS = sorted((ROOT / "changelog.d").glob("*.md"))
LINK = re.compile(r"\]\((?!https?:|mailto:)([^)\s]+)\)")
TERM = re.compile(r"^- \*\*(.+?)\*\*: ", re.MULTILINE)
WORDS = {"dialect", "skin", "canon", "provider", "model", "target", "placement", "deployment", "engine", "node"}
WORDS |= {"fault", "entry", "principal", "job", "session", "lane", "plane", "door", "attempt"}
"""The words of the design; the glossary may know more."""


def _named(path: Path) -> str:
    return str(path.relative_to(ROOT))


def _prose(page: Path) -> str:
    """A page without its blocks of code."""
    return re.sub(r"^```.*?^```", "", page.read_text(), flags=re.DOTALL | re.MULTILINE)


def _anchors(page: Path) -> set[str]:
    """What GitHub makes of each heading."""
    headings = re.findall(r"^#+ (.+)$", _prose(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


def _targets() -> dict[str, bool]:
    """The Makefile's targets, and whether `make help` shows them."""
    found = re.findall(r"^([a-z-]+):(?: [a-z -]*)?(## )?", (ROOT / "Makefile").read_text(), re.MULTILINE)
    return {name: bool(shown) for name, shown in found}


@pytest.mark.parametrize("page", PAGES, ids=_named)
def test_every_link_leads_somewhere(page: Path) -> None:
    """Each relative link of a page names a file of this repository, and a heading in it where it says so."""
    for link in LINK.findall(_prose(page)):
        path, _, anchor = link.partition("#")
        target = page.parent / path if path else page
        assert target.exists(), link
        assert not anchor or anchor in _anchors(target), link


@pytest.mark.parametrize("page", PAGES, ids=_named)
def test_every_make_command_named_exists(page: Path) -> None:
    """Each `make something` that a page shows as a command is a target of the Makefile."""
    named = set(re.findall(r"(?:^|`)make ([a-z-]+)", page.read_text(), re.MULTILINE))

    assert named - set(_targets()) == set()


def test_every_make_command_is_told() -> None:
    """CONTRIBUTING.md names every target that `make help` shows, and README.md the two that a newcomer needs."""
    shown = {name for name, told in _targets().items() if told}
    contributing = (ROOT / "CONTRIBUTING.md").read_text()

    assert {"run", "test", "check", "bench", "docs", "help"} <= shown
    assert {name for name in shown if f"make {name}" not in contributing} == set()
    assert all(f"\nmake {name}" in (ROOT / "README.md").read_text() for name in ("run", "test"))


def test_what_is_generated_is_fresh() -> None:
    """Each document that is written from the code says what the code says now; `make docs` writes them anew."""
    assert list(docs.stale()) == []


def test_every_command_is_in_the_reference() -> None:
    """docs/reference/cli.md has each command of `foz` with its sentence, and a section for each."""
    page = (ROOT / "docs/reference/cli.md").read_text()
    text = " ".join(page.split())

    assert COMMANDS
    assert {name: told for name, told in COMMANDS.items() if f"{name} {told}" not in text} == {}
    assert {name for name in COMMANDS if f"\n## `foz {name}`\n" not in page} == set()


def test_every_setting_is_in_the_reference_once() -> None:
    """docs/reference/settings.md has each setting of each section once, with a sentence, and no other."""
    sections = {name: model for name in Written.model_fields if (model := section((name,))) is not None}
    wanted = {(name, key) for name, model in sections.items() for key in model.model_fields}
    wanted |= {("", key) for key in Written.model_fields.keys() - sections.keys()}
    told = []
    for part in re.split(r"^## ", (ROOT / "docs/reference/settings.md").read_text(), flags=re.MULTILINE)[1:]:
        named = re.match(r"`\[+(\w+)\]+`", part)
        rows = part.partition("\n### ")[0]
        told += [
            (named[1] if named else "", key)
            for key in re.findall(r"^\| `(\w+)` \| [A-Z`\"].{9,} \|", rows, re.MULTILINE)
        ]

    assert len(sections) > 10
    assert sorted(told) == sorted(wanted)


@pytest.mark.parametrize("page", PAGES, ids=_named)
def test_examples_are_what_they_claim_to_be(page: Path) -> None:
    """Each example of foz.toml in a page is a configuration that Foz takes, each example of Python compiles."""
    for kind, text in re.findall(r"^```(toml|python)\n(.*?)^```", page.read_text(), re.DOTALL | re.MULTILINE):
        if kind == "toml":
            Written.model_validate(tomllib.loads(text))
        else:
            compile(text, str(page), "exec")


@pytest.mark.parametrize("record", RECORDS, ids=_named)
def test_a_decision_is_told_whole(record: Path) -> None:
    """Each decision record has a number, a title and its four parts, in order, none of them empty."""
    text = record.read_text()
    parts = re.split(r"^## (.+)$", text, flags=re.MULTILINE)

    assert re.match(rf"# {record.name[:3]}\. \S", text)
    assert parts[1::2] == ["Context", "Decision", "Cost", "When to revisit"]
    assert all(len(part.split()) > 3 for part in parts[2::2])


def test_decisions_are_numbered_without_a_gap() -> None:
    """The records count from 001 on, each number once, and docs/adr/README.md lists each of them."""
    listed = (ROOT / "docs/adr/README.md").read_text()

    assert [int(record.name[:3]) for record in RECORDS] == list(range(1, len(RECORDS) + 1))
    assert [record.name for record in RECORDS if f"({record.name})" not in listed] == []


def test_every_runtime_dependency_has_its_reason() -> None:
    """The record on dependencies has a row for each dependency of foz and its extras, and for nothing else."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = [*project["dependencies"], *chain.from_iterable(project["optional-dependencies"].values())]
    record = next(path for path in RECORDS if path.stem.endswith("-dependencies"))
    told = re.findall(r"^\| `([a-z0-9-]+)` \| .{20,} \|$", record.read_text(), re.MULTILINE)

    assert sorted(told) == sorted(re.match(r"[A-Za-z0-9-]+", need)[0] for need in wanted)  # type: ignore[index]  # each begins with a name


def test_every_dialect_says_what_it_loses() -> None:
    """Each folder of dialects/ has a LOSSES.md that names at least one loss and what happens then."""
    rooms = [path.parent for path in (ROOT / "src/foz/dialects").glob("*/__init__.py")]

    assert rooms
    assert [room.name for room in rooms if not (room / "LOSSES.md").exists()] == []
    assert [room.name for room in rooms if len((room / "LOSSES.md").read_text().split()) < 30] == []


def test_one_word_has_one_meaning() -> None:
    """The glossary explains each word once, and each word of the design."""
    terms = TERM.findall((ROOT / "docs/glossary.md").read_text())

    assert len(set(terms)) == len(terms)
    assert WORDS - set(terms) == set()


def test_the_map_shows_every_room() -> None:
    """CONTRIBUTING.md names every package of the house."""
    text = (ROOT / "CONTRIBUTING.md").read_text()
    rooms = {path.parent.name for path in (ROOT / "src/foz").glob("*/__init__.py")}

    assert {room for room in rooms if f"{room}/" not in text} == set()


@pytest.mark.parametrize("fragment", FRAGMENTS, ids=_named)
def test_a_fragment_is_a_sentence_for_users(fragment: Path) -> None:
    """A changelog fragment is named for its change and its kind, and is one paragraph that ends as sentences do."""
    text = fragment.read_text().rstrip("\n")

    assert re.fullmatch(r"[a-z0-9][a-z0-9-]*\.(added|changed|fixed|removed|security)\.md", fragment.name)
    assert re.fullmatch(r"[A-Z`].{15,400}\.", text)


def test_no_machine_and_no_registry_is_named() -> None:
    """No file of the repository names a directory of a developer's machine or a package registry's host."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    ).stdout.split("\0")
    hosts = (
        "pypi" + ".org",
        "files.python" + "hosted",
        "registry.npm" + "js",
        "deb.debian" + ".org",
        "node" + "source",
    )
    here = [f"{path}/" for path in (ROOT, Path.home()) if path != Path("/")]
    machine = re.compile("|".join([r"(?<![\w.])/(?:work|root)/", *map(re.escape, [*here, *hosts])]))
    found = {}
    for name in filter(None, listed):
        path = ROOT / name
        if path.is_file() and not path.is_symlink() and (hit := machine.search(path.read_text(errors="replace"))):
            found[name] = hit[0]

    assert found == {}
