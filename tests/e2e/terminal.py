"""A program in a real terminal, as a person has it: what they type, the keys they press, and what they see."""

import os
import pty
import re
import select
import subprocess
import termios
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

INTERRUPT, END, ENTER = "\x03", "\x04", "\r"
_WITHIN = 20.0
_TAKES = 'exec "$@" <"$0" >"$0" 2>&1'
"""A shell that leads a session takes the terminal that it opens; then it becomes the program."""


class Terminal:
    """Leaving the `with` ends the program, should it still run."""

    def __init__(self, arguments: Sequence[str], folder: Path, environment: Mapping[str, str]) -> None:
        self._ours, theirs = pty.openpty()
        termios.tcsetwinsize(self._ours, (40, 200))
        name = os.ttyname(theirs)
        self._program = subprocess.Popen(
            ("sh", "-c", _TAKES, name, *arguments),
            cwd=folder, env={**environment, "TERM": "xterm"}, stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
        )  # fmt: skip
        self._theirs = theirs
        self._seen = b""
        self._from = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, raised: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._program.poll() is None:
            self._program.kill()
        self._program.wait(_WITHIN)
        os.close(self._ours)
        os.close(self._theirs)
        if raised is not None:
            raised.add_note(f"seen in the terminal: {self._seen!r}")

    def type(self, words: str, key: str = ENTER) -> None:
        """Types this and presses a key."""
        os.write(self._ours, (words + key).encode())

    def press(self, key: str) -> None:
        """Presses a key."""
        os.write(self._ours, key.encode())

    def see(self, pattern: str) -> str:
        """What is seen from where we last looked, up to and with this pattern. Raises AssertionError."""
        end = time.monotonic() + _WITHIN
        while True:
            found = re.compile(pattern, re.DOTALL).search(self._seen.decode("utf-8", "replace"), self._from)
            if found is not None:
                before, self._from = self._from, found.end()
                return self._seen.decode("utf-8", "replace")[before : self._from]
            ready, _, _ = select.select([self._ours], [], [], max(end - time.monotonic(), 0.0))
            if not ready:
                raise AssertionError(f"{pattern!r} was not seen within {_WITHIN:g} s")
            self._seen += os.read(self._ours, 65536)

    def ended(self) -> int:
        """The exit status, once it ends by itself."""
        return self._program.wait(_WITHIN)
