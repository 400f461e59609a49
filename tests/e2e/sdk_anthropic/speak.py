"""
Runs every check of this folder against one site: `python -m tests.e2e.sdk_anthropic.speak SITE [PART...]`, SITE as
JSON; without a PART all of them.

A line of JSON for each check: its name, and what was wrong, empty where nothing was. The first line is the version.
"""

import asyncio
import inspect
import json
import sys
import traceback
from collections.abc import Iterator
from typing import Any

import anthropic

from tests.e2e.sdk_anthropic import faults, messages, others, tools
from tests.e2e.sdk_anthropic.site import Site

PARTS = (messages, tools, faults, others)


def checks(wanted: list[str]) -> Iterator[tuple[str, Any]]:
    """Those of the parts that are wanted, by the names that the tests use."""
    for part in PARTS:
        named = part.__name__.rpartition(".")[2]
        for name, check in vars(part).items():
            if name.startswith("check_") and named in (wanted or {named}):
                yield f"{named}.{name}", check


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
    print(json.dumps({"version": anthropic.__version__}), flush=True)  # noqa: T201 - it reports to the test
    for name, check in checks(sys.argv[2:]):
        print(json.dumps({"check": name, "wrong": wrong(check, site)}), flush=True)  # noqa: T201 - as above


if __name__ == "__main__":
    main()
