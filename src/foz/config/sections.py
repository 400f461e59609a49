"""
Everything that can be set, with its default and a sentence on what it does.

The models here are also the reference: `docs/reference/settings.md` is written from them.
Each section of `foz.toml` is a class; `[[provider]]`, `[[model]]` and `[[price]]` rows are in `rows.py`.
`Written` is what a person may write; `settings.Settings` is that and what `load` found out about it.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, SecretStr, model_validator

from foz.canon.model import Placement
from foz.config import address
from foz.config.address import Address
from foz.config.amounts import Names, Seconds, Size, Whole, expected
from foz.config.kinds import Host, Origin, Proxy, Secret, Section
from foz.config.local import Cluster, Local
from foz.config.rows import ModelRow, Name, PriceRow, ProviderSettings
from foz.skins.nemotron.skin import MODEL

SkinName = Literal[
    "openai",
    "anthropic",
    "ollama",
    "nemotron",
    "ollama_host",
    "hf_chat",
    "oci_proxy",
    "model_api",
    "model_grpc",
]


class Server(Section):
    """Where we listen, and with how many processes."""

    host: Host = Field(default="127.0.0.1", description="Address to listen on.")
    port: Whole = Field(default=8000, ge=0, le=address.MAX_PORT, description="Port to listen on; 0 takes a free one.")
    listen: Names = Field(
        default=(),
        max_length=16,
        description='More addresses beside `host` and `port`: "127.0.0.1:5000", "[::1]:8000", or a port on `host`.',
    )
    ollama_port: Whole = Field(
        default=0,
        ge=0,
        le=address.MAX_PORT,
        description="One more port on `host`, for Ollama's programs: they look at 11434 where they are told nothing. "
        "0: none.",
    )
    workers: Whole = Field(default=1, ge=1, le=256, description="Processes that serve inference on the same port.")
    tls_cert: Path | None = Field(default=None, description="File of the certificate chain (PEM); with `tls_key`.")
    tls_key: Path | None = Field(default=None, description="File of the certificate's private key (PEM).")

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.tls_cert is not None and self.tls_key is None:
            raise expected("tls_key beside tls_cert: TLS needs both (`foz tls init` makes a pair)", "tls_key")
        if self.tls_key is not None and self.tls_cert is None:
            raise expected("tls_cert beside tls_key: TLS needs both (`foz tls init` makes a pair)", "tls_cert")
        try:
            self.addresses  # noqa: B018 - read for its refusal
        except ValueError as error:
            raise expected(str(error), "listen") from error
        return self

    @property
    def addresses(self) -> tuple[Address, ...]:
        """All addresses, the main one first, each once."""
        first = Address(self.host, self.port)
        ollama = (Address(self.host, self.ollama_port),) if self.ollama_port else ()
        return tuple(dict.fromkeys((first, *ollama, *(address.read(text, self.host) for text in self.listen))))

    @property
    def tls(self) -> bool:
        """Whether callers come over TLS."""
        return self.tls_cert is not None


class Grpc(Section):
    """The ModelService over gRPC. TLS is `[server] tls_cert` and `tls_key`."""

    port: Whole = Field(default=50051, ge=0, le=address.MAX_PORT, description="Port to listen on; 0 is off.")
    host: Host | None = Field(default=None, description="Address to listen on. Default: `[server] host`.")
    plaintext: bool = Field(
        default=False, description="Whether it may listen without TLS on an address that other machines can reach."
    )
    client_ca: Path | None = Field(
        default=None,
        description="Authority of clients' certificates (PEM): with it, each client must show one, beside its key.",
    )
    clients: Names = Field(
        default=(),
        description="Clients whose certificate stands for a key: `name=id`, the id as `foz keys list` shows it. The "
        "name is the certificate's common name or one of its alternative names, or `sha256:` and its fingerprint.",
    )
    max_streams: Whole = Field(default=1000, ge=1, le=100_000, description="Calls at once on one connection.")
    keepalive: Seconds = Field(
        default=60.0, ge=1, description="How long a connection may be silent before it is asked whether it is alive."
    )
    idle: Seconds = Field(default=300.0, ge=1, description="How long a connection without calls is kept.")

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if any(not name or not id for name, id in self._clients):
            raise expected("entries as name=key-id", "clients")
        if self.clients and self.client_ca is None:
            raise expected("client_ca beside clients: nobody else vouches for their certificates", "client_ca")
        return self

    @property
    def _clients(self) -> list[tuple[str, str]]:
        cut = [client.rpartition("=") for client in self.clients]
        return [(name.strip(), id.strip()) for name, _, id in cut]

    @property
    def vouched(self) -> dict[str, str]:
        """The ids of the keys that certificates stand for, by the certificates' names."""
        return {name.lower() if name.startswith("sha256:") else name: id for name, id in self._clients}


class Limits(Section):
    """How much a caller may send, and how long they may take."""

    max_body: Size = Field(default=32 * 2**20, description="Largest request body; larger ones get 413.")
    max_header: Size = Field(
        default=64 * 2**10, description="Largest request head (line and headers); larger ones get 431."
    )
    max_connections: Whole = Field(default=10_000, ge=1, description="Open connections of callers in one worker.")
    max_in_flight: Whole = Field(
        default=2_000,
        ge=1,
        description="Requests being served in one worker; above it callers get 503 with `retry-after`.",
    )
    max_answer: Size = Field(
        default=64 * 2**20, description="Largest whole (not streamed) answer taken from a provider."
    )
    header_timeout: Seconds = Field(default=10.0, gt=0, description="Time for the whole head of a request.")
    body_timeout: Seconds = Field(default=60.0, gt=0, description="Longest pause while a request's body arrives.")
    idle_timeout: Seconds = Field(default=75.0, gt=0, description="How long an idle connection is kept.")
    write_timeout: Seconds = Field(
        default=120.0, gt=0, description="Longest pause of a caller who does not read the answer."
    )
    keep_alive: Seconds = Field(
        default=15.0,
        gt=0,
        description="How often a stream that waits for its first token is kept alive, where its API has a word for it.",
    )
    drain: Seconds = Field(default=30.0, description="How long running requests may go on after a signal to stop.")


class Auth(Section):
    """Who may call. Keys of users and projects are made with `foz keys`."""

    open_skins: Annotated[tuple[SkinName, ...], *Names.__metadata__] = Field(
        default=(), description="Skins whose callers need no key, for old clients that send none."
    )
    api_key: Secret | None = Field(
        default=None,
        description="One key for all: administrator while `admin_key` is not set, else a user. From `API_KEY`.",
    )
    admin_key: Secret | None = Field(default=None, description="The administrator's key. From `FOZ_ADMIN_KEY`.")

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.api_key is not None and self.api_key == self.admin_key:
            raise expected("a key other than api_key: the same key cannot be user and administrator", "admin_key")
        return self


class Ledger(Section):
    """The account of every call."""

    durability: Literal["process", "power"] = Field(
        default="process",
        description='What a settled entry survives: "process" a kill -9 of Foz, "power" also the machine\'s (slower).',
    )
    busy_timeout: Seconds = Field(
        default=10.0, gt=0, description="How long a write waits while another program holds the database locked."
    )
    capture: Annotated[tuple[SkinName, ...], *Names.__metadata__] = Field(
        default=("ollama_host",), description="Skins whose inputs and outputs are kept, in files beside the ledger."
    )
    capture_limit: Size = Field(default=64_000, description="Most content kept of one call.")
    content_days: Whole = Field(default=30, ge=1, le=3650, description="Days after which kept content is removed.")


class Files(Section):
    """Files that callers upload. They are kept in the data directory."""

    max_size: Size = Field(default=32 * 2**20, description="Largest file; `[limits] max_body` bounds uploads too.")
    max_files: Whole = Field(default=1000, ge=1, description="Most files of one key and project.")
    max_total: Size = Field(default=2**30, description="Most bytes of the files of one key and project.")
    days: Whole = Field(default=30, ge=1, le=3650, description="Days after which a file is removed.")


class Responses(Section):
    """Responses that callers look at again and go on from (`previous_response_id`). They are kept in the database."""

    ttl: Seconds = Field(default=30 * 86_400.0, gt=0, description="For how long a response is kept.")
    max_responses: Whole = Field(
        default=10_000, ge=1, description="Most responses of one key and project; the oldest are forgotten first."
    )
    max_total: Size = Field(default=2**30, description="Most bytes of them.")
    max_turns: Whole = Field(default=1_000, ge=1, le=10_000, description="Most responses of one conversation.")
    max_length: Size = Field(default=32 * 2**20, description="Most bytes of one conversation.")


class Cache(Section):
    """Answers that answer again, for models with a `cache_ttl`: in the data directory, or in Redis where jobs are."""

    max_size: Size = Field(default=256 * 2**20, description="Most bytes of all of them; the oldest go first.")


GPU_WORKERS, API_WORKERS = 4, 32


class Jobs(Section):
    """Requests that outlive their connection."""

    gpu_workers: Whole | None = Field(
        default=None,
        ge=0,
        le=10_000,
        description="Jobs of the gpu lane at once in one process of `foz serve`. "
        "Default: 4, or 0 where `foz worker` processes work (with RabbitMQ).",
    )
    api_workers: Whole | None = Field(
        default=None, ge=0, le=10_000, description="The same for the api lane. Default: 32, or 0."
    )
    attempts: Whole = Field(default=3, ge=1, le=100, description="Attempts at a job before it is a dead letter.")
    lease: Seconds = Field(
        default=10.0, ge=1, le=600, description="After how long a job whose worker is silent is taken up by another."
    )
    backoff: Seconds = Field(default=1.0, description="First pause before a job is tried again; doubled each time.")
    backoff_cap: Seconds = Field(default=60.0, description="Longest such pause.")
    oldest: Seconds = Field(default=86_400.0, gt=0, description="Age after which a job is not tried again.")
    gpu_full: Whole = Field(
        default=32, ge=1, description="Jobs that wait for gpu from which on `mode=auto` takes the api lane."
    )
    max_waiting: Whole = Field(
        default=100_000, ge=1, description="Jobs that may wait in one lane; above it submissions get 503."
    )


def _url(schemes: Sequence[str], example: str) -> Callable[[SecretStr], SecretStr]:
    def check(found: SecretStr) -> SecretStr:
        parts = urlsplit(found.get_secret_value())
        if parts.scheme not in schemes or not parts.hostname:
            raise expected(f"an address such as {example}")
        return found

    return check


class Scale(Section):
    """Jobs on RabbitMQ and Redis, worked at by `foz worker` processes. Both addresses or none."""

    rabbitmq_url: Annotated[Secret, AfterValidator(_url(("amqp", "amqps"), "amqp://user:word@broker:5672/"))] | None = (
        Field(default=None, description="The broker that job ids wait in. From `RABBITMQ_URL`.")
    )
    redis_url: Annotated[Secret, AfterValidator(_url(("redis", "rediss"), "redis://cache:6379/0"))] | None = Field(
        default=None, description="Where jobs are kept. From `REDIS_URL`."
    )
    name: Annotated[str, Field(pattern=r"^[a-z0-9-]{1,64}$")] = Field(
        default="foz", description="Comes before the names of queues and keys: gateways of one name share their jobs."
    )
    deadline: Seconds = Field(
        default=2.0, gt=0, description="How long a broker or Redis that does not answer is waited for; then 503."
    )

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if (self.rabbitmq_url is None) != (self.redis_url is None):
            there, missing = ("redis_url", "rabbitmq_url") if self.redis_url else ("rabbitmq_url", "redis_url")
            raise expected(f"{missing} beside {there}: jobs need both RABBITMQ_URL and REDIS_URL, or neither", missing)
        return self

    @property
    def on(self) -> bool:
        """Whether jobs are kept there."""
        return self.redis_url is not None


class Nemotron(Section):
    """The Nemotron Chat API."""

    model: Name = Field(
        default=MODEL,
        description="The model that answers where a request names none. `nemotron` is, unless you name a model so: "
        "each model called so that you run yourself, then NVIDIA's.",
    )


class Timeouts(Section):
    """How long to wait for providers. A `[[provider]]` may have its own `timeouts`."""

    connect: Seconds = Field(default=5.0, gt=0, description="Until a connection stands.")
    first_byte: Seconds = Field(default=120.0, gt=0, description="Until an answer begins.")
    idle: Seconds = Field(default=60.0, gt=0, description="Longest pause within an answer.")
    total: Seconds = Field(default=600.0, gt=0, description="Longest whole answer.")


class Retries(Section):
    """When a target is asked again, before anything has been sent to the caller."""

    attempts: Whole = Field(
        default=2, ge=1, le=10, description="Attempts for each target before the next one is tried."
    )
    budget: float = Field(
        default=0.1, ge=0, le=1, description="Most retries, as a share of requests, so that none avalanche."
    )
    retry_after_cap: Seconds = Field(
        default=10.0, description="Longest `retry-after` of a provider that is waited for."
    )
    backoff: Seconds = Field(
        default=0.25, description="First pause before a retry; doubled for each further one, with jitter."
    )
    backoff_cap: Seconds = Field(default=4.0, description="Longest such pause.")


class Breaker(Section):
    """When a failing target is left alone."""

    failures: Whole = Field(
        default=5, ge=1, le=1000, description="Failures in a row within `window` that open the breaker."
    )
    window: Seconds = Field(default=30.0, gt=0, description="Time in which they count.")
    cool_down: Seconds = Field(
        default=15.0, gt=0, description="How long the target is left alone before one call tries it."
    )


class Gateway(Section):
    """How calls go through."""

    relay: bool = Field(
        default=True,
        description="Whether bytes pass as they are where caller and provider speak the same dialect. "
        "False sends everything through the translate lane.",
    )


class Cors(Section):
    """Which web pages may call."""

    origins: Annotated[tuple[Origin, ...], *Names.__metadata__] = Field(
        default=(), description='Origins that browsers may call from; "*" is all, as in test mode.'
    )


class Log(Section):
    """What is told on standard error."""

    level: Literal["debug", "info", "warning", "error"] = Field(default="info", description="Least level that is told.")
    format: Literal["auto", "text", "json"] = Field(
        default="auto", description='"auto" is text on a terminal, else JSON.'
    )


class Outbound(Section):
    """The way to providers. TLS certificates are always verified."""

    https_proxy: Proxy | None = Field(default=None, description="Proxy for https providers. From `HTTPS_PROXY`.")
    http_proxy: Proxy | None = Field(default=None, description="Proxy for http providers. From `HTTP_PROXY`.")
    no_proxy: Names = Field(default=(), description="Hosts and domains reached without a proxy. From `NO_PROXY`.")
    ca_file: Path | None = Field(
        default=None, description="More certificate authorities to trust (PEM). From `SSL_CERT_FILE`."
    )


class Written(Section):
    """`foz.toml`, whole."""

    data: Path = Field(
        default=Path(),
        description="Directory of the ledger and all else that is kept; made with mode 0700. "
        "Default: the platform's own, `~/.local/share/foz` on Linux.",
    )
    test_mode: bool = Field(
        default=False, description="Every model is the simulated one, and nothing leaves the machine. From `TEST_MODE`."
    )
    server: Server = Server()
    grpc: Grpc = Grpc()
    limits: Limits = Limits()
    auth: Auth = Auth()
    ledger: Ledger = Ledger()
    files: Files = Files()
    responses: Responses = Responses()
    cache: Cache = Cache()
    jobs: Jobs = Jobs()
    scale: Scale = Scale()
    nemotron: Nemotron = Nemotron()
    local: Local = Local()
    cluster: Cluster = Cluster()
    timeouts: Timeouts = Timeouts()
    retries: Retries = Retries()
    breaker: Breaker = Breaker()
    gateway: Gateway = Gateway()
    cors: Cors = Cors()
    log: Log = Log()
    outbound: Outbound = Outbound()
    provider: tuple[ProviderSettings, ...] = Field(default=(), max_length=1000)
    model: tuple[ModelRow, ...] = Field(default=(), max_length=10_000)
    price: tuple[PriceRow, ...] = Field(default=(), max_length=10_000)

    @property
    def lanes(self) -> dict[Placement, int]:
        """How many jobs one process of `foz serve` works at at once."""
        gpu, api = self.jobs.gpu_workers, self.jobs.api_workers
        default_gpu, default_api = (0, 0) if self.scale.on else (GPU_WORKERS, API_WORKERS)
        return {
            Placement.GPU: default_gpu if gpu is None else gpu,
            Placement.API: default_api if api is None else api,
        }
