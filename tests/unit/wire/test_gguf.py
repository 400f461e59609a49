"""The header of a GGUF file: what it says is read, and what could harm an engine is refused with the place named."""

import struct
from collections.abc import Callable
from pathlib import Path

import pytest
from gguf.constants import GGML_QUANT_SIZES, LlamaFileType
from hypothesis import given, settings
from hypothesis import strategies as st

from foz.testing import gguf as testing
from foz.wire import gguf
from foz.wire.gguf import Header, Incomplete, Malformed, read
from tests.unit.wire.written import (
    F32,
    I32,
    LIST,
    TEXT,
    U32,
    U64,
    Shape,
    Tensor,
    Value,
    entry,
    file,
    header,
    keys,
    tensors,
    text,
)  # fmt: skip

WEIGHTS: tuple[testing.Weights, ...] = ("f16", "q8_0")
SHAPE = Shape(width=32, layers=1, heads=2, inner=32, more_tokens=5)
KEYS = keys(SHAPE)
TABLE = tensors(SHAPE)
GOOD = file(KEYS, TABLE)
HEAD = len(header(KEYS, TABLE))
Named = list[tuple[str | bytes, Value]]


def with_key(key: str | bytes, value: Value) -> bytes:
    """The good file with one key in place of its own, or added."""
    rest: Named = [one for one in KEYS if one[0] != key]
    return file([*rest, (key, value)], TABLE)


def with_tensor(tensor: Tensor, place: int = 1) -> bytes:
    """The good file with one tensor in place of its own."""
    return file(KEYS, [*TABLE[:place], tensor, *TABLE[place + 1 :]])


def raw_key(raw: bytes) -> bytes:
    """The good file whose first key is these bytes."""
    rest = header(KEYS, TABLE)
    return rest[:8] + struct.pack("<QQ", len(TABLE), len(KEYS) + 1) + raw + rest[24:]


def patched(at: int, raw: bytes) -> bytes:
    """The good file with other bytes at a place."""
    return GOOD[:at] + raw + GOOD[at + len(raw) :]


def listing(kind: int, count: int, rest: bytes = b"") -> bytes:
    """A list that promises so many elements."""
    return text("a.list") + struct.pack("<IIQ", LIST, kind, count) + rest


NORM = TABLE[1]
MUTATIONS: dict[str, tuple[Callable[[], bytes], str]] = {
    "empty": (lambda: b"", "the file ends at byte 0"),
    "one byte": (lambda: b"G", "the file ends at byte 1"),
    "only the magic": (lambda: b"GGUF", "the file ends at byte 4"),
    "half a head": (lambda: GOOD[:17], "the file ends at byte 17"),
    "another magic": (lambda: patched(0, b"GGML"), "no GGUF file"),
    "a web page": (lambda: b"<!doctype html><html><body>Not found</body></html>", "no GGUF file"),
    "a pickle": (lambda: b"\x80\x04\x95" + bytes(100), "no GGUF file"),
    "a zip": (lambda: b"PK\x03\x04" + bytes(100), "no GGUF file"),
    "zeros": (lambda: bytes(4096), "no GGUF file"),
    "a pointer of LFS": (lambda: b"version https://git-lfs.github.com/spec/v1\noid sha256:00\n", "no GGUF file"),
    "version 0": (lambda: patched(4, struct.pack("<I", 0)), "version 0"),
    "version 1": (lambda: patched(4, struct.pack("<I", 1)), "version 1"),
    "version 4": (lambda: patched(4, struct.pack("<I", 4)), "version 4"),
    "version of all ones": (lambda: patched(4, b"\xff" * 4), "version 4294967295"),
    "big-endian": (lambda: patched(4, struct.pack(">I", 3)), "big-endian"),
    "all tensors there are": (lambda: patched(8, b"\xff" * 8), "promises 18446744073709551615 tensors"),
    "one tensor too many": (
        lambda: patched(8, struct.pack("<Q", len(TABLE) + 1)),
        "begin at|dimensions|which is no name|is none",
    ),
    "no tensors": (lambda: file(KEYS, []), "no tensors"),
    "all keys there are": (lambda: patched(16, b"\xff" * 8), "promises 18446744073709551615 keys"),
    "a negative count of keys": (lambda: patched(16, struct.pack("<q", -(2**63))), "keys"),
    "a key too few": (lambda: patched(16, struct.pack("<Q", len(KEYS) - 1)), "8 dimensions"),
    "a key without a name": (lambda: raw_key(entry("", Value(U32, 1))), "which is no name"),
    "a key of endless name": (lambda: raw_key(text(b"a", 2**62)), "are the most"),
    "a key longer than may be": (lambda: raw_key(entry("a" * 300, Value(U32, 1))), "256 are the most"),
    "a key that is no text": (lambda: raw_key(entry(b"\xff\xfe", Value(U32, 1))), "which is no name"),
    "a key with a NUL": (lambda: raw_key(entry("general.\0name", Value(U32, 1))), "which is no name"),
    "a key with a line break": (lambda: raw_key(entry("a\nb", Value(U32, 1))), "which is no name"),
    "a key twice": (lambda: raw_key(entry("general.name", Value(TEXT, "a"))), "there twice"),
    "a list and a value of one name": (lambda: raw_key(entry("tokenizer.ggml.tokens", Value(U32, 1))), "there twice"),
    "a type of no meaning": (lambda: raw_key(text("a") + struct.pack("<I", 13)), "the type 13"),
    "a huge type": (lambda: raw_key(text("a") + b"\xff" * 4), "the type 4294967295"),
    "an endless text": (lambda: raw_key(text("a") + struct.pack("<IQ", TEXT, 2**63)), "are the most"),
    "a text beyond the file": (lambda: raw_key(text("a") + struct.pack("<IQ", TEXT, 2**21)), "the file ends"),
    "an endless list": (lambda: raw_key(listing(U32, 2**60)), "promises 1152921504606846976 elements"),
    "a list whose size overflows": (lambda: raw_key(listing(U64, 2**61 + 1)), "promises"),
    "a list beyond the file": (lambda: raw_key(listing(U64, 2**20)), "the file ends"),
    "a list of endless texts": (lambda: raw_key(listing(TEXT, 2, struct.pack("<Q", 2**63))), "are the most"),
    "a list of more texts than bytes": (lambda: raw_key(listing(TEXT, 2**20)), "the file ends|are the most"),
    "a list of lists": (lambda: raw_key(listing(LIST, 1, struct.pack("<IQ", U32, 1) + bytes(4))), "the type 9"),
    "a list of nothing known": (lambda: raw_key(listing(77, 1)), "the type 77"),
    "no architecture": (lambda: file(KEYS[1:], TABLE), "general.architecture is None"),
    "an architecture that is a number": (lambda: with_key("general.architecture", Value(U32, 1)), "architecture is 1"),
    "an architecture that is a path": (lambda: with_key("general.architecture", Value(TEXT, "../x")), "'../x'"),
    "an empty architecture": (lambda: with_key("general.architecture", Value(TEXT, "")), "architecture is ''"),
    "alignment 0": (lambda: with_key("general.alignment", Value(U32, 0)), "alignment is 0"),
    "alignment 33": (lambda: with_key("general.alignment", Value(U32, 33)), "alignment is 33"),
    "alignment of a text": (lambda: with_key("general.alignment", Value(TEXT, "32")), "alignment is '32'"),
    "alignment beyond reason": (lambda: with_key("general.alignment", Value(U32, 2**31)), "alignment is 2147483648"),
    "a context below zero": (lambda: with_key("llama.context_length", Value(I32, -1)), "context_length is -1"),
    "a context of a text": (lambda: with_key("llama.context_length", Value(TEXT, "x")), "context_length is 'x'"),
    "a context that is a fraction": (
        lambda: with_key("llama.context_length", Value(F32, 1.5)),
        "context_length is 1.5",
    ),
    "layers without end": (lambda: with_key("llama.block_count", Value(U32, 2**32 - 1)), "block_count is 4294967295"),
    "no context": (lambda: with_key("llama.context_length", Value(U32, 0)), "context_length is 0"),
    "a context beyond numbers": (lambda: with_key("llama.context_length", Value(U32, 2**31)), "is 2147483648"),
    "an epsilon below zero": (
        lambda: with_key("llama.attention.layer_norm_rms_epsilon", Value(F32, -1.0)),
        "epsilon is -1.0",
    ),
    "an epsilon that is no number": (
        lambda: with_key("llama.attention.layer_norm_rms_epsilon", Value(F32, float("nan"))),
        "epsilon is nan",
    ),
    "no layers": (lambda: with_key("llama.block_count", Value(U32, 0)), "block_count is 0"),
    "a token twice": (
        lambda: with_key("tokenizer.ggml.tokens", Value(TEXT, ["a", "", "", "b", "a"], listed=True)),
        "b'a' twice, the second time as number 4",
    ),
    "a token twice but for what follows a NUL": (
        lambda: with_key("tokenizer.ggml.tokens", Value(TEXT, ["a\0b", "a\0c"], listed=True)),
        "b'a' twice",
    ),
    "heads without end": (lambda: with_key("llama.attention.head_count", Value(U64, 2**63)), "head_count is"),
    "a width that is not its tensors'": (lambda: with_key("llama.embedding_length", Value(U32, 64)), "rows of 32"),
    "tokens that are numbers": (lambda: with_key("tokenizer.ggml.tokens", Value(U32, [1], listed=True)), "no list of"),
    "more tokens than rows": (
        lambda: with_key("tokenizer.ggml.tokens", Value(TEXT, [f"x{number}" for number in range(999)], listed=True)),
        "999 tokens",
    ),
    "scores too few": (lambda: with_key("tokenizer.ggml.scores", Value(F32, [1.0], listed=True)), "1 elements of"),
    "scores of whole numbers": (
        lambda: with_key("tokenizer.ggml.scores", Value(I32, [1] * 264, listed=True)),
        "of type 5",
    ),
    "kinds of tokens too few": (
        lambda: with_key("tokenizer.ggml.token_type", Value(I32, [], listed=True)),
        "0 elements",
    ),
    "scores that are one number": (lambda: with_key("tokenizer.ggml.scores", Value(F32, 1.0)), "no list"),
    "part 3 of 2": (
        lambda: file([*KEYS, ("split.no", Value(2, 3)), ("split.count", Value(2, 2))], TABLE),
        "part 3 of 2",
    ),
    "a part of a text": (lambda: file([*KEYS, ("split.count", Value(TEXT, "9"))], TABLE), "part 0 of '9'"),
    "a tensor without a name": (lambda: with_tensor(Tensor("", (32,), 0)), "which is no name"),
    "a tensor of endless name": (lambda: with_tensor(Tensor("x" * 64, (32,), 0)), "63 are the most"),
    "a tensor twice": (lambda: with_tensor(Tensor(TABLE[0].name, (32,), 0)), "there twice"),
    "a tensor that is no text": (lambda: with_tensor(Tensor(b"\xc3\x28", (32,), 0)), "which is no name"),
    "no dimension": (lambda: with_tensor(Tensor(NORM.name, (), 0, size=0)), "0 dimensions"),
    "five dimensions": (lambda: with_tensor(Tensor(NORM.name, (1, 1, 1, 1, 32), 0)), "5 dimensions"),
    "a dimension of nothing": (lambda: with_tensor(Tensor(NORM.name, (32, 0), 0)), "which no tensor can have"),
    "dimensions that overflow": (lambda: with_tensor(Tensor(NORM.name, (2**32, 2**32), 0, size=0)), "no tensor can"),
    "dimensions that wrap to little": (
        lambda: with_tensor(Tensor(NORM.name, (2**62, 4, 1, 1), 0, size=0)),
        "no tensor can",
    ),
    "elements whose bytes overflow": (
        lambda: with_tensor(Tensor(NORM.name, (2**62,), 0, size=0)),
        "more bytes than any",
    ),
    "a sum that overflows": (
        lambda: file(KEYS, [*TABLE[:1], *(Tensor(f"x{n}", (2**60,), 0, size=0) for n in range(4))]),
        "more bytes than any|was expected",
    ),
    "a tensor beyond the file": (lambda: file(KEYS, [*TABLE, Tensor("x", (2**40,), 0, size=0)]), "cut off"),
    "a type that was removed": (lambda: with_tensor(Tensor(NORM.name, (32,), 4)), "type 4"),
    "a type of the future": (lambda: with_tensor(Tensor(NORM.name, (32,), 999)), "type 999"),
    "rows that are no whole blocks": (lambda: with_tensor(Tensor(NORM.name, (33,), 8, size=34)), "multiples of 32"),
    "an offset before": (lambda: with_tensor(Tensor(NORM.name, (32,), 0, offset=0)), "begin at byte 0"),
    "an offset beyond": (lambda: with_tensor(Tensor(NORM.name, (32,), 0, offset=2**62)), "begin at byte 46"),
    "an offset out of step": (lambda: with_tensor(Tensor(NORM.name, (32,), 0, offset=7)), "begin at byte 7"),
    "an offset that wraps": (lambda: with_tensor(Tensor(NORM.name, (32,), 0, offset=2**64 - 32)), "begin at byte 18"),
    "the last byte cut": (lambda: GOOD[: HEAD + 20], "cut off"),
    "weights cut": (lambda: GOOD[: len(GOOD) // 2], "cut off|the file ends"),
    "no weights": (lambda: GOOD[:HEAD], "cut off"),
    "the padding cut": (lambda: header(KEYS, TABLE).rstrip(b"\0"), "cut off|the file ends"),
}


@pytest.mark.parametrize("case", MUTATIONS)
def test_a_hostile_file_is_refused_with_the_place_named(case: str) -> None:
    """Each of these files is refused, and the message says what is wrong with it."""
    make, words = MUTATIONS[case]

    with pytest.raises(Malformed, match=words) as refused:
        read(make())

    assert not isinstance(refused.value, Incomplete)


def test_there_are_more_than_fifty_directed_mutations() -> None:
    """The table above has at least fifty files, no two of which are the same."""
    files = {make() for make, _ in MUTATIONS.values()}

    assert len(files) == len(MUTATIONS) >= 50


def test_a_good_file_says_what_it_is() -> None:
    """Everything that its author said is read back, counts and sizes exactly."""
    found = read(GOOD)

    assert found == Header(
        version=3, architecture="llama", size=len(GOOD), tensors=len(TABLE), parameters=found.parameters,
        weights=found.weights, offset=HEAD, quantization="F16", stored=found.stored, name="Babble", context=256,
        layers=1, width=32, heads=2, kv_heads=1, all_kv_heads=1, vocabulary=264, chat_template=True,
    )  # fmt: skip
    assert found.parameters == 32 * 264 + 3 * 32 + 32 * 32 * 2 + 32 * 16 * 2 + 3 * 32 * 32
    assert sum(found.stored.values()) == found.weights == len(GOOD) - HEAD


@pytest.mark.parametrize("version", [2, 3])
def test_both_versions_of_the_format_are_read(version: int) -> None:
    """A file of version 2 or 3 is read."""
    assert read(file(KEYS, TABLE, version=version)).version == version


@pytest.mark.parametrize("alignment", [8, 64, 4096])
def test_another_alignment_is_obeyed(alignment: int) -> None:
    """A file that says another alignment is read with it, and refused when its tensors do not keep to it."""
    said: Named = [*KEYS, ("general.alignment", Value(U32, alignment))]

    assert read(file(said, TABLE, alignment=alignment)).offset % alignment == 0
    if alignment > 32:
        with pytest.raises(Malformed):
            read(file(said, [TABLE[1], *TABLE[:1], *TABLE[2:]], alignment=32))


def test_heads_that_differ_by_layer_are_read() -> None:
    """A list with the heads of each layer gives the most of them, and all together."""
    data = with_key("llama.attention.head_count_kv", Value(U32, [1, 8, 0], listed=True))

    assert (read(data).kv_heads, read(data).all_kv_heads) == (8, 9)


def test_a_part_of_several_files_is_read() -> None:
    """A later part needs no architecture; it says which part it is."""
    table = [Tensor("blk.1.ffn_up.weight", (32, 32), 1)]
    found = read(file([("split.no", Value(2, 1)), ("split.count", Value(2, 3))], table))

    assert (found.part, found.parts, found.architecture) == (1, 3, "")


def test_without_a_word_of_it_the_quantization_is_that_of_most_bytes() -> None:
    """A file that does not say how it is stored is named after how most of its bytes are."""
    found = read(file([one for one in KEYS if one[0] != "general.file_type"], TABLE))

    assert found.quantization == "F16"


def test_the_beginning_of_a_file_is_enough() -> None:
    """With the whole size told, the header is read from the first bytes alone; with fewer it is Incomplete."""
    assert read(GOOD[:HEAD], len(GOOD)) == read(GOOD)
    for cut in range(0, HEAD - 64, 37):
        with pytest.raises(Incomplete):
            read(GOOD[:cut], len(GOOD))


def test_a_beginning_that_is_wrong_is_refused_at_once() -> None:
    """What is wrong in the first bytes is told before the rest is there."""
    with pytest.raises(Malformed, match="cut off") as refused:
        read(GOOD[:HEAD], HEAD + 100)
    assert not isinstance(refused.value, Incomplete)


def test_a_large_vocabulary_is_read_quickly() -> None:
    """A header with 200,000 tokens is read; its texts are gone over, not kept."""
    tokens = Value(TEXT, [f"token{number}" for number in range(200_000)], listed=True)
    rest: Named = [one for one in KEYS if not str(one[0]).startswith("tokenizer.ggml.")]
    table = [Tensor("token_embd.weight", (32, 200_000), 1), *TABLE[1:]]

    assert read(header([*rest, ("tokenizer.ggml.tokens", tokens)], table), 2**40).vocabulary == 200_000


def test_the_files_that_engines_load_in_tests_are_read(tmp_path: Path) -> None:
    """A file of random weights that llama.cpp loads is read, as it says of itself."""
    path = tmp_path / "small.gguf"
    for weights in WEIGHTS:
        written = testing.write(path, testing.SMALL, weights=weights)
        found = read(path.read_bytes())

        assert found.size == written >= found.offset + found.weights
        assert (found.quantization, found.context) == (weights.upper(), testing.SMALL.context)


@settings(max_examples=200)
@given(st.integers(0, HEAD - 1), st.binary(min_size=1, max_size=9))
def test_any_bytes_changed_are_read_or_refused(at: int, raw: bytes) -> None:
    """Whatever bytes of the header are changed, it is read within the file or Malformed; nothing else is raised."""
    try:
        found = read(patched(at, raw))
    except Malformed:
        return
    assert 0 < found.offset + found.weights <= found.size
    assert found.parameters > 0


@settings(max_examples=100)
@given(st.binary(max_size=300), st.integers(0, 2**64 - 1), st.integers(0, 2**64 - 1))
def test_any_bytes_after_a_good_head_are_read_or_refused(rest: bytes, tensor_count: int, key_count: int) -> None:
    """Nothing but Malformed is raised for whatever follows the magic."""
    with pytest.raises(Malformed):
        read(b"GGUF" + struct.pack("<IQQ", 3, tensor_count, key_count) + rest)


def test_our_table_of_types_is_that_of_the_format() -> None:
    """Names, blocks and sizes are those that the format's own package has."""
    assert {int(kind): (kind.name, *sizes) for kind, sizes in GGML_QUANT_SIZES.items()} == dict(gguf.TYPES)
    for number, name in gguf.FILE_TYPES.items():
        assert LlamaFileType(number).name.removeprefix("MOSTLY_").removeprefix("ALL_") == name
