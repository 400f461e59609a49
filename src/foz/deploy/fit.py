"""
How a model is to be loaded, and whether it fits: the sum is made before anything is loaded, and shown.

What an engine takes is its weights, keys and values for every token of every slot's context, and room to work in: its
program, and scores of the whole vocabulary for a batch of tokens. On a GPU weights and context are the GPU's; of
several, each has a part of the weights, by what it has free, and llama.cpp keeps the context on the first of them.
"""

import math
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
DRIVER = 512 * MIB
"""Of each GPU that a program uses: what its driver and its libraries keep there."""
BATCH = 512
"""Tokens of a prompt that are worked at together."""
ALL_LAYERS = 999
USUAL_CONTEXT = 4096
TEXT = 2048
"""Tokens of a text that is turned into a vector, where nobody says how many: it is worked at whole."""
PER_TOKEN = 64
"""Bytes that each token of such a text takes while it is worked at, for each number that stands for one."""
HEAD = 64
"""Numbers of one head of attention, as is usual."""
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
            "use_kv_cache: false is not possible: an engine always keeps the keys and values "
            "of the tokens before. Leave it out or say true.",
            field="deployment_config.use_kv_cache",
        )
    if options.tensor_parallel_size > max(gpus, 1):
        has = "no GPU" if gpus == 0 else f"{gpus} GPU{'s' if gpus > 1 else ''}"
        raise Unsupported(
            f"tensor_parallel_size: {options.tensor_parallel_size} is not possible: this machine has {has}, and a "
            "model is split over GPUs only. Say 1.",
            field="deployment_config.tensor_parallel_size",
        )


def context_of(wish: Wish, weights: Weights, manner: Manner) -> int:
    """Tokens of one request and its answer."""
    usual = min(manner.context, TEXT) if weights.pooling else manner.context
    return wish.options.context or min(weights.context or usual, usual)


def roomiest(devices: Sequence[Device], count: int) -> list[Device]:
    """So many GPUs, those with the most room first."""
    return sorted(devices, key=lambda device: (-device.free, device.index))[:count]


def load(wish: Wish, weights: Weights, room: Room, devices: Sequence[Device], manner: Manner) -> Load:
    """How llama.cpp is to load it. Raises NoCapacity, with the sum, where it does not fit."""
    options = wish.options
    context = context_of(wish, weights, manner)
    if weights.pooling and weights.context is not None and context > weights.context:
        raise Unsupported(
            f"context: {context} is not possible: this model turns texts of up to {weights.context} tokens into "
            "vectors, and knows no place beyond.",
            field="deployment_config.context",
        )
    needs = takes(weights, options.max_batch_size, context, flash=options.use_flash_attention)
    chosen = roomiest(devices, options.tensor_parallel_size)
    split = _split(needs, chosen)
    plan = Load(
        model_id=wish.model_id,
        weights=weights,
        slots=options.max_batch_size,
        context=context,
        threads=manner.threads or max(room.cores // 2, 1),
        flash=options.use_flash_attention,
        layers_on_gpu=_layers(needs, weights, split, offload=options.cpu_offload),
        gpus=tuple(device.index for device in chosen),
        split=tuple(room / (sum(split) or 1) for room in split) if len(split) > 1 else (),
    )
    if plan.layers_on_gpu < ALL_LAYERS:
        rest = max(weights.layers - plan.layers_on_gpu, 1) / max(weights.layers, 1)
        _judge(needs, rest, room, plan)
    return plan


def takes(weights: Weights, slots: int, context: int, *, flash: bool | None = None) -> Sum:
    """What an engine takes."""
    return Sum(
        weights=weights.size,
        cache=weights.cache_per_token * context * slots,
        work=PROGRAM + (_texts(weights, context, flash) if weights.pooling else BATCH * weights.vocabulary * 4),
    )


def _texts(weights: Weights, context: int, flash: bool | None) -> int:
    """To turn a text into a vector: it is worked at whole; how wide a token is follows from the parameters."""
    width = math.isqrt((weights.parameters or 0) // (12 * max(weights.layers, 1)))
    pairs = 4 * context * context * max(width // HEAD, 1) if flash is False else 0
    return context * width * PER_TOKEN + pairs


def _split(needs: Sum, devices: Sequence[Device]) -> list[int]:
    """The room for weights on each GPU; the first of several has the context and all work, too."""
    if len(devices) < 2:  # noqa: PLR2004 - nothing is shared by one
        return [max(device.free - DRIVER, 0) for device in devices]
    works = [DRIVER + needs.work + (needs.cache if device is devices[0] else 0) for device in devices]
    return [max(device.free - work, 0) for device, work in zip(devices, works, strict=True)]


def _layers(needs: Sum, weights: Weights, rooms: Sequence[int], *, offload: bool) -> int:
    """Layers that go onto the GPUs."""
    if not rooms:
        return 0
    free = sum(rooms)
    wants = needs.total if len(rooms) == 1 else needs.weights
    if wants <= free:
        return ALL_LAYERS
    if not offload or not weights.layers:
        where = "a GPU" if len(rooms) == 1 else f"{len(rooms)} GPUs"
        raise NoCapacity(
            f"The model does not fit onto {where}: {told(needs)}, and {size(free)} are free"
            f"{'' if len(rooms) == 1 else ' for the weights'}, {size(DRIVER)} of each left to its driver. "
            "Say cpu_offload: true to keep a part of it in main memory, or take a smaller one."
        )
    return weights.layers * free // wants


def _judge(needs: Sum, share: float, room: Room, plan: Load) -> None:
    """Whether the share that no GPU has fits into main memory."""
    if needs.total * share > room.free:
        part = f", of which {size(int(needs.total * share))} stay there" if plan.layers_on_gpu else ""
        raise NoCapacity(
            f"The model does not fit into memory: {told(needs)}{part} "
            f"({plan.slots} x {plan.context} tokens of context), and {size(room.free)} of this machine's "
            f"{size(room.total)} are free. "
            "Take a smaller or more quantized one, a smaller max_batch_size or less context, or unload another model."
        )


def told(needs: Sum) -> str:
    """The sum, for people."""
    return (
        f"{size(needs.weights)} of weights + {size(needs.cache)} of context + {size(needs.work)} to work in "
        f"= {size(needs.total)}"
    )
