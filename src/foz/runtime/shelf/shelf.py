"""
Where models come from: one shelf over all sources. What a wish means is decided in `deploy/`, purely; here it is asked,
fetched, looked at and, where eight bits are wanted of sixteen, made.

Whatever was done already is found again by its name: fetched files bear their source and its state in their path.
"""

import errno
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from msgspec import Struct, structs

from foz.canon.deployment import Form, Quantization, Weights, Wish
from foz.canon.fault import Garbled, NoCapacity, NotFound, Unsupported
from foz.deploy import catalog
from foz.deploy import source as words
from foz.deploy.choice import MADE_FROM, WAYS, Chosen, as_wanted, published, way_of
from foz.deploy.source import BuiltIn, OnDisk, OnHub, OnOllama
from foz.ports.clock import Clock
from foz.ports.engine import LLAMA_CPP, VLLM
from foz.ports.weights import File, Found, Told
from foz.runtime.shelf import eight, hub, looking, ollama, partial
from foz.runtime.shelf.fetching import Fetcher, Manners, check_room
from foz.runtime.shelf.folders import Folders, parts
from foz.runtime.shelf.hub import Hub
from foz.runtime.shelf.notes import Notes
from foz.runtime.shelf.ollama import Ollama
from foz.runtime.shelf.opening import Reach, Source
from foz.runtime.shelf.threads import aside

TOLD_SECONDS = 0.2
_READS = {LLAMA_CPP: Form.GGUF, VLLM: Form.SAFETENSORS}
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


class Shops(Struct, frozen=True):
    """Whom we fetch from, and what is here without fetching."""

    hub: Hub = Hub()
    ollama: Ollama = Ollama()
    named: Mapping[str, str] = {}
    """An operator's own sources by `type-size`, before the catalog."""
    built_in: Mapping[str, Path] = {}
    prefers: Form = Form.GGUF
    """As what a model is taken that is there in more than one form, where a wish names no engine."""


class DiskShelf:
    """Implements `ports.weights.Shelf`. `environment` is all that its programs see."""

    def __init__(
        self, folders: Folders, shops: Shops, reach: Reach, clock: Clock, environment: Mapping[str, str],
        manners: Manners = Manners(),  # noqa: B008 - frozen
    ) -> None:  # fmt: skip
        self._folders = folders
        self._shops = shops
        self._reach = reach
        self._clock = clock
        self._environment = environment
        self._manners = manners
        self._fetcher = Fetcher(reach, clock, manners)
        self._notes = Notes(folders.fetched(""))

    # -- what is wanted ----------------------------------------------------

    def check(self, wish: Wish) -> Wish:
        """With its source, without asking anybody."""
        words.check_model_id(wish.model_id)
        source = wish.source or self._shops.named.get(_key(wish), "") or self._from_catalog(wish)
        place = words.read(source)
        if isinstance(place, BuiltIn) and place.name not in self._shops.built_in:
            there = ", ".join(self._shops.built_in) or "nothing"
            raise NotFound(f"There is no model '{place.name}' built in; there is {there}.", field="source")
        if isinstance(place, OnDisk):
            self._folders.check(place.path)
        name = place.file if isinstance(place, OnHub) else place.path if isinstance(place, OnDisk) else None
        if name is not None:
            as_wanted(Chosen((File(name),), way=way_of(name)), wish.quantization, source)
        return structs.replace(wish, source=source)

    def _from_catalog(self, wish: Wish) -> str:
        row = catalog.find(wish.model_type, wish.model_size)
        return words.HUB + (row.original if self._form(wish) is Form.SAFETENSORS else row.repo)

    def _form(self, wish: Wish) -> Form:
        """What the engine that is wanted reads."""
        return _READS.get(wish.engine, self._shops.prefers)

    async def find(self, wish: Wish) -> Found:
        """Which files a checked wish means."""
        found = await aside(self._found_before, wish)
        if found is None:
            found = await self._look(wish)
            if any(file.url for file in found.files):
                await aside(self._notes.write, wish, self._form(wish), found)
        row = catalog.catalog().get((wish.model_type, wish.model_size))
        if row is not None and wish.source in {words.HUB + row.repo, words.HUB + row.original}:
            found = structs.replace(found, title=row.title, version=row.version)
        await aside(self._check_room, found)
        return found

    def _found_before(self, wish: Wish) -> Found | None:
        """What was found for such a wish, if all of it is here: then nobody needs to be asked."""
        found = self._notes.read(wish, self._form(wish))
        if found is None or not all(file.url and words.is_safe(file.name) for file in found.files):
            return None
        return found if all(self._folders.fetched(file.name).is_file() for file in found.files) else None

    async def _look(self, wish: Wish) -> Found:
        place = words.read(wish.source)
        match place:
            case OnHub():
                return await self._on_hub(place, wish)
            case OnOllama():
                chosen = await ollama.look(self._shops.ollama, place, wish.quantization, self._reach)
                return Found(wish.source, chosen.files, _makes(chosen, wish), title=f"{place.name}:{place.tag}")
            case OnDisk():
                return await self._on_disk(place, wish)
            case BuiltIn():
                path = self._shops.built_in[place.name]
                size = (await aside(path.stat)).st_size
                return Found(wish.source, (File(path.name, size),), wish.quantization, title=place.name)

    async def _on_hub(self, place: OnHub, wish: Wish) -> Found:
        here = await hub.look(self._shops.hub, place, wish.quantization, self._environment, self._form(wish))
        under = f"hf/{place.repo}/{here.commit[:12]}"
        files = tuple(structs.replace(file, name=f"{under}/{file.name}") for file in here.chosen.files)
        source = f"{words.HUB}{place.repo}@{here.commit}"
        if here.safetensors:
            return Found(source, files)
        return Found(f"{source}/{here.chosen.files[0].name}", files, _makes(here.chosen, wish))

    async def _on_disk(self, place: OnDisk, wish: Wish) -> Found:
        path = await aside(self._folders.operators, place.path)
        if await aside(path.is_dir):
            return Found(str(path), await aside(_safetensors, path))
        first = await aside(looking.header, path)
        chosen = as_wanted(
            Chosen((File(path.name),), way=first.quantization), wish.quantization, "the folder of models"
        )
        files = tuple([File(part.name, (await aside(part.stat)).st_size) for part in parts(path)])
        return Found(str(path), files, chosen.makes, title=first.name)

    def _check_room(self, found: Found) -> None:
        needed = 0
        for file in found.files:
            final = self._folders.fetched(file.name)
            if file.url and not final.exists():
                needed += max((file.size or 0) - partial.coming(final), 0)
        if found.makes is Quantization.INT8 and (way_of(found.files[0].name) or "F16") in MADE_FROM:
            needed += int((found.size or 0) * eight.SHARE)
        self._folders.models.mkdir(parents=True, exist_ok=True, mode=0o700)
        check_room(self._folders.models, needed, self._manners.margin, found.source)

    # -- what is fetched ---------------------------------------------------

    async def fetch(self, found: Found, told: Told) -> None:
        """Has the files here, whole and checked."""
        source = self._source(found)
        sizes = [file.size for file in found.files]
        telling = _Telling(told, found.size, self._clock)
        before = 0
        for file, size in zip(found.files, sizes, strict=True):
            if file.url:
                final = self._folders.fetched(file.name)
                await self._fetcher.fetch(source, file, final, telling.after(before))
                size = (await aside(final.stat)).st_size if size is None else size
            before += size or 0
        telling.done(before)

    def _source(self, found: Found) -> Source:
        if found.source.startswith(words.OLLAMA):
            return Source(self._shops.ollama.registry, self._shops.ollama.own)
        shop = self._shops.hub
        token = ((b"authorization", b"Bearer " + shop.token.encode("ascii")),) if shop.token else ()
        return Source(shop.endpoint, shop.own, token)

    # -- what is made of it ------------------------------------------------

    async def make(self, found: Found, told: Told) -> Weights:
        """The file to load."""
        paths = [self._path(found, file) for file in found.files]
        try:
            return await self._make(found, paths, told)
        except Garbled:  # what was fetched and is no model is not kept
            await aside(self._folders.remove, [file.name for file in found.files if file.url])
            raise
        except OSError as error:
            if error.errno in _FULL:
                raise NoCapacity("the disk is full: make room in the folder of models, or name another one.") from error
            raise

    async def _make(self, found: Found, paths: Sequence[Path], told: Told) -> Weights:
        names = [path.name for path in paths]
        if not any(name.endswith(".gguf") for name in names) and looking.CONFIG in names:
            tensors = [name for name in names if name.endswith(".safetensors")]
            weights = await aside(looking.published, paths[0].parent, tensors, found.title, found.version)
            told(found.size or 0, found.size)
            return weights
        weights = await aside(looking.weights, paths, found.title, found.version)
        if found.makes is None or weights.quantization in WAYS[found.makes]:
            told(weights.size, weights.size)
            return weights
        if found.makes is not Quantization.INT8 or weights.quantization not in MADE_FROM:
            raise Unsupported(
                f"{paths[0].name} is stored as {weights.quantization}, which is not {found.makes} and cannot be made "
                "so. Leave quantization out to take it as it is.",
                field="quantization",
            )
        final = await aside(self._folders.made, paths[0])
        telling = _Telling(told, weights.size, self._clock)
        await eight.make(paths, final, telling.after(0), self._clock, self._manners, self._environment)
        telling.done(weights.size)
        return await aside(looking.weights, [final], found.title, found.version)

    def _path(self, found: Found, file: File) -> Path:
        if file.url:
            return self._folders.fetched(file.name)
        place = words.read(found.source) if not found.source.startswith("/") else None
        if isinstance(place, BuiltIn):
            return self._shops.built_in[place.name]
        if isinstance(place, OnOllama):
            lies = ollama.blob(self._shops.ollama, file.sha256 or "")
            if lies is None:
                raise NotFound(f"{found.source} is no longer in Ollama's store.")
            return lies
        source = Path(found.source)
        return (source if source.is_dir() else source.parent) / file.name

    async def remove(self, files: Sequence[str], kept: Collection[str] = ()) -> int:
        """Takes away what was fetched or made of these."""
        return await aside(self._folders.remove, files, kept)

    async def sweep(self, seconds: float) -> int:
        """Takes away parts of files that nobody went on with for so long."""
        return await aside(self._folders.sweep, self._clock.now() / 1000 - seconds)


class _Telling:
    """What is told of several files together; at most some times a second, and never less than before."""

    def __init__(self, told: Told, total: int | None, clock: Clock) -> None:
        self._told = told
        self._total = total
        self._clock = clock
        self._most = -1
        self._at = -TOLD_SECONDS

    def after(self, before: int) -> Told:
        """Tells of one file, when so many bytes are there of others."""

        def told(done: int, _: int | None) -> None:
            now = self._clock.monotonic()
            if before + done > self._most and now - self._at >= TOLD_SECONDS:
                self._most, self._at = before + done, now
                self._told(self._most, self._total)

        return told

    def done(self, size: int) -> None:
        """All of it."""
        if size != self._most:
            self._most = size
            self._told(size, size)


def _key(wish: Wish) -> str:
    return "-".join(part for part in (wish.model_type, wish.model_size) if part)


def _makes(chosen: Chosen, wish: Wish) -> Quantization | None:
    """Where the name does not say how it is stored, the header will: it must be what is wanted, or made so."""
    return chosen.makes if chosen.way is not None else wish.quantization


def _safetensors(folder: Path) -> tuple[File, ...]:
    files = {path.name: path.stat().st_size for path in sorted(folder.iterdir()) if path.is_file()}
    weights = published(list(files))
    if not weights or looking.CONFIG not in files:
        raise NotFound(f"{folder.name} is a folder without safetensors and a {looking.CONFIG}.", field="source")
    return tuple(File(name, files[name]) for name in (looking.CONFIG, *weights))
