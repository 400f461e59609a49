"""
A cluster of Ray's on this machine: `python ray_program.py FOLDER`, its token in the environment. It prints the
cluster's address, then a line for each order on standard input that it has followed: `add NAME`, `kill NAME`. It ends
with its standard input.

A node has its own data directory, `FOLDER/NAME`, as a machine of its own would.
"""

import os
import sys
from pathlib import Path
from typing import Any

import ray.cluster_utils

from foz.cluster.starting import LABEL

SOON = {
    "health_check_initial_delay_ms": 500,
    "health_check_period_ms": 500,
    "health_check_timeout_ms": 1000,
    "health_check_failure_threshold": 3,
}

MODEST: dict[str, Any] = {"num_cpus": 0, "include_log_monitor": False}


def main() -> None:
    out = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    folder = Path(sys.argv[1])
    cluster: Any = ray.cluster_utils.Cluster()
    cluster.add_node(include_dashboard=False, no_monitor=True, _system_config=SOON, **MODEST)
    out.write(f"{cluster.address}\n")
    nodes: dict[str, Any] = {}
    for line in sys.stdin:
        order, name = line.split()
        if order == "add":
            (folder / name).mkdir(mode=0o700, parents=True, exist_ok=True)
            os.environ.update(FOZ_DATA=str(folder / name), HOME=str(folder / name))
            nodes[name] = cluster.add_node(labels={LABEL: name}, **MODEST)
        else:
            cluster.remove_node(nodes.pop(name), allow_graceful=False)
        out.write(f"{order} {name}\n")
    cluster.shutdown()


if __name__ == "__main__":
    main()
