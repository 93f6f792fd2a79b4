"""The decisions of turn-taking, as data: what one check of a chat does next, and the outcome that it ends with."""

from dataclasses import dataclass
from enum import StrEnum

from chalicelib.model.conversation import Turn
from chalicelib.model.fixed_sentences import FixedSentence
from chalicelib.model.messages.message import StoredMessage
from chalicelib.model.messages.skip_reason import SkipReason


class ReplyOutcome(StrEnum):
    """The outcome of one check of a chat."""

    NOTHING_WAITS = "nothing_waits"  #: no message of the chat waits for a reply
    NOT_YET = "not_yet"  #: another check is enqueued: the contact may still write, a cap says wait, or a turn ended
    BUSY = "busy"  #: the open turn goes on without this check: at its runner, at the model, or at its next retry
    RANG = "rang"  #: the text is stored, and the bell of the runner rang
    SUPERSEDED = "superseded"  #: the contact wrote more during the model call; the batch is frozen again
    POSTPONED = "postponed"  #: a transient error: the turn is retried later
    ACTION_REQUIRED = "action_required"  #: a person must fix a problem of the assistant first
    SKIPPED = "skipped"  #: the messages get no reply; the turn stores the reason
    PAUSED = "paused"  #: the tenant is paused; messages that waited are skipped
    UNREADABLE = "unreadable"  #: a record of the chat or its tenant cannot be read; the log says which


@dataclass(frozen=True, slots=True)
class Done:
    """End the check with this outcome."""

    outcome: ReplyOutcome


@dataclass(frozen=True, slots=True)
class CheckAgain:
    """Enqueue another check."""

    delay_seconds: float
    attempt: int


End = Done | CheckAgain


@dataclass(frozen=True, slots=True)
class Detach:
    """Remove the open turn from the chat: it expired."""

    then: End


@dataclass(frozen=True, slots=True)
class Close:
    """Remove the finished turn from the chat: the process that finished it ended before it could."""

    turn: Turn
    then: End


@dataclass(frozen=True, slots=True)
class Skip:
    """Store the reason why these messages get no reply, and mute the chat if a time is given."""

    messages: tuple[StoredMessage, ...]
    reason: SkipReason
    then: End
    #: epoch milliseconds
    mute_until: int | None = None


@dataclass(frozen=True, slots=True)
class Discard:
    """Discard the open turn, unless a runner took it meanwhile: then decide again with ``turn_changed``."""

    turn: Turn
    reason: SkipReason
    then: End


@dataclass(frozen=True, slots=True)
class Mark:
    """Enqueue the backstop, mark the chat to be checked when its turn ends, and decide again with ``marked``."""

    turn: Turn
    #: None where one is enqueued already
    backstop: CheckAgain | None
    #: instead, if the turn has ended
    otherwise: End


@dataclass(frozen=True, slots=True)
class Ring:
    """Ring the bell of the runner for this turn."""

    turn: Turn
    outcome: ReplyOutcome


@dataclass(frozen=True, slots=True)
class FoldIn:
    """Freeze the turn's batch anew and answer it; if the turn changed meanwhile, decide again with ``turn_changed``."""

    turn: Turn
    batch: tuple[StoredMessage, ...]
    #: if False, do not call the model yet but decide again
    call: bool = True


@dataclass(frozen=True, slots=True)
class Retry:
    """Claim the turn for another call of the model."""

    turn: Turn
    batch: tuple[StoredMessage, ...]


@dataclass(frozen=True, slots=True)
class Expire:
    """Claim the turn and discard it: it is not answered any more."""

    turn: Turn
    reason: SkipReason


@dataclass(frozen=True, slots=True)
class ReadCallsOfToday:
    """Read how many model calls were paid for this contact today, and decide again with ``calls_today``."""


@dataclass(frozen=True, slots=True)
class ClaimSlot:
    """Claim one of the tenant's slots for a model call, and decide again with ``has_slot``."""


@dataclass(frozen=True, slots=True)
class AwaitSlot:
    """Enqueue another check, in some seconds: all of the tenant's slots are taken."""


@dataclass(frozen=True, slots=True)
class Say:
    """Answer this batch with a fixed sentence."""

    batch: tuple[StoredMessage, ...]
    sentence: FixedSentence
    reason: SkipReason | None
    #: instead, if another check was faster
    otherwise: End


@dataclass(frozen=True, slots=True)
class Open:
    """Open the chat's turn over this batch and answer it."""

    batch: tuple[StoredMessage, ...]
    #: instead, if another check was faster
    otherwise: End


Decision = (
    End
    | Detach
    | Close
    | Skip
    | Discard
    | Mark
    | Ring
    | FoldIn
    | Retry
    | Expire
    | ReadCallsOfToday
    | ClaimSlot
    | AwaitSlot
    | Say
    | Open
)
