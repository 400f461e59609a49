"""
Eight bits a weight: a file of 16 or 32 bits a weight becomes Q8_0, the engine's own format for it.

It is a program because it keeps a processor busy for minutes, because it loads numpy, and because what it does can be
ended in the middle. What the header says is taken over byte for byte, but for what is no longer true. Matrices become
Q8_0; what is small, or known to suffer, stays as it is: as llama.cpp's own converter has it. Weights are worked at in
slices: a file may be larger than the memory.
"""

import mmap
import struct
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

import numpy as np
from gguf.constants import GGMLQuantizationType as Type
from gguf.quants import dequantize, quantize

from foz.runtime.shelf.asked import Halved, Halving
from foz.runtime.shelf.programs import ordered, say
from foz.wire import gguf
from foz.wire.gguf import Entry, Layout

SLICE = 4 * 2**20
"""Elements."""
DISK = 3
FILE_TYPE, EIGHT = "general.file_type", 7
_STAY = (
    "_norm.weight", "ffn_gate_inp.weight", "altup", "laurel", "per_layer_model_proj", "ssm_conv1d.weight",
    "shortconv.conv.weight", "time_mix_", "attn_rel_b.weight", "position_embd.weight", "token_types.weight",
)  # fmt: skip
_WIDE = {"F32": 4, "F16": 2, "BF16": 2}


def main() -> None:
    """Makes one file."""
    order = ordered(Halving)
    try:
        _make(order)
    except OSError as error:
        say(Halved(errno=error.errno or 5))
        sys.exit(DISK)


def _make(order: Halving) -> None:
    sources = [_Source(Path(path)) for path in order.sources]
    total = sum(entry.size for source in sources for entry in source.layout.tensors)
    plan = [(source, entry, _kind(entry)) for source in sources for entry in source.layout.tensors]
    alignment = sources[0].layout.alignment
    done = 0
    with Path(order.target).open("r+b") as out:
        out.truncate(0)
        out.write(_head(sources[0].layout, [(entry, kind) for _, entry, kind in plan]))
        for source, entry, kind in plan:
            for piece in source.slices(entry):
                out.write(_converted(piece, entry, kind))
                done += len(piece)
                say(Halved(done, total))
            out.write(bytes(-out.tell() % alignment))


def _head(layout: Layout, plan: Sequence[tuple[Entry, int]]) -> bytes:
    """The first file's, with all tensors as they will be."""
    keys = [raw for key, raw in layout.keys if key != FILE_TYPE and not key.startswith("split.")]
    keys.append(_text(FILE_TYPE) + struct.pack("<II", 4, EIGHT))
    pieces = [b"GGUF", struct.pack("<IQQ", 3, len(plan), len(keys)), *keys]
    at = 0
    for entry, kind in plan:
        pieces.append(_text(entry.name) + struct.pack("<I", len(entry.shape)))
        pieces.append(struct.pack(f"<{len(entry.shape)}QIQ", *entry.shape, kind, at))
        _, block, size = gguf.TYPES[kind]
        at += -(-(entry.elements // block * size) // layout.alignment) * layout.alignment
    whole = b"".join(pieces)
    return whole + bytes(-len(whole) % layout.alignment)


def _text(text: str) -> bytes:
    raw = text.encode()
    return struct.pack("<Q", len(raw)) + raw


class _Source:
    """One file, opened."""

    def __init__(self, path: Path) -> None:
        self._opened: BinaryIO = path.open("rb")
        self.data = mmap.mmap(self._opened.fileno(), 0, access=mmap.ACCESS_READ)
        self.layout: Layout = gguf.layout(self.data)

    def slices(self, entry: Entry) -> Iterator[bytes]:
        """A tensor's bytes, whole rows at a time."""
        begin = self.layout.offset + entry.offset
        row = entry.size // (entry.elements // entry.shape[0])
        step = max(SLICE // entry.shape[0], 1) * row
        for at in range(begin, begin + entry.size, step):
            yield self.data[at : min(at + step, begin + entry.size)]


def _kind(entry: Entry) -> int:
    """How a tensor will be stored."""
    wide = entry.stored in _WIDE and len(entry.shape) > 1 and entry.shape[0] % 32 == 0
    stays = not entry.name.endswith("weight") or any(part in entry.name for part in _STAY)
    return Type.Q8_0 if wide and not stays else entry.kind


def _converted(piece: bytes, entry: Entry, kind: int) -> bytes:
    if kind == entry.kind:
        return piece
    raw = np.frombuffer(piece, np.uint8).reshape(-1, entry.shape[0] * _WIDE[entry.stored])
    wide = dequantize(raw, Type(entry.kind)) if entry.stored == "BF16" else raw.view(f"f{_WIDE[entry.stored]}")
    made: bytes = quantize(wide.astype(np.float32), Type.Q8_0).tobytes()
    return made


if __name__ == "__main__":
    main()
