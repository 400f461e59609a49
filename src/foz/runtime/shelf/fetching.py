"""
One file, from a server to the disk: resumed where it was begun, checked as it comes, and there only when it is whole.

A try asks for what is missing. What answers it is the rest, if it says so and the file is still the same one; else the
file is begun again. A try that brought something worth naming does not count; after some that brought nothing it is
given up, and the part stays to be resumed. Silence ends a try, and so does a trickle.

A file whose size or checksum is not what was promised is taken away: no later try could make it right. So is what
filled the disk up.
"""

import asyncio
import errno
import mmap
import random
import shutil
from pathlib import Path

from msgspec import Struct

from foz.canon.fault import Cut, Fault, Garbled, NoCapacity, Timeout
from foz.canon.model import Patience
from foz.ports.clock import Clock
from foz.ports.upstream import UpstreamAnswer
from foz.ports.weights import File, Told
from foz.runtime.shelf import partial
from foz.runtime.shelf.opening import BEYOND, REST, Head, Reach, Source, ask, read_head, rest
from foz.runtime.shelf.partial import Mark, Partial
from foz.runtime.shelf.threads import aside
from foz.wire import gguf

HELD = 8 * 2**20
"""Bytes that may wait for the disk; then the server has to."""
LOOK = 64 * 1024
"""After so many bytes a header is looked at for the first time; again whenever there are four times as many."""
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_LONG = 7 * 24 * 3600.0


class Manners(Struct, frozen=True):
    """How patient we are with a server, and how careful with the disk."""

    stall: float = 30.0
    """Seconds without anything, or with no more than `trickle` bytes."""
    trickle: int = 32 * 1024
    tries: int = 6
    """That brought less than `worth` bytes, in a row."""
    worth: int = 2**20
    pause: float = 1.0
    longest: float = 60.0
    margin: int = 2**30
    """Bytes that stay free on the disk; of small files, a twentieth is enough."""
    waiting: float = 0.25
    """Seconds between two looks at a file that somebody else fetches."""


class Spoilt(Garbled):
    """What came is not the file, and will not be."""

    retriable = False


class Fetcher:
    """Fetches files from those that `reach` reaches."""

    def __init__(self, reach: Reach, clock: Clock, manners: Manners = Manners()) -> None:  # noqa: B008 - frozen
        self._reach = reach
        self._clock = clock
        self._manners = manners
        self._patience = Patience(connect=10.0, first_byte=manners.stall, idle=manners.stall, total=_LONG)

    async def fetch(self, source: Source, file: File, final: Path, told: Told) -> None:
        """
        The file is at `final`, whole. Raises Down, Timeout, Cut, Limited, Garbled, NotFound, Refused or NoCapacity.
        Cancelled, it leaves the part.
        """
        rising = Rising(told, file.size)
        while not await aside(_is_there, final, file.size):
            part = await aside(Partial.hold, final)
            if part is None:
                rising.at(await aside(partial.coming, final))
                await self._clock.sleep(self._manners.waiting)
                continue
            try:
                if not await aside(_is_there, final, file.size):
                    await self._held(source, file, part, rising)
            finally:
                await aside(part.close)
        rising.done((await aside(final.stat)).st_size)

    async def _held(self, source: Source, file: File, part: Partial, rising: "Rising") -> None:
        """With the part in hand: tries, until it is whole or there is no hope."""
        try:
            await self._resume(file, part, rising)
            stitched = part.size > 0
            while True:
                await self._tries(source, file, part, rising)
                if file.sha256 is None or part.digest.hexdigest() == file.sha256:
                    break
                if not stitched:
                    raise Spoilt(f"{file.name} has another checksum than its source says: it was damaged on its way")
                stitched = False  # what was there already may be what is wrong
                await _anew(part, file)
            await aside(part.keep)
        except Spoilt:
            await aside(part.drop)
            raise
        except OSError as error:
            if error.errno not in _FULL:
                raise
            await aside(part.drop)
            raise NoCapacity(
                f"the disk is full: {file.name} did not fit after {rising.most} bytes, and what had come was taken "
                "away again. Make room in the folder of models, or name another one."
            ) from error

    async def _resume(self, file: File, part: Partial, rising: "Rising") -> None:
        """What is there already, if it is of this file."""
        if not _same(part.mark, file) or (file.size is not None and part.size > file.size):
            await _anew(part, file)
            return
        while part.size and file.sha256 is not None and await aside(part.learn):
            pass
        rising.at(part.size)

    async def _tries(self, source: Source, file: File, part: Partial, rising: "Rising") -> None:
        """Until all bytes are there."""
        poor = 0
        while True:
            before = part.size
            try:
                await self._try(source, file, part, rising)
            except Fault as fault:
                if not fault.retriable or isinstance(fault, NoCapacity):
                    raise
                poor = 0 if part.size - before >= self._manners.worth else poor + 1
                if poor >= self._manners.tries:
                    raise
                await self._clock.sleep(self._pause(fault, poor))
            else:
                return

    def _pause(self, fault: Fault, poor: int) -> float:
        if fault.retry_after is not None:
            return min(fault.retry_after, self._manners.longest)
        return min(self._manners.pause * 2.0 ** max(poor - 1, 0), self._manners.longest) * random.uniform(0.5, 1.0)

    async def _try(self, source: Source, file: File, part: Partial, rising: "Rising") -> None:
        """Asks for what is missing, once."""
        if file.size is not None and part.size == file.size and file.size > 0:
            return
        validator = None if part.mark is None else part.mark.validator
        if validator is None and file.sha256 is None and part.size > 0:
            await _anew(part, file)  # nothing could tell that the rest is of the same file
        await aside(self._check_room, part, file)
        answer = await ask(self._reach, source, file.url, rest(part.size, validator), self._patience)
        try:
            head = read_head(answer)
            if answer.status == BEYOND:
                if head.size == part.size and part.size > 0 and file.size is None:
                    return
                await _anew(part, file)
                raise Cut(f"the source has no byte {part.size} of {file.name}: it is begun again")
            await self._fit(file, part, answer, head)
            size = file.size if file.size is not None else head.size
            rising.of(size)
            coming = File(file.name, size)
            await _Pour(answer, part, coming, rising, self._clock, self._manners).run()
            if size is not None and part.size < size:
                raise Cut(f"{file.name} ended after {part.size} of {size} bytes")
        finally:
            answer.close()

    async def _fit(self, file: File, part: Partial, answer: UpstreamAnswer, head: Head) -> None:
        """What comes goes on where the part ends; else the part is begun again."""
        if file.size is not None and head.size is not None and head.size != file.size:
            raise Spoilt(f"{file.name} has {head.size} bytes at its source; {file.size} were promised")
        mark = part.mark
        changed = mark is not None and None not in {mark.validator, head.validator} and mark.validator != head.validator
        if answer.status == REST and (head.begins != part.size or changed):
            await _anew(part, file)
            raise Cut(f"the source sends another part of {file.name} than was asked for: it is begun again")
        if answer.status != REST:
            await _anew(part, file, head.validator)

    def _check_room(self, part: Partial, file: File) -> None:
        missing = (file.size or 0) - part.size
        check_room(part.final.parent, missing, self._manners.margin, file.name)


class Rising:
    """Tells how much is there; a figure that does not rise is not told."""

    def __init__(self, told: Told, total: int | None) -> None:
        self._told = told
        self._total = total
        self.most = 0

    def of(self, total: int | None) -> None:
        """How much there will be."""
        self._total = self._total if total is None else total

    def at(self, size: int) -> None:
        """So much is there. The last byte is told only by `done`."""
        if self._total is not None:
            size = min(size, self._total - 1)
        if size > self.most:
            self.most = size
            self._told(size, self._total)

    def done(self, size: int) -> None:
        """All of it is there, and right."""
        self.most = size
        self._told(size, size)


class _Pour:
    """From an answer to the part. The disk's pace is the server's."""

    def __init__(
        self, answer: UpstreamAnswer, part: Partial, file: File, rising: Rising, clock: Clock, manners: Manners
    ) -> None:
        self._answer = answer
        self._part = part
        self._size = file.size
        self._name = file.name
        self._rising = rising
        self._clock = clock
        self._manners = manners
        self._pieces: list[bytes] = []
        self._held = 0
        self._got = part.size
        self._paused = False
        self._more = asyncio.Event()
        self._window = (clock.monotonic(), part.size)
        self._look = LOOK if file.name.endswith(".gguf") else None

    async def run(self) -> None:
        """To the end of the answer. Raises what the answer or the disk raises, once all that came is written."""
        pouring = asyncio.ensure_future(self._answer.pour(self._take))
        pouring.add_done_callback(lambda _: self._more.set())
        try:
            while self._pieces or not pouring.done():
                await self._more.wait()
                self._more.clear()
                if self._pieces:
                    await self._write()
            await pouring
        finally:
            self._answer.close()
            await asyncio.wait([pouring])
            if not pouring.cancelled():
                pouring.exception()

    def _take(self, piece: bytes) -> None:
        """In the loop, for each piece."""
        self._pieces.append(piece)
        self._held += len(piece)
        self._got += len(piece)
        if self._size is not None and self._got > self._size:
            raise Spoilt(f"the source sends more of {self._name} than its {self._size} bytes")
        if self._held > HELD and not self._paused:
            self._paused = True
            self._answer.pause()
        self._check_pace()
        self._more.set()

    def _check_pace(self) -> None:
        now, (began, had) = self._clock.monotonic(), self._window
        if now - began < self._manners.stall:
            return
        if self._got - had < self._manners.trickle:
            raise Timeout(f"{self._name} came with less than {self._manners.trickle} bytes in {now - began:.0f} s")
        self._window = (now, self._got)

    async def _write(self) -> None:
        pieces, self._pieces, self._held = self._pieces, [], 0
        await aside(self._part.write, pieces)
        self._rising.at(self._part.size)
        if self._paused:
            self._paused = False
            self._window = (self._clock.monotonic(), self._got)
            self._answer.resume()
        if self._look is not None and (self._part.size >= self._look or self._part.size == self._size):
            self._look = await aside(self._check_header)

    def _check_header(self) -> int | None:
        """A file that no engine may see needs not be fetched to its end. When to look again."""
        with mmap.mmap(self._part.held, self._part.size, prot=mmap.PROT_READ) as data:
            try:
                gguf.read(data, max(self._size or 2**62, len(data)))
            except gguf.Incomplete:
                return self._part.size * 4
            except gguf.Malformed as wrong:
                raise Spoilt(f"{self._name} is no model that can be run: {wrong}") from wrong
        return None


def check_room(folder: Path, missing: int, margin: int, what: str) -> None:
    """Raises NoCapacity, with the sum, where the disk has no room."""
    if missing <= 0:
        return
    free = shutil.disk_usage(folder).free
    spare = min(margin, max(missing // 20, 2**20))
    if missing + spare > free:
        raise NoCapacity(
            f"{what} needs {missing} bytes more and {spare} should stay free, but the disk of {folder.name} has only "
            f"{free}. Make room, or name another folder of models."
        )


def _is_there(final: Path, size: int | None) -> bool:
    """Whether the file stands there; one of another size is taken away."""
    if not final.is_file() or final.is_symlink():
        return False
    if size is not None and final.stat().st_size != size:
        final.unlink()
        return False
    return True


def _same(mark: Mark | None, file: File) -> bool:
    """Whether a part is of this file: a checksum says it wherever it came from, an address alone says it there only."""
    if mark is None or (mark.size, mark.sha256) != (file.size, file.sha256):
        return False
    return file.sha256 is not None or mark.url == file.url


async def _anew(part: Partial, file: File, validator: str | None = None) -> None:
    """From the first byte on."""
    await aside(part.begin, Mark(file.url, file.size, file.sha256, validator))
