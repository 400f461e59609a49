"""`foz deploy`: a model is run on this machine, by the gateway that runs or the next one that starts."""

from pathlib import Path

import click
import msgspec

from foz.canon.deployment import Deployment, DeploymentStatus, Quantization, Wish
from foz.canon.fault import Fault
from foz.canon.principal import LOCAL_ADMIN
from foz.cli.local import Yard, on_deployments, told, watched
from foz.cli.settings import config_option, json_option
from foz.skins.model_api.local import read_deploy


@click.command("deploy")
@click.argument("model_type")
@click.argument("model_size", default="")
@click.option(
    "--source", default="", help="Where it comes from: a path, hf:org/repo, ollama:name, provider:name/model."
)
@click.option("--id", "model_id", default="", help="The name that callers use. Default: TYPE-SIZE.")
@click.option("--quantization", type=click.Choice([one.value for one in Quantization]), help="Bits of its weights.")
@click.option("--engine", default="", help="The program to run it: llama.cpp or vllm. Default: whichever can.")
@click.option("--node", "nodes", multiple=True, help="A machine to run it on, by its name; one replica on each.")
@click.option(
    "--set", "config_of", multiple=True, metavar="NAME=VALUE", help="A field of deployment_config: max_batch_size=8."
)
@click.option("--wait/--no-wait", default=True, show_default=True, help="Show its way until it runs.")
@json_option
@config_option
def command(
    model_type: str,
    model_size: str,
    *,
    nodes: tuple[str, ...],
    config_of: tuple[str, ...],
    wait: bool,
    as_json: bool,
    config: Path | None,
    **said: str | None,
) -> None:
    """
    Run a model on this machine: MODEL_TYPE and MODEL_SIZE name it, as in `foz deploy qwen3 0.6b`.
    The same again is the same deployment. Exit code 1 where it fails.
    """
    wish = _wish(
        {
            "model_type": model_type,
            "model_size": model_size,
            **{name: word or None for name, word in said.items()},
            "target_nodes": nodes,
            "deployment_config": dict(map(_field, config_of)),
        }
    )

    async def work(yard: Yard) -> tuple[Deployment, bool]:
        deployment = await yard.intake.deploy(LOCAL_ADMIN, wish)
        runs = yard.runs()
        return (await watched(yard, deployment) if wait and runs else deployment), runs

    found, runs = on_deployments(config, work)
    if as_json:
        said = {"deployment_id": found.id, "model_id": found.wish.model_id, "status": found.seen.status.value}
        click.echo(msgspec.json.encode({**said, "error": found.seen.trouble}))
    else:
        click.echo(told(found))
        if not runs:
            click.echo("No gateway runs here now: it is done as soon as `foz serve` does.", err=True)
    if found.seen.status is DeploymentStatus.FAILED:
        raise click.exceptions.Exit(1)


def _wish(body: dict[str, object]) -> Wish:
    """As the API reads it."""
    try:
        return read_deploy(msgspec.json.encode(body))
    except Fault as fault:
        raise click.ClickException(fault.message) from fault


def _field(said: str) -> tuple[str, object]:
    name, mark, value = said.partition("=")
    try:
        return name, msgspec.json.decode(value) if mark else True
    except msgspec.DecodeError as error:
        raise click.BadParameter(f"{said!r}: expected NAME=VALUE, with a number, true or false.") from error
