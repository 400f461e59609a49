"""What of our environment an engine sees: where programs, libraries and devices are, and no key of anybody."""

from foz.config.load import process_environment

_KEPT = frozenset(
    {
        "HOME",
        "LANG",
        "LC_ALL",
        "LD_LIBRARY_PATH",
        "DYLD_LIBRARY_PATH",
        "PATH",
        "PYTHONPATH",
        "TMPDIR",
        "TZ",
        "VIRTUAL_ENV",
        "XDG_CACHE_HOME",
    }
)
_DEVICES = (
    "CUDA_", "FLASHINFER_", "GGML_", "HIP_", "NCCL_", "NVIDIA_VISIBLE_", "ROCR_", "TORCH", "TRITON_", "VK_", "VLLM_",
    "ZE_",
)  # fmt: skip
_SECRET = ("_KEY", "_TOKEN", "_SECRET", "_PASSWORD")


def environment() -> dict[str, str]:
    """Of this process."""
    return {
        name: value
        for name, value in process_environment().items()
        if name in _KEPT or (name.startswith(_DEVICES) and not name.endswith(_SECRET))
    }
