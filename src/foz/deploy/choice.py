"""
Which of a repository's files are the model that is wanted, by their names: pure.

Repositories hold one model many times, each file with another number of bits in its name, some cut into parts. `int4`,
`int8` and `fp16` are each a row of such names, the best first. Where there is no `int8` it is made from a file of
16 bits. Files that are no model by themselves (eyes, drafts, statistics) are passed over.
"""

import re
from collections.abc import Mapping, Sequence

from msgspec import Struct

from foz.canon.deployment import Quantization
from foz.canon.fault import Garbled, NotFound, Unsupported
from foz.ports.weights import File

MADE_FROM = ("F16", "BF16", "F32")
"""Of these `int8` can be made; the best first."""
WAYS: Mapping[Quantization, tuple[str, ...]] = {
    Quantization.INT4: (
        "Q4_K_M", "Q4_K_S", "Q4_0", "Q4_K_L", "Q4_K_XL", "Q4_1", "IQ4_XS", "IQ4_NL", "MXFP4", "MXFP4_MOE", "NVFP4",
        "Q4_K",
    ),
    Quantization.INT8: ("Q8_0",),
    Quantization.FP16: ("F16", "BF16"),
}  # fmt: skip
_USUAL = (*WAYS[Quantization.INT4], *WAYS[Quantization.INT8], *WAYS[Quantization.FP16])
"""What is taken where nobody says what is wanted."""
_WAY = re.compile(
    r"(?i)(?:^|[-._/])((?:IQ\d_[A-Z]+|T?Q\d_K_[SMLX]+|T?Q\d_[K01]|BF16|FP?16|FP?32|MXFP4(?:_MOE)?|NVFP4))(?=[-._/]|$)"
)
_PART = re.compile(r"(.+)-(\d{5})-of-(\d{5})\.gguf")
_NO_MODEL = re.compile(r"(?i)(?:^|[-._/])(?:mmproj|imatrix|draft|vocab|lora|adapter|control[-_]vector)(?:[-._/]|$)")
MOST_PARTS = 500
_BESIDE = ("consolidated", "adapter_", "optimizer")


class Chosen(Struct, frozen=True):
    """The files of one model, in their order, and what is to be made of them."""

    files: tuple[File, ...]
    makes: Quantization | None = None
    way: str | None = None
    """How it is stored, as its name says."""


def way_of(name: str) -> str | None:
    """How a file is stored, as its name says."""
    found = _WAY.findall(name.removesuffix(".gguf"))
    way = found[-1].upper() if found else None
    return {"FP16": "F16", "FP32": "F32"}.get(way or "", way)


def choose(files: Sequence[File], wanted: Quantization | None, named: str | None, where: str) -> Chosen:
    """
    The model among a repository's files; `named` is the file that was asked for by name. Raises NotFound, Unsupported
    (and says what there is), or Garbled where parts are missing.
    """
    sets = _sets(files, where)
    if named is not None:
        found = next((chosen for chosen in sets if any(file.name == named for file in chosen.files)), None)
        if found is None:
            raise NotFound(f"{where} has no file {named}. {_told(sets)}")
        return as_wanted(found, wanted, where)
    models = [chosen for chosen in sets if not _NO_MODEL.search(chosen.files[0].name)]
    if not models:
        raise NotFound(f"{where} has no GGUF file with a model.")
    ways = _USUAL if wanted is None else WAYS[wanted]
    best = _first(models, ways) or (_first(models, MADE_FROM) if wanted is Quantization.INT8 else None)
    if best is not None:
        return as_wanted(best, wanted, where)
    if len(models) == 1:
        return as_wanted(models[0], wanted, where)
    if wanted is None:
        raise Unsupported(
            f"{where} has several models, and none of them is the usual one: name a file. {_told(models)}"
        )
    raise Unsupported(f"{where} has nothing that is {wanted}. {_told(models)}", field="quantization")


def published(names: Sequence[str]) -> list[str]:
    """
    The safetensors that are a model, of a folder's: some makers put it there twice, once in one file as their own
    programs want it, and what was only learned on top of it is no model.
    """
    tensors = [name for name in names if name.endswith(".safetensors") and "/" not in name]
    return [name for name in tensors if not name.startswith(_BESIDE)] or tensors


def as_wanted(chosen: Chosen, wanted: Quantization | None, where: str) -> Chosen:
    """With what is to be made of it. Raises Unsupported where it can never be what is wanted."""
    if wanted is None or chosen.way is None or chosen.way in WAYS[wanted]:
        return chosen
    if wanted is Quantization.INT8 and chosen.way in MADE_FROM:
        return Chosen(chosen.files, Quantization.INT8, chosen.way)
    raise Unsupported(
        f"{chosen.files[0].name} of {where} is stored as {chosen.way}, which is not {wanted} and cannot be made so. "
        "Leave quantization out to take it as it is.",
        field="quantization",
    )


def _sets(files: Sequence[File], where: str) -> list[Chosen]:
    """One entry for each model: files that are parts of one belong together."""
    whole = [Chosen((file,), way=way_of(file.name)) for file in files if _is_whole(file.name)]
    parts: dict[tuple[str, int], dict[int, File]] = {}
    for file in files:
        if found := _PART.fullmatch(file.name):
            parts.setdefault((found[1], int(found[3])), {})[int(found[2])] = file
    for (stem, count), cut in parts.items():
        if not 0 < count <= MOST_PARTS or sorted(cut) != list(range(1, count + 1)):
            raise Garbled(f"{where} lacks parts of {stem}: it has {len(cut)} of {count}")
        whole.append(Chosen(tuple(cut[number] for number in sorted(cut)), way=way_of(stem)))
    return sorted(whole, key=lambda chosen: chosen.files[0].name)


def _is_whole(name: str) -> bool:
    return name.endswith(".gguf") and not _PART.fullmatch(name)


def _first(models: Sequence[Chosen], ways: Sequence[str]) -> Chosen | None:
    """The first that is stored in the best of these ways; of several, the one with the shortest name."""
    for way in ways:
        if found := [chosen for chosen in models if chosen.way == way]:
            return min(found, key=lambda chosen: (len(chosen.files[0].name), chosen.files[0].name))
    return None


def _told(models: Sequence[Chosen]) -> str:
    names = [chosen.files[0].name for chosen in models]
    return f"There are: {', '.join(names[:20])}{', …' if len(names) > 20 else ''}."  # noqa: PLR2004 - fit to be read
