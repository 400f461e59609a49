"""What of settings that were read anew holds at once, and what waits for a restart."""

from pathlib import Path

import pytest

from foz.config.changes import ANEW, waiting
from foz.config.load import load
from foz.config.sections import Written


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", []),
        ("[timeouts]\ntotal = '5m'\n[outbound]\nhttps_proxy = 'http://proxy:1'", []),
        ("[local]\nthreads = 3\ncontext = 512\ndrain = '1s'", []),
        ("[local]\nthreads = 3\nhub = 'http://127.0.0.1:1'\nfolders = ['/srv']", ["[local] hub, folders"]),
        (
            "test_mode = true\n[server]\nport = 9\n[breaker]\nfailures = 9",
            ["test_mode", "[server] port", "[breaker] failures"],
        ),
        ("[auth]\napi_key = 'a-new-key'", ["[auth] api_key"]),
        ("[[model]]\nname = 'a'\ntargets = ['openai/b']", []),
    ],
)
def test_what_waits_for_a_restart_is_named(tmp_path: Path, text: str, found: list[str]) -> None:
    """Each setting that changed and is not read while the gateway runs is named by its section, and no value is."""
    before = load({"HOME": str(tmp_path)}, tmp_path)
    (tmp_path / "foz.toml").write_text(text)
    assert waiting(before, load({"HOME": str(tmp_path)}, tmp_path)) == found


def test_what_is_read_anew_is_there() -> None:
    """The sections that are read anew are sections."""
    assert set(Written.model_fields) >= ANEW
