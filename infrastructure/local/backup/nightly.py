"""The nightly backup of a running stack: a thread that starts it, and lets the operators know when it fails."""

import os
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, time
from pathlib import Path
from typing import Any, Final, Protocol

from infrastructure.local.backup.deletions import Ledger
from infrastructure.local.backup.job import installation_of
from infrastructure.local.backup.key import key_problem
from infrastructure.local.backup.manifest import in_words
from infrastructure.local.backup.places import is_on_disk_of, parse_address
from infrastructure.local.backup.schedule import FAILURES_UNTIL_MAIL, FIRST_RETRY, is_due, parse_time
from infrastructure.local.backup.status import Status, read_status, write_status
from infrastructure.local.credentials import with_credentials
from infrastructure.local.environment import current_commit, plain_environment
from infrastructure.local.processes import Child
from infrastructure.local.service.installed import commands_of
from infrastructure.local.settings import Settings

CHECK_EVERY_SECONDS: Final = 30.0
#: A backup that takes longer hangs.
TIMEOUT_SECONDS: Final = 6 * 3600
STOP_GRACE_SECONDS: Final = 5.0
NO_PLACE: Final = (
    "There is no place for backups: `make up BACKUP_TO=…` names a folder on another machine's disk,"
    " sftp://user@host/path or s3://bucket/prefix."
)
#: Settings that the process of a backup reads.
_SETTINGS: Final[tuple[str, ...]] = (
    "BACKUP_CREDENTIALS",
    "BACKUP_KNOWN_HOSTS",
    "CREDENTIALS_DIRECTORY",
    "SSH_AUTH_SOCK",
)


class Notify(Protocol):
    """The ways in which the state of the backups leaves this thread."""

    def report(self, line: str) -> None:
        """Prints a line for the operator."""

    def publish(self, state: str) -> None:
        """Stores what the admin reads. May raise any error: it is published again."""

    def mail(self, subject: str, text: str) -> None:
        """Mails the operators. May raise any error: it is mailed later."""


def no_place(data: Path) -> str:
    """Returns the sentence for a data directory without a place for its backups, with the command for its stack."""
    return commands_of(data).said(NO_PLACE)


def missing(data: Path, place: str) -> list[str]:
    """Returns a sentence for each thing that backups lack."""
    return [*([] if place else [no_place(data)]), *filter(None, [key_problem(data)])]


@dataclass
class Nightly:
    """The backups of one stack.

    Args:
        work: takes a ``backup`` to the place, or copies the ``ledger`` there; it leaves its outcome in the status. Ends
            early once the event is set.
        now: with the machine's time zone.
    """

    data: Path
    #: the address for people; empty without one
    place: str
    at: time
    work: Callable[[str, threading.Event], None]
    notify: Notify
    now: Callable[[], datetime]

    def __post_init__(self) -> None:
        self._stopped = threading.Event()
        self._published = ""
        self._ledger_tried_at: datetime | None = None
        self._thread = threading.Thread(target=self._run, name="backups", daemon=True)

    def start(self) -> None:
        """Starts the thread. From now on the status, which the doctor reads, is of this place."""
        write_status(self.data, read_status(self.data).at(self.place))
        self._thread.start()

    def stop(self) -> None:
        """Ends the thread, and a backup that is under way: the next one removes its half."""
        self._stopped.set()
        if self._thread.is_alive():
            self._thread.join(2 * STOP_GRACE_SECONDS)

    def step(self) -> None:
        """Takes a backup if one is due, and lets the operators know."""
        lacking = missing(self.data, self.place)
        status = read_status(self.data).at(self.place)
        if not lacking and is_due(status, self.now(), self.at, installation_of(self.data)):
            self.work("backup", self._stopped)
            if self._stopped.is_set():
                return
            status = self._report(status, read_status(self.data).at(self.place))
        elif not lacking and self._is_ledger_due(status):
            self.work("ledger", self._stopped)
        self._publish(status.for_admin(" ".join(lacking), same_disk=is_on_disk_of(self.data, self.place)))

    def _is_ledger_due(self, status: Status) -> bool:
        """Returns whether there are deletions that the place does not know of yet; not again within minutes."""
        ledger = Ledger.of_data(self.data)
        if not ledger.deletions or ledger.sha256 == status.ledger_sha256:
            return False
        due = self._ledger_tried_at is None or abs(self.now() - self._ledger_tried_at) >= FIRST_RETRY
        if due:
            self._ledger_tried_at = self.now()
        return due

    def _report(self, before: Status, after: Status) -> Status:
        if after.failures <= before.failures and after.at_ms == before.at_ms:
            after = before.failed(f"The backup ended without a word: {self.data / 'logs/backup.log'}.", _ms(self.now()))
            write_status(self.data, after)
        if not after.problem:
            self.notify.report(f"backup       {after.name}, {in_words(after.size_bytes)}, is whole at {after.place}")
        elif after.problem != before.problem:
            failed = "failed and is tried again: " if after.failures else ""
            self.notify.report(f"backup       {failed}{after.problem}")
        if after.failures >= FAILURES_UNTIL_MAIL and not after.mailed and self._mail(after):
            after = replace(after, mailed=True)
            write_status(self.data, after)
        return after

    def _mail(self, status: Status) -> bool:
        newest = datetime.fromtimestamp(status.at_ms / 1000, self.now().tzinfo)
        since = f"The newest one is of {newest:%Y-%m-%d %H:%M}." if status.at_ms else "There is none yet."
        text = f"{status.problem}\n\n{since} It is tried again every hour. `make doctor` shows the state.\n"
        try:
            self.notify.mail("The backup of Answerline fails", text)
        except Exception as error:
            self.notify.report(f"backup       the operators could not be mailed: {error}")
            return False
        return True

    def _publish(self, state: str) -> None:
        if state != self._published:
            try:
                self.notify.publish(state)
            except Exception as error:
                self.notify.report(f"backup       its state could not be stored: {error}")
            else:
                self._published = state

    def _run(self) -> None:
        while True:
            try:
                self.step()
            except Exception as error:
                # A full disk, say: the doctor finds the backup late, and the thread must be there once it is not.
                self.notify.report(f"backup       {error}")
            if self._stopped.wait(CHECK_EVERY_SECONDS):
                return


def nightly_of(settings: Settings, notify: Notify) -> Nightly:
    """Returns the nightly backups of a stack; raises :class:`BackupFailed` for settings that mean nothing."""
    place = parse_address(settings.backup_to).label if settings.backup_to else ""

    def work(kind: str, stopped: threading.Event) -> None:
        given = with_credentials(os.environ)
        inherited = {name: given[name] for name in _SETTINGS if name in given}
        environment = {**plain_environment(), **inherited, "BACKUP_TO": settings.backup_to or ""}
        command = [sys.executable, "-m", "infrastructure.local.backup"]
        arguments = [kind, str(settings.data), settings.stack, current_commit()]
        child = Child("backup", [*command, *arguments], environment, settings.data / "logs" / "backup.log")
        try:
            for _ in range(TIMEOUT_SECONDS):
                if child.wait(1.0) or stopped.is_set():
                    break
        finally:
            child.stop(STOP_GRACE_SECONDS)

    now = lambda: datetime.now().astimezone()  # noqa: E731
    return Nightly(settings.data, place, parse_time(settings.backup_at), work, notify, now)


@dataclass(frozen=True)
class StackNotify:
    """Prints, stores and mails by means of the stack's own AWS."""

    client: Callable[[str], Any]
    settings: Settings
    report_line: Callable[[str], None]

    def report(self, line: str) -> None:
        self.report_line(line)

    def publish(self, state: str) -> None:
        name = f"/{self.settings.stack}/backup-state"
        self.client("ssm").put_parameter(Name=name, Type="String", Value=state, Overwrite=True)

    def mail(self, subject: str, text: str) -> None:
        from chalicelib.model.mail_address import parse_sender  # a child of the stack has not got it on its path

        self.client("sesv2").send_email(
            FromEmailAddress=parse_sender(self.settings.mail_from).header,
            Destination={
                "ToAddresses": (self.settings.notices.operators_email or self.settings.operator_email).split(",")
            },
            Content={"Simple": {"Subject": {"Data": subject}, "Body": {"Text": {"Data": text}}}},
        )


def _ms(moment: datetime) -> int:
    return round(moment.timestamp() * 1000)
