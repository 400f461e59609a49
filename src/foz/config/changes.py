"""
Files beside the settings that are read again when they change, whether what was read is worse than what there is, and
what of it waits for a restart.
"""

from collections.abc import Sequence
from pathlib import Path

from foz.config.kinds import Section
from foz.config.sections import Written
from foz.config.settings import Settings

SECONDS = 1.0
"""How often it is looked whether they have changed."""
ANEW = frozenset({"provider", "model", "price", "timeouts", "outbound", "cache"})
"""Sections that are read anew while the gateway runs."""
LOCAL_ANEW = frozenset({"threads", "context", "drain"})
"""Of `[local]`: what the next load and the next unload go by."""
Looks = tuple[tuple[int, int, int] | None, ...]


def look(files: Sequence[Path]) -> Looks:
    """How each file looks from outside; None where there is none."""
    return tuple(_look(file) for file in files)


def _look(file: Path) -> tuple[int, int, int] | None:
    try:
        about = file.stat()
    except OSError:
        return None
    return about.st_ino, about.st_mtime_ns, about.st_size


def worse(old: Settings, new: Settings) -> str | None:
    """Why the new settings are not to be taken: credentials that could be used and no longer can."""
    served = {one.name for one in old.providers if one.state == "ready"}
    return next((one.why for one in new.providers if one.broken and one.name in served), None)


def waiting(old: Settings, new: Settings) -> list[str]:
    """The settings that are others now, and take effect with the next start only: `[server] port`."""
    found = []
    for name in Written.model_fields:
        one, other = getattr(old, name), getattr(new, name)
        if name in ANEW or one == other:
            continue
        if not isinstance(one, Section):
            found.append(name)
            continue
        live = LOCAL_ANEW if name == "local" else frozenset[str]()
        keys = [key for key in type(one).model_fields if getattr(one, key) != getattr(other, key) and key not in live]
        found += [f"[{name}] {', '.join(keys)}"] if keys else []
    return found
