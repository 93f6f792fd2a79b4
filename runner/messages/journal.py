"""What a conversation has seen and what of it the control plane acknowledged, kept on disk.

One append-only file of JSON lines, rewritten when it has grown. A line reaches the operating system at once, so
that a killed process forgets nothing; ``fsync`` happens on rewriting only, because what a dying machine loses is
still in WhatsApp's own database and is handed in again.

Beside it, while a session lives or something waits, stands under whose name it may be handed in (leftovers.py).
"""

import json
import logging
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TextIO

from pydantic import ValidationError

from runner.log_events import LogEvent
from runner.logs import log
from wire import Message, MessageKind

#: Messages may reach us this much later than others with a higher time; they are looked for again.
OVERLAP_S = 600
#: Beyond this the page is not asked for more: its own database keeps what we have no room for.
WAITING_AT_MOST = 1_000
#: The file is rewritten after so many new lines or characters.
LINES_AT_MOST = 4_000
BYTES_AT_MOST = 4_000_000


#: The file beside the journal; its token is as secret as the login in the profile.
OWNER_FILE = "keeper.json"


@dataclass(frozen=True, slots=True)
class JournalOwner:
    """Who noted the messages, and at which epoch: the control plane takes them from nobody else."""

    epoch: int
    token: str = field(repr=False)


class Journal:
    """Waiting messages in the order they were seen, and per chat up to when all were acknowledged."""

    def __init__(self, path: Path, keeper: JournalOwner | None = None) -> None:
        self._path = path
        self._keeper = keeper
        self._file: TextIO | None = None
        #: How many messages were seen, in and out: a sign of life.
        self.seen_count = 0
        #: How often the disk took nothing: what a browser wrote there meanwhile is as doubtful.
        self.write_errors = 0
        self._lines = self._bytes = 0
        #: The last attempt to write failed; the next one writes the whole.
        self._broken = False
        #: Nothing before this second is ever looked at; ``None`` until the first linking.
        self.floor_s: int | None = None
        #: By key, in the order of seeing.
        self.waiting: dict[str, Message] = {}
        self._up_to: dict[str, int] = {}
        #: Acknowledged as ciphertext, by chat and id; in memory only, a new page shows them again.
        self._undecrypted: dict[tuple[str, str], int] = {}
        self._acknowledged: dict[str, tuple[str, int]] = {}

    def open(self) -> None:
        """Read what an earlier process left; torn and unreadable lines are skipped."""
        if self._path.exists():
            with self._path.open(encoding="utf-8", errors="replace") as lines:
                for line in lines:
                    self._replay(line)
        with self._at_worst_in_memory():
            self._rewrite()

    def close(self) -> None:
        """If nothing waits, nobody needs the token any more."""
        self._close_file()
        self._broken = False
        if not self.waiting:
            try:
                self.disown()
            except OSError as trouble:  # a token that stays is no reason for a session to fail
                log(LogEvent.JOURNAL_OWNER_NOT_DELETED, level=logging.WARNING, error=trouble)

    def disown(self) -> None:
        """Nobody can hand in what waits here but the next session of this tenant, if it comes here."""
        self._path.with_name(OWNER_FILE).unlink(missing_ok=True)

    def begin_at(self, second: int) -> None:
        """Raise the floor: everything before is history or done."""
        if self.floor_s is None or second > self.floor_s:
            self.floor_s = second
            self._append({"floor": second})

    def since(self) -> dict[str, int]:
        """Per chat, the second from which messages are looked for; other chats begin at the floor."""
        floor = self.floor_s or 0
        return {chat: up_to - OVERLAP_S for chat, up_to in self._up_to.items() if up_to - OVERLAP_S > floor}

    def knows(self, key: str) -> bool:
        """Whether the message waits already or was acknowledged."""
        return key in self.waiting or key in self._acknowledged

    def room(self) -> int:
        """How many more messages may wait."""
        return max(0, WAITING_AT_MOST - len(self.waiting))

    def see(self, key: str, message: Message) -> None:
        """Keep a message until it is acknowledged."""
        self.waiting[key] = message
        self.seen_count += 1
        self._append({"seen": key, "message": message.model_dump(mode="json")})

    def acknowledge(self, key: str) -> None:
        """The control plane has the message."""
        message = self.waiting.get(key)
        if message is not None:
            second = message.sent_at_ms // 1000
            unreadable = message.kind is MessageKind.CIPHERTEXT
            self._settle(key, message.chat, second, message.id, unreadable)
            self._append({"acknowledged": key, "chat": message.chat, "second": second})

    def caught_up_to_s(self, now_s: int, lag_s: int, decrypted_within_s: int) -> int | None:
        """The second before which everything was acknowledged, if a whole sweep found no more; never later than
        ``now_s - lag_s``, nor than a message that is still to be decrypted."""
        if self.floor_s is None:
            return None
        latest = min(now_s - lag_s, max(self._up_to.values(), default=0))
        unreadable = [at for at in self._undecrypted.values() if now_s - at < decrypted_within_s]
        return max(self.floor_s, min([latest, *unreadable]))

    def _settle(self, key: str, chat: str, second: int, message: str, unreadable: bool) -> None:
        self.waiting.pop(key, None)
        self._acknowledged[key] = (chat, second)
        self._up_to[chat] = max(second, self._up_to.get(chat, 0))
        if unreadable:
            self._undecrypted[chat, message] = second
        else:
            self._undecrypted.pop((chat, message), None)

    def _replay(self, line: str) -> None:
        try:
            entry = json.loads(line)
            if "floor" in entry:
                self.floor_s = max(int(entry["floor"]), self.floor_s or 0)
            elif "seen" in entry:
                self.waiting[str(entry["seen"])] = Message.model_validate(entry["message"])
            elif "acknowledged" in entry:
                self._settle(str(entry["acknowledged"]), str(entry["chat"]), int(entry["second"]), "", False)
        except (ValueError, ValidationError, KeyError, TypeError):
            return

    def _append(self, entry: dict[str, Any]) -> None:
        if self._file is None and not self._broken:
            return
        text = json.dumps(entry) + "\n"
        with self._at_worst_in_memory():
            if self._file is None:
                self._rewrite()
            else:
                self._file.write(text)
                self._file.flush()
                self._lines += 1
                self._bytes += len(text)
                if self._lines > LINES_AT_MOST or self._bytes > BYTES_AT_MOST:
                    self._rewrite()

    @contextmanager
    def _at_worst_in_memory(self) -> Iterator[None]:
        """On a disk that cannot be written the journal goes on in memory: what it holds is handed in all the same."""
        try:
            yield
            self._broken = False
        except OSError as trouble:
            self.write_errors += 1
            if not self._broken:
                log(LogEvent.JOURNAL_WRITE_FAILED, level=logging.WARNING, error=trouble)
            self._close_file()
            self._broken = True

    def _rewrite(self) -> None:
        """Keep what still matters: the floor, what waits, and what the overlap could show again."""
        since, floor = self.since(), self.floor_s or 0
        self._acknowledged = {
            key: (chat, second)
            for key, (chat, second) in self._acknowledged.items()
            if second >= since.get(chat, floor)
        }
        self._up_to = {chat: up_to for chat, up_to in self._up_to.items() if up_to >= floor}
        entries: list[dict[str, Any]] = []
        if self.floor_s is not None:
            entries.append({"floor": self.floor_s})
        for key, (chat, second) in self._acknowledged.items():
            entries.append({"acknowledged": key, "chat": chat, "second": second})
        for key, message in self.waiting.items():
            entries.append({"seen": key, "message": message.model_dump(mode="json")})
        self._close_file()
        self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        _write(self._path, entries)
        if self._keeper is not None:
            _write(self._path.with_name(OWNER_FILE), [{"epoch": self._keeper.epoch, "token": self._keeper.token}])
        self._file = self._path.open("a", encoding="utf-8")
        # Counted from here: a journal that is big for good must not be rewritten with each line.
        self._lines = self._bytes = 0

    def _close_file(self) -> None:
        if self._file is not None:
            with suppress(OSError):  # a full disk
                self._file.close()
            self._file = None


def owner_of(journal: Path) -> JournalOwner | None:
    """Who may hand in what waits there; None if nobody can. OSError if that cannot be read just now."""
    try:
        told = json.loads(journal.with_name(OWNER_FILE).read_text(encoding="utf-8"))
        return JournalOwner(int(told["epoch"]), str(told["token"]))
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return None


def _write(path: Path, entries: Iterable[dict[str, Any]]) -> None:
    """All of it or nothing, for nobody else to read."""
    new = path.with_suffix(".new")
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.writelines(json.dumps(entry) + "\n" for entry in entries)
        file.flush()
        os.fsync(file.fileno())
    new.replace(path)
