"""
Writes what documents take from the code, so that it cannot go stale: `make docs`.

Each document is a pure function of the sources that gives the whole text of one file.
`--check` writes nothing and fails, naming the files that differ; `tests/architecture/test_documents.py` asks the same.
"""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import click

from foz.cli.main import main
from foz.providers.catalog import catalog
from foz.providers.row import ProviderRow
from foz.testing.simulated import answer, mischief, words
from scripts.matrix import matrix
from scripts.settings import settings

ROOT = Path(__file__).parents[1]
WIDTH = 100
BEGIN = "<!-- providers: written by `make docs` -->"
END = "<!-- providers: end -->"
GENERATED = "<!-- Written by `make docs`; do not edit. -->\n\n"


def _help(command: click.Command, name: str) -> Iterator[str]:
    helps = main.context_settings["help_option_names"]
    context = click.Context(
        command, info_name=name, terminal_width=WIDTH, max_content_width=WIDTH, help_option_names=helps
    )
    text = "\n".join(line.rstrip() for line in command.get_help(context).splitlines())
    yield f"{'#' * (name.count(' ') + 1)} `{name}`\n\n```text\n{text}\n```\n"
    if isinstance(command, click.Group):
        for child in command.list_commands(context):
            found = command.get_command(context, child)
            if found is not None:
                yield from _help(found, f"{name} {child}")


def cli() -> str:
    """`docs/reference/cli.md`: what each command says of itself."""
    return GENERATED + "\n".join(_help(main, "foz"))


def reference() -> str:
    """`docs/reference/settings.md`: every setting, its default and its variables."""
    return GENERATED + settings()


def _provider(row: ProviderRow) -> str:
    key = " or ".join(f"`{name}`" for name in row.secret) if row.secret and not row.local else "none"
    if row.auth == "oci":
        key = "`credentials.conf` or `~/.oci/config`"
    place = ", ".join((f"`{row.base_url}`", *(f"`{name}`" for name in row.base_url_env)))
    return (
        f"| [`{row.name}`]({row.docs}) | {key} | {place} |"
        if row.docs
        else f"| `{row.name}` | none | in this process |"
    )


def readme() -> str:
    """`README.md` with the table of the providers that the catalogue knows."""
    text = (ROOT / "README.md").read_text()
    before, _, rest = text.partition(BEGIN)
    table = [
        "| provider | key it needs | where, and what moves it |",
        "|---|---|---|",
        *map(_provider, catalog().values()),
    ]
    return before + BEGIN + "\n".join(["", *table, ""]) + END + rest.partition(END)[2]


SIMULATED = """# The simulated model

With `TEST_MODE=true` every model name is answered by this one, and nothing leaves the machine. Without it, it is listed
only where nothing else is configured. `python -m foz.testing.server` serves it by itself, as an upstream for tests.

{answer}

## Tokens

{words}

## Misbehaviour

{mischief}

## What a caller of the gateway sees of a status

`x-simulate-status` is the status of the *upstream*. Foz answers its callers as it does with any provider's status:

| the upstream answers | the caller gets | tried again |
|---|---|---|
| 400, 404, 405, 409, 410, 413, 415, 422, 425, 451 | the same status | no |
| 401, 403 | 502: the gateway's own key was refused, which the caller cannot mend | no |
| 402 | 429, code `insufficient_quota` | yes |
| 408, 504 | 504 | no |
| 429 | 429, with its `retry-after` | yes |
| 424, 500, 501, 502, 503, 520, 529 | 502 | yes |

Any other 4xx is passed on as it is, any other 5xx is 502. *Tried again* is at the same target, as there is no other in
test mode: up to `[retries] attempts`, within `[retries] budget`. With several targets, 401, 403 and 404 go on to the
next one too. To meet a status itself, without a gateway's judgement, point your program at
`python -m foz.testing.server`.
"""


def simulated_model() -> str:
    """`docs/reference/simulated-model.md`: what its modules say of themselves."""
    said = {module.__name__.rsplit(".", 1)[1]: (module.__doc__ or "").strip() for module in (answer, words, mischief)}
    return GENERATED + SIMULATED.format(**said)


DOCUMENTS: dict[str, Callable[[], str]] = {
    "docs/reference/cli.md": cli,
    "docs/reference/settings.md": reference,
    "docs/reference/simulated-model.md": simulated_model,
    "docs/reference/matrix.md": lambda: GENERATED + matrix(),
    "README.md": readme,
}


def stale() -> dict[str, str]:
    """The documents that are not as the code would have them, with the text they should have."""
    made = {path: make() for path, make in DOCUMENTS.items()}
    return {
        path: text for path, text in made.items() if not (ROOT / path).exists() or (ROOT / path).read_text() != text
    }


if __name__ == "__main__":
    found = stale()
    if "--check" in sys.argv[1:]:
        sys.exit(f"stale, run `make docs`: {', '.join(found)}" if found else 0)
    for path, text in found.items():
        (ROOT / path).write_text(text)
        print(f"written: {path}")
