"""
The fake hub of models: `python -m foz.testing.hub --folder FOLDER --port 0 --pace 0.01`.

It prints `listening on http://127.0.0.1:PORT` and serves until SIGTERM.
"""

import argparse
import asyncio
import signal
import sys
from pathlib import Path

from foz.testing.hub.routes import FakeHub


async def serve(folder: Path, port: int, pace: float) -> None:
    """Serves until SIGTERM or SIGINT."""
    hub = FakeHub(folder, pace)
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    sys.stdout.write(f"listening on http://127.0.0.1:{await hub.start(port)}\n")
    sys.stdout.flush()
    await stopping.wait()
    await hub.stop()


def main() -> None:
    """Reads what is wanted."""
    parser = argparse.ArgumentParser("foz.testing.hub", description="A fake hub of models.")
    parser.add_argument("--folder", type=Path, required=True, help="what it has: see foz.testing.hub.routes")
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    parser.add_argument("--pace", type=float, default=0.0, help="seconds between two pieces of 64 KiB")
    parser.add_argument("--log", type=Path, help="taken, as every fake's; what was asked is told at /_asked")
    given = parser.parse_args()
    asyncio.run(serve(given.folder, given.port, given.pace))


if __name__ == "__main__":
    main()
