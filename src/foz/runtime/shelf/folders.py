"""
The folder of models: what an operator put there, what was fetched, what was made, and nothing outside of it.

    <models>/anything.gguf                      an operator's files
    <models>/fetched/hf/<org>/<repo>/<commit>/  of Hugging Face, as they are named there
    <models>/fetched/ollama/<space>/<name>/     of Ollama's registry
    <models>/made/                              of eight bits, from an operator's files

A file of eight bits that was made of a fetched one lies beside it. Everything here blocks.
"""

import hashlib
from collections.abc import Collection, Sequence
from contextlib import suppress
from pathlib import Path

from foz.canon.fault import BadRequest, NotFound
from foz.deploy.source import outside
from foz.runtime.shelf import partial

FETCHED, MADE = "fetched", "made"
EIGHT = ".foz-Q8_0.gguf"


class Folders:
    """The folder of models, and others whose files may be run where they lie."""

    def __init__(self, models: Path, others: Sequence[Path] = ()) -> None:
        self.models = models
        self.others = tuple(others)

    def check(self, path: str) -> None:
        """Raises BadRequest where an absolute path lies elsewhere."""
        roots = [root for one in (self.models, *self.others) for root in (one, one.absolute())]
        if path.startswith("/") and not any(Path(path).is_relative_to(root) for root in roots):
            raise outside(path)

    def operators(self, path: str) -> Path:
        """An operator's file or folder. Raises BadRequest where it leads out of their folders, NotFound."""
        wanted = self.models / path
        for root in (self.models, *self.others):
            try:
                real = wanted.resolve(strict=True)
                inside = real.is_relative_to(root.resolve(strict=True))
            except FileNotFoundError:
                continue
            except (OSError, RuntimeError, ValueError) as odd:  # a loop of links, a name that no disk takes
                raise BadRequest(f"The source '{path}' cannot be followed.", field="source") from odd
            if inside and (real.is_file() or real.is_dir()):
                return real
        if wanted.exists():
            raise outside(path)
        raise NotFound(f"There is no file '{path}' in the folder of models.", field="source")

    def fetched(self, name: str) -> Path:
        """Where a file that is fetched belongs. An absolute path is where it is."""
        return self.models / FETCHED / name

    def made(self, source: Path) -> Path:
        """Where the file of eight bits that is made of this one belongs."""
        if self._is_fetched(source):
            return source.with_name(source.name.removesuffix(".gguf") + EIGHT)
        whose = hashlib.sha256(str(source).encode()).hexdigest()[:12]
        stat = source.stat()
        state = hashlib.sha256(f"{stat.st_size} {stat.st_mtime_ns}".encode()).hexdigest()[:8]
        return self.models / MADE / f"{source.name.removesuffix('.gguf')[:150]}-{whose}-{state}{EIGHT}"

    def remove(self, files: Sequence[str], kept: Collection[str] = ()) -> int:
        """Takes away what was fetched or made of these, whole or begun, save what is kept; bytes that are free now."""
        stays = {self.fetched(file) for file in kept}
        freed = 0
        for path in dict.fromkeys(self.fetched(file) for file in files):
            if path not in stays and ".." not in path.parts and (self._is_fetched(path) or self._is_made(path)):
                made = self.made(path) if self._is_fetched(path) else path
                freed += _gone(path) + partial.forget(path) + partial.forget(made)
                self._tidy(path.parent)
        return freed

    def sweep(self, before: float) -> int:
        """Takes away parts of files that nobody went on with since; bytes that are free now."""
        freed = 0
        for path in [
            *(self.models / FETCHED).rglob("*" + partial.SUFFIX),
            *(self.models / MADE).glob("*" + partial.SUFFIX),
        ]:
            with suppress(FileNotFoundError):
                if path.lstat().st_mtime < before:
                    freed += partial.forget(path.with_name(path.name.removesuffix(partial.SUFFIX)))
                    self._tidy(path.parent)
        return freed

    def _is_fetched(self, path: Path) -> bool:
        return path.is_relative_to(self.models / FETCHED)

    def _is_made(self, path: Path) -> bool:
        return path.parent == self.models / MADE

    def _tidy(self, folder: Path) -> None:
        """Takes away folders that are empty now."""
        while folder != self.models / FETCHED and self._is_fetched(folder):
            try:
                folder.rmdir()
            except OSError:
                return
            folder = folder.parent


def parts(path: Path) -> list[Path]:
    """A file, or all parts of the one that it is the first part of, in their order."""
    stem, mark, count = path.name.removesuffix(".gguf").rpartition("-of-")
    if not mark or not count.isdecimal() or len(count) != 5 or stem[-6:] != "-00001":  # noqa: PLR2004 - five digits
        return [path]
    return [path.with_name(f"{stem[:-5]}{number:05d}-of-{count}.gguf") for number in range(1, int(count) + 1)]


def _gone(path: Path) -> int:
    if not path.is_file():
        return 0
    freed = path.stat().st_size
    path.unlink(missing_ok=True)
    return freed
