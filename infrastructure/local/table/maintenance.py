"""Maintenance of a running table: expired items are deleted, and the operator hears it when its disk gets full."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from infrastructure.local.table.expiry import Expiry
from infrastructure.local.table.room import RoomWatch


class Maintenance:
    """The threads that do it."""

    def __init__(self, client: Any, table: str, data: Path, report: Callable[[str], None]) -> None:
        """``client`` is a boto3 DynamoDB client, ``data`` the directory whose disk is watched."""
        self._threads = (Expiry(client, table, report), RoomWatch(data, report))

    def start(self) -> None:
        """Starts the threads."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Stops the threads."""
        for thread in self._threads:
            thread.stop()
