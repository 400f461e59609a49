"""
What must hold before we listen: without any key only this machine may call,
and the data directory is ours alone.
"""

from pathlib import Path

from foz.config.refusal import ConfigError
from foz.config.settings import Settings


def check_exposure(settings: Settings, *, has_keys: bool) -> None:
    """Refuses to listen beyond this machine while nobody needs a key. `has_keys`: the store holds any."""
    if has_keys or settings.auth.api_key is not None or settings.auth.admin_key is not None:
        return
    wide = [str(address) for address in settings.server.addresses if not address.loopback]
    if wide:
        raise ConfigError(
            f"refusing to listen on {', '.join(wide)} without a key: whoever reaches it could call every model "
            "at your cost. Set API_KEY, or make a key with `foz keys create`, or listen on 127.0.0.1."
        )


def make_data(data: Path) -> Path:
    """The data directory, made with mode 0700 where it is missing."""
    try:
        data.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(
            f"{data}: the data directory cannot be made: {error.strerror}. Name another one with FOZ_DATA."
        ) from error
    return data
