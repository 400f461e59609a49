"""
GGUF files written byte by byte, with whatever is asked to be wrong in them. `foz.testing.gguf` writes good ones, which
a real engine loads; those written here only have to be read.
"""

import struct
from collections.abc import Mapping, Sequence
from typing import Literal

from msgspec import Struct

Stored = Literal["F32", "F16", "Q8_0"]
_TYPES: Mapping[str, tuple[int, int, int]] = {"F32": (0, 1, 4), "F16": (1, 1, 2), "Q8_0": (8, 32, 34)}
_FORMATS = {0: "<B", 1: "<b", 2: "<H", 3: "<h", 4: "<I", 5: "<i", 6: "<f", 7: "<?", 10: "<Q", 11: "<q", 12: "<d"}
U32, I32, F32, BOOL, TEXT, LIST, U64 = 4, 5, 6, 7, 8, 9, 10


class Value(Struct, frozen=True):
    """One key's value; `kind` is the format's number for its type, for a list that of its elements."""

    kind: int
    value: int | float | bool | str | bytes | Sequence[int | float | str | bytes]
    listed: bool = False


class Tensor(Struct, frozen=True):
    """One entry of the table of tensors; `offset` is where it should be unless it says otherwise."""

    name: str | bytes
    shape: tuple[int, ...]
    kind: int = 1
    offset: int | None = None
    size: int | None = None
    """How much room it is given, where that is not what its type takes."""


def text(value: str | bytes, size: int | None = None) -> bytes:
    """A text with its length before it, or with another length."""
    raw = value.encode() if isinstance(value, str) else value
    return struct.pack("<Q", len(raw) if size is None else size) + raw


def entry(key: str | bytes, value: Value) -> bytes:
    """One key and its value."""
    head = text(key)
    if value.listed:
        assert isinstance(value.value, Sequence)
        items = b"".join(_one(value.kind, item) for item in value.value)
        return head + struct.pack("<IIQ", LIST, value.kind, len(value.value)) + items
    return head + struct.pack("<I", value.kind) + _one(value.kind, value.value)


def _one(kind: int, value: object) -> bytes:
    if kind == TEXT:
        assert isinstance(value, str | bytes)
        return text(value)
    return struct.pack(_FORMATS[kind], value)


def size_of(tensor: Tensor) -> int:
    """How many bytes it is given in the file."""
    if tensor.size is not None:
        return tensor.size
    elements = 1
    for dimension in tensor.shape:
        elements *= dimension
    _, block, size = next((row for row in _TYPES.values() if row[0] == tensor.kind), (0, 1, 4))
    return elements // block * size


def header(
    keys: Sequence[tuple[str | bytes, Value]],
    tensors: Sequence[Tensor],
    *,
    version: int = 3,
    counts: tuple[int | None, int | None] = (None, None),
    alignment: int = 32,
) -> bytes:
    """A file up to its weights, padded to them. `counts` lie about tensors and keys."""
    said = (len(tensors) if counts[0] is None else counts[0], len(keys) if counts[1] is None else counts[1])
    pieces = [b"GGUF", struct.pack("<IQQ", version, *said), *(entry(key, value) for key, value in keys)]
    at = 0
    for tensor in tensors:
        offset = at if tensor.offset is None else tensor.offset
        shape = struct.pack(f"<I{len(tensor.shape)}Q", len(tensor.shape), *tensor.shape)
        pieces.append(text(tensor.name) + shape + struct.pack("<IQ", tensor.kind, offset))
        at += -(-size_of(tensor) // alignment) * alignment
    whole = b"".join(pieces)
    return whole + bytes(-len(whole) % alignment)


def file(
    keys: Sequence[tuple[str | bytes, Value]], tensors: Sequence[Tensor], *, alignment: int = 32, version: int = 3
) -> bytes:
    """A whole file; its weights are zeros."""
    room = sum(-(-size_of(tensor) // alignment) * alignment for tensor in tensors)
    return header(keys, tensors, alignment=alignment, version=version) + bytes(room)


class Shape(Struct, frozen=True):
    """How large a model is."""

    width: int = 64
    layers: int = 2
    heads: int = 4
    inner: int = 128
    context: int = 256
    more_tokens: int = 61
    """Beside the three special ones and the 256 bytes."""


def keys(shape: Shape, stored: Stored = "F16", name: str = "Babble") -> list[tuple[str | bytes, Value]]:
    """What a model of the llama family says of itself."""
    tokens = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256))]
    tokens += [f"\u2581word{number}" for number in range(shape.more_tokens)]
    types = [2, 3, 3, *[6] * 256, *[1] * shape.more_tokens]
    scores = [0.0] * 259 + [-float(number) for number in range(shape.more_tokens)]
    return [
        ("general.architecture", Value(TEXT, "llama")),
        ("general.name", Value(TEXT, name)),
        ("general.file_type", Value(U32, {"F32": 0, "F16": 1, "Q8_0": 7}[stored])),
        ("llama.context_length", Value(U32, shape.context)),
        ("llama.embedding_length", Value(U32, shape.width)),
        ("llama.block_count", Value(U32, shape.layers)),
        ("llama.feed_forward_length", Value(U32, shape.inner)),
        ("llama.attention.head_count", Value(U32, shape.heads)),
        ("llama.attention.head_count_kv", Value(U32, shape.heads // 2)),
        ("llama.attention.layer_norm_rms_epsilon", Value(F32, 1e-5)),
        ("llama.rope.dimension_count", Value(U32, shape.width // shape.heads)),
        ("tokenizer.ggml.model", Value(TEXT, "llama")),
        ("tokenizer.ggml.tokens", Value(TEXT, tokens, listed=True)),
        ("tokenizer.ggml.scores", Value(F32, scores, listed=True)),
        ("tokenizer.ggml.token_type", Value(I32, types, listed=True)),
        ("tokenizer.ggml.bos_token_id", Value(U32, 1)),
        ("tokenizer.ggml.eos_token_id", Value(U32, 2)),
        ("tokenizer.ggml.add_bos_token", Value(BOOL, value=True)),
        ("tokenizer.chat_template", Value(TEXT, "{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}")),
    ]


def tensors(shape: Shape, stored: Stored = "F16") -> list[Tensor]:
    """Its table of tensors."""
    kind = _TYPES[stored][0]
    width, inner, narrow = shape.width, shape.inner, shape.width // 2
    found = [
        Tensor("token_embd.weight", (width, 259 + shape.more_tokens), kind),
        Tensor("output_norm.weight", (width,), 0),
    ]
    for layer in range(shape.layers):
        rows = {
            "attn_q": (width, width), "attn_k": (width, narrow), "attn_v": (width, narrow),
            "attn_output": (width, width), "ffn_gate": (width, inner), "ffn_up": (width, inner),
            "ffn_down": (inner, width),
        }  # fmt: skip
        found += [Tensor(f"blk.{layer}.{name}.weight", dimensions, kind) for name, dimensions in rows.items()]
        found += [Tensor(f"blk.{layer}.{name}.weight", (width,), 0) for name in ("attn_norm", "ffn_norm")]
    return found
