"""
Ray's own program, `ray start`, as `foz node` runs it: it ends with whoever started it, and, with `--here` before all
else, joins a cluster that nobody but this machine reaches, which is for trying out and for tests. (Ray takes a cluster
on 127.0.0.1 to be of one node, and any other to be reached from elsewhere.) A first node would also serve programs that
are of no node, on a port of its own; there are none.
"""

import ctypes
import os
import signal
import sys
from typing import Any

from ray._private import services
from ray.scripts import scripts

from foz.cluster.starting import HERE, ONLY_HERE

_PR_SET_PDEATHSIG = 1


def _loopback(_: str | None = None) -> str:
    return "127.0.0.1"


def _unwanted() -> ImportError:
    return ImportError("Foz has no use for it")


def main() -> None:
    """As `ray` with these arguments."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    ray: Any = scripts
    ray.get_ray_client_dependency_error = _unwanted
    if sys.argv[1:2] == [HERE]:
        del sys.argv[1]
        os.environ[ONLY_HERE] = "0"  # noqa: TID251 - for what it starts; for itself it has been looked at already
        services.get_node_ip_address = _loopback
    sys.exit(ray.main())


if __name__ == "__main__":
    main()
