"""
Models that we run, as values: what is wanted, and what is seen of it.

A deployment is a wish (what somebody asked for) that bears an id, what is wanted of it now, and what the loop that owns
it (`deploy/`) has seen so far. Who asks writes only `wanted`; the loop writes only `seen`: neither waits for the other.
Its way is five stages, in this order; a stage's progress is of bytes moved, never of time passed. Where it fails it
says at which stage and of what, and is tried again, later and later, while it is wanted.
A replica is one engine that serves it, on one node. Without a cluster there is one node, this machine, and so at most
one replica. Times are UTC in integer milliseconds, sizes bytes.
"""

from enum import StrEnum

from msgspec import Struct

HERE = "local"
"""The name of this machine as a node, and of what we run as a provider."""


TINY = "foz-tiny"
"""The name of the model that comes with Foz, and of its source behind `foz:`."""


class Quantization(StrEnum):
    """How many bits a weight has: `int8` is llama.cpp's Q8_0, `int4` a Q4, `fp16` F16 or BF16."""

    FP16 = "fp16"
    INT8 = "int8"
    INT4 = "int4"


class Form(StrEnum):
    """As what the weights of a model are there; each engine reads some."""

    GGUF = "gguf"
    SAFETENSORS = "safetensors"
    """A folder as its makers published it."""
    OLLAMA = "ollama"
    """With an Ollama server that we do not run."""
    OPENAI = "openai"
    """With a server of OpenAI's dialect that we do not run."""


class Stage(StrEnum):
    """A step on the way from a wish to a model that answers."""

    PREPARATION = "preparation"
    """What the wish means: which files, how large, from where; and whether there is room for them."""
    DOWNLOADING = "downloading_weights"
    INITIALIZATION = "model_initialization"
    """The file is looked at, converted where that is wanted, and judged: does it fit into memory?"""
    LOADING = "model_loading"
    """The engine reads it."""
    REGISTRATION = "service_registration"
    """It has answered one token, and callers can name it."""


class StageState(StrEnum):
    """How a stage stands."""

    PENDING = "pending"
    IN_PROGRESS = "in_progress"
    COMPLETED = "completed"
    FAILED = "failed"


class DeploymentStatus(StrEnum):
    """How the way to a model that answers stands."""

    IN_PROGRESS = "in_progress"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"


class ModelStatus(StrEnum):
    """How a model that we run stands."""

    ACTIVE = "active"
    UNLOADING = "unloading"
    FAILED = "failed"
    UNHEALTHY = "unhealthy"


class Wanted(StrEnum):
    """What is wanted of a deployment."""

    RUNNING = "running"
    UNLOADED = "unloaded"
    """It ends when what runs on it has ended; its file stays."""
    PURGED = "purged"
    """Its file goes too."""


class Options(Struct, frozen=True):
    """How it is to be run: the fields of `deployment_config`, in the seed's words, and ours."""

    max_batch_size: int = 4
    """Requests that are answered at once."""
    use_flash_attention: bool | None = None
    """None leaves it to the engine."""
    use_kv_cache: bool = True
    tensor_parallel_size: int = 1
    cpu_offload: bool = False
    context: int | None = None
    """Tokens of one request and its answer; None is what the model was trained for, up to a limit of ours."""


class Wish(Struct, frozen=True):
    """What is to be run. Two wishes that are equal are one deployment."""

    model_id: str
    """The name that callers use."""
    model_type: str
    model_size: str = ""
    quantization: Quantization | None = None
    """None takes the file as it is."""
    source: str = ""
    """Where its files come from, in the words of `ports.weights`; empty is what the catalog says."""
    nodes: tuple[str, ...] = ()
    """Names of nodes, one replica on each; empty is wherever it fits."""
    options: Options = Options()
    engine: str = ""
    """Which engine is to run it, by its name; empty is whichever can."""


class Weights(Struct, frozen=True):
    """A file of weights that was looked at: nothing about it was left to native code to find out."""

    path: str
    size: int
    architecture: str
    quantization: str
    """In the file's own words: `F16`, `Q8_0`, `Q4_K_M`."""
    parameters: int | None = None
    context: int | None = None
    """Tokens that it was trained for."""
    layers: int = 0
    cache_per_token: int = 0
    """Bytes of keys and values that each token of context takes, at 16 bits."""
    vocabulary: int = 0
    title: str | None = None
    version: str | None = None
    form: Form = Form.GGUF
    pooling: str = ""
    """How it makes a vector of a text (`mean`, `cls`, `last`); empty where it makes words."""


class Report(Struct, frozen=True):
    """How one stage stands."""

    stage: Stage
    state: StageState = StageState.PENDING
    began: int | None = None
    duration: int | None = None
    """Milliseconds, once it is over."""
    base: int = 0
    """Bytes that were there when it began."""
    done: int = 0
    """Bytes moved so far, those among them."""
    total: int | None = None
    """Bytes to move, where that is known."""


class Replica(Struct, frozen=True):
    """One engine that serves a deployment, and where it is reached."""

    node: str
    url: str
    key: str
    """The engine's own, made for this start of it. Never shown."""
    pid: int
    loaded_at: int
    healthy: bool = True
    memory: int | None = None
    """Bytes that it holds, as measured."""
    hardware: str | None = None
    engine: str = "llama.cpp"
    slots: int = 1
    context: int = 0
    """Tokens of each slot."""
    provider: str = ""
    """The provider that is asked in its stead, where it is a model with a server that we do not run."""
    model: str = ""
    """What that provider calls it."""


class Seen(Struct, frozen=True):
    """What the loop has seen of a deployment."""

    status: DeploymentStatus = DeploymentStatus.IN_PROGRESS
    stages: tuple[Report, ...] = tuple(Report(stage) for stage in Stage)
    replicas: tuple[Replica, ...] = ()
    weights: Weights | None = None
    trouble: str | None = None
    """What the last try failed of, and where; None once it serves."""
    failures: int = 0
    """Tries in a row that failed."""
    again: int | None = None
    """When it is tried again."""
    asked: int = 0
    """What `Deployment.asked` was when it was last tried."""
    served: bool = False
    """Whether it ever served: what fails then is unhealthy, not failed."""
    gone: bool = False
    """It was unloaded, and nothing of it runs any more."""
    files: tuple[str, ...] = ()
    """What may have been fetched or made for it, in the words of its shelf; none after a purge."""


class Deployment(Struct, frozen=True):
    """A wish, what is wanted of it, and what is seen of it."""

    id: str
    at: int
    wish: Wish
    principal: str
    project: str = ""
    wanted: Wanted = Wanted.RUNNING
    asked: int = 0
    """How often it was asked for again: another figure has what failed tried at once."""
    seen: Seen = Seen()


class Level(StrEnum):
    """How much a line of a log matters."""

    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


class Line(Struct, frozen=True):
    """One line of a deployment's log."""

    number: int
    """Rises within the deployment."""
    at: int
    level: Level
    message: str
