"""Faults in the OCI GenAI Proxy's words: `{"error": "..."}`, with a suggestion where a session is gone."""

from foz.canon.fault import Fault, NotFound, Unauthenticated, UpstreamFault
from foz.dialects.openai.faults import encode_fault as encode_openai
from foz.wire import json, sse
from foz.wire.http import Reply

KEY = "API Key inválida"
SESSION = "Sessão inválida ou expirada"
SUGGESTION = "Use modo automático com 'channel' e 'cuid'"
SESSION_FIELD = "session"


def say(fault: Fault) -> bytes:
    """The body."""
    if isinstance(fault, Unauthenticated):
        return json.encode({"error": KEY})
    if isinstance(fault, NotFound) and fault.field == SESSION_FIELD:
        return json.encode({"error": SESSION, "suggestion": SUGGESTION})
    message = fault.message
    if isinstance(fault, UpstreamFault) and fault.target and fault.target not in message:
        message = f"{message} (target {fault.target})"
    return json.encode({"error": message})


def encode_fault(fault: Fault, request_id: str) -> Reply:
    """A fault before anything was sent, with the headers that tell programs whether and when to ask again."""
    reply = encode_openai(fault, request_id)
    return Reply(reply.status, reply.headers, say(fault))


def encode_fault_event(fault: Fault) -> bytes:
    """A fault in the middle of a stream; nothing follows it."""
    return sse.encode(say(fault))
