"""
Files of random weights for a model that turns texts into vectors and makes no words: a whole BERT with a vocabulary of
letters, written as `testing.gguf` writes a Llama. A real engine loads it.
"""

from collections.abc import Iterator
from pathlib import Path

from foz.testing.gguf import CONTROL, FILE_TYPES, NORMAL, Fact, Shape, Tensor, lay

SMALL = Shape(layers=2, width=64, hidden=128, heads=4, kv_heads=4, context=128)
MEAN, FIRST, LAST, RANK = 1, 2, 3, 4
_MARKS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
_LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789.,?!"
_PAD, _UNKNOWN, _FIRST, _LAST, _MASK = range(5)


def vocabulary() -> list[str]:
    """Marks, letters that begin a word, and letters within one."""
    return [*_MARKS, *(f"\u2581{letter}" for letter in _LETTERS), *_LETTERS]


def facts(shape: Shape, tokens: list[str], pooling: int | None) -> dict[str, Fact]:
    """What the head of the file says of the model."""
    known: dict[str, Fact] = {
        "general.architecture": "bert",
        "general.name": "random vectors",
        "general.file_type": FILE_TYPES["q8_0"],
        "bert.context_length": shape.context,
        "bert.embedding_length": shape.width,
        "bert.block_count": shape.layers,
        "bert.feed_forward_length": shape.hidden,
        "bert.attention.head_count": shape.heads,
        "bert.attention.layer_norm_epsilon": 1e-12,
        "bert.attention.causal": False,
        "tokenizer.ggml.model": "bert",
        "tokenizer.ggml.pre": "default",
        "tokenizer.ggml.tokens": tokens,
        "tokenizer.ggml.token_type": bytes([CONTROL] * len(_MARKS) + [NORMAL] * (len(tokens) - len(_MARKS))),
        "tokenizer.ggml.token_type_count": 2,
        "tokenizer.ggml.bos_token_id": _FIRST,
        "tokenizer.ggml.eos_token_id": _LAST,
        "tokenizer.ggml.seperator_token_id": _LAST,
        "tokenizer.ggml.unknown_token_id": _UNKNOWN,
        "tokenizer.ggml.padding_token_id": _PAD,
        "tokenizer.ggml.mask_token_id": _MASK,
    }
    return known if pooling is None else {**known, "bert.pooling_type": pooling}


def tensors(shape: Shape, tokens: int) -> Iterator[Tensor]:
    """Every tensor of the model, in the order of the file."""
    width, hidden = shape.width, shape.hidden
    yield Tensor("token_embd.weight", width, tokens)
    yield Tensor("token_types.weight", width, 2, plain=True)
    yield Tensor("position_embd.weight", width, shape.context)
    yield from _normed("token_embd_norm", width)
    for layer in range(shape.layers):
        block = f"blk.{layer}"
        for name, columns, rows in (
            ("attn_q", width, width),
            ("attn_k", width, width),
            ("attn_v", width, width),
            ("attn_output", width, width),
            ("ffn_up", width, hidden),
            ("ffn_down", hidden, width),
        ):
            yield Tensor(f"{block}.{name}.weight", columns, rows)
            yield Tensor(f"{block}.{name}.bias", rows)
        yield from _normed(f"{block}.attn_output_norm", width)
        yield from _normed(f"{block}.layer_output_norm", width)


def _normed(name: str, width: int) -> Iterator[Tensor]:
    yield Tensor(f"{name}.weight", width)
    yield Tensor(f"{name}.bias", width)


def write(path: Path, shape: Shape = SMALL, *, pooling: int | None = MEAN, seed: int = 0) -> int:
    """Writes a model of random weights; gives its size in bytes."""
    tokens = vocabulary()
    return lay(path, facts(shape, tokens, pooling), list(tensors(shape, len(tokens))), "q8_0", seed)
