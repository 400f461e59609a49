"""
Oracle's API behind a real socket: `python -m foz.testing.oracle.server --key-id ID --public-key FILE --model A=B`.

It prints `listening on http://127.0.0.1:PORT` and serves until SIGTERM.
"""

import argparse
import asyncio
import signal
import sys
import time
from collections.abc import Mapping
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from foz.testing.clock import LoopClock
from foz.testing.oracle.upstream import OracleUpstream
from foz.testing.oracle.verify import why_not
from foz.testing.seen import Seen
from foz.testing.server import Server


def _utc() -> float:
    return time.time()  # noqa: TID251 - a real server's clock, which signatures are held against


async def serve(port: int, keys: Mapping[str, RSAPublicKey], models: Mapping[str, str], log: Path | None) -> None:
    """Serves until SIGTERM or SIGINT."""
    server = Server(OracleUpstream(LoopClock(), lambda call: why_not(call, keys, _utc()), models), Seen(log))
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    found = await server.start(port)
    sys.stdout.write(f"listening on http://127.0.0.1:{found}\n")
    sys.stdout.flush()
    await stopping.wait()
    await server.stop()


def main() -> None:
    """Reads the arguments and serves."""
    parser = argparse.ArgumentParser(prog="python -m foz.testing.oracle.server", description="Oracle's API, simulated.")
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    parser.add_argument("--key-id", action="append", required=True, help="who may sign")
    parser.add_argument("--public-key", type=Path, required=True, help="the public key of all of them, PEM")
    parser.add_argument("--model", action="append", default=[], help="OCID=NAME: the vendor's name of a model")
    parser.add_argument("--log", type=Path, help="a line for each request, written before it is answered")
    given = parser.parse_args()
    key = load_pem_public_key(given.public_key.read_bytes())
    if not isinstance(key, RSAPublicKey):
        parser.error("--public-key: expected an RSA key")
    models = dict(pair.split("=", 1) for pair in given.model)
    with asyncio.Runner() as runner:
        runner.run(serve(given.port, dict.fromkeys(given.key_id, key), models, given.log))


if __name__ == "__main__":
    main()
