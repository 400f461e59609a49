"""What an answer took, where its target says what cannot be."""

import msgspec
import pytest

from foz.canon.usage import MOST, Usage
from foz.dialects.openai.chat.server import ChatServer
from foz.gateway.meter import measured
from foz.ports.codec import Tally

BODY = msgspec.json.encode({"model": "m", "messages": [{"role": "user", "content": "Where do rivers end?"}]})


@pytest.mark.parametrize("odd", [-1, MOST + 1, 2**63, 10**20])
@pytest.mark.parametrize("field", ["input", "output", "cached", "reasoning"])
def test_counts_that_cannot_be_are_not_believed(odd: int, field: str) -> None:
    """Counts below zero, and those that no ledger holds, are unknown: they are estimated where that can be."""
    tally = Tally()
    tally.finished, tally.content = True, 40
    tally.usage = msgspec.structs.replace(Usage(input=7, output=8, cached=3, reasoning=2), **{field: odd})
    usage = measured(tally, ChatServer(), BODY)

    assert all(count is None or 0 <= count <= MOST for count in msgspec.structs.astuple(usage)[:5])
    assert usage.input is not None
    assert usage.output is not None
    assert usage.estimated == (field in {"input", "output"})


def test_counts_that_can_be_are_told_as_they_are() -> None:
    """Whatever can be is the target's own count, the largest too."""
    tally = Tally()
    tally.usage = Usage(input=MOST, output=0, cached=MOST)

    assert measured(tally, ChatServer(), BODY) == tally.usage
