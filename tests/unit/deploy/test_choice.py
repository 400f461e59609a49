"""Which of a repository's files are the model: by their names, the best first, and never by a guess."""

import pytest

from foz.canon.deployment import Quantization
from foz.canon.fault import Garbled, NotFound, Unsupported
from foz.deploy.choice import choose, published, way_of
from foz.ports.weights import File

INT4, INT8, FP16 = Quantization.INT4, Quantization.INT8, Quantization.FP16
HUB = [
    "README.md", "config.json", "mmproj-F16.gguf", "Qwen3-8B-BF16.gguf", "Qwen3-8B-IQ4_XS.gguf", "Qwen3-8B-Q2_K.gguf",
    "Qwen3-8B-Q4_0.gguf", "Qwen3-8B-Q4_K_M.gguf", "Qwen3-8B-Q6_K.gguf", "Qwen3-8B-Q8_0.gguf",
    "Qwen3-8B-UD-Q4_K_XL.gguf",
]  # fmt: skip


def picked(names: list[str], wanted: Quantization | None = None, named: str | None = None) -> tuple[list[str], object]:
    chosen = choose([File(name, 1) for name in names], wanted, named, "hf:a/b")
    return [file.name for file in chosen.files], chosen.makes


@pytest.mark.parametrize(
    ("name", "way"),
    [
        ("Qwen3-8B-Q4_K_M.gguf", "Q4_K_M"), ("qwen2.5-7b-instruct-fp16.gguf", "F16"), ("model.Q8_0.gguf", "Q8_0"),
        ("BF16/x.gguf", "BF16"), ("x-IQ2_XXS.gguf", "IQ2_XXS"), ("x-UD-Q4_K_XL.gguf", "Q4_K_XL"), ("x-f32.gguf", "F32"),
        ("x-Q3_K_L.gguf", "Q3_K_L"), ("gpt-oss-20b-MXFP4.gguf", "MXFP4"), ("x-Q6_K.gguf", "Q6_K"), ("x.gguf", None),
        ("Q4-story.gguf", None), ("phi-2.gguf", None), ("x-TQ1_0.gguf", "TQ1_0"), ("Q8_0/x-Q4_0.gguf", "Q4_0"),
    ],
)  # fmt: skip
def test_a_name_says_how_a_file_is_stored(name: str, way: str | None) -> None:
    """The number of bits is read out of a name, the last one where it has several; where it has none, nothing is."""
    assert way_of(name) == way


def test_each_quantization_has_its_file() -> None:
    """int4, int8, fp16 and no word of it each take the file that people mean by it."""
    assert picked(HUB, INT4) == (["Qwen3-8B-Q4_K_M.gguf"], None)
    assert picked(HUB, INT8) == (["Qwen3-8B-Q8_0.gguf"], None)
    assert picked(HUB, FP16) == (["Qwen3-8B-BF16.gguf"], None)
    assert picked(HUB) == (["Qwen3-8B-Q4_K_M.gguf"], None)


def test_int8_is_made_where_there_is_none() -> None:
    """Without a Q8_0 the file of 16 bits is taken and int8 is made of it; of fewer bits it cannot be made."""
    assert picked(["a-Q4_0.gguf", "a-BF16.gguf", "a-f16.gguf"], INT8) == (["a-f16.gguf"], INT8)
    with pytest.raises(Unsupported, match=r"a-Q4_0\.gguf"):
        picked(["a-Q4_0.gguf", "a-Q6_K.gguf"], INT8)


def test_what_is_not_there_is_refused_with_what_is() -> None:
    """A quantization that a repository lacks is refused by its field's name, and the message lists the files."""
    with pytest.raises(Unsupported, match=r"nothing that is fp16.*a-Q4_0\.gguf, a-Q6_K\.gguf") as refused:
        picked(["a-Q4_0.gguf", "a-Q6_K.gguf"], FP16)

    assert refused.value.field == "quantization"


def test_parts_are_one_model_in_their_order() -> None:
    """Parts of a file that was cut are taken together, in order; a part that is missing is said."""
    parts = [f"Q8_0/x-Q8_0-0000{number}-of-00003.gguf" for number in (2, 3, 1)]

    assert picked(parts, INT8)[0] == sorted(parts)
    assert picked(parts, None, sorted(parts)[1])[0] == sorted(parts)
    with pytest.raises(Garbled, match="lacks parts of Q8_0/x-Q8_0: it has 2 of 3"):
        picked(parts[1:], INT8)


@pytest.mark.parametrize("count", ["00000", "99999"])
def test_parts_without_end_are_refused(count: str) -> None:
    """A name that promises no or countless parts is refused."""
    with pytest.raises(Garbled):
        picked([f"x-Q8_0-00001-of-{count}.gguf"])


def test_the_only_model_is_taken_whatever_its_name() -> None:
    """One file that does not say how it is stored is taken, for its header will; eyes and statistics are none."""
    assert picked(["mmproj-x.gguf", "imatrix.gguf", "tiny.gguf"]) == (["tiny.gguf"], None)
    assert picked(["tiny.gguf"], INT8) == (["tiny.gguf"], None)


def test_a_named_file_is_that_one() -> None:
    """A file that is asked for by name is taken; one that is not there is refused with those that are."""
    assert picked(HUB, None, "Qwen3-8B-Q2_K.gguf") == (["Qwen3-8B-Q2_K.gguf"], None)
    assert picked(HUB, INT8, "Qwen3-8B-BF16.gguf") == (["Qwen3-8B-BF16.gguf"], INT8)
    with pytest.raises(NotFound, match=r"no file x\.gguf.*Qwen3-8B-Q8_0\.gguf"):
        picked(HUB, None, "x.gguf")
    with pytest.raises(Unsupported, match="stored as Q2_K, which is not int8"):
        picked(HUB, INT8, "Qwen3-8B-Q2_K.gguf")


def test_nothing_is_guessed() -> None:
    """Several models of no usual kind, and none at all, are refused."""
    with pytest.raises(Unsupported, match="name a file"):
        picked(["a-Q2_K.gguf", "b-Q3_K_M.gguf"])
    with pytest.raises(NotFound, match="no GGUF file"):
        picked(["model.safetensors", "mmproj-F16.gguf"])


@pytest.mark.parametrize(
    ("names", "model"),
    [
        (["config.json", "model.safetensors"], ["model.safetensors"]),
        (["consolidated.safetensors", "model-1-of-2.safetensors", "model-2-of-2.safetensors"], [1, 2]),
        (["consolidated.safetensors", "params.json"], ["consolidated.safetensors"]),
        (["adapter_model.safetensors", "model.safetensors"], ["model.safetensors"]),
        (["original/consolidated.safetensors", "tokenizer.json"], []),
    ],
)
def test_a_model_that_is_published_twice_is_had_once(names: list[str], model: list[str | int]) -> None:
    """What makers put beside their model, the same once more or what was learned on top, is passed over."""
    assert published(names) == [names[one] if isinstance(one, int) else one for one in model]
