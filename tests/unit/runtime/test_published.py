"""What is known of a model as its makers publish it, before an engine sees it: its size, its context, its bits."""

from pathlib import Path
from typing import Any

import pytest

from foz.canon.deployment import Form, Weights
from foz.canon.fault import Garbled
from foz.runtime.shelf.looking import published
from foz.testing import safetensors

COMPRESSED = {"group_0": {"weights": {"num_bits": 8, "type": "float"}, "targets": ["Linear"]}}
PACKED = {"group_0": {"weights": {"num_bits": 4, "type": "int"}}}


def _published(folder: Path, **config: Any) -> Weights:
    safetensors.write(folder, parts=2, **config)
    return published(folder, sorted(path.name for path in folder.glob("*.safetensors")))


@pytest.mark.parametrize(
    ("said", "stored"),
    [
        (None, "BF16"),
        ({"quant_method": "awq", "bits": 4}, "awq-int4"),
        ({"quant_method": "gptq", "bits": 8}, "gptq-int8"),
        ({"quant_method": "bitsandbytes", "load_in_4bit": True}, "bitsandbytes-int4"),
        ({"quant_method": "bitsandbytes", "load_in_8bit": True}, "bitsandbytes-int8"),
        ({"quant_method": "fp8", "weight_block_size": [128, 128]}, "fp8"),
        ({"quant_method": "mxfp4"}, "mxfp4"),
        ({"quant_method": "compressed-tensors", "config_groups": COMPRESSED}, "compressed-tensors-fp8"),
        ({"quant_method": "compressed-tensors", "config_groups": PACKED}, "compressed-tensors-int4"),
        ({"quant_method": "new", "bits": "mixed"}, "quantized"),
        ({"bits": 4}, "quantized"),
        ("nonsense", "quantized"),
    ],
)
def test_how_weights_are_stored_is_read_from_their_config(tmp_path: Path, said: object, stored: str) -> None:
    """Each maker's way of saying fewer bits is one word of ours; a way that nobody knows is not taken for 16 bits."""
    assert _published(tmp_path / "m", quantization_config=said).quantization == stored


def test_a_model_that_also_sees_is_judged_by_what_reads(tmp_path: Path) -> None:
    """Layers, heads and context of a `text_config` count; the architecture is the whole model's."""
    text = {"num_hidden_layers": 4, "num_attention_heads": 4, "hidden_size": 64, "max_position_embeddings": 512}
    found = _published(tmp_path / "m", model_type="gemma3", text_config=text)
    assert (found.architecture, found.layers, found.context, found.form) == ("gemma3", 4, 512, Form.SAFETENSORS)
    assert found.cache_per_token == 2 * 4 * 16 * 4 * 2


def test_a_config_that_is_none_is_garbled(tmp_path: Path) -> None:
    """A config that is no JSON object says so with its name."""
    safetensors.write(tmp_path / "m", parts=1)
    (tmp_path / "m/config.json").write_bytes(b"[1]")
    with pytest.raises(Garbled, match=r"config\.json cannot be read"):
        published(tmp_path / "m", ["model-00001-of-00001.safetensors"])
