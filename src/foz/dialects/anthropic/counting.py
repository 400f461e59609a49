"""`/v1/messages/count_tokens`: how many tokens a request has, by the rule of thumb that the ledger estimates by."""

from foz.canon.estimate import in_request
from foz.dialects.anthropic import hearing, schema
from foz.dialects.anthropic.fields import decode
from foz.dialects.anthropic.reference import TokenCount
from foz.dialects.anthropic.server import agree
from foz.wire import json


def count(body: bytes) -> tuple[str, bytes]:
    """The model that is asked for, and the answer's body. Raises BadRequest."""
    asked = decode(schema.ASKED, body)
    agree(asked)
    return asked.model, json.encode(TokenCount(in_request(hearing.hear(asked, body))))
