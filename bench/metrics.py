"""Reads a gateway's own counts from its `/metrics`, to hold them against what the callers counted."""

from bench.lab import Endpoint, get


def scraped(endpoint: Endpoint) -> dict[str, float]:
    """Each metric's sum over its labels."""
    return parse(get(endpoint, "/metrics").decode())


def parse(text: str) -> dict[str, float]:
    """Prometheus' text form, labels summed away."""
    sums: dict[str, float] = {}
    for line in text.splitlines():
        if line and not line.startswith("#"):
            name, _, rest = line.partition("{") if "{" in line else line.partition(" ")
            value = (rest.rpartition("}")[2] if "{" in line else rest).split()[0]
            sums[name] = sums.get(name, 0.0) + float(value)
    return sums
