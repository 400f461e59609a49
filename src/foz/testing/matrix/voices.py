"""
The fakes of the matrix, all in one thread of this process on real sockets, and the rows by which a gateway calls them.

A voice is a way in which a provider is spoken to: a dialect, or one of its forms. Each has a model that can do as much
as its family can. What reached a fake is kept, by request id.
"""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Thread

from msgspec import Struct
from typing_extensions import override

from foz.canon.model import Patience
from foz.dialects.openai.speech import SPEECH
from foz.testing.anthropic.play import AnthropicFace
from foz.testing.clock import LoopClock
from foz.testing.huggingface.play import HuggingFaceFace
from foz.testing.nvidia.play import NvidiaFace
from foz.testing.ollama.play import OllamaFace
from foz.testing.oracle.process import COMPARTMENT, make_account
from foz.testing.oracle.upstream import OracleUpstream
from foz.testing.seen import Seen
from foz.testing.server import Server
from foz.testing.simulated.counted import CountedFace
from foz.testing.simulated.play import MODELS
from foz.testing.simulated.upstream import SimulatedAnswer, SimulatedUpstream
from foz.wire.http import Call, Headers

HASTY = "hasty-"
"""In front of a provider's name: the same provider, with little patience."""
_ROW = 'forwards = ["x-simulate-"]\nmodels = ""\n'
_SOON = 'timeouts = {{ first_byte = "100ms" }}\n'


class Voice(Struct, frozen=True):
    """One way to be spoken to."""

    name: str
    dialect: str
    provider: str
    model: str
    ordered: bool = True
    """What is said to it stands in its order; else the last words come first."""

    begins: str = ""
    """How its answers begin, where they are not the simulated model's."""

    @property
    def page(self) -> str:
        """Where its losses stand."""
        return f"foz/dialects/{self.dialect}/LOSSES.md"

    def public(self, *, hasty: bool = False) -> str:
        """The name that callers use."""
        return f"{HASTY * hasty}{self.name}"


VOICES = (
    Voice("openai", "openai", "far", "simulated"),
    Voice("anthropic", "anthropic", "claude", "simulated"),
    Voice("nvidia", "openai", "near-nvidia", "nvidia/nemotron-3-super-120b-a12b"),
    Voice("hf-router", "huggingface", "hub", "Qwen/Qwen3-8B"),
    Voice("hf-inference", "huggingface", "hub", "EleutherAI/gpt-neo-2.7B"),
    Voice("ollama", "ollama", "lake", "simulated"),
    Voice("oci-generic", "oci", "oracle", "openai.gpt-5"),
    Voice("oci-cohere", "oci", "oracle", "cohere.command-r-08-2024", ordered=False),
    Voice("oci-cohere-v2", "oci", "oracle", "cohere.command-a-reasoning"),
    Voice("oci-vision", "oci", "oracle", "cohere.command-a-vision"),
    Voice("oci-agent", "oci_agent", "agents", "ocid1.genaiagentendpoint.oc1.us-chicago-1.traced", begins="Turn 1, "),
)


Held = tuple[bytes, asyncio.Event]
"""Up to which mark an answer may go, until when."""


class Made(Struct, frozen=True):
    """The tokens of an answer, as its fake counts them; `output` is what had been made when it ended or broke off."""

    input: int
    output: int
    whole: bool


class _Recorded(SimulatedUpstream):
    """An upstream, and what reached it. Answers that are held are kept back from their mark on."""

    def __init__(self, inner: SimulatedUpstream, heard: dict[str, list[bytes]], held: dict[str, Held]) -> None:
        super().__init__({}, LoopClock())
        self._inner = inner
        self._heard = heard
        self._held = held

    @override
    async def send(self, call: Call, patience: Patience, along: Headers = ()) -> SimulatedAnswer:
        id = (call.header(b"x-request-id") or b"").decode("latin-1")
        self._heard.setdefault(id, []).append(call.body)
        answer = await self._inner.send(call, patience, along)
        if id in self._held:
            answer.hold(*self._held[id])
        return answer


def _upstreams() -> dict[str, Callable[[], SimulatedUpstream]]:
    """By the provider's name. Oracle's signatures are proven elsewhere."""
    clock = LoopClock()
    return {
        "far": lambda: SimulatedUpstream({}, clock, misbehaves=True, face=CountedFace(SPEECH, MODELS)),
        "claude": lambda: SimulatedUpstream({}, clock, misbehaves=True, face=AnthropicFace()),
        "near-nvidia": lambda: SimulatedUpstream({}, clock, misbehaves=True, face=NvidiaFace()),
        "hub": lambda: SimulatedUpstream({}, clock, misbehaves=True, face=HuggingFaceFace()),
        "lake": lambda: SimulatedUpstream({}, clock, misbehaves=True, face=OllamaFace()),
        "oracle": lambda: OracleUpstream(clock),
        "agents": lambda: OracleUpstream(clock),
    }


_KINDS = {
    "far": 'dialect = "openai"\nbase_url = "http://127.0.0.1:{port}/v1"\n',
    "claude": 'dialect = "anthropic"\nauth = "header"\nauth_header = "x-api-key"\nsecret = "MATRIX_CLAUDE_KEY"\n'
    'base_url = "http://127.0.0.1:{port}"\n',
    "near-nvidia": 'dialect = "openai"\nsecret = "MATRIX_NVIDIA_KEY"\nbase_url = "http://127.0.0.1:{port}/v1"\n'
    'quirks = ["max_tokens", "families"]\n',
    "hub": 'dialect = "huggingface"\nsecret = "MATRIX_HF_TOKEN"\nbase_url = "http://127.0.0.1:{port}"\n'
    'quirks = ["max_tokens"]\n',
    "lake": 'dialect = "ollama"\nbase_url = "http://127.0.0.1:{port}"\n',
    "oracle": f'dialect = "oci"\ncompartment = "{COMPARTMENT}"\nbase_url = "http://127.0.0.1:{{port}}"\n',
    "agents": 'dialect = "oci_agent"\nbase_url = "http://127.0.0.1:{port}"\n',
}
ENVIRONMENT = {"MATRIX_CLAUDE_KEY": "sk-ant-test", "MATRIX_NVIDIA_KEY": "nvapi-test", "MATRIX_HF_TOKEN": "hf_test"}


class Choir(Struct):
    """All fakes at once: the settings that reach them, and what they heard, by request id."""

    config: str
    credentials: str
    heard: dict[str, list[bytes]]
    seen: list[Seen]
    oracles: list[OracleUpstream]
    held: dict[str, Held]
    loop: asyncio.AbstractEventLoop

    @property
    def answering(self) -> int:
        """How many answers are on their way."""
        return sum(seen.answering for seen in self.seen)

    def hold(self, id: str, mark: bytes) -> None:
        """Keeps the answer to a request back, from its first piece with this mark on."""
        self.held[id] = mark, asyncio.Event()

    def release(self, id: str) -> None:
        """Lets it go on."""
        self.loop.call_soon_threadsafe(self.held.pop(id)[1].set)

    def made(self) -> dict[str, list[Made]]:
        """The tokens of all answers so far, by request id, whatever the gateway says of them."""
        told: dict[str, list[Made]] = {}
        for seen in self.seen:
            for row in tuple(seen.produced):
                made = Made(int(str(row["input"])), int(str(row["output"])), bool(row["whole"]))
                told.setdefault(str(row["request_id"]), []).append(made)
        for oracle in self.oracles:
            for one in tuple(oracle.accounts):
                told.setdefault(one.id, []).append(Made(one.input, one.output, one.ended))
        return told


@contextmanager
def singing(folder: Path) -> Iterator[Choir]:
    """The fakes, while they serve."""
    account = make_account(folder)
    heard: dict[str, list[bytes]] = {}
    loop = asyncio.new_event_loop()
    thread = Thread(target=loop.run_forever, name="fakes")
    thread.start()

    def run(work: Callable[[], object]) -> object:
        async def there() -> object:
            made = work()
            return await made if asyncio.iscoroutine(made) else made

        return asyncio.run_coroutine_threadsafe(there(), loop).result(10)

    servers: list[Server] = []
    oracles: list[OracleUpstream] = []
    held: dict[str, Held] = {}
    config = "[retries]\nattempts = 1\n\n[jobs]\nattempts = 1\n\n[breaker]\nfailures = 1000\n"
    try:
        for name, make in _upstreams().items():
            inner = make()
            if isinstance(inner, OracleUpstream):
                oracles.append(inner)
            server = Server(_Recorded(inner, heard, held), Seen())
            servers.append(server)
            port = run(server.start)
            for prefix, soon in (("", ""), (HASTY, _SOON)):
                row = f'\n[[provider]]\nname = "{prefix}{name}"\nplacement = "api"\n{_ROW}{soon}{_KINDS[name]}'
                config += row.replace("{{", "{").replace("}}", "}").replace("{port}", str(port))
        for voice in VOICES:
            for prefix in ("", HASTY):
                target = f"{prefix}{voice.provider}/{voice.model}"
                config += f'\n[[model]]\nname = "{prefix}{voice.name}"\ntargets = ["{target}"]\n'
        seen = [server.seen for server in servers]
        yield Choir(config, account.config.read_text(), heard, seen, oracles, held, loop)
    finally:
        for server in servers:
            run(server.stop)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()
