"""The record of setting this installation up: one item, changed by conditional updates."""

from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Final

from pydantic import TypeAdapter

from chalicelib.store.records.reader import one, readable
from chalicelib.store.table import Attr, ConditionFailed, Item, Table, Update


@dataclass(frozen=True, slots=True)
class TrialMail:
    """The operator's last test mail."""

    to: str
    sent_at: int
    #: of the token in its link
    token_sha256: str = field(repr=False)
    #: when its link was opened
    arrived_at: int | None = None
    #: a sentence; empty while none is known
    error: str = ""
    #: it went no further than a page of this installation, for want of a mail server: its link proves nothing
    kept: bool = False


@dataclass(frozen=True, slots=True)
class SetupRecord:
    """The stored part of the setup: what cannot be seen at any moment."""

    #: the last public address under which an operator opened the page
    seen_address: str = ""
    mail: TrialMail | None = None
    finished_at: int | None = None
    dismissed_at: int | None = None

    @property
    def closed(self) -> bool:
        """True if signing in no longer opens the page."""
        return self.finished_at is not None or self.dismissed_at is not None


_KEY: Final = ("SETUP", "SETUP")
_mails = TypeAdapter(TrialMail)


class Setup:
    """The record of the setup.

    Args:
        table: the one table.
    """

    def __init__(self, table: Table) -> None:
        self._table = table

    def get(self) -> SetupRecord:
        """Returns the record; an empty one before anything was recorded. A part that cannot be read counts as none."""
        item = self._table.get(*_KEY) or {}
        return SetupRecord(
            seen_address=str(item.get("seen_address", "")),
            mail=one(item, _mail_from),
            finished_at=one(item, partial(_instant, "finished_at")),
            dismissed_at=one(item, partial(_instant, "dismissed_at")),
        )

    def record_address(self, address: str) -> None:
        """Records that an operator opened the page under this public address."""
        self._table.update(Update(*_KEY, set={"seen_address": address}))

    def claim_mail(self, mail: TrialMail, *, not_since: int) -> bool:
        """Records a test mail that is about to be sent. False if one was recorded after ``not_since``."""
        due = Attr("mail.sent_at").not_exists() | Attr("mail.sent_at").lte(not_since)
        return self._change(
            Update(*_KEY, set={"mail": _mails.dump_python(mail, mode="json", exclude_none=True)}, when=due)
        )

    def record_arrival(self, token_sha256: str, now: int) -> bool:
        """Records that the link of the last test mail was opened. False for the link of another one."""
        ours = Attr("mail.token_sha256").eq(token_sha256)
        return self._change(
            Update(*_KEY, set={("mail", "arrived_at"): now}, when=ours & Attr("mail.arrived_at").not_exists())
        ) or self._is_current(token_sha256)

    def record_mail_error(self, token_sha256: str, sentence: str) -> None:
        """Records why a test mail failed, unless a later one was sent or it arrived after all."""
        ours = Attr("mail.token_sha256").eq(token_sha256) & Attr("mail.arrived_at").not_exists()
        self._change(Update(*_KEY, set={("mail", "error"): sentence}, when=ours))

    def finish(self, now: int) -> None:
        """Records that every step was done once."""
        self._change(Update(*_KEY, set={"finished_at": now}, when=Attr("finished_at").not_exists()))

    def dismiss(self, now: int) -> None:
        """Records that an operator does not want to see the page again."""
        self._change(Update(*_KEY, set={"dismissed_at": now}, when=Attr("dismissed_at").not_exists()))

    def _is_current(self, token_sha256: str) -> bool:
        mail = self.get().mail
        return mail is not None and mail.token_sha256 == token_sha256

    def _change(self, update: Update) -> bool:
        with suppress(ConditionFailed):
            self._table.update(update)
            return True
        return False


@readable
def _mail_from(item: Item) -> TrialMail | None:
    return _mails.validate_python(item["mail"]) if item.get("mail") else None


@readable
def _instant(name: str, item: Item) -> int | None:
    return int(item[name]) if item.get(name) is not None else None
