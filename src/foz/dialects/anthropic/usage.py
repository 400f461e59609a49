"""
Token counts, both ways.

Anthropic's `input_tokens` are those that no cache had to do with; ours are all. Counts of the vendor's own (what a
cache is written for, requests of its servers' tools) travel verbatim.
"""

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType

from foz.canon.usage import Usage

Bag = dict[str, Raw]


class _Details(Struct):
    thinking_tokens: int | None = None


class Counted(Struct):
    """`usage`, as upstreams write it; a stream's says more of it as it goes on."""

    input_tokens: int | None = None
    output_tokens: int | None = None
    cache_creation_input_tokens: int | None = None
    cache_read_input_tokens: int | None = None
    output_tokens_details: _Details | None = None


class _KnownCounted(Counted, forbid_unknown_fields=True):
    """One that says nothing but what stands here: then nothing is lost by reading it so."""

    cache_creation: Raw | UnsetType = UNSET
    server_tool_use: Raw | UnsetType = UNSET
    service_tier: Raw | UnsetType = UNSET
    inference_geo: Raw | UnsetType = UNSET

    @property
    def own(self) -> bool:
        """Whether it says what canon has no word for."""
        return (self.cache_creation, self.server_tool_use, self.service_tier, self.inference_geo) != _NONE


_NONE = (UNSET,) * 4
_KNOWN = frozenset(Counted.__struct_fields__)
_ALL_KNOWN = msgspec.json.Decoder(_KnownCounted | None)
_COUNTED = msgspec.json.Decoder(Counted)
_BAG = msgspec.json.Decoder(Bag)


def tokens(counted: Counted) -> Usage | None:
    """The counts in our words; None where nothing was counted."""
    read, written = counted.cache_read_input_tokens, counted.cache_creation_input_tokens
    given = counted.input_tokens
    details = counted.output_tokens_details
    usage = Usage(
        input=None if given is None else given + (read or 0) + (written or 0),
        output=counted.output_tokens,
        cached=read,
        cache_written=written,
        reasoning=details.thinking_tokens if details else None,
    )
    return None if usage == _NOTHING else usage


def later(before: Counted, now: Counted) -> Counted:
    """The counts of a stream so far: what is said again is said anew."""
    said = {name: getattr(now, name) for name in _KNOWN}
    return msgspec.structs.replace(before, **{name: value for name, value in said.items() if value is not None})


def hear(raw: Raw) -> tuple[Counted, Bag] | None:
    """The counts, and what only the vendor has a word for. Raises msgspec's errors where it is no usage."""
    counted: Counted
    try:
        known = _ALL_KNOWN.decode(raw)
        if known is None:
            return None
        if not known.own:
            return known, {}
        counted = known
    except msgspec.ValidationError:
        counted = _COUNTED.decode(raw)
    return counted, {name: it for name, it in _BAG.decode(raw).items() if name not in _KNOWN and bytes(it) != b"null"}


def say(usage: Usage | None, vendor: Bag) -> dict[str, object]:
    """`usage`. Callers reckon with the first two, so what nobody counted is 0 there."""
    usage = usage or _NOTHING
    within = (usage.cached or 0) + (usage.cache_written or 0)
    said: dict[str, object] = {
        "input_tokens": max((usage.input or 0) - within, 0),
        "output_tokens": usage.output or 0,
    }
    if usage.cache_written is not None:
        said["cache_creation_input_tokens"] = usage.cache_written
    if usage.cached is not None:
        said["cache_read_input_tokens"] = usage.cached
    if usage.reasoning is not None:
        said["output_tokens_details"] = {"thinking_tokens": usage.reasoning}
    return {**said, **vendor} if vendor else said


_NOTHING = Usage()
