"""Room on the disk: the start needs some, and the operator hears it when the disk of a running stack gets full.

A full disk loses nothing: SQLite undoes the write, the engine answers 500, the application refuses the request, and
its sender keeps what it wanted to hand in until it succeeds.
"""

import shutil
import threading
from collections.abc import Callable
from pathlib import Path

from infrastructure.local.settings import CannotStart

#: Below this nothing starts: logs, the table's own log, and the browsers' profiles grow with the first message.
ROOM_TO_START_BYTES = 256 << 20
#: Below this much the next writes may be refused; a little apart from the limit for starting, so that both are said.
ROOM_TO_STORE_BYTES = 128 << 20
#: The interval at which a running stack looks.
LOOK_EVERY_SECONDS = 30.0
#: The wait for the thread's end.
STOP_TIMEOUT_SECONDS = 5.0

#: The consequence, for the operator.
FULL_DISK = (
    "once the disk is full nothing new is stored, so no message is answered; nothing stored is lost, and waiting"
    " messages are answered when there is room again"
)


def free_bytes(directory: Path) -> int:
    """Returns the free bytes of the disk under a directory that may not exist yet."""
    existing = next((each for each in (directory, *directory.parents) if each.exists()), Path("/"))
    return shutil.disk_usage(existing).free


def check_room(directory: Path, free: Callable[[Path], int] = free_bytes) -> None:
    """Raises CannotStart if the disk is nearly full."""
    room = free(directory)
    if room < ROOM_TO_START_BYTES:
        raise CannotStart(
            f"Only {room >> 20} MiB are free for {directory}, and {ROOM_TO_START_BYTES >> 20} are needed: make room,"
            " then start again. Nothing was lost."
        )


class RoomWatch:
    """A thread that tells the operator when the disk of a running stack is nearly full, and when it has room again."""

    def __init__(
        self, directory: Path, report: Callable[[str], None] = print, free: Callable[[Path], int] = free_bytes
    ) -> None:
        self._directory = directory
        self._report = report
        self._free = free
        self._short = False
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="room", daemon=True)

    def start(self) -> None:
        """Starts the thread."""
        self._thread.start()

    def stop(self) -> None:
        """Stops the thread."""
        self._stopped.set()
        self._thread.join(STOP_TIMEOUT_SECONDS)

    def look(self) -> None:
        """Looks once, and reports a change."""
        room = self._free(self._directory)
        # Twice the room ends the warning, so that it does not come and go with each write.
        short = room < (2 * ROOM_TO_STORE_BYTES if self._short else ROOM_TO_STORE_BYTES)
        if short != self._short:
            self._short = short
            self._report(
                f"only {room >> 20} MiB are free for {self._directory}: make room; {FULL_DISK}"
                if short
                else f"{room >> 20} MiB are free for {self._directory} again: messages are stored and answered"
            )

    def _run(self) -> None:
        while not self._stopped.wait(LOOK_EVERY_SECONDS):
            self.look()
