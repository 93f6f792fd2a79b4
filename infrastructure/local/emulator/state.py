"""The state of MiniStack's services on disk, written through: a change is there before it is acknowledged.

Each service has one file, which holds all of its state as it was at one instant. Changes that wait while a file is
written share the next one. The queue alone is written only when MiniStack stops, and its file is removed once it was
read: what a queue loses is found again by the reconciler (``chalice_app/chalicelib/reconcilers/``).

NOT guaranteed: that the files of two services are of one instant.
"""

import asyncio
import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Protocol

from infrastructure.local import durable_file
from infrastructure.local.emulator.calls import Service

#: How MiniStack names the states of a service.
STATES = {
    Service.KMS: ("kms",),
    Service.COGNITO: ("cognito",),
    Service.SSM: ("ssm",),
    Service.SES: ("ses", "ses_v2"),
    Service.ECS: ("ecs",),
    Service.S3: ("s3",),
    Service.SQS: ("sqs",),
}
ALL_STATES = tuple(state for states in STATES.values() for state in states)
#: The states that are not written through.
AT_STOP = frozenset(STATES[Service.SQS])
#: A service's own threads may change its state while it is copied; so often the copy is made again.
MAX_COPIES = 50

_FORMAT = "__ministack_format__"


class StateUnreadable(Exception):
    """A file of the state does not hold what was written; the sentence has the operator's next step."""


class Emulator(Protocol):
    """MiniStack's services, by the names of their states."""

    def dump(self, state: str) -> bytes | None:
        """Returns a copy of the state in MiniStack's own format; None if there is none."""

    def load(self, state: str, content: bytes) -> None:
        """Replaces the state. Raises any exception if it cannot be loaded."""


class State:
    """The files of all services.

    Args:
        directory: of the files; other files in it are nobody's.
        emulator: the services.
        write: writes a file so that it survives a power cut.
    """

    def __init__(
        self, directory: Path, emulator: Emulator, write: Callable[[Path, bytes], None] = durable_file.write
    ) -> None:
        self._directory = directory
        self._emulator = emulator
        self._write = write
        self._written: dict[str, bytes] = {}
        #: by state: the changes so far, and how many of them are on the disk
        self._changes: dict[str, int] = {}
        self._saved: dict[str, int] = {}
        self._locks: dict[str, asyncio.Lock] = {}

    # -- at the start -------------------------------------------------------------------------------------------

    def load(self) -> None:
        """Loads every file; forgets the queue's. Raises :class:`StateUnreadable` and leaves all files as they are."""
        durable_file.make_directory(self._directory)
        paths = (self._path(state) for state in ALL_STATES)
        contents = {path.stem: path.read_bytes() for path in paths if path.exists()}
        for state, content in contents.items():
            self.check(self._path(state), content)
        for state, content in contents.items():
            try:
                self._emulator.load(state, content)
            except Exception as error:
                raise StateUnreadable(_damaged(self._path(state), repr(error))) from error
            if state not in AT_STOP:
                self._written[state] = content
        for state in AT_STOP:
            durable_file.remove(self._path(state))

    @staticmethod
    def check(path: Path, content: bytes) -> None:
        """Raises :class:`StateUnreadable` unless this is a whole state."""
        try:
            parsed = json.loads(content)
        except ValueError as error:
            raise StateUnreadable(_damaged(path, str(error))) from error
        whole = isinstance(parsed, dict) and isinstance(parsed.get(_FORMAT), int)
        if not whole or not isinstance(parsed.get("payload"), dict):
            raise StateUnreadable(_damaged(path, "it parses, but it is no state of MiniStack"))

    # -- while it serves ----------------------------------------------------------------------------------------

    def note_change(self, service: Service) -> None:
        """Notes that the service may have changed since it was saved."""
        for state in self._through(service):
            self._changes[state] = self._changes.get(state, 0) + 1

    def is_behind(self, service: Service) -> bool:
        """Returns whether something that was noted is not on the disk yet."""
        return any(self._changes.get(state, 0) > self._saved.get(state, 0) for state in self._through(service))

    async def save(self, service: Service) -> None:
        """Returns once all that was noted until now is on the disk. Raises ``OSError`` if it cannot be written."""
        for state in self._through(service):
            # A caller that goes away must not leave a file half written for the next one.
            await asyncio.shield(asyncio.ensure_future(self._save(state, self._changes.get(state, 0))))

    async def _save(self, state: str, change: int) -> None:
        async with self._locks.setdefault(state, asyncio.Lock()):
            if self._saved.get(state, 0) >= change:
                return
            # The copy is of this instant of the event loop: it holds each change that was noted until now.
            upto, content = self._changes[state], self._copy(state)
            if content is not None and content != self._written.pop(state, None):
                await asyncio.to_thread(self._write, self._path(state), content)
            if content is not None:
                self._written[state] = content
            self._saved[state] = upto

    def save_all(self) -> None:
        """Writes every state, the queue's too, whether it changed or not; nothing may change meanwhile."""
        for state in ALL_STATES:
            if (content := self._copy(state)) is not None:
                self._write(self._path(state), content)
                self._written[state] = content

    def _through(self, service: Service) -> Iterable[str]:
        states = STATES.get(service, ALL_STATES)
        return [state for state in states if state not in AT_STOP]

    def _copy(self, state: str) -> bytes | None:
        for _ in range(MAX_COPIES):
            try:
                return self._emulator.dump(state)
            except RuntimeError:  # "dictionary changed size during iteration"
                continue
        return self._emulator.dump(state)

    def _path(self, state: str) -> Path:
        return self._directory / f"{state}.json"


class MiniStack:
    """The services of MiniStack in this process."""

    def dump(self, state: str) -> bytes | None:
        """Returns a copy of the state in MiniStack's own format; None if there is none."""
        from ministack import app
        from ministack.core import persistence

        get_state = app._build_persistence_save_dict().get(state)
        payload = get_state() if get_state is not None else None
        if payload is None:
            return None
        wrapped = {_FORMAT: persistence._state_format_version(state), "payload": payload}
        return json.dumps(wrapped, default=persistence._json_default).encode()

    def load(self, state: str, content: bytes) -> None:
        """Replaces the state; unlike MiniStack's own load, it raises if that does not work."""
        from ministack import app
        from ministack.core import persistence

        parsed = json.loads(content, object_hook=persistence._json_object_hook)
        if parsed[_FORMAT] > persistence._state_format_version(state):
            raise ValueError("a later version of MiniStack wrote it")
        app._get_module(app._state_map[state]).load_persisted_state(parsed["payload"])


def _damaged(path: Path, reason: str) -> str:
    return (
        f"{path} is damaged ({reason}). Nothing was changed. Restore a backup into another directory: "
        "`make restore FROM=… KEY=… DATA=…`."
    )
