"""What tokens that nobody counted are taken for."""

import itertools

from hypothesis import given
from hypothesis import strategies as st

from foz.canon.estimate import at_least
from foz.testing.simulated import words

TEXTS = st.text(st.sampled_from('abé海🌊 \n\t\u00a0.,"'), max_size=80)


def test_the_fewest_tokens_of_a_piece() -> None:
    """A piece is at least a token, each of its words is one, and each 16 characters of a longer word are one more."""
    assert [at_least(text) for text in ("", " ", " is", "This is Foz's", "x" * 16, "x" * 17, "a " + "x" * 33)] == [
        0, 1, 1, 3, 1, 2, 4,
    ]  # fmt: skip


@given(TEXTS)
def test_no_more_than_the_simulated_model_makes(text: str) -> None:
    """It is never more than a model makes whose tokens are up to 16 characters of a word."""
    assert at_least(text) <= words.count(text)


@given(TEXTS, st.lists(st.integers(1, 5), min_size=1))
def test_batches_of_tokens_count_as_their_tokens(text: str, sizes: list[int]) -> None:
    """However such a model's tokens are put together into pieces, the pieces count as many as went into them."""
    tokens, rounds, total = words.tokens(text), itertools.cycle(sizes), 0
    made = len(tokens)
    while tokens:
        size = next(rounds)
        total, tokens = total + at_least("".join(tokens[:size])), tokens[size:]
    assert total == made
