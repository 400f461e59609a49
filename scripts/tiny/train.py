"""
From the text to the weights: Adam on batches of pairs of like length, at a rate that rises and then sinks to nothing.

Only what is answered is learned, not what is asked. Nearly all there is to learn is in an answer's first tokens, where
it is decided which one it will be; so most answers are cut after a few, and a step costs half as much.
"""

import random
import sys
import time
from collections.abc import Iterator
from itertools import islice
from math import cos, pi
from typing import NamedTuple

import numpy as np

from scripts.tiny.bpe import Vocabulary, learn
from scripts.tiny.corpus import Corpus, answers
from scripts.tiny.network import Floats, Ints, Network, Shape, first

SEED = 5
MERGES = 765
READ = 40_000
"""How many pairs the vocabulary is learned from."""
STEPS = 2_200
PAIRS = 80
POOL = 24
"""How many batches are sorted by length at a time."""
RATE = 5e-3
WARM = 100
MEMORY = (0.9, 0.98)
DECAY = 0.02
STEEPEST = 1.0
WHOLE = 0.15
"""The share of answers that are learned to their end."""
FAR, WHOLE_FAR = 25, 0.5
"""After texts of so many tokens more are: else it would never say a whole one that far from the beginning."""
CUT = (1, 5)
"""How many tokens are left of the others."""
BARE = 0.05
"""The share of texts that stand there without marks, as in a completion: the answer follows all the same."""


TOLD = 100


class Batch(NamedTuple):
    """Tokens, and what is wanted after each of them; -1 is nothing."""

    tokens: Ints
    wanted: Ints


def vocabulary(seed: int = SEED) -> Vocabulary:
    """The vocabulary that fits the text."""
    texts = [pair.asked for pair in islice(Corpus(seed).pairs(), READ)]
    return Vocabulary(learn([*texts, *(answers() * 200)], MERGES))


class Reader:
    """Pairs as rows of tokens."""

    def __init__(self, known: Vocabulary, seed: int) -> None:
        self.known = known
        self.pairs = Corpus(seed).pairs()
        self.dice = random.Random(seed)

    def row(self) -> tuple[list[int], int]:
        """One pair, and from where on it is learned."""
        known, dice = self.known, self.dice
        asked, answer = next(self.pairs)
        read = known.encode(asked)
        said = [*known.encode(answer), known.end]
        if dice.random() >= (WHOLE if len(read) < FAR else WHOLE_FAR):
            said = said[: dice.randint(*CUT)]
        if dice.random() < BARE and read:
            return [*read, known.model, *said], len(read)
        before = [known.user, *read, known.end, known.model]
        return [*before, *said], len(before)

    def batches(self) -> Iterator[Batch]:
        """Batches without end."""
        while True:
            rows = sorted((self.row() for _ in range(PAIRS * POOL)), key=lambda row: len(row[0]))
            starts = list(range(0, len(rows), PAIRS))
            self.dice.shuffle(starts)
            for start in starts:
                yield laid(rows[start : start + PAIRS])


def laid(rows: list[tuple[list[int], int]]) -> Batch:
    """Rows of tokens beside each other, the shorter ones with nothing behind."""
    steps = max(len(row) for row, _ in rows) - 1
    tokens = np.zeros((len(rows), steps), np.int64)
    wanted = np.full((len(rows), steps), -1, np.int64)
    for at, (row, begin) in enumerate(rows):
        tokens[at, : len(row) - 1] = row[:-1]
        wanted[at, begin - 1 : len(row) - 1] = row[begin:]
    return Batch(tokens, wanted)


def rate(step: int, steps: int) -> float:
    """How far a step goes."""
    if step < WARM:
        return RATE * (step + 1) / WARM
    return RATE * (0.5 + 0.5 * cos(pi * (step - WARM) / (steps - WARM)))


def train(known: Vocabulary, *, steps: int = STEPS, seed: int = SEED) -> tuple[Shape, Floats]:
    """The weights after so many steps."""
    shape = Shape(len(known.tokens))
    network = Network(shape, first(shape, seed))
    mean, square = np.zeros_like(network.vector), np.zeros_like(network.vector)
    begun = time.process_time()
    sunk = 0.0
    for step, batch in enumerate(islice(Reader(known, seed + 1).batches(), steps)):
        loss = network.learn(batch.tokens, batch.wanted)
        slopes = network.slopes
        slopes *= np.float32(min(1.0, STEEPEST / (float(np.linalg.norm(slopes)) + 1e-9)))
        mean += (slopes - mean) * np.float32(1 - MEMORY[0])
        square += (slopes * slopes - square) * np.float32(1 - MEMORY[1])
        ahead = mean / np.float32(1 - MEMORY[0] ** (step + 1))
        ahead /= np.sqrt(square / np.float32(1 - MEMORY[1] ** (step + 1))) + np.float32(1e-8)
        now = np.float32(rate(step, steps))
        network.vector *= 1 - now * np.float32(DECAY)
        network.vector -= now * ahead
        sunk = loss if not step else 0.98 * sunk + 0.02 * loss
        if not (step + 1) % TOLD:
            spent = time.process_time() - begun
            print(f"step {step + 1} of {steps}: loss {sunk:.4f}, {spent:.0f} s", file=sys.stderr, flush=True)
    return shape, network.vector
