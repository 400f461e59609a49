"""
Where the files of a model come from, and where they are kept.

A `source` is said in one word: a path (`tiny.gguf`, or absolute; it stays under the folder of models, links followed),
`hf:org/repo[@revision][/file.gguf]`, `ollama:name[:tag]`, `foz:foz-tiny` for what is built in, or empty: then
`model_type` and `model_size` are looked up in the catalog of rows. Files are kept in the folder of models, under their
source and checksum, so that two deployments of one file share it.

The loop calls these in order for each deployment, several deployments at a time, and may call any of them again after
a restart or a `kill -9`: what was done already is found, not done again; two that want one file wait for each other. To
stop, the loop cancels the task that awaits: nothing goes on behind it, half files stay to be resumed. Nothing here
blocks the loop: hashing, reading headers and converting are done in threads or processes.

Implemented in `runtime/shelf/`; the catalog's rows and all that only decides are pure, in `deploy/`.
"""

from collections.abc import Callable, Collection, Sequence
from typing import Protocol

from msgspec import Struct

from foz.canon.deployment import Quantization, Weights, Wish

Told = Callable[[int, int | None], None]
"""
Bytes moved so far, of bytes in all (None: unknown). Called in the loop, at most some times a second, and always with
the last figure. The figure never falls: what a resumed download has already counts from the beginning.
"""


class File(Struct, frozen=True):
    """One file to have."""

    name: str
    """A relative path, safe under the folder of models."""
    size: int | None = None
    sha256: str | None = None
    """In small hexadecimal letters, where the source says it."""
    url: str = ""
    """Empty where it is there already."""


class Found(Struct, frozen=True):
    """What a wish means."""

    source: str
    """Where it comes from, exactly (revision and file named)."""
    files: tuple[File, ...]
    makes: Quantization | None = None
    """What is made of it on the spot, where the source has not what is wanted: `int8` of an F16 file."""
    title: str | None = None
    version: str | None = None

    @property
    def size(self) -> int | None:
        """Bytes of all files, where each one's is known."""
        sizes = [file.size for file in self.files]
        known = [size for size in sizes if size is not None]
        return sum(known) if len(known) == len(sizes) else None


class Shelf(Protocol):
    """Finds, fetches, makes and removes files of weights."""

    def check(self, wish: Wish) -> Wish:
        """
        The wish with its source filled in from the catalog, without asking anybody and without waiting. Raises NotFound
        (no such type or size: which there are), BadRequest (a name, a path or a source that cannot be) or Unsupported
        (a quantization that this source cannot come in).
        """
        ...

    async def find(self, wish: Wish) -> Found:
        """
        Which files a checked wish means, with sizes and checksums where the source says them. Raises NotFound, Refused,
        Down or Timeout; and NoCapacity, with the sum, where the disk has no room for what is missing.
        """
        ...

    async def fetch(self, found: Found, told: Told) -> None:
        """
        Has the files here, whole and checked; resumes what was begun. A source that sends nothing for a while is asked
        again, a few times. Raises Down, Timeout, Cut, Garbled (a wrong size or checksum: that file is removed) or
        NoCapacity (the disk is full).
        """
        ...

    async def make(self, found: Found, told: Told) -> Weights:
        """
        The file to load: its header and its bounds checked, converted where `found.makes` says so. Raises Garbled (what
        is wrong with the file, and where in it), Unsupported or NoCapacity.
        """
        ...

    async def remove(self, files: Sequence[str], kept: Collection[str] = ()) -> int:
        """
        Takes away what was fetched or made of these (names of `Found.files`, paths of `Weights`), whole or begun, down
        to empty folders: bytes that are free now. What an operator put there (a path as source), what is built in, and
        what others use (`kept`) stays.
        """
        ...
