"""
The command `foz`. Each subcommand is one file of this folder, loaded only when it is called:
`foz serve` pays for nothing that it does not use.
"""

from importlib import import_module

import click
from typing_extensions import override

import foz

COMMANDS = {
    "chat": "talk to a model in the terminal",
    "deploy": "run a model on this machine",
    "deployments": "the models that run on this machine, and those that do not",
    "doctor": "what is configured, what is reachable, what is wrong and what to do",
    "jobs": "list, follow, retry and cancel jobs, and look at dead letters",
    "keys": "make, list and revoke callers' keys",
    "models": "the models that callers can name",
    "node": "run models on other machines: begin a cluster, join one, list its nodes",
    "serve": "run the gateway",
    "service": "run the gateway as a service of systemd",
    "tls": "make certificates for trying out TLS",
    "worker": "work at jobs that gateways have accepted",
    "unload": "end a model that runs on this machine",
    "usage": "what was called, by whom, and what it cost",
}


class _Lazy(click.Group):
    @override
    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(COMMANDS)

    @override
    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        command = import_module(f"foz.cli.{cmd_name}").command
        return command if isinstance(command, click.Command) else None

    @override
    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(sorted(COMMANDS.items()))


@click.command(cls=_Lazy, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(foz.__version__, prog_name="foz")
def main() -> None:
    """Foz: one gateway for every language model."""
