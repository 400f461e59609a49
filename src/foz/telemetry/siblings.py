"""
How the workers of one gateway know each other's figures: a file each, in the run directory.

`metrics-<pid>.msgpack` is replaced whole, once a second, by its worker. When a worker dies, the supervisor buries it
before it starts another: its counters are added to `metrics-past.msgpack`, which keeps the names of those it holds,
so that nobody is counted twice however reading and burying fall together. A file of another run is never read.
"""

import logging
from pathlib import Path

import msgspec
from msgspec import Struct, structs

from foz.telemetry.figures import ProcessFigures, Snapshot, summed

SECONDS = 1.0
STALE = 10_000
"""Milliseconds without a new file, after which a worker's gauges are not believed."""
_REMEMBERED = 256
"""Names of the dead that are kept; each matters only until its file is gone."""

_log = logging.getLogger(__name__)


class _Stamp(Struct, frozen=True):
    run: str


class Siblings:
    """One process's view of the run directory; the supervisor has one too, to bury and to sum."""

    def __init__(self, directory: Path, run: str, pid: int) -> None:
        self._directory = directory
        self._run = run
        self._own = self._path(pid)
        self._past = directory / "metrics-past.msgpack"
        self._failed = False

    def write(self, snapshot: Snapshot) -> None:
        """Puts the figures where the others find them. A full disk is said once, and tried again."""
        try:
            self._put(self._own, snapshot)
        except OSError as error:
            if not self._failed:
                _log.warning("figures for /metrics cannot be written to %s: %s", self._own, error)
            self._failed = True
        else:
            self._failed = False

    def others(self) -> list[Snapshot]:
        """The figures of all processes of this run but this one, and of those that were buried."""
        found = [
            snapshot
            for path in sorted(self._directory.glob("metrics-*.msgpack"))
            if path not in {self._own, self._past} and (snapshot := self._get(path))
        ]
        # The past is read last: whoever was buried since is in it by now, and is not counted twice.
        past = self._get(self._past)
        if past is None:
            return found
        return [past, *(snapshot for snapshot in found if snapshot.id not in past.buried)]

    def bury(self, pid: int) -> None:
        """The supervisor, and nobody else, tells that a worker is dead; before its successor starts."""
        path = self._path(pid)
        path.with_suffix(".new").unlink(missing_ok=True)
        dead = self._get(path)
        if dead is None:
            return
        past = self._get(self._past)
        held = [] if past is None else past.buried
        if dead.id not in held:
            sums = summed([dead] if past is None else [past, dead], fresh_since=0)
            kept = structs.replace(
                sums,
                run=self._run,
                id="past",
                at=0,
                in_flight={},
                breakers={},
                gauges={},
                process=ProcessFigures(cpu=sums.process.cpu),
                workers=0,
                buried=[*held, dead.id][-_REMEMBERED:],
            )
            self._put(self._past, kept)
        path.unlink(missing_ok=True)

    def clear(self) -> None:
        """Removes what earlier runs left. The supervisor calls it before it starts the first worker."""
        for path in self._directory.glob("metrics-*"):
            path.unlink(missing_ok=True)

    def _path(self, pid: int) -> Path:
        return self._directory / f"metrics-{pid}.msgpack"

    def _put(self, path: Path, snapshot: Snapshot) -> None:
        fresh = path.with_suffix(".new")
        fresh.write_bytes(msgspec.msgpack.encode(snapshot))
        fresh.replace(path)

    def _get(self, path: Path) -> Snapshot | None:
        try:
            content = path.read_bytes()
        except FileNotFoundError:
            return None
        try:
            if msgspec.msgpack.decode(content, type=_Stamp).run != self._run:
                return None
            return msgspec.msgpack.decode(content, type=Snapshot)
        except msgspec.DecodeError as error:
            _log.warning("%s is not a file of figures and is left out of /metrics: %s", path, error)
            return None
