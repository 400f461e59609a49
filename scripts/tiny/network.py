"""
A small Llama in numpy: what it says and what it should have said, and from there back, by hand, to each weight.

The layers are as llama.cpp runs them: RMS norm, rotary positions on neighbouring pairs, grouped-query attention, a
gated feed-forward, the embeddings again as the output. All weights lie in one long vector and each matrix is a view
into it, and so do the slopes, so that a step of the optimizer is a few operations on two vectors. A pair of numbers
that is turned together is a complex number, and to turn it is to multiply.

Rows are outputs and columns inputs, as in a GGUF file.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Complex = NDArray[np.complex64]
Ints = NDArray[np.int64]

EPSILON = np.float32(1e-5)
ROPE_BASE = 10_000.0
HIDDEN_FROM = np.float32(-1e9)


class Shape(NamedTuple):
    """How large the network is."""

    vocabulary: int
    layers: int = 4
    width: int = 128
    heads: int = 4
    kv_heads: int = 2
    hidden: int = 352

    @property
    def head(self) -> int:
        """The width of a head."""
        return self.width // self.heads

    def matrices(self) -> dict[str, tuple[int, ...]]:
        """Names and shapes of all weights; queries, keys and values are one matrix, so are gate and up."""
        joint = (self.heads + 2 * self.kv_heads) * self.head
        made: dict[str, tuple[int, ...]] = {"embed": (self.vocabulary, self.width), "norm": (self.width,)}
        for layer in range(self.layers):
            made |= {
                f"{layer}.norm1": (self.width,),
                f"{layer}.qkv": (joint, self.width),
                f"{layer}.out": (self.width, self.width),
                f"{layer}.norm2": (self.width,),
                f"{layer}.wide": (2 * self.hidden, self.width),
                f"{layer}.down": (self.width, self.hidden),
            }
        return made


def views(shape: Shape, vector: Floats) -> dict[str, Floats]:
    """The matrices in a long vector."""
    made = {}
    at = 0
    for name, size in shape.matrices().items():
        length = int(np.prod(size))
        made[name] = vector[at : at + length].reshape(size)
        at += length
    return made


def length(shape: Shape) -> int:
    """How many weights there are."""
    return sum(int(np.prod(size)) for size in shape.matrices().values())


def first(shape: Shape, seed: int) -> Floats:
    """The weights before anything is learned."""
    dice = np.random.default_rng(seed)
    vector = np.zeros(length(shape), np.float32)
    for name, matrix in views(shape, vector).items():
        if matrix.ndim == 1:
            matrix[:] = 1
        else:
            deep = name.endswith((".out", ".down"))
            spread = 0.04 if name == "embed" else shape.width**-0.5 / (2 * shape.layers) ** (0.5 * deep)
            matrix[:] = dice.normal(size=matrix.shape) * spread
    return vector


def normed(x: Floats, gain: Floats) -> tuple[Floats, Floats, Floats]:
    """The RMS norm, and what the way back needs."""
    scale = 1 / np.sqrt((x * x).mean(axis=-1, keepdims=True) + EPSILON)
    straight = x * scale
    return straight * gain, straight, scale


def unnormed(slope: Floats, gain: Floats, straight: Floats, scale: Floats) -> tuple[Floats, Floats]:
    """The slopes of what went into a norm, and of its gain."""
    inner = slope * gain
    lean = (inner * straight).mean(axis=-1, keepdims=True)
    return scale * (inner - straight * lean), (slope * straight).sum(axis=0)


class Looked(NamedTuple):
    """What attention needs on the way back."""

    query: Floats
    key: Floats
    value: Floats
    weights: Floats


class Kept(NamedTuple):
    """What a layer needs on the way back."""

    first: tuple[Floats, Floats, Floats]
    seen: Floats
    looked: Looked
    second: tuple[Floats, Floats, Floats]
    up: Floats
    open: Floats
    through: Floats


class Attention:
    """Who looks at whom, for one shape of batch."""

    def __init__(self, shape: Shape, batch: int, steps: int) -> None:
        self.shape, self.batch, self.steps = shape, batch, steps
        turns = ROPE_BASE ** (-np.arange(0, shape.head, 2) / shape.head)
        angles = np.arange(steps)[:, None] * turns[None, :]
        self.turn = np.exp(1j * angles).astype(np.complex64)[None, :, None, :]
        later = np.triu(np.full((steps, steps), HIDDEN_FROM, np.float32), 1)
        self.later = np.tile(later, (shape.heads // shape.kv_heads, 1))
        self.scale = np.float32(shape.head**-0.5)

    def _turned(self, x: Floats, turn: Complex) -> Floats:
        pairs = np.ascontiguousarray(x).view(np.complex64)
        return (pairs * turn).view(np.float32)

    def _grouped(self, x: Floats) -> Floats:
        shape = self.shape
        per = x.shape[2] // shape.kv_heads
        split = x.reshape(self.batch, self.steps, shape.kv_heads, per, shape.head).transpose(0, 2, 3, 1, 4)
        return np.ascontiguousarray(split).reshape(self.batch, shape.kv_heads, per * self.steps, shape.head)

    def _apart(self, x: Floats) -> Floats:
        shape = self.shape
        per = x.shape[2] // self.steps
        split = x.reshape(self.batch, shape.kv_heads, per, self.steps, shape.head).transpose(0, 3, 1, 2, 4)
        return np.ascontiguousarray(split).reshape(self.batch, self.steps, shape.kv_heads * per, shape.head)

    def forward(self, joint: Floats) -> tuple[Floats, Looked]:
        """What the heads see."""
        shape = self.shape
        each = joint.reshape(self.batch, self.steps, -1, shape.head)
        turned = self._turned(each[:, :, : shape.heads + shape.kv_heads], self.turn)
        query = self._grouped(turned[:, :, : shape.heads])
        key = self._grouped(turned[:, :, shape.heads :])
        value = self._grouped(each[:, :, shape.heads + shape.kv_heads :])
        weights = np.matmul(query, key.swapaxes(2, 3))
        weights *= self.scale
        weights += self.later
        weights -= weights.max(axis=-1, keepdims=True)
        np.exp(weights, out=weights)
        weights /= weights.sum(axis=-1, keepdims=True)
        seen = self._apart(np.matmul(weights, value)).reshape(self.batch * self.steps, -1)
        return seen, Looked(query, key, value, weights)

    def backward(self, slope: Floats, kept: Looked) -> Floats:
        """The slopes of queries, keys and values, side by side."""
        shape = self.shape
        query, key, value, weights = kept
        seen = self._grouped(slope.reshape(self.batch, self.steps, shape.heads, shape.head))
        to_weights = np.matmul(seen, value.swapaxes(2, 3))
        to_value = np.matmul(weights.swapaxes(2, 3), seen)
        to_weights -= (to_weights * weights).sum(axis=-1, keepdims=True)
        to_weights *= weights
        to_weights *= self.scale
        to_query = self._apart(np.matmul(to_weights, key))
        to_key = self._apart(np.matmul(to_weights.swapaxes(2, 3), query))
        turned = np.concatenate([to_query, to_key], axis=2)
        straight = self._turned(turned, self.turn.conj())
        return np.concatenate([straight, self._apart(to_value)], axis=2).reshape(self.batch * self.steps, -1)


class Network:
    """The weights and, after `learn`, their slopes."""

    def __init__(self, shape: Shape, vector: Floats) -> None:
        self.shape = shape
        self.vector = vector
        self.slopes = np.zeros_like(vector)
        self.w = views(shape, vector)
        self.d = views(shape, self.slopes)

    def learn(self, tokens: Ints, wanted: Ints) -> float:
        """
        The mean loss over the places where something is wanted (not -1); fills `slopes`.

        Both are batch by steps; `wanted` is the token that comes after each place.
        """
        batch, steps = tokens.shape
        attention = Attention(self.shape, batch, steps)
        x = self.w["embed"][tokens.reshape(-1)]
        kept = []
        for layer in range(self.shape.layers):
            x, here = self._layer(layer, x, attention)
            kept.append(here)
        loss, slope = self._judged(x, wanted.reshape(-1))
        for layer in reversed(range(self.shape.layers)):
            slope = self._unlayer(layer, slope, attention, kept[layer])
        order = np.argsort(tokens.reshape(-1), kind="stable")
        ids, starts = np.unique(tokens.reshape(-1)[order], return_index=True)
        self.d["embed"][ids] += np.add.reduceat(slope[order], starts, axis=0)
        return loss

    def _layer(self, layer: int, x: Floats, attention: Attention) -> tuple[Floats, Kept]:
        w = self.w
        first = normed(x, w[f"{layer}.norm1"])
        seen, looked = attention.forward(first[0] @ w[f"{layer}.qkv"].T)
        x = x + seen @ w[f"{layer}.out"].T
        second = normed(x, w[f"{layer}.norm2"])
        wide = second[0] @ w[f"{layer}.wide"].T
        gate, up = wide[:, : self.shape.hidden], wide[:, self.shape.hidden :]
        open = 1 / (1 + np.exp(-gate))
        through = gate * open
        x = x + (through * up) @ w[f"{layer}.down"].T
        return x, Kept(first, seen, looked, second, up, open, through)

    def _unlayer(self, layer: int, slope: Floats, attention: Attention, kept: Kept) -> Floats:
        w, d = self.w, self.d
        up, open, through = kept.up, kept.open, kept.through
        d[f"{layer}.down"][:] = slope.T @ (through * up)
        inner = slope @ w[f"{layer}.down"]
        wide = np.concatenate([inner * up * (open + through * (1 - open)), inner * through], axis=1)
        d[f"{layer}.wide"][:] = wide.T @ kept.second[0]
        back, d[f"{layer}.norm2"][:] = unnormed(wide @ w[f"{layer}.wide"], w[f"{layer}.norm2"], *kept.second[1:])
        slope = slope + back
        d[f"{layer}.out"][:] = slope.T @ kept.seen
        joint = attention.backward(slope @ w[f"{layer}.out"], kept.looked)
        d[f"{layer}.qkv"][:] = joint.T @ kept.first[0]
        back, d[f"{layer}.norm1"][:] = unnormed(joint @ w[f"{layer}.qkv"], w[f"{layer}.norm1"], *kept.first[1:])
        return slope + back

    def _judged(self, x: Floats, wanted: Ints) -> tuple[float, Floats]:
        places = np.flatnonzero(wanted >= 0)
        h, straight, scale = normed(x[places], self.w["norm"])
        scores = h @ self.w["embed"].T
        scores -= scores.max(axis=1, keepdims=True)
        chances = np.exp(scores)
        sums = chances.sum(axis=1, keepdims=True)
        rows = np.arange(len(places))
        loss = float((np.log(sums[:, 0]) - scores[rows, wanted[places]]).mean())
        chances /= sums
        chances[rows, wanted[places]] -= 1
        chances /= len(places)
        self.d["embed"][:] = chances.T @ h
        back, self.d["norm"][:] = unnormed(chances @ self.w["embed"], self.w["norm"], straight, scale)
        slope = np.zeros_like(x)
        slope[places] = back
        return loss, slope
