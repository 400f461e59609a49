"""
Which tools are called, and with what.

When the last turn is the user's: the tool that must be called, else those that the prompt names, else the first.
A prompt that lists more values than one call can hold (`Paris and Tokyo`) gets a call for each.
"""

from foz.canon.content import ToolResult
from foz.canon.request import ChatRequest
from foz.canon.tool import ToolChoice, ToolSpec
from foz.testing.simulated import prompt
from foz.testing.simulated.facts import Facts, mentions, read
from foz.testing.simulated.fill import decode_schema, fill, spell
from foz.testing.simulated.schema import Schema, dict_of, list_of, plain, types_of

MOST_CALLS = 8


def choose_calls(request: ChatRequest) -> list[tuple[str, str]]:
    """Names and arguments of the calls; none where the answer is text."""
    turn = prompt.last_turn(request)
    if turn is None or turn.role != "user" or prompt.results_of(request):
        return []
    if any(isinstance(part, ToolResult) for part in turn.parts) and not prompt.text_of(turn):
        return []
    offered = _offered(request)
    if not offered:
        return []
    text = prompt.text_of(turn)
    facts = read(text)
    called = [tool for tool in offered if mentions(facts, tool.name)] or offered[:1]
    if request.parallel_tools is False:
        return [_call(called[0], facts)]
    if len(called) > 1:
        return [_call(tool, facts) for tool in called[:MOST_CALLS]]
    return [_call(called[0], each) for each in _share(called[0], facts)]


def _offered(request: ChatRequest) -> list[ToolSpec]:
    """The tools that may be called now."""
    choice = request.tool_choice or ToolChoice()
    if choice.mode == "none":
        return []
    tools = [tool for tool in request.tools if not choice.allowed or tool.name in choice.allowed]
    if choice.mode == "named":
        return [tool for tool in tools if tool.name == choice.name]
    return tools


def _call(tool: ToolSpec, facts: Facts) -> tuple[str, str]:
    value = fill(decode_schema(tool.schema), facts)
    return tool.name, spell(value if isinstance(value, dict) else {})


def _share(tool: ToolSpec, facts: Facts) -> list[Facts]:
    """The facts of each call: one, or one for each value of a list that a single call cannot hold."""
    root = decode_schema(tool.schema)
    schema = plain(root, root)[0]
    properties = dict_of(schema.get("properties"))
    plains = [plain(value, root)[0] for value in properties.values() if isinstance(value, dict)]
    if any("array" in types_of(each) for each in plains):
        return [facts]
    needed = [
        plain(dict_of(properties.get(name)), root)[0]
        for name in list_of(schema.get("required"))
        if isinstance(name, str)
    ]
    for kind, known in (("string", (*facts.quoted, *facts.names)), ("number", facts.numbers)):
        if not any(_takes(each, kind) for each in plains):
            continue
        room = max(1, sum(_takes(each, kind) for each in needed))
        for group in facts.groups:
            if len(group) > room and all(each in known for each in group):
                return [_only(facts, group, each) for each in group[:MOST_CALLS]]
    return [facts]


def _takes(schema: Schema, kind: str) -> bool:
    types = types_of(schema)
    if "enum" in schema or "const" in schema:
        return False
    return kind in types or (kind == "number" and "integer" in types)


def _only(facts: Facts, group: tuple[str, ...], kept: str) -> Facts:
    """The facts with one of a group's values, not the others."""
    gone = set(group) - {kept}
    return Facts(
        text=facts.text,
        quoted=tuple(each for each in facts.quoted if each not in gone),
        names=tuple(each for each in facts.names if each not in gone),
        numbers=tuple(each for each in facts.numbers if each not in gone),
        shaped=facts.shaped,
    )
