"""
Models as the 模型 API shows them. What nobody knows is null: a price, a latency without calls, a version.

What a model is good for is said by its operator; else it is what the families of its targets are known to do. A model
of which nobody says what it does is taken for one that chats: those that only embed are known by their names.
"""

from msgspec import Struct

from foz.canon.model import Capability, Model, Placement, Profile, Standing, Target
from foz.canon.money import Rates
from foz.canon.request import Operation

Wire = dict[str, object]

_UNKNOWN = Profile()
_TALKS = frozenset({Operation.CHAT, Operation.COMPLETE})
_TEMPERATURE = {"min": 0.0, "max": 2.0, "default": 1.0}
_TOP_P = {"min": 0.0, "max": 1.0, "default": 1.0}
_PER_1K = 10**9
"""Pico-units a token in one unit of 1,000 tokens."""


class Run(Struct, frozen=True):
    """On what a model runs that we run."""

    hardware: str | None = None
    quantization: str | None = None


_NOBODY_KNOWS = Run()


def card(model: Model, *, healthy: bool, run: Run = _NOBODY_KNOWS) -> Wire:
    """A model in the list."""
    first = _first(model)
    said: Wire = {
        "id": model.name,
        "name": model.title or model.name,
        "description": model.description or f"{first.model}, served by {first.provider}.",
        "version": model.version,
        "capabilities": list(model.capabilities) or capabilities(model),
        "provider": first.provider,
        "status": "active" if healthy else "unhealthy",
    }
    if first.placement is Placement.GPU:
        said["deployment"] = {"type": "local", "hardware": run.hardware, "quantization": run.quantization}
    return said


def detail(model: Model, standing: Standing, *, healthy: bool, run: Run = _NOBODY_KNOWS) -> Wire:
    """A model with its limits, its price and how it did of late."""
    first = _first(model)
    return {
        **card(model, healthy=healthy, run=run),
        "parameters": _parameters(first.profile),
        "pricing": pricing(first.rates),
        "stats": {
            "average_latency_ms": None if standing.latency is None else round(standing.latency),
            "availability": None if standing.availability is None else round(standing.availability, 6),
        },
    }


def capabilities(model: Model) -> list[str]:
    """What its targets are known to do, in the API's words."""
    can: set[Operation] = set()
    for target in model.targets:
        can |= _TALKS if target.profile.operations == _UNKNOWN.operations else target.profile.operations
    words = []
    if Operation.CHAT in can:
        words.append("chat")
    if can & _TALKS:
        words.append("completion")
    if Operation.EMBED in can:
        words.append("embedding")
    if any(_uses_tools(target.profile) for target in model.targets):
        words.append("tool_use")
    return words


def pricing(rates: Rates | None) -> Wire:
    """What 1,000 tokens cost."""
    if rates is None or rates.input is None or rates.output is None:
        return {"input_per_1k_tokens": None, "output_per_1k_tokens": None, "currency": None}
    return {
        "input_per_1k_tokens": rates.input / _PER_1K,
        "output_per_1k_tokens": rates.output / _PER_1K,
        "currency": rates.currency,
    }


def _first(model: Model) -> Target:
    """Who is asked first: what is ours before what is bought, then by rank."""
    return min(model.targets, key=lambda target: (target.placement is not Placement.GPU, target.rank))


def _uses_tools(profile: Profile) -> bool:
    return profile.is_told and Operation.CHAT in profile.operations and Capability.TOOLS not in profile.lacks


def _parameters(profile: Profile) -> Wire:
    limit = profile.max_output or profile.context
    if not profile.operations & _TALKS:
        return {"max_tokens": limit}
    return {"max_tokens": limit, "temperature": _TEMPERATURE, "top_p": _TOP_P}
