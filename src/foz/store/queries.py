"""
SQL stands in files: `sql/<subject>.sql` holds queries, each under a line `-- name: <name>`.

Values are always parameters. The one thing that is ever built is a statement for many rows at once:
the row of question marks after its `VALUES` is repeated, nothing else.
"""

import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path

FOLDER = Path(__file__).parent / "sql"
_NAME = re.compile(r"^-- name: (\w+)$", re.MULTILINE)
_VALUES = re.compile(r"VALUES (\((?:'\w+'|[?, ])+\))")


@cache
def load(subject: str) -> Mapping[str, str]:
    """The queries of one file, by name."""
    _, *parts = _NAME.split((FOLDER / f"{subject}.sql").read_text(encoding="utf-8"))
    return dict(zip(parts[::2], (text.strip() for text in parts[1::2]), strict=True))


def widen(query: str, rows: int) -> str:
    """The query for this many rows of values."""
    widened, found = _VALUES.subn(lambda match: "VALUES " + ",".join([match[1]] * rows), query)
    if found != 1:
        raise ValueError(f"Expected one row of VALUES with question marks, found {found}, in: {query}")
    return widened
