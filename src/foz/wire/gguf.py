"""
The header of a GGUF file: what a model is, and whether every part of it lies within the file.

It is read before any native code sees the file, because an engine's loader trusts what it finds there: counts that
make it ask for all memory, offsets that lead out of the file, sizes that overflow, tables of a tokenizer that are
shorter than the tokens they are for. What the engine would refuse is refused here with better words, and what it would
stumble over is refused too. Nothing of the weights is read; of long lists only the length is kept.

`read` takes the file's beginning and its whole size, so that a download can be judged long before it is over.
"""

import math
import re
from collections.abc import Mapping
from mmap import mmap
from struct import Struct as Form
from typing import NoReturn

from msgspec import Struct

MOST_KEYS = 8192
MOST_TENSORS = 131_072
MOST_ELEMENTS = 16 * 2**20
"""Of one list: a vocabulary has some hundred thousand."""
LONGEST_KEY = 256
LONGEST_NAME = 63
"""Of a tensor: the engine's own limit."""
LONGEST_TEXT = 4 * 2**20
LONGEST_HEADER = 256 * 2**20
MOST_DIMENSIONS = 4
SHORT_LIST = 1024
"""Numbers of lists up to so long are kept."""
MOST_ALIGNMENT = 65_536
MOST_LAYERS = 512
"""The engine's own limit."""
RANK = 4
TOKENS = "tokenizer.ggml.tokens"
VERSIONS = (2, 3)
_BIG = 2**63
_MAGIC = b"GGUF"
_HEAD = Form("<4sIQQ")
_U32 = Form("<I")
_U64 = Form("<Q")
_ARCHITECTURE = re.compile(r"[a-z0-9][a-z0-9_.-]{0,63}")
_TEXT, _LIST = 8, 9
_SCALARS: Mapping[int, Form] = {
    0: Form("<B"), 1: Form("<b"), 2: Form("<H"), 3: Form("<h"), 4: _U32, 5: Form("<i"), 6: Form("<f"),
    7: Form("<?"), 10: _U64, 11: Form("<q"), 12: Form("<d"),
}  # fmt: skip
_FLOAT32, _INT32 = 6, 5

TYPES: Mapping[int, tuple[str, int, int]] = {
    0: ("F32", 1, 4), 1: ("F16", 1, 2), 2: ("Q4_0", 32, 18), 3: ("Q4_1", 32, 20), 6: ("Q5_0", 32, 22),
    7: ("Q5_1", 32, 24), 8: ("Q8_0", 32, 34), 9: ("Q8_1", 32, 40), 10: ("Q2_K", 256, 84), 11: ("Q3_K", 256, 110),
    12: ("Q4_K", 256, 144), 13: ("Q5_K", 256, 176), 14: ("Q6_K", 256, 210), 15: ("Q8_K", 256, 292),
    16: ("IQ2_XXS", 256, 66), 17: ("IQ2_XS", 256, 74), 18: ("IQ3_XXS", 256, 98), 19: ("IQ1_S", 256, 50),
    20: ("IQ4_NL", 32, 18), 21: ("IQ3_S", 256, 110), 22: ("IQ2_S", 256, 82), 23: ("IQ4_XS", 256, 136),
    24: ("I8", 1, 1), 25: ("I16", 1, 2), 26: ("I32", 1, 4), 27: ("I64", 1, 8), 28: ("F64", 1, 8),
    29: ("IQ1_M", 256, 56), 30: ("BF16", 1, 2), 34: ("TQ1_0", 256, 54), 35: ("TQ2_0", 256, 66),
    39: ("MXFP4", 32, 17), 40: ("NVFP4", 64, 36), 41: ("Q1_0", 128, 18),
}  # fmt: skip
"""How a tensor is stored: the name, how many elements a block has, and how many bytes."""
FILE_TYPES: Mapping[int, str] = {
    0: "F32", 1: "F16", 2: "Q4_0", 3: "Q4_1", 7: "Q8_0", 8: "Q5_0", 9: "Q5_1", 10: "Q2_K", 11: "Q3_K_S", 12: "Q3_K_M",
    13: "Q3_K_L", 14: "Q4_K_S", 15: "Q4_K_M", 16: "Q5_K_S", 17: "Q5_K_M", 18: "Q6_K", 19: "IQ2_XXS", 20: "IQ2_XS",
    21: "Q2_K_S", 22: "IQ3_XS", 23: "IQ3_XXS", 24: "IQ1_S", 25: "IQ4_NL", 26: "IQ3_S", 27: "IQ3_M", 28: "IQ2_S",
    29: "IQ2_M", 30: "IQ4_XS", 31: "IQ1_M", 32: "BF16", 36: "TQ1_0", 37: "TQ2_0", 38: "MXFP4_MOE", 39: "NVFP4",
    40: "Q1_0",
}  # fmt: skip
"""What a file says of all its tensors together (`general.file_type`)."""

Data = bytes | bytearray | memoryview | mmap
Value = int | float | bool | str | tuple[int, ...]


class Malformed(ValueError):
    """It is no GGUF file that an engine may see; the message says why and where."""


class Incomplete(Malformed):
    """The header goes on after the end of what was given."""


class Header(Struct, frozen=True):
    """What a file is. Counts and sizes (in bytes) are exact; what the file does not say is None."""

    version: int
    architecture: str
    size: int
    tensors: int
    parameters: int
    """Elements of all tensors."""
    weights: int
    """Bytes of all tensors."""
    offset: int
    quantization: str
    """What the file says of itself, else how most of its bytes are stored."""
    stored: Mapping[str, int]
    """Bytes of tensors by how they are stored."""
    name: str | None = None
    context: int | None = None
    """How many tokens it was trained for."""
    layers: int | None = None
    width: int | None = None
    heads: int | None = None
    kv_heads: int | None = None
    """Of the layer that has the most."""
    all_kv_heads: int = 0
    """Of all layers together."""
    key_length: int | None = None
    value_length: int | None = None
    vocabulary: int | None = None
    experts: int | None = None
    chat_template: bool = False
    pooling: int | None = None
    """How a text's vector is made of its tokens' (1 mean, 2 first, 3 last, 4 a rank), where it makes one."""
    part: int = 0
    parts: int = 1
    """A file that is one of several, counted from 0."""


class Entry(Struct, frozen=True):
    """One tensor: what it is called, and where it lies, counted from where the weights begin."""

    name: str
    shape: tuple[int, ...]
    kind: int
    stored: str
    offset: int
    size: int

    @property
    def elements(self) -> int:
        """How many numbers."""
        return math.prod(self.shape)


class Layout(Struct, frozen=True):
    """A header in its parts, for those who write another file of it."""

    keys: tuple[tuple[str, bytes], ...]
    """Each key with its bytes, name and value, as they are."""
    tensors: tuple[Entry, ...]
    alignment: int
    offset: int


def read(data: Data, size: int | None = None) -> Header:
    """
    The header of a file that begins with this. `size` is the whole file's where it is more than what is given.
    Raises Malformed; Incomplete where more of the file is needed to tell.
    """
    parsed = _parsed(data, len(data) if size is None else size)
    return _header(parsed)


def layout(data: Data) -> Layout:
    """A whole file's header in its parts. Raises Malformed."""
    parsed = _parsed(data, len(data))
    _header(parsed)
    keys = tuple((key, bytes(data[begin:end])) for key, begin, end in parsed.found.places)
    return Layout(keys, parsed.tensors, parsed.alignment, parsed.offset)


class _Parsed(Struct, frozen=True):
    """A header that is well-formed and within its file."""

    version: int
    size: int
    found: "_Found"
    tensors: tuple[Entry, ...]
    alignment: int
    offset: int


def _parsed(data: Data, whole: int) -> _Parsed:
    cursor = _Cursor(data, whole)
    if bytes(data[:4]) != _MAGIC[: len(data)]:
        raise Malformed(f"this is no GGUF file: it begins with {bytes(data[:4])!r}, not with {_MAGIC!r}")
    _, version, tensors, keys = cursor.take(_HEAD, "the first 24 bytes")
    _check_head(int(version), int(tensors), int(keys))
    found = _keys(cursor, int(keys))
    alignment = _alignment(found)
    table = _tensors(cursor, int(tensors), alignment)
    offset = -(-cursor.at // alignment) * alignment
    needed = table[-1].offset + table[-1].size if table else 0
    if offset + needed > whole:
        raise Malformed(
            f"the tensors need {needed} bytes from {offset} on, but the file has only {whole}: it was cut off, "
            "or its header lies"
        )
    return _Parsed(int(version), whole, found, table, alignment, offset)


def _check_head(version: int, tensors: int, keys: int) -> None:
    if version & 0xFFFF == 0 and version:
        raise Malformed("the file is in big-endian order, which engines here do not read")
    if version not in VERSIONS:
        raise Malformed(f"the file has version {version} of the format; {VERSIONS[0]} and {VERSIONS[-1]} are read")
    if tensors > MOST_TENSORS:
        raise Malformed(f"the header promises {tensors} tensors; {MOST_TENSORS} are the most")
    if keys > MOST_KEYS:
        raise Malformed(f"the header promises {keys} keys; {MOST_KEYS} are the most")


class _Cursor:
    """A place in the data that only goes forward."""

    def __init__(self, data: Data, whole: int) -> None:
        self._data = data
        self._given = min(len(data), LONGEST_HEADER)
        self._whole = whole
        self.at = 0

    def skip(self, size: int, what: str) -> int:
        """Goes over so many bytes; where they begin."""
        begin, end = self.at, self.at + size
        if end > self._given:
            self._over(end, what)
        self.at = end
        return begin

    def take(self, layout: Form, what: str) -> tuple[int | float | bool, ...]:
        """The values of a layout."""
        return layout.unpack_from(self._data, self.skip(layout.size, what))

    def number(self, layout: Form, what: str) -> int:
        """One integer."""
        return int(layout.unpack_from(self._data, self.skip(layout.size, what))[0])

    def text(self, longest: int, what: str) -> bytes:
        """A text with its length before it."""
        size = self.number(_U64, what)
        if size > longest:
            raise Malformed(f"{what} at byte {self.at - 8} is {size} bytes long; {longest} are the most")
        begin = self.skip(size, what)
        return bytes(self._data[begin : self.at])

    def tokens(self, count: int, what: str) -> None:
        """Goes over the texts of a vocabulary. The engine ends where two are the same up to their first NUL."""
        seen: set[bytes] = set()
        for number in range(count):
            token = self.text(LONGEST_TEXT, what).partition(b"\0")[0]
            if token in seen:
                raise Malformed(f"{what} has the token {token[:40]!r} twice, the second time as number {number}")
            if token:
                seen.add(token)

    def texts(self, count: int, what: str) -> None:
        """Goes over so many texts, quickly: there may be hundreds of thousands."""
        data, at, given, unpack = self._data, self.at, self._given, _U64.unpack_from
        for _ in range(count):
            if at + 8 > given:
                self._over(at + 8, what)
            size = unpack(data, at)[0]
            if size > LONGEST_TEXT:
                raise Malformed(f"{what} at byte {at} is {size} bytes long; {LONGEST_TEXT} are the most")
            at += 8 + size
        self.skip(at - self.at, what)

    def _over(self, end: int, what: str) -> NoReturn:
        if end > self._whole:
            raise Malformed(f"the file ends at byte {self._whole}, in the middle of {what} (byte {self.at})")
        if end > LONGEST_HEADER:
            raise Malformed(f"the header is longer than {LONGEST_HEADER} bytes")
        raise Incomplete(f"the header goes on after the {self._given} bytes that are there")


class _Found(Struct, frozen=True):
    """What the keys say: single values and short lists of numbers, and of each list its type and length."""

    values: dict[str, Value]
    lists: dict[str, tuple[int, int]]
    places: list[tuple[str, int, int]]
    """Where each key and its value begin and end."""


def _keys(cursor: _Cursor, count: int) -> _Found:
    found = _Found({}, {}, [])
    for number in range(count):
        begin = cursor.at
        key = _name(cursor.text(LONGEST_KEY, f"the name of key {number}"), f"key {number}")
        if key in found.values or key in found.lists:
            raise Malformed(f"the key {key!r} is there twice")
        kind = cursor.number(_U32, f"the type of {key!r}")
        if kind == _LIST:
            _list(cursor, key, found)
        elif kind == _TEXT:
            found.values[key] = cursor.text(LONGEST_TEXT, f"the value of {key!r}").decode("utf-8", "replace")
        else:
            found.values[key] = cursor.take(_scalar(kind, key), f"the value of {key!r}")[0]
        found.places.append((key, begin, cursor.at))
    return found


def _list(cursor: _Cursor, key: str, found: _Found) -> None:
    what = f"the list {key!r}"
    kind, count = cursor.number(_U32, what), cursor.number(_U64, what)
    if count > MOST_ELEMENTS:
        raise Malformed(f"{what} promises {count} elements; {MOST_ELEMENTS} are the most")
    found.lists[key] = (kind, count)
    if kind == _TEXT:
        (cursor.tokens if key == TOKENS else cursor.texts)(count, what)
        return
    layout = _scalar(kind, key)
    if count <= SHORT_LIST and layout.format[-1] in "BbHhIiQq":
        found.values[key] = tuple(cursor.number(layout, what) for _ in range(count))
    else:
        cursor.skip(count * layout.size, what)


def _scalar(kind: int, key: str) -> Form:
    layout = _SCALARS.get(kind)
    if layout is None:
        raise Malformed(f"the value of {key!r} has the type {kind}, which is none")
    return layout


def _name(raw: bytes, what: str) -> str:
    try:
        name = raw.decode("utf-8")
    except UnicodeDecodeError:
        name = ""
    if not name or not name.isprintable():
        raise Malformed(f"the name of {what} is {raw[:64]!r}, which is no name")
    return name


def _alignment(found: _Found) -> int:
    alignment = found.values.get("general.alignment", 32)
    if (
        type(alignment) is not int
        or not 0 < alignment <= MOST_ALIGNMENT
        or alignment & (alignment - 1)
        or alignment % 8
    ):
        raise Malformed(f"general.alignment is {alignment!r}; a power of two from 8 to {MOST_ALIGNMENT} was expected")
    return alignment


def _tensors(cursor: _Cursor, count: int, alignment: int) -> tuple[Entry, ...]:
    at = 0
    entries: list[Entry] = []
    names: set[str] = set()
    for number in range(count):
        name = _name(cursor.text(LONGEST_NAME, f"the name of tensor {number}"), f"tensor {number}")
        if name in names:
            raise Malformed(f"the tensor {name!r} is there twice")
        names.add(name)
        shape = _shape(cursor, name)
        kind, offset = cursor.number(_U32, f"the type of {name!r}"), cursor.number(_U64, f"the place of {name!r}")
        size, stored = _bytes(name, shape, kind)
        if offset != at:
            raise Malformed(f"the tensor {name!r} is said to begin at byte {offset} of the weights; {at} was expected")
        at = -(-(at + size) // alignment) * alignment
        if at >= _BIG:
            raise Malformed(f"the tensors up to {name!r} need more bytes than any file has")
        entries.append(Entry(name, shape, kind, stored, offset, size))
    return tuple(entries)


def _shape(cursor: _Cursor, name: str) -> tuple[int, ...]:
    dimensions = cursor.number(_U32, f"the dimensions of {name!r}")
    if not 1 <= dimensions <= MOST_DIMENSIONS:
        raise Malformed(f"the tensor {name!r} has {dimensions} dimensions; 1 to {MOST_DIMENSIONS} were expected")
    shape = tuple(cursor.number(_U64, f"the shape of {name!r}") for _ in range(dimensions))
    if min(shape) < 1 or math.prod(shape) >= _BIG:
        raise Malformed(f"the tensor {name!r} has the shape {list(shape)}, which no tensor can have")
    return shape


def _bytes(name: str, shape: tuple[int, ...], kind: int) -> tuple[int, str]:
    """How many bytes it takes, and how it is stored."""
    known = TYPES.get(kind)
    if known is None:
        raise Malformed(f"the tensor {name!r} is stored as type {kind}, which is none that is known")
    how, block, size = known
    if shape[0] % block:
        raise Malformed(f"the rows of the tensor {name!r} have {shape[0]} elements; {how} takes multiples of {block}")
    total = math.prod(shape) // block * size
    if total >= _BIG:
        raise Malformed(f"the tensor {name!r} needs more bytes than any file has")
    return total, how


def _header(parsed: _Parsed) -> Header:
    found, tensors = parsed.found, parsed.tensors
    values = found.values
    architecture = values.get("general.architecture")
    part, parts = _parts(values)
    if not isinstance(architecture, str) or not _ARCHITECTURE.fullmatch(architecture):
        if part == 0:
            raise Malformed(f"general.architecture is {architecture!r}; a model's kind was expected")
        architecture = ""
    if not tensors and parts == 1:
        raise Malformed("the file has no tensors: there is nothing to run")

    def fact(key: str, most: int = 2**31 - 1, *, zero: bool = True) -> int | None:
        return _positive(values, f"{architecture}.{key}", most, zero=zero)

    for key in ("layer_norm_epsilon", "layer_norm_rms_epsilon"):
        _check_small(values, f"{architecture}.attention.{key}")

    vocabulary = _vocabulary(found)
    width = fact("embedding_length", 2**20)
    _check_embedding(tensors, width, vocabulary)
    stored = _stored(tensors)
    file_type = values.get("general.file_type")
    said = FILE_TYPES.get(file_type) if type(file_type) is int else None
    return Header(
        version=parsed.version,
        architecture=architecture,
        size=parsed.size,
        tensors=len(tensors),
        parameters=sum(entry.elements for entry in tensors),
        weights=tensors[-1].offset + tensors[-1].size if tensors else 0,
        offset=parsed.offset,
        quantization=said or max(stored, key=stored.__getitem__, default="F32"),
        stored=stored,
        name=name[:256] if isinstance(name := values.get("general.name"), str) and name else None,
        context=fact("context_length", zero=False),
        layers=fact("block_count", MOST_LAYERS, zero=False),
        width=width,
        heads=fact("attention.head_count", 2**20),
        kv_heads=fact("attention.head_count_kv", 2**20),
        all_kv_heads=_sum(values, architecture),
        key_length=fact("attention.key_length", 2**20),
        value_length=fact("attention.value_length", 2**20),
        vocabulary=vocabulary,
        experts=fact("expert_count", 2**20),
        pooling=fact("pooling_type", RANK),
        chat_template=bool(values.get("tokenizer.chat_template")),
        part=part,
        parts=parts,
    )


def _sum(values: dict[str, Value], architecture: str) -> int:
    """Heads whose keys and values are kept: where layers differ, those of each; some layers have none."""
    heads = values.get(f"{architecture}.attention.head_count_kv", values.get(f"{architecture}.attention.head_count"))
    layers = values.get(f"{architecture}.block_count")
    if isinstance(heads, tuple):
        return sum(max(head, 0) for head in heads)
    return heads * layers if type(heads) is int and type(layers) is int else 0


def _stored(tensors: tuple[Entry, ...]) -> dict[str, int]:
    stored: dict[str, int] = {}
    for entry in tensors:
        stored[entry.stored] = stored.get(entry.stored, 0) + entry.size
    return stored


def _positive(values: dict[str, Value], key: str, most: int, *, zero: bool) -> int | None:
    """A count; of a list with one for each layer, the largest. Zero, where it may be, says nothing."""
    value = values.get(key)
    if isinstance(value, tuple):
        value = max(value, default=0)
    if value is None or (zero and value == 0):
        return None
    if type(value) is not int or not 0 < value <= most:
        raise Malformed(f"{key} is {value!r}; a whole number from 1 to {most} was expected")
    return value


def _check_small(values: dict[str, Value], key: str) -> None:
    value = values.get(key, 0.0)
    if type(value) is not float or not 0 <= value < 1:
        raise Malformed(f"{key} is {value!r}; a small number was expected")


def _parts(values: dict[str, Value]) -> tuple[int, int]:
    part, parts = values.get("split.no", 0), values.get("split.count", 0) or 1
    if type(part) is not int or type(parts) is not int or not 0 <= part < parts <= 100_000:  # noqa: PLR2004 - five digits
        raise Malformed(f"the file says that it is part {part!r} of {parts!r}")
    return part, parts


def _vocabulary(found: _Found) -> int | None:
    """How many tokens; tables beside them must be as long, for the engine reads them without looking."""
    kind, tokens = found.lists.get(TOKENS, (_TEXT, 0))
    if kind != _TEXT:
        raise Malformed(f"{TOKENS} is no list of texts")
    for key, expected in (("tokenizer.ggml.scores", _FLOAT32), ("tokenizer.ggml.token_type", _INT32)):
        kind, count = found.lists.get(key, (expected, tokens))
        if count != tokens or kind != expected:
            raise Malformed(f"{key} has {count} elements of type {kind} for {tokens} tokens")
        if key in found.values and key not in found.lists:
            raise Malformed(f"{key} is no list")
    return tokens or None


def _check_embedding(tensors: tuple[Entry, ...], width: int | None, vocabulary: int | None) -> None:
    shape = next((entry.shape for entry in tensors if entry.name == "token_embd.weight"), None)
    if shape is None:
        return
    if width is not None and shape[0] != width:
        raise Malformed(f"token_embd.weight has rows of {shape[0]} elements; the header says {width}")
    if vocabulary is not None and math.prod(shape[1:]) < vocabulary:
        raise Malformed(f"token_embd.weight has {math.prod(shape[1:])} rows for {vocabulary} tokens")
