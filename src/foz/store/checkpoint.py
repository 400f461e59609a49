"""
Moving what was committed from the WAL into the database, away from the commits.

A thread with a connection of its own checkpoints PASSIVE, which waits for nobody and makes nobody wait,
once a second while there is much to move and at least every ten seconds while there is anything.
Under unbroken writing a passive checkpoint never empties the WAL; when it has grown past its cap,
the writer itself starts it again between two commits, right after a passive one, when little is left to move.
A reader that stays long can still hold the WAL back; then the next round tries again.
"""

import logging
import threading
from functools import partial

import apsw

from foz.store.database import PATIENCE, be_patient
from foz.store.writer import Writer

EVERY_SECONDS = 1.0
_CALM_ROUNDS = 10
_MUCH = 1_000
CAP_FRAMES = 32_768
"""Pages in the WAL (4 KiB each, 128 MiB in all) after which it is started again."""
_WAIT_SECONDS = 0.02

logger = logging.getLogger(__name__)


class Checkpointer:
    """The thread. Owns the connection."""

    def __init__(
        self,
        connection: apsw.Connection,
        writer: Writer,
        cap_frames: int = CAP_FRAMES,
        every_seconds: float = EVERY_SECONDS,
        patience: float = PATIENCE,
    ) -> None:
        self._patience = patience
        """Of the writer's connection, beside checkpoints."""
        self._connection = connection
        self._writer = writer
        self._cap = cap_frames
        self._every = every_seconds
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="foz-checkpoint", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Ends the thread and closes the connection. Waits for a checkpoint under way."""
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        moved, rounds = 0, 0
        try:
            while not self._stop.wait(self._every):
                rounds += 1
                waiting = self._writer.written - moved
                if waiting >= _MUCH or (waiting and rounds >= _CALM_ROUNDS):
                    moved, rounds = self._writer.written, 0
                    self._round()
        finally:
            self._connection.close()

    def _round(self) -> None:
        try:
            frames, _ = self._connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)
        except apsw.BusyError:
            return  # another process is at it
        except apsw.Error as error:
            logger.warning("The WAL cannot be moved into the database now; it grows until it can: %s", error)
            return
        if frames > self._cap:
            self._writer.between_commits(partial(restart, patience=self._patience))


def restart(connection: apsw.Connection, patience: float = PATIENCE) -> None:
    """Moves the rest and has the next commit begin the WAL anew, unless a reader or another process is in the way."""
    be_patient(connection, _WAIT_SECONDS)
    try:
        connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_RESTART)
    except apsw.BusyError:
        return  # the next round tries again
    finally:
        be_patient(connection, patience)
