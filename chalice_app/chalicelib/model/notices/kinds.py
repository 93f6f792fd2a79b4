"""The kinds of news about a line: who hears of them, what can wait for the morning, and of what people are reminded."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Final

from chalicelib.model.stored_enum import StoredEnum
from wire import ProblemCode


class Recipient(StoredEnum):
    """The people to whom a notice goes."""

    OWNER = "owner"  #: the tenant's owner, by mail with a link to the own page
    OPERATORS = "operators"  #: all operators: one mail for each address, and the webhook
    UNKNOWN = "unknown"  #: written by a later release: only that one sends it


class NoticeKind(StoredEnum):
    """The kind of news about a line: it was disconnected, it is down, or it has a problem (a code of ``wire.py``)."""

    DISCONNECTED = "logged_out"  #: it was linked, and is not any more
    LINE_DOWN = "line_down"  #: it should run and does not, and no problem explains it
    PASSKEY = "passkey"  #: the phone asks for a passkey
    CONFLICT = "conflict"  #: another browser took the login over
    BLOCKED = "blocked"  #: WhatsApp refuses the account
    RESTRICTED = "restricted"  #: WhatsApp restricts the account
    INCOMPATIBLE = "incompatible"  #: wa-js and the page no longer understand each other
    BROWSER_MISSING = "browser_missing"  #: the runner's machine has no Chromium
    KEY_REVOKED = "key_revoked"  #: OpenAI does not accept the key
    KEY_FORBIDDEN = "key_forbidden"  #: the key lacks a permission
    KEY_UNREADABLE = "key_unreadable"  #: the stored key cannot be decrypted here
    OUT_OF_CREDIT = "out_of_credit"  #: the OpenAI account is empty
    MODEL_RETIRED = "model_retired"  #: the model is unknown or retired
    ASSISTANT_REFUSED = "assistant_refused"  #: OpenAI refuses the settings
    BUDGET_REACHED = "budget_reached"  #: the tokens of this month are used up
    MODEL_ENDS = "model_ends"  #: OpenAI ends the model soon
    MAIL_BOUNCED = "mail_bounced"  #: the owner's mail is not delivered
    MAIL_COMPLAINED = "mail_complained"  #: the owner's mail was marked as spam
    PAGE_TAKEN_OVER = "page_taken_over"  #: another browser continues on the owner's page
    NUMBER_LINKED = "number_linked"  #: a WhatsApp account was linked that was not linked before
    OPERATORS_MAIL = "operators_mail"  #: mail to an operator is not delivered, or was marked as spam
    UNKNOWN = "unknown"  #: written by a later release: only that one sends it

    @property
    def problem(self) -> ProblemCode | None:
        """The problem that this is; None for news that is no problem code."""
        return ProblemCode(self.value) if self.value in set(ProblemCode) else None


#: News of which owners get no mail: they could do nothing, or the mail would not arrive.
OPERATORS_ONLY: Final = frozenset(
    {
        NoticeKind.LINE_DOWN,
        NoticeKind.INCOMPATIBLE,
        NoticeKind.BROWSER_MISSING,
        NoticeKind.MODEL_ENDS,
        NoticeKind.MAIL_BOUNCED,
        NoticeKind.MAIL_COMPLAINED,
        NoticeKind.OPERATORS_MAIL,
    }
)
#: News of the installation: it is about a channel to the operators instead of a tenant, and that channel gets no mail
#: of it, which would come back again.
OF_INSTALLATION: Final = frozenset({NoticeKind.OPERATORS_MAIL})
#: News that happens and does not last: people hear of each time, while whoever has the page open is kept from none.
EVENTS: Final = frozenset({NoticeKind.PAGE_TAKEN_OVER, NoticeKind.NUMBER_LINKED, *OF_INSTALLATION})
#: News that is another one each time, and so is never held back as a repetition.
NEVER_REPEATED: Final = frozenset({NoticeKind.NUMBER_LINKED})
#: News that may wait until the quiet hours are over, as reminders and all-clears do: no contact waits meanwhile.
CAN_WAIT: Final = frozenset(
    {NoticeKind.MODEL_ENDS, NoticeKind.MAIL_BOUNCED, NoticeKind.MAIL_COMPLAINED, NoticeKind.OPERATORS_MAIL}
)
#: After these times since it began, the owner is reminded of what only the owner can end.
REMINDERS: Final[Mapping[NoticeKind, tuple[timedelta, ...]]] = {
    NoticeKind.DISCONNECTED: (timedelta(hours=24), timedelta(hours=72)),
    NoticeKind.PASSKEY: (timedelta(hours=24), timedelta(hours=72)),
}


def kind_of(code: str) -> NoticeKind:
    """Returns the kind of a problem's code, or of ``logged_out``."""
    return NoticeKind(code)


def recipients_of(kind: NoticeKind) -> tuple[Recipient, ...]:
    """Returns who hears of news of this kind."""
    if kind in OPERATORS_ONLY:
        return (Recipient.OPERATORS,)
    return (Recipient.OWNER,) if kind in EVENTS else (Recipient.OWNER, Recipient.OPERATORS)


def reminders_of(kind: NoticeKind, recipient: Recipient) -> tuple[timedelta, ...]:
    """Returns after which times this recipient is reminded; the operators' daily digest reminds them."""
    return REMINDERS.get(kind, ()) if recipient is Recipient.OWNER else ()
