"""A cache in memory, with the rules of the real ones."""


class MemoryCache:
    """Implements `ports.cache.Cache`, with room for `size` bytes of answers."""

    def __init__(self, size: int = 2**28) -> None:
        self.size = size
        self.kept: dict[bytes, tuple[bytes, int]] = {}

    async def find(self, key: bytes, now: int) -> bytes | None:
        """What was kept under this key and has not expired."""
        data, expires = self.kept.get(key, (b"", 0))
        return data if expires > now else None

    def keep(self, key: bytes, data: bytes, expires: int) -> None:
        """Takes it; the oldest make room."""
        self.kept.pop(key, None)
        self.kept[key] = (data, expires)
        while sum(len(data) for data, _ in self.kept.values()) > self.size:
            del self.kept[next(iter(self.kept))]

    async def forget(self, now: int) -> None:
        """Removes what has expired."""
        self.kept = {key: kept for key, kept in self.kept.items() if kept[1] > now}
