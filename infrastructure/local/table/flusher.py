"""Flushes what SQLite has written to the disk before it is acknowledged; waiting writers share one flush."""

import asyncio
import os
from pathlib import Path


class Flusher:
    """fdatasync(2) of SQLite's write-ahead log.

    dynoxide commits with synchronous=NORMAL: SQLite writes each commit into the log and leaves it to the operating
    system, so that a crash of the process loses nothing, but a power cut loses what was not on the disk yet. A flush
    of the log's file by any process puts it there; SQLite itself flushes when it moves the log into the database.
    """

    def __init__(self, log: Path) -> None:
        self._log = log
        self._file: int | None = None
        self._flushing = asyncio.Lock()
        #: flushes that have begun
        self.begun = 0
        self._newest_ended = 0

    async def flush(self) -> None:
        """Returns when a flush that began after this call has ended well. Raises OSError.

        After an error nothing is certain: the kernel may count what it could not write as written (fsync(2)).
        """
        before = self.begun
        async with self._flushing:
            if self._newest_ended > before:
                return  # it began while this call waited
            self.begun += 1
            number = self.begun
            if self._file is None:
                self._file = os.open(self._log, os.O_RDONLY)
            await asyncio.to_thread(os.fdatasync, self._file)
            self._newest_ended = number

    def close(self) -> None:
        """Closes the file."""
        if self._file is not None:
            os.close(self._file)
            self._file = None
