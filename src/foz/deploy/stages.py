"""
The way of a deployment, as values: what is seen of it when a stage begins, moves, ends, or fails.

Progress as a whole rises and never falls: while files are fetched it is theirs, in percent, up to 95; converting and
loading share what is left, and 100 is a model that has answered. Where nothing is fetched the load has it all.
"""

from msgspec import structs

from foz.canon.deployment import Deployment, DeploymentStatus, Report, Seen, Stage, StageState, Wanted

FIRST_PAUSE, LONGEST_PAUSE = 10_000, 300_000
"""Milliseconds before the first and any further try of what failed."""
_FETCHED, _MADE, _LOADED, _ALL = 95, 97, 99, 100
SETTLED = 300_000
"""Milliseconds that it has to serve before what failed earlier is forgotten."""


def pause(failures: int) -> int:
    """Milliseconds to wait after so many failures in a row: 10 s, doubling to 300 s."""
    return min(FIRST_PAUSE << min(max(failures - 1, 0), 16), LONGEST_PAUSE)


def _with(seen: Seen, report: Report) -> Seen:
    return structs.replace(seen, stages=tuple(report if one.stage is report.stage else one for one in seen.stages))


def report_of(seen: Seen, stage: Stage) -> Report:
    """How a stage stands."""
    return next(one for one in seen.stages if one.stage is stage)


def current(seen: Seen) -> Stage:
    """Where it stands: the stage that runs or failed, else the first that is still to come, else the last."""
    for states in ({StageState.IN_PROGRESS, StageState.FAILED}, {StageState.PENDING}):
        for one in seen.stages:
            if one.state in states:
                return one.stage
    return Stage.REGISTRATION


def anew(seen: Seen, asked: int) -> Seen:
    """A new try: all stages are to come. Where somebody has asked for it, the failures before are forgotten."""
    return structs.replace(
        seen,
        failures=seen.failures if asked == seen.asked else 0,
        asked=asked,
        status=DeploymentStatus.IN_PROGRESS,
        stages=tuple(Report(stage) for stage in Stage),
        replicas=(),
        again=None,
    )


def stands(deployment: Deployment) -> Deployment:
    """As it may be shown: what failed and was asked for again is under way, also before the loop has heard it."""
    seen = deployment.seen
    waits = deployment.wanted is Wanted.RUNNING and seen.asked != deployment.asked
    if waits and seen.status is DeploymentStatus.FAILED:
        return structs.replace(deployment, seen=anew(seen, deployment.asked))
    return deployment


def begun(seen: Seen, stage: Stage, now: int) -> Seen:
    """A stage begins."""
    return _with(seen, Report(stage, StageState.IN_PROGRESS, began=now))


def moved(seen: Seen, stage: Stage, done: int, total: int | None) -> Seen:
    """Bytes were moved; a figure that falls is not believed."""
    report = report_of(seen, stage)
    base = done if report.total is None and report.done == 0 else report.base
    return _with(seen, structs.replace(report, base=base, done=max(done, report.done), total=total))


def over(seen: Seen, stage: Stage, now: int) -> Seen:
    """A stage has done its work."""
    report = report_of(seen, stage)
    took = max(now - (report.began or now), 0)
    return _with(seen, structs.replace(report, state=StageState.COMPLETED, duration=took))


def serves(seen: Seen) -> Seen:
    """It answers, and everybody has heard it."""
    return structs.replace(seen, status=DeploymentStatus.COMPLETED, trouble=None, again=None, served=True)


def failed(seen: Seen, why: str, now: int, *, lasting: bool) -> Seen:
    """The try failed, at the stage that ran. What lasts is not tried again until somebody asks."""
    failures = seen.failures + 1
    stages = tuple(
        structs.replace(one, state=StageState.FAILED, duration=max(now - (one.began or now), 0))
        if one.state is StageState.IN_PROGRESS
        else one
        for one in seen.stages
    )
    again = None if lasting else now + pause(failures)
    return structs.replace(
        seen,
        status=DeploymentStatus.FAILED,
        stages=stages,
        replicas=(),
        trouble=why,
        failures=failures,
        again=again,
    )


def lost(seen: Seen, why: str, now: int) -> Seen:
    """Its node does not answer: that is no failure of its own, and it is tried again when the node is back."""
    return structs.replace(failed(seen, why, now, lasting=True), failures=seen.failures)


def gone(seen: Seen, asked: int) -> Seen:
    """Nothing of it runs any more, as was wanted."""
    completed = seen.served or seen.status is DeploymentStatus.COMPLETED
    status = DeploymentStatus.COMPLETED if completed else DeploymentStatus.CANCELLED
    return structs.replace(seen, status=status, replicas=(), again=None, gone=True, asked=asked)


def ended(deployment: Deployment) -> bool:
    """Whether nothing is left to do about it: it is gone, and its files too if that was asked for since."""
    seen = deployment.seen
    return seen.gone and (deployment.wanted is not Wanted.PURGED or not seen.files or seen.asked == deployment.asked)


def percent(report: Report) -> int | None:
    """A stage's progress; None where nobody knows it."""
    if report.state is StageState.COMPLETED:
        return _ALL
    if not report.total:
        return None
    return min(report.done * _ALL // report.total, _ALL)


def progress(seen: Seen) -> int:
    """Of the whole way, in percent."""
    if all(one.state is StageState.COMPLETED for one in seen.stages):
        return _ALL
    fetched = report_of(seen, Stage.DOWNLOADING)
    fetches = fetched.done > fetched.base
    if fetched.state is not StageState.COMPLETED:
        return min(percent(fetched) or 0, _FETCHED)
    made, loaded = report_of(seen, Stage.INITIALIZATION), report_of(seen, Stage.LOADING)
    if made.state is not StageState.COMPLETED:
        return _between(_FETCHED if fetches else 0, _MADE if fetches else 0, percent(made))
    return _between(_MADE if fetches else 0, _LOADED, percent(loaded))


def _between(low: int, high: int, share: int | None) -> int:
    return low + (high - low) * (share or 0) // _ALL


def estimate(seen: Seen, now: int) -> int | None:
    """When what moves now will be over, from how fast it moved so far; None where nobody knows."""
    if seen.status is not DeploymentStatus.IN_PROGRESS:
        return None
    report = report_of(seen, current(seen))
    new = report.done - report.base
    if report.state is not StageState.IN_PROGRESS or not report.total or report.began is None or new <= 0:
        return None
    return now + (now - report.began) * (report.total - report.done) // new
