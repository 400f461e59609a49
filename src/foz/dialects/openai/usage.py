"""
Token counts, both ways.

What canon has no word for (audio tokens, a vendor's costs and timings) travels verbatim. A details object
that holds more than canon knows travels whole, and is said again as it came.
"""

import msgspec
from msgspec import Raw, Struct

from foz.canon.usage import Usage

Bag = dict[str, Raw]


class _Input(Struct):
    cached_tokens: int | None = None
    cache_write_tokens: int | None = None


class _Output(Struct):
    reasoning_tokens: int | None = None


class Counted(Struct):
    """`usage`, as upstreams write it; `prompt_cache_hit_tokens` is DeepSeek's."""

    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    prompt_tokens_details: _Input | None = None
    completion_tokens_details: _Output | None = None
    prompt_cache_hit_tokens: int | None = None


class _KnownInput(_Input, forbid_unknown_fields=True):
    pass


class _KnownOutput(_Output, forbid_unknown_fields=True):
    pass


class _KnownCounted(Counted, forbid_unknown_fields=True):
    """One of which nothing is lost by reading it so."""

    prompt_tokens_details: _KnownInput | None = None
    completion_tokens_details: _KnownOutput | None = None
    prompt_cache_hit_tokens: None = None
    total_tokens: int | None = None


_KNOWN = {
    "prompt_tokens": frozenset[str](),
    "completion_tokens": frozenset[str](),
    "total_tokens": frozenset[str](),
    "prompt_tokens_details": frozenset(_Input.__struct_fields__),
    "completion_tokens_details": frozenset(_Output.__struct_fields__),
}
_BAG = msgspec.json.Decoder(Bag)
_ALL_KNOWN = msgspec.json.Decoder(_KnownCounted | None)
_COUNTED = msgspec.json.Decoder(Counted | None)


def tokens(counted: Counted) -> Usage | None:
    """The counts in our words; None where nothing was counted."""
    before, after = counted.prompt_tokens_details, counted.completion_tokens_details
    cached = before.cached_tokens if before else None
    usage = Usage(
        input=counted.prompt_tokens,
        output=counted.completion_tokens,
        cached=counted.prompt_cache_hit_tokens if cached is None else cached,
        cache_written=before.cache_write_tokens if before else None,
        reasoning=after.reasoning_tokens if after else None,
    )
    return None if usage == _NOTHING else usage


def hear(raw: Raw) -> tuple[Usage, Bag] | None:
    """The counts, and what only the vendor has a word for. Raises msgspec's errors where it is no usage."""
    try:
        counted: Counted | None = _ALL_KNOWN.decode(raw)
        known = True
    except msgspec.ValidationError:
        counted, known = _COUNTED.decode(raw), False
    usage = tokens(counted) if counted else None
    if usage is None:
        return None
    if known:
        return usage, {}
    return usage, {name: value for name, value in _BAG.decode(raw).items() if _is_news(name, value)}


def _is_news(name: str, value: Raw) -> bool:
    """Whether canon would lose something of this field."""
    known = _KNOWN.get(name)
    if known is None:
        return bytes(value) != b"null"
    if not known or bytes(value) == b"null":
        return False
    return any(inner not in known and bytes(raw) != b"null" for inner, raw in _BAG.decode(value).items())


def say(usage: Usage, vendor: Bag) -> dict[str, object]:
    """`usage`, with only what is known: unknown is not zero."""
    said: dict[str, object] = {}
    if usage.input is not None:
        said["prompt_tokens"] = usage.input
    if usage.output is not None:
        said["completion_tokens"] = usage.output
    if usage.input is not None and usage.output is not None:
        said["total_tokens"] = usage.input + usage.output
    if usage.cached is not None or usage.cache_written is not None:
        before = {"cached_tokens": usage.cached, "cache_write_tokens": usage.cache_written}
        said["prompt_tokens_details"] = {name: count for name, count in before.items() if count is not None}
    if usage.reasoning is not None:
        said["completion_tokens_details"] = {"reasoning_tokens": usage.reasoning}
    return {**said, **vendor} if vendor else said


_NOTHING = Usage()
