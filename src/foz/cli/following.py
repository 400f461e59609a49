"""What a terminal shows of a job that is followed: how it stands while nothing comes, then its answer as it comes."""

import sys
from types import TracebackType
from typing import Self

import click
from rich.console import Console
from rich.status import Status

from foz.canon.identity import text
from foz.canon.job import Job, JobState, Piece
from foz.cli.words import spoken
from foz.jobs.following import Told
from foz.skins.nemotron.pieces import folded
from foz.skins.nemotron.skin import NAME


def said(skin: str, log: bytes) -> str:
    """The words of a log, without what a terminal would obey; of other APIs than ours, their answer as it is."""
    words = folded(log).text if skin == NAME else log.decode("utf-8", "replace")
    return spoken(words)


class Screen:
    """Progress goes to standard error, the answer to standard output. A quiet one shows progress only."""

    def __init__(self, *, quiet: bool) -> None:
        self._console = Console(stderr=True, highlight=False)
        self._quiet = quiet
        self._job: Job | None = None
        self._status: Status | None = None
        self._epoch = 0
        self._letters = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, raised: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._still()

    def tell(self, one: Told) -> None:
        """What the following gave."""
        if isinstance(one, Job):
            self._stands(one)
        elif isinstance(one, Piece):
            self._comes(one)

    def _stands(self, job: Job) -> None:
        self._job = job
        if job.over:
            self._still()
            if self._letters and not self._quiet:
                click.echo("")
        else:
            self._wait()

    def _comes(self, piece: Piece) -> None:
        if self._job is None:
            return
        if piece.mark.epoch != self._epoch and self._letters:
            self._still()
            click.echo("\n(it runs anew: its answer begins again)", err=True)
            self._letters = 0
        self._epoch = piece.mark.epoch
        words = said(self._job.skin, piece.data)
        self._letters += len(words)
        if self._quiet:
            self._wait()
        elif words:
            self._still()
            click.echo(words, nl=False)
            sys.stdout.flush()

    def _wait(self) -> None:
        """Says how it stands, where somebody looks on."""
        job = self._job
        if job is None or job.over:
            return
        where = f"waits for {job.lane.value}" if job.state is JobState.PENDING else f"is worked at on {job.lane.value}"
        tries = f", attempt {job.attempts}" if job.attempts > 1 else ""
        words = f"{text(job.id)} {where}{tries}" + (f", {self._letters:,} characters" if self._letters else "")
        if not self._console.is_terminal:
            return
        if self._status is None:
            self._status = self._console.status(words)
            self._status.start()
        else:
            self._status.update(words)

    def _still(self) -> None:
        if self._status is not None:
            self._status.stop()
            self._status = None
