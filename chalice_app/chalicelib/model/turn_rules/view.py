"""The state of one chat as a check reads it, and what the rules have in common."""

from collections.abc import Collection
from dataclasses import dataclass

from chalicelib.model.conversation import Chat, Turn
from chalicelib.model.messages.message import StoredMessage
from chalicelib.model.messages.skip_reason import SkipReason
from chalicelib.model.tenant import Tenant
from chalicelib.model.turn_decisions import CheckAgain, Done, End, Mark, ReplyOutcome, Skip

#: A chat whose contact may still be writing is checked again after this.
RECHECK_SECONDS = 1
#: Messages that came while a reply was being sent are checked when it is sent, and after this in any case.
BACKSTOP_SECONDS = 30
#: A check that lost a race to another check is repeated so often at once, and then after a backstop's time.
MAX_RACES = 5


@dataclass(frozen=True, slots=True)
class ChatView:
    """The state of one chat as a check reads it, and the facts that the check's own writes add."""

    tenant: Tenant
    chat: Chat
    #: the open turn; None if there is none, or if it expired
    turn: Turn | None
    #: the latest messages and turns of the chat, oldest first
    messages: tuple[StoredMessage, ...]
    turns: tuple[Turn, ...]
    #: the messages without an answer that came to the present login, and those that came to an earlier one
    waiting: tuple[StoredMessage, ...]
    former_login: tuple[StoredMessage, ...] = ()
    #: the messages without an answer that are too old to get one
    too_old: tuple[StoredMessage, ...] = ()
    #: the messages without words that nothing answered: they came to the present login, and do not wait
    wordless: tuple[StoredMessage, ...] = ()
    #: WhatsApp time before which each line belongs to another account
    history_since: int = 0
    #: when the present login was linked; None while none is
    linked_at: int | None = None
    #: the number of checks before this one that a transient error or a race ended
    attempt: int = 0
    #: the open turn changed since it was read: a write on it failed its condition
    turn_changed: bool = False
    #: the chat is marked to be checked when its open turn ends
    marked: bool = False
    #: the model calls that were paid for this contact today; None if they are not read yet
    calls_today: int | None = None
    #: whether this check may call the model beside the tenant's other calls; None if it did not ask yet
    has_slot: bool | None = None

    @property
    def beyond_turn(self) -> bool:
        """True if a message waits that the open turn does not answer."""
        waiting = {message.key for message in (*self.waiting, *self.former_login)}
        return self.turn is not None and bool(waiting - set(self.turn.answers))

    def read_with(self, batch: Collection[StoredMessage]) -> tuple[StoredMessage, ...]:
        """Selects what the model reads with this batch: nothing that waits for a later turn, which it would answer."""
        later = {message.key for message in self.waiting} - {message.key for message in batch}
        return tuple(message for message in self.messages if message.key not in later)


def mark(view: ChatView, turn: Turn, *, otherwise: End) -> Mark | None:
    """Marks the chat if a message waits beyond its turn, with one backstop: the process that ends the turn may die.

    Only the latest backstop is followed by another one, however often it is delivered: otherwise a line that is offline
    for a night has more and more of them.
    """
    if not view.beyond_turn or view.marked:
        return None
    following = view.attempt + 1
    return Mark(turn, CheckAgain(BACKSTOP_SECONDS, following) if following > view.chat.backstop else None, otherwise)


def skip_all(view: ChatView, reason: SkipReason, *, mute_until: int | None = None) -> Skip:
    """Skips all messages that wait."""
    return Skip(view.waiting, reason, Done(ReplyOutcome.SKIPPED), mute_until)


def at_once(view: ChatView) -> CheckAgain:
    """Checks the chat again without a pause: what was in the way is gone."""
    return CheckAgain(0, view.attempt)


def after_race(view: ChatView) -> End:
    """Another check was at this chat at the same moment, and may not have seen the message that this check is for.

    However many there were before: the backstops of a long turn count, too.
    """
    return CheckAgain(RECHECK_SECONDS if view.attempt < MAX_RACES else BACKSTOP_SECONDS, view.attempt + 1)
