"""
A file that is coming: `<name>.partial` beside the place where it will be, and `<name>.partial.json`, which says of what
it is a part.

It is locked while somebody fetches it, by the kernel, so that a process that dies gives it up; who comes second waits.
The file appears under its own name only when it is whole and on the disk. What was begun stays to be resumed, and what
has no use is taken away: an empty part, a part that turned out wrong, and one on a disk that is full.

Everything here blocks and is called in a thread, by one at a time.
"""

import fcntl
import hashlib
import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import msgspec
from msgspec import Struct

SUFFIX = ".partial"
SLICE = 4 * 2**20
_MARK = ".partial.json"
_MOST_MARK = 64 * 1024


class Mark(Struct, frozen=True):
    """Of what the part is a part. `validator` is what the server calls that state of it: a strong ETag or a date."""

    url: str
    size: int | None = None
    sha256: str | None = None
    validator: str | None = None


class Partial:
    """The part that one process holds. Raises OSError as the disk does."""

    def __init__(self, final: Path, held: int) -> None:
        self.final = final
        self.held = held
        """The open file."""
        self.size = os.fstat(held).st_size
        """Bytes that are there."""
        self.digest = hashlib.sha256()
        """Of the bytes that were told to it; `learn` tells those that are there already."""
        self.mark = _read_mark(final)
        """Of what it is a part, where that is known."""
        self._known = 0

    @classmethod
    def hold(cls, final: Path) -> "Partial | None":
        """The part of this file, made where there is none; None where another process or task holds it."""
        final.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        path = _beside(final, SUFFIX)
        while True:
            held = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
            try:
                fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(held)
                return None
            if _is_at(held, path):
                return cls(final, held)
            os.close(held)  # it was finished or dropped between opening and locking: look again

    @property
    def path(self) -> Path:
        """Where it is."""
        return _beside(self.final, SUFFIX)

    def begin(self, mark: Mark) -> None:
        """From the first byte on, of this."""
        os.ftruncate(self.held, 0)
        self.size = self._known = 0
        self.digest = hashlib.sha256()
        path = _beside(self.final, _MARK)
        fresh = path.with_name(path.name + ".new")
        fresh.write_bytes(msgspec.json.encode(mark))
        fresh.replace(path)
        self.mark = mark

    def learn(self) -> bool:
        """Takes in a slice of what is there already; whether there is more."""
        piece = os.pread(self.held, min(SLICE, self.size - self._known), self._known)
        self.digest.update(piece)
        self._known += len(piece)
        return bool(piece) and self._known < self.size

    def write(self, pieces: Sequence[bytes]) -> None:
        """More of it. What does not fit wholly is not counted."""
        data = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        at, view = self.size, memoryview(data)
        while view:
            written = os.pwrite(self.held, view, at)
            at, view = at + written, view[written:]
        self.digest.update(data)
        self.size = self._known = at

    def keep(self) -> None:
        """It is whole: down to the disk, and to its own name."""
        os.fsync(self.held)
        _beside(self.final, SUFFIX).rename(self.final)
        _beside(self.final, _MARK).unlink(missing_ok=True)
        folder = os.open(self.final.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    def drop(self) -> None:
        """It is of no use."""
        _beside(self.final, _MARK).unlink(missing_ok=True)
        _beside(self.final, SUFFIX).unlink(missing_ok=True)
        self.size = 0

    def drop_unkept(self) -> None:
        """It is of no use, unless it has its own name already."""
        if _is_at(self.held, self.path):
            self.drop()

    def close(self) -> None:
        """Gives it up; what was begun stays."""
        if self.size == 0 and _is_at(self.held, _beside(self.final, SUFFIX)):
            self.drop()
        os.close(self.held)


def coming(final: Path) -> int:
    """How many bytes of a file are there that somebody is fetching."""
    with suppress(OSError):
        return _beside(final, SUFFIX).stat().st_size
    return 0


def forget(final: Path) -> int:
    """Takes away the part of a file, unless somebody fetches it just now; how many bytes that were."""
    if not _beside(final, SUFFIX).exists():
        return 0
    part = Partial.hold(final)
    if part is None:
        return 0
    size = part.size
    part.drop()
    part.close()
    return size


def _beside(final: Path, suffix: str) -> Path:
    return final.with_name(final.name + suffix)


def _read_mark(final: Path) -> Mark | None:
    try:
        with _beside(final, _MARK).open("rb") as opened:
            return msgspec.json.decode(opened.read(_MOST_MARK), type=Mark)
    except (OSError, msgspec.DecodeError, UnicodeDecodeError):
        return None


def _is_at(held: int, path: Path) -> bool:
    """Whether what is held is what stands at the path."""
    try:
        there = path.lstat()
    except FileNotFoundError:
        return False
    own = os.fstat(held)
    return (own.st_dev, own.st_ino) == (there.st_dev, there.st_ino)
