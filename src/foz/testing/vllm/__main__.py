"""
`python -m foz.testing.vllm serve FOLDER ...`: loads nothing, says what vLLM says while it loads, starts a process as
vLLM does (which outlives it where it is killed), and serves the simulated model under the served name.

In the model's `config.json`, `"stand_in"` says what goes wrong: `"memory"` ends as a GPU that is too small does, and
`"silent"` says no more after half of the weights.
"""

import argparse
import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

import msgspec

from foz.testing.seen import Seen
from foz.testing.server import Server
from foz.testing.vllm.face import VERSION, Counted
from foz.testing.vllm.options import read

_SLEEPS = "import signal\nsignal.pause()\n"


class Config(msgspec.Struct, frozen=True):
    """What of a model's `config.json` matters here."""

    model_type: str
    stand_in: str = ""


def _say(words: str) -> None:
    print(f"(APIServer pid={os.getpid()}) INFO 11-21 20:00:00 [api_server.py:1298] {words}", flush=True)  # noqa: T201 - as vLLM


def _load(folder: Path, config: Config) -> None:
    """Reads the files, and tells it as vLLM's bar does: over and over on one line."""
    files = sorted(folder.glob("*.safetensors"))
    for number, file in enumerate(files):
        file.read_bytes()
        share = (number + 1) * 100 // len(files)
        bar = (
            f"\rLoading safetensors checkpoint shards: {share:3d}% Completed | {number + 1}/{len(files)} [00:00<00:00]"
        )
        sys.stderr.write(bar)
        sys.stderr.flush()
        if config.stand_in == "silent" and number >= (len(files) - 1) // 2:
            signal.pause()
    sys.stderr.write("\n")
    sys.stderr.flush()
    if config.stand_in == "memory":
        core = f"(EngineCore pid={os.getpid()}) ERROR 11-21 20:00:01 [core.py:1012]"
        sys.stderr.write(f"{core} torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB.\n")
        sys.exit(1)


async def _serve(given: argparse.Namespace, key: str | None) -> None:
    seen = Seen()
    server = Server(Counted(given, key, lambda: max(seen.answering - 1, 0)), seen)
    stopping = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopping.set)
    try:
        await server.start(given.port, given.host or "0.0.0.0")  # noqa: S104 - vLLM's own default
    except OSError as error:
        sys.stderr.write(f"OSError: [Errno {error.errno}] Address already in use\n")
        sys.exit(1)
    _say("Application startup complete.")
    await stopping.wait()
    await server.stop()


def main() -> None:
    """Until SIGTERM."""
    given = read(sys.argv[1:])
    folder = Path(given.model_tag)
    config = msgspec.json.decode((folder / "config.json").read_bytes(), type=Config)
    key = os.environ.get("VLLM_API_KEY") or (given.api_key or [None])[0]  # noqa: TID251 - as vLLM
    _say(f"vLLM API server version {VERSION} (a stand-in)")
    with subprocess.Popen((sys.executable, "-c", _SLEEPS), stdin=subprocess.DEVNULL) as core:  # noqa: S603 - our own
        try:
            _load(folder, config)
            asyncio.run(_serve(given, key))
        finally:
            core.kill()


if __name__ == "__main__":
    main()
