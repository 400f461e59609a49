"""
Money is integer pico-units of a currency: ten tokens at 0.02 per million must not round to nothing.

1 unit = 10**12 pico. A price per million tokens of 0.02 is 20,000 pico a token.
"""

from msgspec import Struct

from foz.canon.usage import Usage

PICO = 10**12


class Rates(Struct, frozen=True):
    """What a target's tokens cost, in pico-units a token. None is unknown, 0 is free."""

    input: int | None
    output: int | None
    cached: int | None = None
    cache_written: int | None = None
    reasoning: int | None = None
    """Where thinking has a price of its own; else it is output like any other."""
    request: int = 0
    currency: str = "USD"
    version: str = ""
    """Where the figures are from and of when, as the ledger shall name it."""
    above: int | None = None
    """Input tokens above which `higher` holds for the whole call."""
    higher: "Rates | None" = None


FREE = Rates(input=0, output=0, version="free")


def charge(rates: Rates | None, usage: Usage) -> int | None:
    """The price of a call in pico-units, or None where anything that counts is unknown."""
    if rates is None or usage.input is None or usage.output is None:
        return None
    if rates.above is not None and rates.higher is not None and usage.input > rates.above:
        return charge(rates.higher, usage)
    if rates.input is None or rates.output is None:
        return None
    cached = usage.cached or 0
    written = usage.cache_written or 0
    plain = max(usage.input - cached - written, 0)
    cached_rate = rates.input if rates.cached is None else rates.cached
    written_rate = rates.input if rates.cache_written is None else rates.cache_written
    thought = min(usage.reasoning or 0, usage.output)
    thought_rate = rates.output if rates.reasoning is None else rates.reasoning
    return (
        rates.request
        + plain * rates.input
        + cached * cached_rate
        + written * written_rate
        + (usage.output - thought) * rates.output
        + thought * thought_rate
    )
