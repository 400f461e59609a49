"""
From the weights to a file that an engine loads: GGUF, matrices in Q8_0, the vocabulary and the chat template in it.

foz-tiny has no memory and follows no orders, so its template shows it neither the system's message nor what was said
before: the last message of the user, in small letters, and of that the first 64 bytes. It reads the system's message
into a variable all the same, for an engine that sees a template without one puts it in front of the user's.
"""

from pathlib import Path
from typing import Any

import numpy as np
from gguf import GGMLQuantizationType, GGUFReader, GGUFWriter, LlamaFileType, TokenType
from gguf.quants import quantize

from scripts.tiny.bpe import LETTERS, MARKS, MODEL, USER, Vocabulary
from scripts.tiny.corpus import LONGEST
from scripts.tiny.network import EPSILON, ROPE_BASE, Floats, Shape, views

CONTEXT = 1024
END_MARK = MARKS[2]
TEMPLATE = (
    "{%- set seen = namespace(system='', user='') -%}"
    "{%- for message in messages -%}"
    "{%- if message.role == 'system' -%}{%- set seen.system = message.content | string -%}"
    "{%- elif message.role == 'user' -%}"
    "{%- if message.content is string -%}{%- set seen.user = message.content -%}"
    "{%- else -%}{%- set seen.user = '' -%}"
    "{%- for part in message.content -%}{%- if part.type == 'text' -%}"
    "{%- set seen.user = seen.user + part.text + ' ' -%}"
    "{%- endif -%}{%- endfor -%}"
    "{%- endif -%}{%- endif -%}{%- endfor -%}"
    f"{{{{- '{USER}' + (seen.user | trim | lower)[:{LONGEST}] + '{END_MARK}{MODEL}' -}}}}"
)
LAYER = {"norm1": "attn_norm", "out": "attn_output", "norm2": "ffn_norm", "down": "ffn_down"}


def matrices(shape: Shape, vector: Floats) -> dict[str, Floats]:
    """The weights under the names and in the pieces of a GGUF file."""
    made: dict[str, Floats] = {}
    ends = (shape.width, shape.width + shape.kv_heads * shape.head)
    for name, matrix in views(shape, vector).items():
        layer, _, part = name.partition(".")
        if part == "qkv":
            pieces = zip(("attn_q", "attn_k", "attn_v"), np.split(matrix, ends), strict=True)
            made |= {f"blk.{layer}.{each}.weight": piece for each, piece in pieces}
        elif part == "wide":
            pieces = zip(("ffn_gate", "ffn_up"), np.split(matrix, 2), strict=True)
            made |= {f"blk.{layer}.{each}.weight": piece for each, piece in pieces}
        elif part:
            made[f"blk.{layer}.{LAYER[part]}.weight"] = matrix
        else:
            made[{"embed": "token_embd.weight", "norm": "output_norm.weight"}[name]] = matrix
    return made


def export(path: Path, known: Vocabulary, shape: Shape, vector: Floats) -> None:
    """Writes the file."""
    file: Any = GGUFWriter(path, "llama")
    file.add_name("foz-tiny")
    file.add_description("A demonstration of less than one megabyte: greetings, and an honest answer to all else.")
    file.add_license("Apache-2.0")
    file.add_file_type(LlamaFileType.MOSTLY_Q8_0)
    file.add_context_length(CONTEXT)
    file.add_embedding_length(shape.width)
    file.add_block_count(shape.layers)
    file.add_feed_forward_length(shape.hidden)
    file.add_head_count(shape.heads)
    file.add_head_count_kv(shape.kv_heads)
    file.add_layer_norm_rms_eps(float(EPSILON))
    file.add_rope_dimension_count(shape.head)
    file.add_rope_freq_base(ROPE_BASE)
    file.add_vocab_size(shape.vocabulary)
    file.add_tokenizer_model("gpt2")
    file.add_tokenizer_pre("gpt-2")
    file.add_token_list(known.tokens)
    kinds = [TokenType.CONTROL if len(LETTERS) <= id < len(LETTERS) + len(MARKS) else TokenType.NORMAL
             for id in range(len(known.tokens))]  # fmt: skip
    file.add_token_types(kinds)
    file.add_token_merges([" ".join(pair) for pair in known.merges])
    file.add_bos_token_id(known.user)
    file.add_eos_token_id(known.end)
    file.add_add_bos_token(False)
    file.add_chat_template(TEMPLATE)
    for name, matrix in matrices(shape, vector).items():
        if matrix.ndim == 1:
            file.add_tensor(name, matrix)
        else:
            file.add_tensor(name, quantize(matrix, GGMLQuantizationType.Q8_0), raw_dtype=GGMLQuantizationType.Q8_0)
    file.write_header_to_file()
    file.write_kv_data_to_file()
    file.write_tensors_to_file()
    file.close()


def vocabulary(path: Path) -> Vocabulary:
    """The vocabulary that a file holds."""
    field: Any = GGUFReader(path).fields["tokenizer.ggml.merges"]
    pairs = (merge.split(" ") for merge in field.contents())
    return Vocabulary([(left, right) for left, right in pairs])
