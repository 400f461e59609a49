"""
Runs every check of this folder against one site: `python -m tests.e2e.sdk_ollama.speak SITE`, SITE as JSON.

A line of JSON for each check: its name, and what was wrong, empty where nothing was. The first line is the version.
"""

import asyncio
import inspect
import json
import sys
import traceback
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version
from typing import Any

from tests.e2e.sdk_ollama import chat, faults, others, tools
from tests.e2e.sdk_ollama.site import Site

PARTS = (faults, chat, tools, others)
AT_ONCE = 4


def checks() -> Iterator[tuple[str, Any]]:
    """All of them, by the names that the tests use."""
    for part in PARTS:
        for name, check in vars(part).items():
            if name.startswith("check_"):
                yield f"{part.__name__.rpartition('.')[2]}.{name}", check


def wrong(check: Any, site: Site) -> str:
    """What was wrong."""
    try:
        if inspect.iscoroutinefunction(check):
            asyncio.run(check(site))
        else:
            check(site)
    except Exception:  # noqa: BLE001 - whatever it is, it is told and fails that check's test
        return traceback.format_exc()
    return ""


def main() -> None:
    """The program."""
    site = Site.model_validate_json(sys.argv[1])
    print(json.dumps({"version": version("ollama")}), flush=True)  # noqa: T201 - it reports to the test
    with ThreadPoolExecutor(AT_ONCE) as pool:
        running = [(name, pool.submit(wrong, check, site)) for name, check in checks()]
        for name, result in running:
            print(json.dumps({"check": name, "wrong": result.result()}), flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
