"""What the names of `/genai/{model}` are: rows of `llm_models.json`, then every public name."""

from collections.abc import Callable, Sequence

from foz.config.settings import Settings
from foz.ports.line import Directory
from foz.providers.catalog import SIMULATED_AGENT
from foz.skins.oci_proxy.names import Named

AGENT = "oci_agent"


class SettledNames:
    """
    Implements `skins.oci_proxy.names.Names` over the settings and the directory of the moment. In test mode, where
    every name has an answer, a file makes its names the only ones beside those of `foz.toml`.
    """

    def __init__(self, settings: Callable[[], Settings], directory: Callable[[], Directory]) -> None:
        self._settings = settings
        self._directory = directory
        self._read: Settings | None = None
        self._rows: dict[str, Named] = {}
        self._dialects: dict[str, str] = {}

    def find(self, name: str) -> Named | None:
        """What it is."""
        settings = self._current()
        row = self._rows.get(name)
        if row is not None:
            return row
        if settings.test_mode and self._rows and not any(model.name == name for model in settings.model):
            return None
        model = self._directory().find(name)
        if model is None:
            return None
        if settings.test_mode and not self._rows:
            return Named(name, "either", agent=f"{SIMULATED_AGENT}/{name}")
        agents = all(self._dialects.get(target.provider) == AGENT for target in model.targets)
        return Named(name, "agent" if agents else "model")

    def rows(self) -> Sequence[Named]:
        """Those of the file."""
        self._current()
        return tuple(self._rows.values())

    def _current(self) -> Settings:
        settings = self._settings()
        if settings is not self._read:
            self._rows = {
                one.name: Named(one.name, one.kind, one.provider, one.model, one.row.region)
                for one in settings.llm_models
            }
            self._dialects = {one.name: one.row.dialect for one in settings.providers}
            self._read = settings
        return settings
