"""
Deployments for the commands: written down in the data directory, beside the gateway that runs the engines.

What is asked here a running gateway finds by itself; where none runs it is done when the next one starts.
"""

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

from msgspec import Struct
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, Task, TaskID, TextColumn, TimeRemainingColumn
from rich.text import Text
from typing_extensions import override

from foz.assembly.books import Books
from foz.assembly.local import intake, means
from foz.assembly.served import Providers, nowhere
from foz.canon.deployment import Deployment, DeploymentStatus, Stage, StageState, Wanted
from foz.canon.identity import Identities
from foz.canon.principal import LOCAL_ADMIN
from foz.cli.running import run
from foz.cli.words import plain
from foz.config.exposure import make_data
from foz.config.settings import Settings
from foz.deploy.intake import Intake
from foz.deploy.stages import current, ended, report_of
from foz.net.clock import SystemClock
from foz.net.watch import TickingWatch
from foz.runtime.ownership import Ownership

T = TypeVar("T")
LOOK_SECONDS = 0.2
LEFT = "But its files could not be removed, its log says why: ask for it again."


class Yard(Struct, frozen=True):
    """Deployments, and whether a gateway is there to see to them."""

    intake: Intake
    runs: Callable[[], bool]


@asynccontextmanager
async def _opened(settings: Settings) -> AsyncIterator[Yard]:
    make_data(settings.data)
    clock = SystemClock()
    books = Books(settings, clock)
    servers = Providers(lambda: settings, nowhere)
    found = means(settings, TickingWatch(asyncio.get_running_loop()), clock, servers)
    try:
        new = Identities(clock.now, os.urandom).new
        ownership = Ownership(settings.data)
        yield Yard(intake(settings, books.deployments, clock, new, found), ownership.taken)
    finally:
        await found.close()
        await books.close()


def on_deployments(config: Path | None, work: Callable[[Yard], Coroutine[Any, Any, T]]) -> T:
    """Does it on the deployments of the settings."""
    return run(config, _opened, work)


async def watched(yard: Yard, deployment: Deployment) -> Deployment:
    """Shows its stages and its bytes on standard error until nothing more is done about it; as it stands then."""
    with _Bars() as bars:
        while True:
            stands = await yard.intake.find(LOCAL_ADMIN, deployment.id)
            bars.show(stands)
            if stands.seen.status is not DeploymentStatus.IN_PROGRESS or stands.seen.gone:
                return stands
            await asyncio.sleep(LOOK_SECONDS)


class _Bytes(DownloadColumn):
    """Of stages that move bytes; of others there is nothing to count."""

    @override
    def render(self, task: Task) -> Text:
        return super().render(task) if task.fields["moves"] else Text()


class _Bars(Progress):
    """One line for each stage that has begun."""

    def __init__(self) -> None:
        super().__init__(
            TextColumn("{task.description:<21}"),
            BarColumn(),
            _Bytes(),
            TimeRemainingColumn(),
            console=Console(stderr=True, highlight=False),
        )
        self._lines: dict[Stage, TaskID] = {}

    def show(self, deployment: Deployment) -> None:
        """As it stands."""
        for report in deployment.seen.stages:
            if report.state is StageState.PENDING:
                continue
            line = self._lines.get(report.stage)
            if line is None:
                line = self._lines[report.stage] = self.add_task(report.stage.value, total=None, moves=False)
            over = report.state is StageState.COMPLETED
            total = report.total if report.total is not None or not over else max(report.done, 1)
            moves = report.total is not None or report.done > 0
            self.update(line, completed=total or 1 if over else report.done, total=total, moves=moves)


def has_left(deployment: Deployment) -> bool:
    """Whether its files were to be removed and could not be."""
    return deployment.wanted is Wanted.PURGED and bool(deployment.seen.files) and ended(deployment)


def told(deployment: Deployment) -> str:
    """How it stands, in a line."""
    seen = deployment.seen
    name = deployment.wish.model_id
    if seen.gone:
        return f"{name} is unloaded." + (f" {LEFT}" if has_left(deployment) else "")
    if seen.status is DeploymentStatus.COMPLETED:
        where = ", ".join(replica.node for replica in seen.replicas) if deployment.wish.nodes else "this machine"
        where = next((f"the server '{one.provider}'" for one in seen.replicas if one.provider), where)
        lacks = f" But {plain(seen.trouble)}." if seen.trouble else ""
        return f"{name} runs on {where or 'no node just now'} ({deployment.id}).{lacks}"
    if seen.status is DeploymentStatus.FAILED:
        return f"{name} could not be deployed ({deployment.id}): {plain(seen.trouble)}"
    stage = current(seen)
    return f"{name} is being deployed ({deployment.id}): {stage}, {report_of(seen, stage).state}."
