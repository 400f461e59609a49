"""How vLLM's server answers: the key is asked for where vLLM asks for it, and its one model is known by its name."""

import argparse
from collections.abc import Callable, Mapping

import msgspec
from typing_extensions import override

from foz.canon.fault import Fault
from foz.canon.model import Patience
from foz.dialects.openai.speech import SPEECH
from foz.testing.clock import LoopClock
from foz.testing.simulated.mischief import Mischief
from foz.testing.simulated.play import Play, SpeechFace
from foz.testing.simulated.upstream import SimulatedAnswer, SimulatedUpstream
from foz.wire import json
from foz.wire.http import Call, Headers

VERSION = "0.28.0"
PACE = 0.002
"""Seconds between the pieces of a stream."""
_JSON: Headers = ((b"content-type", b"application/json"),)
_TEXT: Headers = ((b"content-type", b"text/plain; version=0.0.4"),)
_MADE = ("/v1/chat/completions", "/v1/completions")


class VllmFace:
    """Implements `simulated.play.Face`. `figures` are what `/metrics` says."""

    def __init__(self, given: argparse.Namespace, key: str | None, figures: Callable[[], bytes]) -> None:
        self.name: str = (given.served_model_name or [given.model_tag])[0]
        self._given = given
        self._key = key
        self._figures = figures
        self._speech = SpeechFace(SPEECH, (self.name,))

    def perform(self, call: Call, mischief: Mischief) -> Play:
        """The play of a call."""
        match call.path:
            case "/health":
                return Play(200, (), (b"",))
            case "/metrics":
                return Play(200, _TEXT, (self._figures(),))
            case "/_given":  # what it was started with, for tests
                return _told({name: str(value) for name, value in vars(self._given).items()})
        if self._key is not None and call.header(b"authorization") != f"Bearer {self._key}".encode():
            return _told({"error": "Unauthorized"}, 401)
        if call.path in _MADE and (named := _named(call)) != self.name:
            said = f"The model `{named}` does not exist."
            return _told({"error": {"message": said, "type": "NotFoundError", "param": "model", "code": 404}}, 404)
        return self._speech.perform(call, mischief)

    def refuse(self, fault: Fault) -> Play:
        """A fault as vLLM tells it."""
        kind = type(fault).__name__
        return _told({"error": {"message": fault.message, "type": kind, "code": fault.status}}, fault.status)


class Counted(SimulatedUpstream):
    """The server behind its socket; what it has made is counted."""

    def __init__(self, given: argparse.Namespace, key: str | None, running: Callable[[], int]) -> None:
        face = VllmFace(given, key, self._figures)
        super().__init__(SPEECH, LoopClock(), pace=PACE, face=face)
        self._name = face.name
        self._running = running
        self._made = 0

    @override
    async def send(self, call: Call, patience: Patience, along: Headers = ()) -> SimulatedAnswer:
        answer = await super().send(call, patience, along)
        self._made += call.path in _MADE
        return answer

    def _figures(self) -> bytes:
        label = f'{{engine="0",model_name="{self._name}"}}'
        lines = (
            "# HELP vllm:num_requests_running Number of requests in model execution batches.",
            "# TYPE vllm:num_requests_running gauge",
            f"vllm:num_requests_running{label} {float(self._running())}",
            f"vllm:num_requests_waiting{label} 0.0",
            f"vllm:prompt_tokens_total{label} {float(self._made)}",
            f"vllm:generation_tokens_total{label} {float(self._made)}",
        )
        return "\n".join(lines).encode() + b"\n"


def _told(said: Mapping[str, object], status: int = 200) -> Play:
    return Play(status, _JSON, (json.encode(said),))


def _named(call: Call) -> object:
    """The model that is asked."""
    try:
        return msgspec.json.decode(call.body, type=dict[str, object]).get("model")
    except msgspec.DecodeError:
        return None
