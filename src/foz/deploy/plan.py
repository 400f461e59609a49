"""
How each engine is to load a model: what a wish means to it, and whether it fits. What llama.cpp does is in `fit.py`;
here are vLLM, which takes a share of each GPU's memory and counts what it leaves in main memory in bytes, and servers
that we do not run, to which nothing of this can be said.
"""

from collections.abc import Sequence
from math import ceil

from msgspec import structs

from foz.canon.amount import size
from foz.canon.deployment import Form, Options, Quantization, Weights, Wish
from foz.canon.fault import NoCapacity, Unsupported
from foz.deploy import fit
from foz.deploy.fit import Manner, Sum, context_of, roomiest
from foz.ports.devices import Device
from foz.ports.engine import VLLM, Load
from foz.ports.machine import Room

GIB = 1 << 30
VLLM_WORK = 3 * GIB
"""Of each GPU, or of main memory: its program, its graphs, and what it works with."""
FOUR_BITS = 0.35
"""Of 16 bits, with what stays as it is."""
_MOST_SHARE = 0.95
_SPARE = 1.05
_WIDE = frozenset({"F16", "BF16", "F32"})
SERVED = frozenset({Form.OLLAMA, Form.OPENAI})


def plan(engine: str, wish: Wish, weights: Weights, room: Room, devices: Sequence[Device], manner: Manner) -> Load:
    """How this engine is to load it. Raises NoCapacity, with the sum, or Unsupported, by the field's name."""
    if weights.form in SERVED:
        refuse_served(wish)
        return Load(wish.model_id, weights, wish.options.max_batch_size, weights.context or 0, threads=0)
    if engine == VLLM:
        return _vllm(wish, weights, room, devices, manner)
    return fit.load(wish, weights, room, devices, manner)


def needs(engine: str, load: Load) -> Sum:
    """What an engine takes that loads so."""
    weights = load.weights
    if weights.form in SERVED:
        return Sum(0, 0, 0)
    found = fit.takes(weights, load.slots, load.context, flash=load.flash)
    if engine != VLLM:
        return found
    held = int(weights.size * FOUR_BITS) if load.quantize is Quantization.INT4 else weights.size
    return Sum(held, found.cache, VLLM_WORK * max(len(load.gpus), 1))


def refuse_served(wish: Wish) -> None:
    """Raises Unsupported for what cannot be said to a server that we do not run, by the field's name."""
    usual = Options()
    for field in Options.__struct_fields__:
        if getattr(wish.options, field) != getattr(usual, field):
            raise Unsupported(
                f"{field}: it cannot be set here: the server that has the model decides it. Leave it out.",
                field=f"deployment_config.{field}",
            )
    if wish.nodes:
        raise Unsupported(
            "target_nodes: a model of a server that we do not run is on no node. Leave it out.", field="target_nodes"
        )
    if wish.quantization is not None:
        raise Unsupported(
            f"quantization: {wish.quantization} cannot be made of a model that a server has: name the one of its "
            "models that is so.",
            field="quantization",
        )


def _vllm(wish: Wish, weights: Weights, room: Room, devices: Sequence[Device], manner: Manner) -> Load:
    options = wish.options
    if not devices and options.use_flash_attention:
        raise Unsupported(
            "use_flash_attention: true is not possible: vLLM runs on this machine's processors, and has it on GPUs "
            "only. Leave it out.",
            field="deployment_config.use_flash_attention",
        )
    chosen = roomiest(devices, options.tensor_parallel_size)
    load = Load(
        model_id=wish.model_id,
        weights=weights,
        slots=options.max_batch_size,
        context=context_of(wish, weights, manner),
        threads=manner.threads or max(room.cores // 2, 1),
        flash=options.use_flash_attention,
        gpus=tuple(device.index for device in chosen),
        quantize=_quantize(wish.quantization, weights),
    )
    return _on_gpus(load, chosen, offload=options.cpu_offload) if chosen else _in_memory(load, room)


def _quantize(wanted: Quantization | None, weights: Weights) -> Quantization | None:
    """What vLLM has to make of the weights while it loads them."""
    word = weights.quantization
    is_now = next((one for one in Quantization if word.endswith(f"-{one}")), None)
    is_now = Quantization.FP16 if word in _WIDE else is_now
    if wanted is None or wanted is is_now:
        return None
    if wanted is Quantization.INT4 and is_now is Quantization.FP16:
        return Quantization.INT4
    raise Unsupported(
        f"quantization: {wanted} is not possible: these weights are {word}, and vLLM makes int4 of 16 bits and nothing "
        "else. Leave it out to take them as they are, or name a repository that is so.",
        field="quantization",
    )


def _in_memory(load: Load, room: Room) -> Load:
    wants = needs(VLLM, load)
    if wants.total > room.free:
        raise NoCapacity(
            f"The model does not fit into memory: {fit.told(wants)} "
            f"({load.slots} x {load.context} tokens of context), and {size(room.free)} of this machine's "
            f"{size(room.total)} are free. Take a smaller one, a smaller max_batch_size or less context."
        )
    return load


def _on_gpus(load: Load, chosen: Sequence[Device], *, offload: bool) -> Load:
    count = len(chosen)
    wants = needs(VLLM, load)
    each, weights = ceil(wants.total / count), ceil(wants.weights / count)
    free, total = min(device.free for device in chosen), min(device.total for device in chosen)
    most = min(free, int(total * _MOST_SHARE))
    spill = max(each - most, 0)
    if spill and (not offload or spill >= weights):
        where = "a GPU" if count == 1 else f"each of {count} GPUs"
        raise NoCapacity(
            f"The model does not fit onto {where}: {fit.told(wants)}"
            f"{'' if count == 1 else f', {size(each)} on each'}, and {size(free)} of {size(total)} are free. "
            "Say cpu_offload: true to keep a part of it in main memory, a larger tensor_parallel_size where there are "
            "more GPUs, or take a smaller one."
        )
    share = min((each - spill) * _SPARE, most) / total
    return structs.replace(load, share=share, spill=spill)
