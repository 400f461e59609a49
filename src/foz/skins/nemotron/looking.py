"""What the query asks of somebody who says how a job stands."""

import re
from urllib.parse import parse_qsl

from foz.ports.skin import Look
from foz.skins.nemotron.refusals import one_of, problem
from foz.wire.http import Call

LONGEST_WAIT = 60
UNTIL = ("change", "end")
_NUMBER = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
_AT_ONCE = Look()


def look_of(call: Call) -> Look:
    """How long, and for what. Raises BadRequest."""
    if not call.query:
        return _AT_ONCE
    asked = dict(parse_qsl(call.query, keep_blank_values=True))
    until = asked.get("until", UNTIL[0])
    if until not in UNTIL:
        raise one_of("until", UNTIL)
    return Look(_seconds(asked.get("wait", "0")), until == UNTIL[1])


def _seconds(said: str) -> float:
    if not _NUMBER.fullmatch(said):
        words = "Input should be a valid number, unable to parse string as a number"
        raise problem("wait", "float_parsing", words)
    seconds = float(said)
    if seconds < 0:
        raise problem("wait", "greater_than_equal", "Input should be greater than or equal to 0")
    if seconds > LONGEST_WAIT:
        raise problem("wait", "less_than_equal", f"Input should be less than or equal to {LONGEST_WAIT}")
    return seconds
