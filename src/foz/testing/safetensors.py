"""A model as its makers publish it: safetensors beside a `config.json`, with zeros for weights."""

import struct
from pathlib import Path

import msgspec

WIDTH = 64
_CONFIG = {
    "model_type": "qwen3", "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2,
    "hidden_size": WIDTH, "vocab_size": 512, "max_position_embeddings": 2048,
}  # fmt: skip


def write(folder: Path, parts: int = 2, rows: int = 512, **more: object) -> None:
    """A folder with so many files of weights; `more` goes into its config."""
    folder.mkdir(parents=True, exist_ok=True)
    size = rows * WIDTH * 2
    for number in range(parts):
        entry = {"dtype": "BF16", "shape": [rows, WIDTH], "data_offsets": [0, size]}
        head = msgspec.json.encode({f"layer.{number}": entry})
        name = f"model-{number + 1:05d}-of-{parts:05d}.safetensors"
        (folder / name).write_bytes(struct.pack("<Q", len(head)) + head + bytes(size))
    (folder / "config.json").write_bytes(msgspec.json.encode({**_CONFIG, **more}))
