"""What of the settings steers the core."""

from pathlib import Path

import pytest

from foz.assembly.worker import _policy
from foz.config.load import load


@pytest.mark.parametrize(("said", "relay"), [("", True), ("true", True), ("false", False)])
def test_the_relay_lane_can_be_closed(tmp_path: Path, said: str, relay: bool) -> None:
    """The core relays unless `[gateway] relay` is false."""
    settings = load({"FOZ_GATEWAY_RELAY": said, "HOME": str(tmp_path)}, tmp_path)

    assert _policy(settings).relay is relay
