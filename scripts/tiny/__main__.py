"""
Makes foz-tiny: `make tiny`, or `python -m scripts.tiny` in an environment with requirements/dev.lock.

Without arguments it trains, writes src/foz/runtime/tiny/foz-tiny.gguf and prints the file's size and checksum; with
--try it trains nothing, and tells what the file (or another) answers to the probes.
"""

import argparse
import hashlib
import sys
from pathlib import Path

from scripts.tiny import train, trial
from scripts.tiny.export import export

FILE = Path(__file__).parents[2] / "src/foz/runtime/tiny/foz-tiny.gguf"
LIMIT = 1_000_000


def make(path: Path, steps: int) -> None:
    """Trains and writes."""
    known = train.vocabulary()
    shape, weights = train.train(known, steps=steps)
    export(path, known, shape, weights)
    raw = path.read_bytes()
    print(f"{path}: {weights.size} weights, {len(raw)} bytes, sha256 {hashlib.sha256(raw).hexdigest()}")
    if len(raw) >= LIMIT:
        sys.exit(f"{path} is too large: {len(raw)} bytes, less than {LIMIT} were wanted")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Makes foz-tiny, or tries it.")
    parser.add_argument("path", type=Path, nargs="?", default=FILE)
    parser.add_argument("--steps", type=int, default=train.STEPS, help="how long it learns")
    parser.add_argument("--try", dest="trial", action="store_true", help="trains nothing, tells what the file answers")
    asked = parser.parse_args()
    if asked.trial:
        for line in trial.report(asked.path):
            print(line)
    else:
        make(asked.path, asked.steps)
