"""
What `vllm serve` is told, in its own words: each field of a deployment becomes an option, or was refused before
(`deploy/plan.py`). The key goes by the environment, for a command line is there for everybody to read.
"""

import os
from collections.abc import Mapping, Sequence
from math import ceil
from pathlib import Path

from foz.canon.deployment import Quantization
from foz.ports.engine import Load

GIB = 1 << 30
HOST = "127.0.0.1"
NOWHERE = "nowhere.invalid"
"""The only place of the web that it may look at: whoever asks could have it look around on our network."""
_OURS = frozenset({"PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV"})
_BACKENDS = {True: "FLASH_ATTN", False: "TRITON_ATTN"}


def command(program: str, load: Load, place: tuple[str, int], options: Sequence[str] = ()) -> list[str]:
    """The words of the command line, to listen at a place; an operator's own `options` come last, and win."""
    host, port = place
    said = [
        program, "serve", load.weights.path,
        "--host", host,
        "--port", str(port),
        "--served-model-name", load.model_id,
        "--max-num-seqs", str(load.slots),
        "--max-model-len", str(load.context),
        "--allowed-origins", "[]",
        "--allowed-media-domains", NOWHERE,
        "--disable-uvicorn-access-log",
    ]  # fmt: skip
    said += (
        ["--quantization", "bitsandbytes"] if load.quantize is Quantization.INT4 else ["--load-format", "safetensors"]
    )
    if len(load.gpus) > 1:
        said += ["--tensor-parallel-size", str(len(load.gpus))]
    if load.share:
        said += ["--gpu-memory-utilization", f"{load.share:.3f}"]
    if load.spill:
        said += ["--cpu-offload-gb", f"{ceil(load.spill * 10 / GIB) / 10:g}"]
    if load.flash is not None and load.gpus:
        said += ["--attention-backend", _BACKENDS[load.flash]]
    return [*said, *options]


def environment(seen: Mapping[str, str], load: Load, program: str, key: str, host: str = HOST) -> dict[str, str]:
    """
    All that it sees. It tells nobody about itself, and fetches nothing: its files are here. Its Python is its own, and
    programs that came with it are found before others.
    """
    told = {
        **{name: value for name, value in seen.items() if name not in _OURS},
        "PATH": f"{Path(program).parent}{os.pathsep}{seen.get('PATH', os.defpath)}",
        "VLLM_API_KEY": key,
        "VLLM_NO_USAGE_STATS": "1",
        "VLLM_HOST_IP": host,
        "HF_HUB_OFFLINE": "1",
        "TRANSFORMERS_OFFLINE": "1",
    }
    if load.gpus:
        return {
            **told,
            "CUDA_DEVICE_ORDER": "PCI_BUS_ID",
            "CUDA_VISIBLE_DEVICES": ",".join(map(str, load.gpus)),
        }
    cache = load.weights.cache_per_token * load.context * load.slots
    return {**told, "VLLM_CPU_KVCACHE_SPACE": str(max(ceil(cache / GIB), 1))}
