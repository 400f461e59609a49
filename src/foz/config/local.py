"""The table of models that are run on this machine."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from foz.canon.deployment import HERE
from foz.config.address import is_host
from foz.config.amounts import Names, Seconds, Size, Whole, expected
from foz.config.kinds import Origin, Section
from foz.config.rows import Name
from foz.deploy.fit import FEWEST_TOKENS, USUAL_CONTEXT

EngineName = Literal["", "llama.cpp", "vllm"]
HIGHEST_PORT = 65_535
_NODE = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,61}[A-Za-z0-9])?")
"""What a label of Ray's can hold."""


def _absolute(found: Sequence[str]) -> Sequence[str]:
    if not all(one.startswith("/") and ".." not in one.split("/") for one in found):
        raise expected('absolute paths of folders, such as "/srv/models"')
    return found


def is_place(found: str) -> bool:
    """Whether it is a host and a port."""
    host, mark, port = found.rpartition(":")
    bare = host.removeprefix("[").removesuffix("]")
    return bool(mark) and is_host(bare) and port.isdecimal() and 0 < int(port) <= HIGHEST_PORT


def is_node(found: str) -> bool:
    """Whether a node can be called so."""
    return bool(_NODE.fullmatch(found))


def _place(found: str) -> str:
    if not is_place(found):
        raise expected('an address with a port, such as "10.0.0.5:6399"')
    return found


class Cluster(Section):
    """Other machines that models are run on (`foz node`), by Ray: the extra `foz[cluster]`."""

    address: Annotated[str, AfterValidator(_place)] | None = Field(
        default=None,
        description="Where the cluster's first node is reached, as `foz node start` says it: host and port. This "
        "machine must be a node of it.",
    )
    token: Path | None = Field(
        default=None,
        description="The file with the token that all nodes share. Default: `cluster.token` in the data directory.",
    )


class Local(Section):
    """Models that are run on this machine (`foz deploy`), by llama.cpp (the extra `foz[local]`) or vLLM."""

    node: Name = Field(default=HERE, description="The name of this machine, as `target_nodes` of a deployment says it.")
    models: Path | None = Field(
        default=None,
        description="The folder of model files: what is fetched lands there, and a path as a source is one under it. "
        "Default: `models` in the data directory.",
    )
    tiny: bool = Field(
        default=True,
        description="Run `foz-tiny`, the demonstration that comes with Foz, from the first start on, where no provider "
        "is configured and llama.cpp is installed.",
    )
    threads: Whole | None = Field(
        default=None, ge=1, le=1024, description="Threads of each engine. Default: half of the processors."
    )
    context: Whole = Field(
        default=USUAL_CONTEXT,
        ge=FEWEST_TOKENS,
        description="Tokens of one request and its answer, where a deployment says nothing; no more than the model "
        "was trained for.",
    )
    engine: EngineName = Field(
        default="",
        description='The engine that is preferred, "llama.cpp" or "vllm", where a deployment names none and a model is '
        "there as GGUF and as safetensors. Default: llama.cpp, if it is installed.",
    )
    vllm: Annotated[str, Field(min_length=1, max_length=4096)] = Field(
        default="vllm", description="The command of vLLM: a name on the PATH, or a path."
    )
    vllm_options: Annotated[Names, Field(max_length=64)] = Field(
        default=(),
        description='More words for `vllm serve`, which win over those of Foz: `["--enable-auto-tool-choice", '
        '"--tool-call-parser", "hermes"]`.',
    )
    vllm_on_cpu: bool = Field(
        default=False, description="The vLLM that is installed is its build for processors; else it needs a GPU."
    )
    drain: Seconds = Field(
        default=300.0, description="How long a model that is unloaded waits for the requests that run on it."
    )
    hub: Origin = Field(
        default="https://huggingface.co",
        description="Hugging Face's hub, or a mirror of it. A mirror in your own network may send to others there. "
        "From `HF_ENDPOINT`.",
    )
    ollama_registry: Origin = Field(
        default="https://registry.ollama.ai", description="Where models of Ollama are fetched from."
    )
    ollama_models: Path | None = Field(
        default=None,
        description="The folder of an Ollama server's own files, which are run where they lie. Default: "
        "`~/.ollama/models`, or where its service keeps them. From `OLLAMA_MODELS`.",
    )
    folders: Annotated[Names, AfterValidator(_absolute)] = Field(
        default=(), description="Further folders whose files may be deployed where they lie, by their absolute paths."
    )
    stall: Seconds = Field(
        default=30.0,
        gt=0,
        description="How long a source of models may send nothing, or next to nothing, before it is asked again for "
        "what is missing.",
    )
    keep_free: Size = Field(
        default=2**30, description="Bytes of the disk that stay free when models are fetched or made."
    )
    sources: dict[str, str] = Field(
        default={},
        max_length=1_000,
        description='What `model_type` and `model_size` of a deployment mean, before the catalog: `"qwen3-7b" = '
        '"qwen3-7b-q8_0.gguf"`, a path under the folder of models, `"hf:org/repo"`, `"ollama:name"` or '
        '`"provider:name/model"`.',
    )
