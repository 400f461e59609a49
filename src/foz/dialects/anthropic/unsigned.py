"""
Thoughts that nobody signed: models of other vendors think them, callers give them back, and Anthropic refuses a
conversation that has one. An upstream of this dialect is not shown them, nor asked to think by a budget while calls go
on whose thoughts are left out, for it would want them in front.
"""

import msgspec
from msgspec import Raw, Struct

from foz.dialects.anthropic import schema
from foz.wire import json

_MARK = b'"thinking"'
_Turns = list[dict[str, Raw]]
_TURNS = msgspec.json.Decoder(_Turns)
_BLOCKS = msgspec.json.Decoder(list[Raw])
_ASSISTANT = b'"assistant"'


class _Asked(Struct):
    type: str | None = None


_ASKED = msgspec.json.Decoder(_Asked | None)


def is_unsigned(block: Raw) -> bool:
    """Whether it is a thought without its vendor's mark."""
    if _MARK not in bytes(block) or schema.KIND.decode(block).type != "thinking":
        return False
    return not schema.THINKING.decode(block).signature


def by_budget(thinking: Raw) -> bool:
    """Whether this asks for thoughts by a budget, which must be in front of calls."""
    asked = _ASKED.decode(thinking)
    return asked is not None and asked.type == "enabled"


def without_unsigned(bag: schema.Bag) -> schema.Bag:
    """A checked body without such thoughts; itself where it has none."""
    said = bytes(bag.get("messages", b""))
    if _MARK not in said:
        return bag
    turns = _TURNS.decode(said)
    bare = changed = False
    for turn in turns:
        content = bytes(turn["content"])
        blocks = _BLOCKS.decode(content) if content[:1] == b"[" else []
        kept = [block for block in blocks if not is_unsigned(block)]
        kinds = {schema.KIND.decode(block).type for block in kept}
        if bytes(turn["role"]) != _ASSISTANT:
            bare = bare and kinds == {"tool_result"}
        elif len(kept) < len(blocks):
            bare, changed = bare or "tool_use" in kinds, True
            turn["content"] = Raw(json.encode(kept))
    if not changed:
        return bag
    shown = bag | {"messages": Raw(json.encode([turn for turn in turns if bytes(turn["content"]) != b"[]"]))}
    if bare and "thinking" in bag and by_budget(bag["thinking"]):
        del shown["thinking"]
    return shown
