"""The one operation of this dialect: we only call in it."""

from foz.canon.request import Operation
from foz.dialects.oci_agent.client import ChatClient
from foz.dialects.oci_agent.frames import DIALECT
from foz.ports.codec import Speech

SPEECH = {Operation.CHAT: Speech(DIALECT, client=ChatClient())}
