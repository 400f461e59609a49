"""
Writes the log of a run: `ports.caller.Caller` for jobs.

What comes within a moment, or while a write is under way, goes with the next one, so a fast answer costs few writes and
a slow one is followed piece by piece. Of a streamed answer the last pieces are kept for the end, which is one step with
them.
"""

import asyncio

from foz.canon.fault import Fault
from foz.canon.job import Job
from foz.ports.codec import ServerCodec
from foz.ports.jobs import JobStore
from foz.ports.upstream import UpstreamAnswer

FULL = 256 * 1024
"""Bytes that wait to be written from which on the answer is paused."""

MOMENT = 0.005
"""Seconds between the first piece that waits and its write."""


class Scribe:
    """One run's."""

    def __init__(self, store: JobStore, job: Job) -> None:
        self._store = store
        self._job = job
        self._pieces: list[bytes] = []
        self._size = 0
        self._writing: asyncio.Task[None] | None = None
        self._soon: asyncio.TimerHandle | None = None
        self._fed_by: UpstreamAnswer | None = None
        self._paused = False
        self.written = 0
        """Pieces that are durable."""
        self.complete = False
        self.lost = False
        """The job is not this run's any more: what it writes is not heard."""
        self.run: asyncio.Task[None] | None = None
        """Who brings what is written here."""

    def whole(self, body: bytes) -> None:
        """A whole answer is one piece."""
        self._pieces.append(body)
        self.complete = True

    def waits(self, codec: ServerCodec) -> None:
        """A log is not kept waiting."""

    def start(self) -> None:
        """Nothing is said before the first piece."""

    def write(self, piece: bytes) -> None:
        """A piece."""
        if not piece:
            return
        self._pieces.append(piece)
        self._size += len(piece)
        if self._writing is None and self._soon is None:
            self._soon = asyncio.get_running_loop().call_later(MOMENT, self._begin)
        elif self._size > FULL and not self._paused:
            self._pace(paused=True)

    def end(self, last: bytes) -> None:
        """The last piece."""
        if last:
            self._pieces.append(last)
        self.complete = True

    def abort(self) -> None:
        """The run tells why."""

    def note(self, name: bytes, value: bytes) -> None:
        """A log has no headers."""

    def feed_from(self, answer: UpstreamAnswer | None) -> None:
        """Whom to pause while the store does not keep up."""
        self._fed_by = answer
        if answer is not None and self._paused:
            answer.pause()

    def lose(self) -> None:
        """The job is found to be somebody else's, or over: the run stops, up to the upstream."""
        self.lost = True
        self.stop()

    def stop(self) -> None:
        """Stops the run."""
        if self.run is not None:
            self.run.cancel()

    async def rest(self) -> list[bytes]:
        """What is not written yet, once nothing is being written. Raises what a write came to."""
        if self._soon is not None:
            self._soon.cancel()
        if self._writing is not None:
            await self._writing
        return self._pieces

    def _pace(self, *, paused: bool) -> None:
        self._paused = paused
        if self._fed_by is not None:
            if paused:
                self._fed_by.pause()
            else:
                self._fed_by.resume()

    def _begin(self) -> None:
        self._soon = None
        self._writing = asyncio.ensure_future(self._write())

    async def _write(self) -> None:
        try:
            while self._pieces and not self.complete and not self.lost:
                pieces, self._pieces = self._pieces, []
                self._size = 0
                if await self._store.append(self._job.id, self._job.epoch, self.written, pieces):
                    self.written += len(pieces)
                else:
                    self.lose()
                if self._paused:
                    self._pace(paused=False)
        except Fault:
            self.lose()  # with a hole in it the log is none
            raise
        self._writing = None
