"""The journal of one session on disk (a write-ahead log): messages read from WhatsApp and replies sent there.

One file of JSON lines that are appended, rewritten when it has grown. A line reaches the operating system at once, so
that a killed process loses nothing; ``fsync`` happens on rewriting only, because the messages that a dying machine
loses are still in WhatsApp's own database and are handed in again. The line with a message's text is blanked as soon
as the message is acknowledged; its key stays for half a day, so that its edit or deletion is recognized as one.

A session only writes its journal; the outbox of the disk hands it in. While a session lives or anything waits, a file
beside it has the capability for that (journal_owner.py).
"""

import json
import logging
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, TextIO

from pydantic import ValidationError

from runner.log_events import LogEvent
from runner.logs import log
from runner.messages.journal_entries import HandedIn, SentPart, acknowledged_entry, sent_entry, waiting_entry
from runner.messages.journal_owner import JournalOwner, delete_owner, write_owner
from runner.messages.json_lines import line_of, write_lines
from wire import Message, MessageKind

#: Messages may reach the page this much later than others with a higher time; the page is read again from there.
OVERLAP_SECONDS = 600
#: Beyond this the page is not asked for more: its own database keeps the messages that have no room here.
MAX_WAITING = 1_000
#: Keys of the account's own messages begin with this. A reply may be sent before WhatsApp has delivered what came while
#: the browser was away: it says nothing about the time up to which a chat was read.
OWN_MESSAGE = "me|"
#: So long a message that was handed in may still be decrypted, edited or deleted; its key is kept.
CHANGES_WITHIN_SECONDS = 12 * 3600
#: The file is rewritten after so many new lines or characters.
MAX_LINES = 4_000
MAX_BYTES = 4_000_000


class Journal:
    """The waiting messages in the order they were read, and per chat the time up to which all were acknowledged.

    ``on_change`` is called when there is more to hand in.
    """

    def __init__(self, path: Path, owner: JournalOwner | None = None) -> None:
        self.on_change: Callable[[], None] = lambda: None
        self._path = path
        self._owner = owner
        self._file: TextIO | None = None
        #: By key of a waiting message, where its line is in the file, and its length, both in bytes.
        self._lines_of: dict[str, tuple[int, int]] = {}
        self._end = 0
        #: The number of messages read, in and out: the profile has changed if it grew.
        self.seen_count = 0
        #: The number of failed writes: the files that a browser wrote on this disk meanwhile are as suspect.
        self.write_errors = 0
        self._new_lines = self._new_bytes = 0
        #: The last attempt to write failed; the next one rewrites the whole file.
        self._broken = False
        #: The second before which no message is read; ``None`` until the first linking.
        self.floor_s: int | None = None
        #: By key, in the order of reading.
        self.waiting: dict[str, Message] = {}
        #: By message id, what is still to be reported.
        self.sent: dict[str, SentPart] = {}
        self._up_to_s: dict[str, int] = {}
        #: Acknowledged as ciphertext, by chat and id.
        self._undecrypted: dict[tuple[str, str], int] = {}
        self._acknowledged: dict[str, HandedIn] = {}

    def open(self) -> None:
        """Reads the file of an earlier process; torn and unreadable lines are skipped."""
        if self._path.exists():
            with self._path.open(encoding="utf-8", errors="replace") as lines:
                for line in lines:
                    self._replay(line)
        with self._in_memory_on_error():
            self._rewrite()

    def close(self, *, disown: bool = False) -> None:
        """Closes the file, and deletes the owner if nothing waits, or if the journal cannot be handed in any more."""
        self._close_file()
        self._broken = False
        if disown or self.is_empty():
            try:
                delete_owner(self._path)
            except OSError as error:  # a capability that stays is no reason for a session to fail
                log(LogEvent.JOURNAL_OWNER_NOT_DELETED, level=logging.WARNING, error=error)

    def is_empty(self) -> bool:
        """Returns whether the control plane has everything."""
        return not (self.waiting or self.sent)

    def is_due(self) -> bool:
        """Returns whether anything may be handed in now."""
        return bool(self.sent or (self.waiting and not self.held_back))

    def newest_ms(self) -> int:
        """Returns the time of the newest entry that waits; 0 if none does."""
        messages = (message.sent_at_ms for message in self.waiting.values())
        return max([*messages, *(part.sent_at_ms for part in self.sent.values())], default=0)

    @property
    def held_back(self) -> bool:
        """Returns whether messages must wait until the control plane knows of the link."""
        return self._owner is not None and self._owner.held_back

    def hold_back(self, held_back: bool) -> None:
        """Holds messages back, or hands them in from now on; the next process on this disk does the same."""
        if self._owner is None or self._owner.held_back == held_back:
            return
        self._owner = replace(self._owner, held_back=held_back)
        if self._file is not None:
            with self._in_memory_on_error():
                write_owner(self._path, self._owner)
        self.on_change()

    def raise_floor(self, floor_s: int) -> None:
        """Raises the floor: everything before this second is history or done."""
        if self.floor_s is None or floor_s > self.floor_s:
            self.floor_s = floor_s
            self._append({"floor": floor_s})

    def read_from_s(self) -> dict[str, int]:
        """Returns per chat the second from which the page is read; other chats begin at the floor."""
        floor = self.floor_s or 0
        starts = {chat: up_to - OVERLAP_SECONDS for chat, up_to in self._up_to_s.items()}
        return {chat: start for chat, start in starts.items() if start > floor}

    def knows(self, key: str) -> bool:
        """Returns whether the message waits already or was acknowledged (deduplicates)."""
        return key in self.waiting or key in self._acknowledged

    def handed_in(self) -> dict[str, int]:
        """Returns the seconds of the messages that may still change, by the keys under which they were read."""
        waiting = {key: message.sent_at_ms // 1000 for key, message in self.waiting.items()}
        return {key: one.second for key, one in self._acknowledged.items()} | waiting

    def free_slots(self) -> int:
        """Returns the number of messages that may still be added."""
        return max(0, MAX_WAITING - len(self.waiting))

    def add(self, key: str, message: Message) -> None:
        """Keeps a message until it is acknowledged; a deleted one takes its earlier wordings with it."""
        if message.deleted:
            same = (message.chat, message.id, message.from_me)
            for earlier in [key for key, one in self.waiting.items() if (one.chat, one.id, one.from_me) == same]:
                self.acknowledge(earlier)
        self.waiting[key] = message
        self.seen_count += 1
        self._append(waiting_entry(key, message), key)
        self.on_change()

    def acknowledge(self, key: str) -> None:
        """Records that the control plane has the message."""
        message = self.waiting.get(key)
        if message is None:
            return
        undecrypted = message.kind is MessageKind.CIPHERTEXT
        handed_in = HandedIn(message.chat, message.sent_at_ms // 1000, message.id, undecrypted)
        self._move_to_acknowledged(key, handed_in)
        self._append(acknowledged_entry(key, handed_in))
        self._blank(key)

    def add_sent(self, part: SentPart) -> None:
        """Keeps the report of a sent part until the control plane has it."""
        if part.message not in self.sent:
            self.sent[part.message] = part
            self._append(sent_entry(part))
            self.on_change()

    def mark_reported(self, part: SentPart) -> None:
        """Records that the control plane has the report."""
        self.sent.pop(part.message, None)
        self._append({"reported": part.message})

    def caught_up_to_s(self, now_s: int, lag_seconds: int, decryption_seconds: int) -> int | None:
        """Returns the second before which everything was acknowledged, if the whole page was read.

        It is never later than ``now_s - lag_seconds``, nor than a message that may still be decrypted, which takes
        ``decryption_seconds`` at most.
        """
        if self.floor_s is None:
            return None
        latest = min(now_s - lag_seconds, max(self._up_to_s.values(), default=0))
        unreadable = [at for at in self._undecrypted.values() if now_s - at < decryption_seconds]
        return max(self.floor_s, min([latest, *unreadable]))

    def _move_to_acknowledged(self, key: str, one: HandedIn) -> None:
        self.waiting.pop(key, None)
        self._acknowledged[key] = one
        if not key.startswith(OWN_MESSAGE):
            self._up_to_s[one.chat] = max(one.second, self._up_to_s.get(one.chat, 0))
        if one.undecrypted:
            self._undecrypted[one.chat, one.id] = one.second
        else:
            self._undecrypted.pop((one.chat, one.id), None)

    def _replay(self, line: str) -> None:
        try:
            entry = json.loads(line)
            if "floor" in entry:
                self.floor_s = max(int(entry["floor"]), self.floor_s or 0)
            elif "seen" in entry:
                self.waiting[str(entry["seen"])] = Message.model_validate(entry["message"])
            elif "acknowledged" in entry:
                id, undecrypted = str(entry.get("id", "")), bool(entry.get("undecrypted"))
                one = HandedIn(str(entry["chat"]), int(entry["second"]), id, undecrypted)
                self._move_to_acknowledged(str(entry["acknowledged"]), one)
            elif "sent" in entry:
                part = SentPart(**entry["sent"])
                self.sent[part.message] = part
            else:  # else it is an entry of a later release
                self.sent.pop(entry["reported"], None)
        except (ValueError, ValidationError, KeyError, TypeError):
            return

    def _append(self, entry: dict[str, Any], waiting: str = "") -> None:
        """Appends a line; ``waiting`` is the key of the message in it, if there is one."""
        if self._file is None and not self._broken:
            return
        line = line_of(entry)
        with self._in_memory_on_error():
            if self._file is None:
                self._rewrite()
                return
            self._file.write(line)
            self._file.flush()
            self._lines_of[waiting] = (self._end, len(line))
            self._end += len(line)
            self._new_lines += 1
            self._new_bytes += len(line)
            if self._new_lines > MAX_LINES or self._new_bytes > MAX_BYTES:
                self._rewrite()

    def _blank(self, key: str) -> None:
        """Overwrites the line of a message that does not wait any more: its text leaves the disk."""
        place = self._lines_of.pop(key, None)
        if place is None or self._file is None:
            return
        at, length = place
        with self._in_memory_on_error():
            descriptor = os.open(self._path, os.O_WRONLY | os.O_CLOEXEC)  # the file itself only appends
            try:
                os.pwrite(descriptor, b"{" + b" " * (length - 3) + b"}", at)  # still a line of JSON
            finally:
                os.close(descriptor)

    @contextmanager
    def _in_memory_on_error(self) -> Iterator[None]:
        """Lets the journal go on in memory if the disk cannot be written: its messages can still be handed in."""
        try:
            yield
            self._broken = False
        except OSError as error:
            self.write_errors += 1
            if not self._broken:
                log(LogEvent.JOURNAL_WRITE_FAILED, level=logging.WARNING, error=error)
            self._close_file()
            self._broken = True

    def _rewrite(self) -> None:
        """Compacts the file to the floor, the waiting messages, and the keys that the overlap could show again."""
        starts, floor = self.read_from_s(), self.floor_s or 0
        newest = max([floor, *self._up_to_s.values()])
        self._acknowledged = {
            key: one
            for key, one in self._acknowledged.items()
            if one.second >= min(starts.get(one.chat, floor), newest - CHANGES_WITHIN_SECONDS)
        }
        entries: list[dict[str, Any]] = []
        if self.floor_s is not None:
            entries.append({"floor": self.floor_s})
        entries += [acknowledged_entry(key, one) for key, one in self._acknowledged.items()]
        entries += [sent_entry(part) for part in self.sent.values()]
        self._lines_of, self._end = {}, sum(len(line_of(entry)) for entry in entries)
        for key, message in self.waiting.items():
            entry = waiting_entry(key, message)
            self._lines_of[key] = (self._end, len(line_of(entry)))
            self._end += len(line_of(entry))
            entries.append(entry)
        self._close_file()
        self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        write_lines(self._path, entries)
        if self._owner is not None:
            write_owner(self._path, self._owner)
        self._file = self._path.open("a", encoding="utf-8")
        # Counted from here: a journal that stays big must not be rewritten with each line.
        self._new_lines = self._new_bytes = 0

    def _close_file(self) -> None:
        if self._file is not None:
            with suppress(OSError):  # a full disk
                self._file.close()
            self._file = None
