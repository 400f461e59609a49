"""Files of random weights, and what a real engine makes of them."""

from pathlib import Path

import pytest

from foz.testing import gguf
from foz.testing.engine import Engine


@pytest.mark.parametrize("weights", ["q8_0", "f16"])
def test_an_engine_talks_with_random_weights(tmp_path: Path, weights: gguf.Weights) -> None:
    """A small model of random weights loads, and says as many words of plain letters as it is let."""
    path = tmp_path / "small.gguf"
    gguf.write(path, gguf.SMALL, weights=weights)

    said = Engine(path).say([{"role": "user", "content": "Hello there"}], tokens=50)

    assert (said.end, said.tokens) == ("length", 50)
    assert len(said.text.split()) == 50
    assert said.text.replace(" ", "").isascii()
    assert said.text.replace(" ", "").isalpha()


def test_the_same_seed_gives_the_same_file(tmp_path: Path) -> None:
    """Two files of one seed are equal, and a file of another seed is not."""
    paths = [tmp_path / name for name in "abc"]
    for path, seed in zip(paths, (1, 1, 2), strict=True):
        assert gguf.write(path, gguf.SMALL, seed=seed) == path.stat().st_size

    first, again, other = (path.read_bytes() for path in paths)
    assert first == again
    assert first != other


@pytest.mark.parametrize(("weights", "least"), [("q8_0", 100_000_000), ("f16", 200_000_000)])
def test_the_large_shape_is_large(weights: gguf.Weights, least: int) -> None:
    """The large shape holds at least 100 MB of weights in Q8_0, and twice as much in halves."""
    held = gguf.tensors(gguf.LARGE, tokens=512)

    assert sum(gguf.size(tensor, weights) for tensor in held) >= least
