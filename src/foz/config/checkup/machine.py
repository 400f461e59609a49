"""The machine that we run on: Python, SQLite, open files, the clock."""

import platform
import sys

import apsw

from foz.config.checkup.finding import Finding, note, ok, problem, warning
from foz.config.sections import Limits

if sys.platform != "win32":
    import resource

SQLITE = (3, 51, 3)
"""The first one whose WAL-reset fix is whole."""
OTHER_FILES = 200
"""What is open besides connections: the ledger, libraries, logs."""
EARLIEST = 1_767_225_600_000
"""2026-01-01: Foz is younger than that, so a clock before it is wrong."""
MINUTE = 60.0
MAX_SKEW = 300.0
NEWEST_PYTHON = (3, 14)


def python() -> Finding:
    """The interpreter."""
    told = f"Python {platform.python_version()} ({platform.python_implementation()}) on {platform.platform()}"
    if sys.version_info[:2] > NEWEST_PYTHON:
        return note("python", told, "tested with 3.11 to 3.14")
    return ok("python", told)


def sqlite(found: str) -> Finding:
    """SQLite as APSW brings it, by its version."""
    if tuple(int(part) for part in found.split(".")[:3]) < SQLITE:
        wanted = ".".join(map(str, SQLITE))
        todo = "install APSW with its own SQLite: pip install --force-reinstall apsw"
        return problem("sqlite", f"SQLite {found}: before {wanted} a reset of the WAL can corrupt the ledger", todo)
    return ok("sqlite", f"SQLite {found}")


def _soft_limit() -> int | None:
    """How many files this process may have open; None is as many as it likes."""
    if sys.platform == "win32":
        return None
    soft = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return None if soft == resource.RLIM_INFINITY else soft


def open_files(limits: Limits, soft: int | None) -> Finding:
    """Whether as many connections as allowed can be open: each call may take two."""
    if soft is None:
        return ok("open files", "no limit of open files")
    wanted = limits.max_connections + min(limits.max_connections, limits.max_in_flight) + OTHER_FILES
    if soft < wanted:
        todo = f"`ulimit -n {wanted}` or LimitNOFILE={wanted} in the service, or a lower [limits] max_connections"
        return warning("open files", f"at most {soft} open files, while up to {wanted} may be needed", todo)
    return ok("open files", f"at most {soft} open files")


def machine(limits: Limits) -> list[Finding]:
    """All that is not about time."""
    return [python(), sqlite(apsw.sqlite_lib_version()), open_files(limits, _soft_limit())]


def clock(now: int, skews: dict[str, float]) -> Finding:
    """The clock against the calendar, and against what providers' answers said; skews in seconds by provider."""
    if now < EARLIEST:
        return problem(
            "clock", "the clock stands before 2026", "set the time, or start NTP (`timedatectl set-ntp true`)"
        )
    if not skews:
        return ok("clock", "the date is plausible; nobody was asked for the time")
    skew = sorted(skews.values(), key=abs)[len(skews) // 2]
    told = f"{abs(skew):.0f} seconds {'behind' if skew > 0 else 'ahead of'} what providers say"
    if abs(skew) > MAX_SKEW:
        return problem("clock", told, "certificates and signatures may fail: start NTP (`timedatectl set-ntp true`)")
    return ok("clock", "agrees with the providers' within a minute" if abs(skew) < MINUTE else told)
