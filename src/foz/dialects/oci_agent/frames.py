"""Words that this dialect's files share: its name, its headers, and what an answer that is none is called."""

from foz.canon.fault import Garbled
from foz.wire import json
from foz.wire.http import Headers

DIALECT = "oci_agent"
NULL = b"null"
BROKEN = (json.DecodeError, UnicodeDecodeError, RecursionError)
HEADERS: Headers = ((b"content-type", b"application/json"), (b"accept", b"application/json"))
STREAM_HEADERS: Headers = ((b"content-type", b"application/json"), (b"accept", b"application/json, text/event-stream"))


def garbled(what: str, error: object) -> Garbled:
    """What an upstream sent is not what this dialect says."""
    return Garbled(f"the upstream's {what} is not as OCI's agents have it: {error}")
