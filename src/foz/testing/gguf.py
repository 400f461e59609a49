"""
Model files of random weights, as small or as large as a test needs, written in a moment and without any package.

A GGUF file is: magic, version, how many tensors and facts; the facts (name, type, value); the tensors' names, shapes,
types and offsets; then their bytes, each begun at a multiple of 32. What is written here is a whole Llama with a
tokenizer of bytes and a chat template, so a real engine loads it and talks: random words of ASCII, as many as it is
let, for the rows of the output that would say anything else (bytes, marks, the end) are zero. The same arguments give
the same bytes.

    python -m foz.testing.gguf model.gguf                   # 108 MB, Q8_0
    python -m foz.testing.gguf model.gguf --small           # 0.5 MB
    python -m foz.testing.gguf model.gguf --weights f16     # 203 MB
"""

import argparse
import random
import struct
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import BinaryIO, Literal

import msgspec

Weights = Literal["q8_0", "f16"]
Fact = int | float | bool | str | list[str] | bytes

ALIGNMENT = 32
TYPES = {"f32": 0, "f16": 1, "q8_0": 8}
FILE_TYPES = {"f16": 1, "q8_0": 7}
NORMAL, CONTROL = 1, 3
MARKS = ("<|start|>", "<|end|>")
WORDS = 252
BLOCK = 32
SCALE = struct.pack("<H", 0x1000)
"""2 ** -11 as a half: with random bytes, weights of 0.04 or so."""
SHARP = struct.pack("<H", 0x1C00)
"""Eight times that, for the output: one word is far likelier than all zero rows together."""
HALVES = bytes((byte & 0x83) | 0x24 for byte in range(256))
SHARP_HALVES = bytes((byte & 0x83) | 0x30 for byte in range(256))
"""From a random byte to the upper one of a half: any sign, and always the same exponent."""
TEMPLATE = (
    "{% for message in messages %}<|start|>{{ message.role }}\n{{ message.content }}<|end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|start|>assistant\n{% endif %}"
)


class Shape(msgspec.Struct, frozen=True):
    """How large a model is. Widths are multiples of 32; the width is one of the heads, too."""

    layers: int = 16
    width: int = 768
    hidden: int = 2048
    heads: int = 12
    kv_heads: int = 4
    context: int = 8192


LARGE = Shape()
SMALL = Shape(layers=2, width=128, hidden=256, heads=4, kv_heads=2, context=2048)


class Tensor(msgspec.Struct, frozen=True):
    """A matrix of random weights; of its rows the first `silent` are zero. Without `rows` or `plain`: of ones."""

    name: str
    columns: int
    rows: int = 0
    silent: int = 0
    sharp: bool = False
    plain: bool = False


def letters() -> list[str]:
    """The 256 bytes, as the letters by which a tokenizer of bytes knows them."""
    plain = {*range(ord("!"), ord("~") + 1), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
    others = iter(range(0x100, 0x200))
    return [chr(byte) if byte in plain else chr(next(others)) for byte in range(256)]


def vocabulary(seed: int) -> tuple[list[str], list[int]]:
    """The tokens and their kinds: bytes, marks, the one word that a merge makes, and words that are only ever said."""
    dice = random.Random(seed)
    words: dict[str, None] = {}
    while len(words) < WORDS:
        words["Ġ" + "".join(dice.choices("abdefghiklmnoprstuvwz", k=dice.randint(3, 7)))] = None
    tokens = [*letters(), *MARKS, "he", *words]
    return tokens, [CONTROL if token in MARKS else NORMAL for token in tokens]


def facts(shape: Shape, weights: Weights, tokens: list[str], kinds: list[int]) -> dict[str, Fact]:
    """What the head of the file says of the model."""
    return {
        "general.architecture": "llama",
        "general.name": "random weights",
        "general.file_type": FILE_TYPES[weights],
        "llama.context_length": shape.context,
        "llama.embedding_length": shape.width,
        "llama.block_count": shape.layers,
        "llama.feed_forward_length": shape.hidden,
        "llama.attention.head_count": shape.heads,
        "llama.attention.head_count_kv": shape.kv_heads,
        "llama.attention.layer_norm_rms_epsilon": 1e-5,
        "llama.rope.dimension_count": shape.width // shape.heads,
        "llama.vocab_size": len(tokens),
        "tokenizer.ggml.model": "gpt2",
        "tokenizer.ggml.pre": "gpt-2",
        "tokenizer.ggml.tokens": tokens,
        "tokenizer.ggml.token_type": bytes(kinds),
        "tokenizer.ggml.merges": ["h e"],
        "tokenizer.ggml.eos_token_id": tokens.index(MARKS[1]),
        "tokenizer.ggml.add_bos_token": False,
        "tokenizer.chat_template": TEMPLATE,
    }


def tensors(shape: Shape, tokens: int) -> Iterator[Tensor]:
    """Every tensor of the model, in the order of the file."""
    width, narrow = shape.width, shape.width // shape.heads * shape.kv_heads
    yield Tensor("token_embd.weight", width, tokens)
    for layer in range(shape.layers):
        for name, columns, rows in (
            ("attn_norm", width, 0),
            ("attn_q", width, width),
            ("attn_k", width, narrow),
            ("attn_v", width, narrow),
            ("attn_output", width, width),
            ("ffn_norm", width, 0),
            ("ffn_gate", width, shape.hidden),
            ("ffn_up", width, shape.hidden),
            ("ffn_down", shape.hidden, width),
        ):
            yield Tensor(f"blk.{layer}.{name}.weight", columns, rows)
    yield Tensor("output_norm.weight", width)
    yield Tensor("output.weight", width, tokens, silent=tokens - WORDS, sharp=True)


def size(tensor: Tensor, weights: Weights) -> int:
    """How many bytes a tensor is."""
    if tensor.plain or not tensor.rows:
        return tensor.columns * max(tensor.rows, 1) * 4
    if weights == "f16":
        return tensor.columns * tensor.rows * 2
    return tensor.columns // BLOCK * (BLOCK + 2) * tensor.rows


def content(tensor: Tensor, weights: Weights, dice: random.Random) -> bytes:
    """A tensor's bytes. The upper bytes of what is random are put right, else there would be infinities among them."""
    if tensor.plain or not tensor.rows:
        return struct.pack("<f", 1.0) * tensor.columns * max(tensor.rows, 1)
    made = bytearray(dice.randbytes(size(tensor, weights)))
    if weights == "f16":
        made[1::2] = made[1::2].translate(SHARP_HALVES if tensor.sharp else HALVES)
    else:
        scale = SHARP if tensor.sharp else SCALE
        blocks = len(made) // (BLOCK + 2)
        made[0 :: BLOCK + 2] = scale[:1] * blocks
        made[1 :: BLOCK + 2] = scale[1:] * blocks
    quiet = len(made) // tensor.rows * tensor.silent
    made[:quiet] = bytes(quiet)
    return bytes(made)


def said(text: str) -> bytes:
    """A string as the file holds it."""
    raw = text.encode()
    return struct.pack("<Q", len(raw)) + raw


def told(value: Fact) -> bytes:
    """A fact's type and value as the file holds them."""
    match value:
        case bool():
            return struct.pack("<I?", 7, value)
        case int():
            return struct.pack("<II", 4, value)
        case float():
            return struct.pack("<If", 6, value)
        case str():
            return struct.pack("<I", 8) + said(value)
        case bytes():  # small numbers
            return struct.pack(f"<IIQ{len(value)}i", 9, 5, len(value), *value)
        case _:
            return struct.pack("<IIQ", 9, 8, len(value)) + b"".join(said(each) for each in value)


def padding(length: int) -> bytes:
    """What is missing to the next multiple of the alignment."""
    return bytes(-length % ALIGNMENT)


def head(known: dict[str, Fact], held: Iterable[Tensor], weights: Weights) -> bytes:
    """Everything before the tensors' bytes."""
    entries = []
    offset = 0
    for tensor in held:
        shape = (tensor.columns, tensor.rows) if tensor.rows else (tensor.columns,)
        type = TYPES[weights if tensor.rows and not tensor.plain else "f32"]
        entries.append(said(tensor.name) + struct.pack(f"<I{len(shape)}QIQ", len(shape), *shape, type, offset))
        length = size(tensor, weights)
        offset += length + len(padding(length))
    made = b"GGUF" + struct.pack("<IQQ", 3, len(entries), len(known))
    made += b"".join(said(name) + told(value) for name, value in known.items()) + b"".join(entries)
    return made + padding(len(made))


def write(
    path: Path, shape: Shape = LARGE, *, weights: Weights = "q8_0", seed: int = 0, pooling: int | None = None
) -> int:
    """Writes a model of random weights; gives its size in bytes. With a way of pooling it is one that makes vectors."""
    tokens, kinds = vocabulary(seed)
    known = facts(shape, weights, tokens, kinds)
    if pooling is not None:
        known["llama.pooling_type"] = pooling
    return lay(path, known, list(tensors(shape, len(tokens))), weights, seed)


def lay(path: Path, known: dict[str, Fact], held: Sequence[Tensor], weights: Weights, seed: int) -> int:
    """Writes a file of these facts and tensors; gives its size in bytes."""
    dice = random.Random(seed)
    with path.open("wb") as file:
        file.write(head(known, held, weights))
        for tensor in held:
            _lay(file, content(tensor, weights, dice))
        return file.tell()


def _lay(file: BinaryIO, raw: bytes) -> None:
    file.write(raw)
    file.write(padding(len(raw)))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Writes a GGUF file of random weights.")
    parser.add_argument("path", type=Path)
    parser.add_argument("--small", action="store_true", help="0.5 MB instead of 108")
    parser.add_argument("--weights", choices=("q8_0", "f16"), default="q8_0")
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    write(asked.path, SMALL if asked.small else LARGE, weights=asked.weights, seed=asked.seed)
