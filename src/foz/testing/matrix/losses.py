"""
What a face or a provider cannot say, read from the table in its LOSSES.md that stands under `## Contract matrix`:

    | case | where | what happens | why |

`where` is `in` (as a face), `out` (as a provider) or the name of a voice of the matrix. `what happens` is `unsayable`
(callers have no words for it), `refused` (the caller is told, nothing is sent) or `left out` (an answer without it).
"""

import re
from pathlib import Path
from typing import Literal, cast, get_args

from msgspec import Struct

SOURCES = Path(__file__).parents[3]
HEADING = "## Contract matrix\n"
Happens = Literal["unsayable", "refused", "left out"]
_ROW = re.compile(r"^\| (\w+) \| ([\w -]+) \| ([\w ]+) \| (.+) \|$", re.MULTILINE)


class Loss(Struct, frozen=True):
    """One row."""

    case: str
    where: str
    happens: Happens
    why: str


def losses(page: str) -> tuple[Loss, ...]:
    """The rows of a page of the sources. Raises ValueError where a row says something else than it may."""
    _, found, table = (SOURCES / page).read_text().partition(HEADING)
    if not found:
        return ()
    rows = [row for row in _ROW.findall(table) if row[0] != "case"]
    if len(rows) != table.count("\n| ") - 1:
        raise ValueError(f"{page}: a row of the table under '{HEADING.strip()}' has not four plain columns")
    for case, _, happens, _ in rows:
        if happens not in get_args(Happens):
            raise ValueError(f"{page}: {case}: '{happens}' is none of {', '.join(get_args(Happens))}")
    return tuple(Loss(case, where, cast("Happens", happens), why) for case, where, happens, why in rows)
