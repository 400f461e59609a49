"""
What was found, noted beside what was fetched: a model that is here needs nobody to be asked again.

A deployment comes back after a restart without a network, and as the same files: a source that has changed meanwhile is
looked at anew when it is deployed after its files were removed, or under another revision. Everything here blocks.
"""

import hashlib
import os
from pathlib import Path

import msgspec

from foz.canon.deployment import Form, Wish
from foz.ports.weights import Found

FOLDER = ".found"
_MOST = 4 * 2**20
_MOST_NOTES = 1000


class Notes:
    """In a folder of their own."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder / FOLDER

    def read(self, wish: Wish, form: Form) -> Found | None:
        """What was found for such a wish."""
        try:
            with self._path(wish, form).open("rb") as opened:
                return msgspec.json.decode(opened.read(_MOST), type=Found)
        except (OSError, msgspec.DecodeError, UnicodeDecodeError):
            return None

    def write(self, wish: Wish, form: Form, found: Found) -> None:
        """Notes it; of too many the oldest go."""
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        path = self._path(wish, form)
        fresh = path.with_suffix(f".{os.urandom(8).hex()}")
        fresh.write_bytes(msgspec.json.encode(found))
        fresh.replace(path)
        notes = sorted(self._folder.glob("*.json"), key=lambda note: note.stat().st_mtime, reverse=True)
        for note in notes[_MOST_NOTES:]:
            note.unlink(missing_ok=True)

    def _path(self, wish: Wish, form: Form) -> Path:
        said = f"{wish.source}\n{wish.quantization or ''}" + ("" if form is Form.GGUF else f"\n{form}")
        name = hashlib.sha256(said.encode()).hexdigest()
        return self._folder / f"{name[:32]}.json"
