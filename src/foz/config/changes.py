"""
Files beside the settings that are read again when they change, and whether what was read is worse than what there is.
"""

from collections.abc import Sequence
from pathlib import Path

from foz.config.settings import Settings

SECONDS = 1.0
"""How often it is looked whether they have changed."""
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
