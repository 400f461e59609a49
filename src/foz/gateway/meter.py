"""
What an answer took: the target's own count where it can be, or an estimate by `canon.estimate`, marked so.

Of an answer that did not end it is the fewest tokens that what came can have been: what was forwarded is counted, and
never more than was made.
"""

from foz.canon.estimate import filled, in_characters
from foz.canon.usage import Usage, believed
from foz.ports.codec import ServerCodec, Tally


def measured(tally: Tally | None, codec: ServerCodec, body: bytes) -> Usage:
    """The usage for the ledger: whole from the target, else what is missing is estimated."""
    usage = None if tally is None or tally.usage is None else believed(tally.usage)
    if usage is not None and usage.input is not None and usage.output is not None:
        return usage
    if tally is None:
        return Usage()
    output = in_characters(tally.content) if tally.finished else tally.fewest
    return filled(usage, codec.decode_request(body), output)
