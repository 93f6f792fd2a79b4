"""Flushes what SQLite has written to the disk before it is acknowledged; waiting writers share one flush."""

import asyncio
import os
from pathlib import Path


class Flusher:
    """fdatasync(2) of SQLite's write-ahead log.

    dynoxide does not promise when it flushes. 1.2.1 was seen to call fsync(2) once for each commit (strace: 214 calls
    for 200 puts); with SQLite's synchronous=NORMAL it would leave a commit to the operating system, and a power cut
    would lose it. A flush of the log's file by any process puts what was written there on the disk.
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
