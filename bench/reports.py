"""What reports cost over 1,000,000 entries: `python bench/reports.py`, with `PYTHONPATH=src`."""

import argparse
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import apsw

from foz.ledger.report import KEYS, Filter
from foz.store.database import connect, path_of, prepare
from foz.store.reader import SqliteReports

START = 1_700_000_000_000
STEP = 2_592
DAY = 86_400_000
FILL = """
WITH RECURSIVE n (i) AS (SELECT 0 WHERE :rows > 0 UNION ALL SELECT i + 1 FROM n WHERE i + 1 < :rows)
INSERT INTO entries (
    id, at, principal, project, process_id, user_key, skin, operation, model, request_id, stream, state, status,
    input, output, cached, reasoning, first_token, duration, price, currency, price_version,
    first_number, first_target, first_placement, first_at, first_state, first_status, first_duration
)
SELECT
    unhex(printf('%012x7%03x8%015x', :start + i * :step, i % 4096, i)), :start + i * :step,
    'key-' || (i * 7919 % 50), iif(i % 100000 = 5, 'rare', 'project-' || (i * 31 % 20)), 'process-' || (i % 1000),
    'user-' || (i * 13 % 3000), 'openai', 'chat', 'model-' || (i * 17 % 10), 'req-' || i, 1,
    iif(i % 50 = 0, 'failed', 'complete'), 200, 100 + i % 1000, 50 + i % 500, 0, 0, 40 + i % 300, 500 + i % 5000,
    iif(i % 3 = 0, NULL, 1000000 * (i % 1000)), iif(i % 3 = 0, NULL, 'USD'), 'genai-prices 0.2.3',
    1, 'openai/model-' || (i * 17 % 10), 'api', :start + i * :step, 'complete', 200, 500
FROM n ORDER BY i
"""


def fill(data: Path, rows: int) -> None:
    """A ledger of this many entries, over a month where there are a million."""
    prepare(data)
    connection = connect(data)
    with connection:
        connection.execute(FILL, {"rows": rows, "start": START, "step": STEP})
    connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
    connection.close()


def timed(name: str, work: Callable[[], object], rounds: int = 3) -> None:
    took = []
    for _ in range(rounds):
        wall, cpu = time.perf_counter(), time.process_time()
        work()
        took.append((time.process_time() - cpu, time.perf_counter() - wall))
    cpu, wall = sorted(took)[rounds // 2]
    print(f"{name:34} {wall * 1000:8.1f} ms, of it CPU {cpu * 1000:8.1f} ms")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    rows = parser.parse_args().rows
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder)
        fill(data, rows)
        print(f"{rows:,} entries, {path_of(data).stat().st_size / rows:.0f} bytes each")
        reports = SqliteReports(data)
        middle = START + rows // 2 * STEP
        day = Filter(since=middle, until=middle + DAY)
        timed("page, newest", lambda: reports.page(Filter()))
        cursor = reports.page(Filter()).next
        timed("page, the next", lambda: reports.page(Filter(), cursor=cursor))
        timed("page of one day", lambda: reports.page(day))
        for filter in (
            Filter(project="project-3"),
            Filter(project="rare"),
            Filter(principal="key-7"),
            Filter(model="model-3"),
            Filter(process_id="process-7"),
            Filter(subprocess_id="nobody"),
            Filter(user_key="user-7"),
        ):
            chosen = next(f"{name}={value}" for name, value in _given(filter))
            timed(f"page, {chosen}", partial(reports.page, filter))
        timed("dashboard, newest 1,000", lambda: reports.page(Filter(), 1_000, settled=True))
        timed("dashboard, who has nothing", lambda: reports.page(Filter(principal="anonymous"), settled=True))
        timed("sums over all", lambda: reports.groups(Filter()), 1)
        for key in KEYS:
            timed(f"sums by {key}", partial(reports.groups, Filter(), (key,)), 1)
        timed("sums by model, one day", lambda: reports.groups(day, ("model",)))


def _given(filter: Filter) -> list[tuple[str, object]]:
    return [(name, getattr(filter, name)) for name in filter.__struct_fields__ if getattr(filter, name) is not None]


if __name__ == "__main__":
    main()
