"""The engines that these settings know, and what `foz doctor` says of them: which can run here, and why not."""

from collections.abc import Callable, Sequence
from threading import Thread

from foz.assembly.served import Providers, nowhere
from foz.canon.amount import size
from foz.canon.deployment import Form
from foz.config.checkup.finding import Finding, note, ok, warning
from foz.config.engines import environment
from foz.config.settings import Settings
from foz.deploy.engines import Candidate, candidates, why_not
from foz.net.clock import SystemClock
from foz.net.origin import Endpoint, Origin
from foz.ports.clock import Clock
from foz.ports.devices import Device
from foz.ports.engine import LLAMA_CPP, OLLAMA, OPENAI, VLLM, Engine
from foz.ports.machine import Room
from foz.ports.upstream import Upstream
from foz.ports.watch import Watch
from foz.runtime.llamacpp.engine import LlamaCpp
from foz.runtime.llamacpp.orders import LOOPBACK
from foz.runtime.machine import ThisMachine
from foz.runtime.served.shelf import ServedEngine
from foz.runtime.shelf import hub
from foz.runtime.vllm.engine import Installed, Vllm
from foz.telemetry.nvml import NvmlDevices
from foz.testing.deploying import WordEngine

TIGHT = 1 << 30
TOPIC = "local models"
CUDA = "https://xorbitsai.github.io/xllamacpp/whl/cu128"
_SERVED = {OLLAMA: "Ollama servers", OPENAI: "servers of OpenAI's dialect"}
_RUNS = {Form.GGUF: "GGUF files", Form.SAFETENSORS: "safetensors"}
Reach = Callable[[str, str], Upstream]


def way_to(watch: Watch, kind: type[Origin] = Origin) -> Callable[[str, str], Origin]:
    """How an engine of ours is reached, with its key."""

    def reach(url: str, key: str) -> Origin:
        return kind(Endpoint(url, ((b"authorization", f"Bearer {key}".encode()),)), watch)

    return reach


def gpus() -> NvmlDevices:
    """Those of this machine that we may use."""
    return NvmlDevices(visible=environment().get("CUDA_VISIBLE_DEVICES"))


def engines(settings: Settings, reach: Reach, clock: Clock, servers: Providers) -> Sequence[Engine]:
    """All of them, installed or not, the preferred first."""
    if settings.test_mode:
        return (WordEngine(),)
    return (*ours(settings, reach, clock), *(ServedEngine(manner, servers) for manner in servers.manners()))


def ours(
    settings: Settings, reach: Reach, clock: Clock, host: str = LOOPBACK, thread: Thread | None = None
) -> Sequence[Engine]:
    """Those that we start, the preferred first; they listen at `host`, and end with a thread: the main one, unsaid."""
    local, seen, held = settings.local, environment(), gpus().held
    installed = Installed(local.vllm, local.vllm_options, on_cpu=local.vllm_on_cpu)
    found: tuple[Engine, ...] = (
        LlamaCpp(seen, reach, clock, held, host=host, thread=thread),
        Vllm(installed, {**_caches(settings), **seen}, reach, clock, held, host=host, thread=thread),
    )
    return sorted(found, key=lambda one: one.name != local.engine)


def _caches(settings: Settings) -> dict[str, str]:
    """Where vLLM keeps what it compiles, where nobody says it: a service may write nowhere else."""
    folder = str(settings.data.absolute() / "cache")
    return dict.fromkeys(("XDG_CACHE_HOME", "TRITON_CACHE_DIR", "FLASHINFER_WORKSPACE_BASE"), folder)


def local(settings: Settings) -> list[Finding]:
    """What a check-up says of running models on this machine."""
    servers = Providers(lambda: settings, nowhere)
    there = {one.name: one for one in engines(settings, _unreached, SystemClock(), servers)}
    room, devices = ThisMachine().look(), gpus().look()
    found: list[Finding] = []
    for one in candidates(there.values()):
        found += _served(one, servers) if one.name in _SERVED else _engine(one, there[one.name], room, devices)
    found = [_preferred(one) if one.topic == f"engine {settings.local.engine}" else one for one in found]
    able = any(why_not(one, len(devices)) is None for one in candidates(there.values()) if one.name not in _SERVED)
    if not able:
        return [note(TOPIC, "no model can be run on this machine", "install an engine, as said below"), *found]
    if not devices and room.free < TIGHT:
        found.append(warning(TOPIC, _memory(room), "free memory before models are deployed"))
    if hub.missing() is not None:
        todo = "pip install 'foz[local]' to fetch them from there"
        found.append(note(TOPIC, "models cannot be fetched from Hugging Face", todo))
    threads = settings.local.threads or max(room.cores // 2, 1)
    if threads > room.cores:
        told = f"[local] threads is {threads}, and this process may use {room.cores} processors"
        found.append(warning(TOPIC, told, f"set it to {room.cores} or less: more of them wait for each other"))
    return found


def _engine(one: Candidate, engine: Engine, room: Room, devices: Sequence[Device]) -> list[Finding]:
    """How an engine stands here."""
    topic = f"engine {one.name}"
    why = why_not(one, len(devices))
    if why is not None:
        what, _, todo = why.partition(": ")
        return [note(topic, f"not used: {what}", todo)]
    usable = engine.usable(devices)
    gpus = ", ".join(_gpu(device) for device in usable)
    runs = " and ".join(_RUNS[form] for form in sorted(one.reads) if form in _RUNS) or "models"
    found = [ok(topic, f"{one.name} runs {runs} here, on {gpus or room.processor}; {_memory(room)}")]
    if devices and not usable and one.name == LLAMA_CPP:
        todo = f"pip install xllamacpp --force-reinstall --index-url {CUDA}"
        found.append(warning(topic, f"built for processors: {devices[0].name} is not used", todo))
    if devices and not usable and one.name == VLLM:
        found.append(note(topic, f"[local] vllm_on_cpu is set: {devices[0].name} is not used"))
    return found


def _preferred(finding: Finding) -> Finding:
    """Of the engine that the settings prefer it is worth a warning that it cannot be used."""
    if finding.level != "note" or not finding.todo:
        return finding
    return warning(finding.topic, f"preferred by [local] engine, and {finding.what}", finding.todo)


def _served(one: Candidate, servers: Providers) -> list[Finding]:
    """Which servers of this kind models can be deployed from."""
    topic = f"engine {one.name}"
    if one.missing is not None:
        what, _, todo = one.missing.partition(": ")
        return [note(topic, f"not used: {what}", todo)]
    names = [each.name for each in servers.known.values() if each.dialect == one.name and each.why_not is None]
    sources = ", ".join(f"provider:{name}/..." for name in names)
    return [ok(topic, f"models of {_SERVED[one.name]} can be deployed: {sources}")]


def _gpu(device: Device) -> str:
    busy = "" if device.load is None else f", {device.load} % busy"
    return f"{device.name} with {size(device.free)} of {size(device.total)} free{busy}"


def _unreached(url: str, key: str) -> Upstream:
    raise AssertionError(f"a check-up starts no engine: {url} {len(key)}")


def _memory(room: Room) -> str:
    return f"{size(room.free)} of {size(room.total)} of memory are free, {room.cores} processors"
