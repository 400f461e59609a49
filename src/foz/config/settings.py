"""
The settings of a process: what was written, and what was found out about it.

Frozen: a reload makes new settings and swaps them whole.
"""

from pathlib import Path

from pydantic import ConfigDict, Field

from foz.config.bind import Provider
from foz.config.genai import Bound
from foz.config.sections import Written


class Settings(Written):
    """Every section of `foz.toml` by its name, and what `load` found."""

    model_config = ConfigDict(arbitrary_types_allowed=True)

    file: Path | None = None
    """The `foz.toml` that was read."""
    sources: dict[str, str] = Field(default={})
    """Where each setting that is not a default comes from, by its dotted name."""
    warnings: tuple[str, ...] = ()
    """What looks wrong but stops nothing."""
    providers: tuple[Provider, ...] = ()
    """All providers, with their keys, also those that are off."""
    llm_models: tuple[Bound, ...] = ()
    """What `llm_models.json` names."""
    watched: tuple[Path, ...] = ()
    """Files that are read again when they change: Oracle's models and credentials."""
