"""`foz serve`."""

import sys
from pathlib import Path

import click

from foz.assembly.books import StoreError
from foz.assembly.launch import Assignment, serve, work
from foz.config.load import load, process_environment
from foz.config.refusal import ConfigError
from foz.config.settings import Settings
from foz.serve.http.server import InUse
from foz.serve.supervisor import UNUSABLE
from foz.telemetry.log import set_up
from foz.telemetry.redact import Redactor, hideable


class _NoWorkerCan(click.ClickException):
    exit_code = UNUSABLE


def _assignment(worker: str, run: str, grpc: str, inner: str) -> Assignment:
    lifeline, sockets, herald = worker.split(":")
    return Assignment(int(lifeline), tuple(map(int, filter(None, sockets.split(",")))), bool(herald), run, grpc, inner)


def secrets(settings: Settings) -> list[str]:
    """Everything that must never be seen in a log."""
    auth, outbound = settings.auth, settings.outbound
    found = [auth.api_key, auth.admin_key, outbound.https_proxy, outbound.http_proxy]
    found += [settings.scale.rabbitmq_url, settings.scale.redis_url]
    return [
        *(secret.get_secret_value() for secret in found if secret is not None),
        *hideable(secret for one in settings.providers for secret in one.secrets()),
    ]


def _setting(option: str) -> str:
    """Which setting an option sets."""
    section, _, key = option.partition("_")
    return f"{section}.{key}" if section in {"log", "grpc"} else f"server.{option}"


@click.command("serve")
@click.option("--host", help="Address to listen on.")
@click.option("--port", type=click.IntRange(0, 65535), help="Port to listen on; 0 takes a free one.")
@click.option("--grpc-port", type=click.IntRange(0, 65535), help="Port for gRPC; 0 is off.")
@click.option("--workers", type=click.IntRange(1, 256), help="Processes that serve on the same port.")
@click.option("--config", type=click.Path(path_type=Path), help="The settings file instead of ./foz.toml.")
@click.option("--log-level", type=click.Choice(["debug", "info", "warning", "error"]), help="Least level that is told.")
@click.option("--worker", hidden=True)
@click.option("--run", hidden=True)
@click.option("--grpc", hidden=True)
@click.option("--inner", hidden=True)
def command(**given: object) -> None:
    """Run the gateway."""
    options = {key: value for key, value in given.items() if value is not None}
    config, worker, run = options.pop("config", None), options.pop("worker", None), options.pop("run", None)
    grpc, inner = str(options.pop("grpc", "")), str(options.pop("inner", ""))
    overrides = {_setting(option): value for option, value in options.items()}

    def read() -> Settings:
        return load(process_environment(), Path.cwd(), config if isinstance(config, Path) else None, overrides)

    try:
        settings = read()
        set_up(settings.log.level, Redactor(secrets(settings)), format=settings.log.format)
        if isinstance(worker, str) and isinstance(run, str):
            work(settings, read, _assignment(worker, run, grpc, inner))
        else:
            serve(settings, read, sys.argv[1:])
    except (ConfigError, InUse, StoreError) as error:
        refusal = click.ClickException if worker is None else _NoWorkerCan
        raise refusal(str(error)) from error
