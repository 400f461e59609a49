"""What the guide on the ledger tells to type does what it says."""

import re
import subprocess
import sys
from pathlib import Path

from bench.reports import fill
from foz.ledger.report import Filter
from foz.store.database import connect, path_of
from foz.store.reader import SqliteReports

GUIDE = Path(__file__).parents[3] / "docs/guides/ledger.md"


def test_the_copy_of_the_guide_is_whole_beside_a_writer(tmp_path: Path) -> None:
    """The guide's lines of Python copy every call while the database is open and its last writes are in the WAL."""
    fill(tmp_path / "data", 40)
    lines = re.findall(r"^```python\n(.*?)^```", GUIDE.read_text(), re.DOTALL | re.MULTILINE)
    writer = connect(tmp_path / "data")
    try:
        writer.execute("UPDATE entries SET project = 'late'")
        subprocess.run([sys.executable, "-c", lines[0]], cwd=tmp_path / "data", check=True)
    finally:
        writer.close()
    (tmp_path / "copy").mkdir()
    (tmp_path / "data" / "backup.db").rename(path_of(tmp_path / "copy"))

    (group,) = SqliteReports(tmp_path / "copy").groups(Filter(), ("project",))

    assert len(lines) == 1
    assert (group.project, group.calls) == ("late", 40)
