"""
Files that are here, looked at: what they are, and whether an engine may see them. Nothing is loaded.

Everything here blocks and is called in a thread.
"""

import mmap
from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar

import msgspec
from msgspec import Struct

from foz.canon.deployment import Form, Weights
from foz.canon.fault import Garbled, Unsupported
from foz.wire import gguf, safetensors

T = TypeVar("T")
CONFIG = "config.json"
_UNSAID = msgspec.Raw(b"null")
MOST_CONFIG = 4 * 2**20
MEAN = "mean"
POOLING = {1: MEAN, 2: "cls", 3: "last"}
ENCODERS = frozenset(
    {
        "bert",
        "eurobert",
        "gemma-embedding",
        "jina-bert-v2",
        "jina-bert-v3",
        "modern-bert",
        "neo-bert",
        "nomic-bert",
        "nomic-bert-moe",
        "t5encoder",
    }
)
"""Kinds of models that make no words; where the file does not say how, the mean is usual."""
HALF = 2
"""Bytes of a key or a value, as engines keep them."""


class _Scheme(Struct, frozen=True):
    num_bits: int | None = None
    type: str = ""


class _Group(Struct, frozen=True):
    weights: _Scheme | None = None


class _Quantized(Struct, frozen=True):
    """How it was made of fewer bits, in the words of those who do that."""

    quant_method: str = ""
    bits: int | None = None
    load_in_4bit: bool = False
    load_in_8bit: bool = False
    config_groups: dict[str, _Group] = {}


class _Config(Struct, frozen=True):
    """What a model's `config.json` says of it."""

    model_type: str = ""
    max_position_embeddings: int | None = None
    num_hidden_layers: int | None = None
    num_attention_heads: int | None = None
    num_key_value_heads: int | None = None
    hidden_size: int | None = None
    head_dim: int | None = None
    vocab_size: int | None = None
    quantization_config: msgspec.Raw = _UNSAID
    text_config: msgspec.Raw = _UNSAID
    """Of a model that also sees or hears: what reads and writes."""


def header(path: Path) -> gguf.Header:
    """What a GGUF file is. Raises Garbled, which says what is wrong with it and where."""
    try:
        with path.open("rb") as opened, mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ) as data:
            return gguf.read(data)
    except gguf.Malformed as wrong:
        raise Garbled(f"{path.name} is no model that can be run: {wrong}.") from wrong
    except ValueError as empty:  # mmap's, of an empty file
        raise Garbled(f"{path.name} is empty.") from empty


def weights(paths: Sequence[Path], title: str | None = None, version: str | None = None) -> Weights:
    """A model of one GGUF file, or of the parts of one in their order. Raises Garbled."""
    headers = [header(path) for path in paths]
    first = headers[0]
    for number, (path, found) in enumerate(zip(paths, headers, strict=True)):
        if (found.part, found.parts) != (number, len(paths)):
            wanted = f"{number + 1} of {len(paths)} was wanted"
            raise Garbled(f"{path.name} is part {found.part + 1} of {found.parts}; {wanted}.")
    width = (first.width or 0) // (first.heads or 1)
    each = (first.key_length or width) + (first.value_length or width)
    return Weights(
        path=str(paths[0]),
        size=sum(found.size for found in headers),
        architecture=first.architecture,
        quantization=first.quantization,
        parameters=sum(found.parameters for found in headers),
        context=first.context,
        layers=first.layers or 0,
        cache_per_token=first.all_kv_heads * each * HALF,
        vocabulary=first.vocabulary or 0,
        title=title or first.name,
        version=version,
        pooling=_pooling(first, paths[0].name),
    )


def _pooling(found: gguf.Header, name: str) -> str:
    """How it makes a vector of a text. Raises Unsupported for what only ranks texts."""
    if found.pooling == gguf.RANK:
        raise Unsupported(f"{name} ranks texts and makes neither words nor vectors of them; that is not served here.")
    if found.pooling is None:
        return MEAN if found.architecture in ENCODERS else ""
    return POOLING[found.pooling]


def published(folder: Path, names: Sequence[str], title: str | None = None, version: str | None = None) -> Weights:
    """A model as its makers published it: safetensors beside a `config.json`. Raises Garbled."""
    size = parameters = 0
    stored: dict[str, int] = {}
    for name in names:
        path = folder / name
        try:
            with path.open("rb") as opened, mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ) as data:
                found = safetensors.read(data)
        except ValueError as wrong:
            raise Garbled(f"{name} is no file of weights: {wrong}.") from wrong
        size += path.stat().st_size
        parameters += found.parameters
        for how, bytes in found.stored.items():
            stored[how] = stored.get(how, 0) + bytes
    whole = _config(folder / CONFIG)
    config = _lenient(whole.text_config, _Config) or whole
    width = config.head_dim or (config.hidden_size or 0) // (config.num_attention_heads or 1)
    heads = config.num_key_value_heads or config.num_attention_heads or 0
    return Weights(
        path=str(folder),
        size=size,
        architecture=whole.model_type,
        quantization=_way(whole.quantization_config) or max(stored, key=stored.__getitem__),
        parameters=parameters,
        context=config.max_position_embeddings,
        layers=config.num_hidden_layers or 0,
        cache_per_token=2 * heads * width * (config.num_hidden_layers or 0) * HALF,
        vocabulary=config.vocab_size or 0,
        title=title,
        version=version,
        form=Form.SAFETENSORS,
    )


def _lenient(raw: msgspec.Raw, kind: type[T]) -> T | None:
    """What is said, where it is said as expected; others have words of their own."""
    try:
        return msgspec.json.decode(raw, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def _way(raw: msgspec.Raw) -> str | None:
    """How the weights are stored: `awq-int4`, or the method alone where it is not of whole bits; None for 16 bits."""
    if bytes(raw) == b"null":
        return None
    said = _lenient(raw, _Quantized)
    if said is None or not said.quant_method:
        return "quantized"
    method = "".join(char for char in said.quant_method[:40] if char.isalnum() or char in "-_")
    schemes = [group.weights for group in said.config_groups.values() if group.weights is not None]
    if any(scheme.type == "float" for scheme in schemes):
        return f"{method}-fp{schemes[0].num_bits or 8}"
    bits = said.bits or (4 if said.load_in_4bit else 8 if said.load_in_8bit else None)
    bits = bits or next((scheme.num_bits for scheme in schemes), None)
    return f"{method}-int{bits}" if bits else method


def _config(path: Path) -> _Config:
    try:
        with path.open("rb") as opened:
            return msgspec.json.decode(opened.read(MOST_CONFIG), type=_Config)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as wrong:
        raise Garbled(f"{path.name} cannot be read: {wrong}.") from wrong
