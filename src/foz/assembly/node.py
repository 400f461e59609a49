"""What a node of a cluster runs models with, bound together there: its own settings, its own files, its own engines."""

import asyncio
import threading
from pathlib import Path

from foz.assembly.engines import gpus, ours, way_to
from foz.assembly.shelf import outside, shelf
from foz.cluster.keeper import Made
from foz.config.load import default_data, load, process_environment
from foz.net.clock import SystemClock
from foz.net.watch import TickingWatch
from foz.ports.sites import Site
from foz.runtime.machine import ThisMachine


def made(host: str) -> Made:
    """In the running loop, on the thread that will start the engines; they listen at this address."""
    seen = process_environment()
    settings = load(seen, Path(seen.get("FOZ_DATA") or default_data(seen)))
    watch, clock = TickingWatch(asyncio.get_running_loop()), SystemClock()
    reach = outside(settings, watch)
    engines = ours(settings, way_to(watch), clock, host, threading.current_thread())
    site = Site(shelf(settings, reach, clock), {one.name: one for one in engines}, ThisMachine(), gpus())
    return Made(site, reach.close)
