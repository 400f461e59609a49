"""
How a model is to be loaded, and whether it fits: the sum is made before anything is loaded, and shown.

What an engine takes is its weights, keys and values for every token of every slot's context, and room to work in: its
program, and scores of the whole vocabulary for a batch of tokens. On a GPU weights and context are the GPU's.
"""

from collections.abc import Sequence

from msgspec import Struct

from foz.canon.amount import size
from foz.canon.deployment import Options, Weights, Wish
from foz.canon.fault import NoCapacity, Unsupported
from foz.ports.devices import Device
from foz.ports.engine import Load
from foz.ports.machine import Room

MIB = 1024 * 1024
PROGRAM = 64 * MIB
BATCH = 512
"""Tokens of a prompt that are worked at together."""
ALL_LAYERS = 999
USUAL_CONTEXT = 4096
FEWEST_TOKENS = 128
MOST_SLOTS = 256


class Manner(Struct, frozen=True):
    """How this gateway runs models, where a wish says nothing."""

    threads: int | None = None
    """None is half of the processors: two of them usually share one core."""
    context: int = USUAL_CONTEXT


class Sum(Struct, frozen=True):
    """What an engine takes, in bytes."""

    weights: int
    cache: int
    work: int

    @property
    def total(self) -> int:
        """All of it."""
        return self.weights + self.cache + self.work


def refuse(options: Options, gpus: int) -> None:
    """Raises Unsupported for what this engine cannot be told, by the field's name and with the reason."""
    if not options.use_kv_cache:
        raise Unsupported(
            "use_kv_cache: false is not possible: llama.cpp always keeps the keys and values of the tokens before. "
            "Leave it out or say true.",
            field="deployment_config.use_kv_cache",
        )
    if options.tensor_parallel_size > max(gpus, 1):
        has = "no GPU" if gpus == 0 else f"{gpus} GPU{'s' if gpus > 1 else ''}"
        raise Unsupported(
            f"tensor_parallel_size: {options.tensor_parallel_size} is not possible: this machine has {has}, and a "
            "model is split over GPUs only. Say 1.",
            field="deployment_config.tensor_parallel_size",
        )
    if options.tensor_parallel_size > 1:
        raise Unsupported(
            f"tensor_parallel_size: {options.tensor_parallel_size} is not possible yet: a deployment runs on one GPU.",
            field="deployment_config.tensor_parallel_size",
        )


def load(wish: Wish, weights: Weights, room: Room, devices: Sequence[Device], manner: Manner) -> Load:
    """How it is to be loaded. Raises NoCapacity, with the sum, where it does not fit."""
    options = wish.options
    context = options.context or min(weights.context or manner.context, manner.context)
    needs = takes(weights, options.max_batch_size, context)
    plan = Load(
        model_id=wish.model_id,
        weights=weights,
        slots=options.max_batch_size,
        context=context,
        threads=manner.threads or max(room.cores // 2, 1),
        flash=options.use_flash_attention,
        layers_on_gpu=_layers(needs, weights, devices, offload=options.cpu_offload),
    )
    if plan.layers_on_gpu < ALL_LAYERS:
        _judge(needs, room.free, f"{size(room.free)} of this machine's {size(room.total)} are free", plan)
    return plan


def takes(weights: Weights, slots: int, context: int) -> Sum:
    """What an engine takes."""
    return Sum(
        weights=weights.size,
        cache=weights.cache_per_token * context * slots,
        work=PROGRAM + BATCH * weights.vocabulary * 4,
    )


def _layers(needs: Sum, weights: Weights, devices: Sequence[Device], *, offload: bool) -> int:
    """Layers that go onto the GPU with the most room."""
    if not devices:
        return 0
    free = max(device.free for device in devices)
    if needs.total <= free:
        return ALL_LAYERS
    if not offload or not weights.layers:
        raise NoCapacity(
            f"The model does not fit onto a GPU: {told(needs)}, and {size(free)} are free. "
            "Say cpu_offload: true to keep a part of it in main memory, or take a smaller one."
        )
    return weights.layers * free // needs.total


def _judge(needs: Sum, free: int, has: str, plan: Load) -> None:
    if needs.total > free:
        raise NoCapacity(
            f"The model does not fit into memory: {told(needs)} "
            f"({plan.slots} x {plan.context} tokens of context), and {has}. "
            "Take a smaller or more quantized one, a smaller max_batch_size or less context, or unload another model."
        )


def told(needs: Sum) -> str:
    """The sum, for people."""
    return (
        f"{size(needs.weights)} of weights + {size(needs.cache)} of context + {size(needs.work)} to work in "
        f"= {size(needs.total)}"
    )
