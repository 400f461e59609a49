"""
Model files that lie in the folder of models: the source is their path under it. Nothing is fetched and nothing is made.

A path that leads out of the folder, also by a link, is refused; the header of a file is judged before an engine
sees it.
"""

import asyncio
import mmap
from collections.abc import Mapping
from pathlib import Path

from msgspec import structs

from foz.canon.deployment import Quantization, Weights, Wish
from foz.canon.fault import BadRequest, Garbled, NotFound, Unsupported
from foz.ports.weights import File, Found, Told
from foz.wire import gguf

_WORDS = {Quantization.FP16: ("F16", "BF16"), Quantization.INT8: ("Q8_0",), Quantization.INT4: ("Q4", "IQ4", "MXFP4")}


class PathShelf:
    """Implements `ports.weights.Shelf`. `sources` says what types and sizes mean, by `type-size`."""

    def __init__(self, folder: Path, sources: Mapping[str, str]) -> None:
        self._folder = folder
        self._sources = sources

    def check(self, wish: Wish) -> Wish:
        """With its source."""
        name = "-".join(part for part in (wish.model_type, wish.model_size) if part)
        source = wish.source or self._sources.get(name, "")
        if not source:
            known = ", ".join(sorted(self._sources)) or "none"
            raise NotFound(
                f"Nobody knows where {name!r} comes from. Say a source, or add it to [local] sources; known: {known}."
            )
        self._path(source)
        return structs.replace(wish, source=source)

    def _path(self, source: str) -> Path:
        folder = self._folder.resolve()
        try:
            path = (folder / source).resolve()
        except (OSError, ValueError, RuntimeError):  # a loop of links, a null byte
            path = folder
        if path == folder or not path.is_relative_to(folder):
            raise BadRequest(f"source: {source[:200]!r} is no path under the folder of models.", field="source")
        return path

    async def find(self, wish: Wish) -> Found:
        """The file."""
        path = self._path(wish.source)
        size = await asyncio.to_thread(_size, path)
        if size is None:
            raise NotFound(f"There is no file {wish.source!r} in the folder of models, {self._folder}.")
        header = await asyncio.to_thread(_header, path)
        if wish.quantization is not None and not header.quantization.startswith(_WORDS[wish.quantization]):
            raise Unsupported(f"{wish.source} is {header.quantization}, not {wish.quantization}.", field="quantization")
        return Found(wish.source, (File(wish.source, size),), title=header.name)

    async def fetch(self, found: Found, told: Told) -> None:
        """It is here."""
        told(found.size or 0, found.size)

    async def make(self, found: Found, told: Told) -> Weights:
        """As it is, judged."""
        path = self._path(found.source)
        header = await asyncio.to_thread(_header, path)
        told(header.size, header.size)
        width = (header.width or 0) // max(header.heads or 1, 1)
        each = (header.key_length or width) + (header.value_length or width)
        return Weights(
            path=str(path),
            size=header.size,
            architecture=header.architecture,
            quantization=header.quantization,
            parameters=header.parameters,
            context=header.context,
            layers=header.layers or 0,
            cache_per_token=2 * (header.layers or 0) * (header.kv_heads or header.heads or 0) * each,
            vocabulary=header.vocabulary or 0,
            title=header.name,
        )

    async def remove(self, weights: Weights) -> int:  # noqa: ARG002 - the port's
        """An operator put it there: it stays."""
        return 0


def _size(path: Path) -> int | None:
    return path.stat().st_size if path.is_file() else None


def _header(path: Path) -> gguf.Header:
    try:
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            return gguf.read(data, len(data))
    except (gguf.Malformed, ValueError) as error:  # the latter of an empty file
        raise Garbled(f"{path.name} is no sound GGUF file: {error}.") from error
