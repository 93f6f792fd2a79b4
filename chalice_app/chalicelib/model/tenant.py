"""Tenants, their policies, problems, invites and timeline: the items that people write. Pure; rules take `now`."""

import hashlib
from dataclasses import dataclass, field
from datetime import timedelta

from chalicelib.model.stored_enum import StoredEnum
from chalicelib.model.times import milliseconds
from wire import ProblemCode

#: An invite that was never opened expires after this long.
INVITE_UNOPENED_FOR = timedelta(hours=72)
#: An assistant is checked this often, a tenth of it earlier or later, …
CHECKED_EVERY = timedelta(days=1)
#: … and again if a check has found nothing for this long.
CHECK_LOST_AFTER = timedelta(minutes=5)
#: An operator's browser that sends no request for this long is signed out …
OPERATOR_IDLE_FOR = timedelta(minutes=30)
#: … every browser is after this …
MAX_OPERATOR_SESSION = timedelta(hours=12)
#: … and one that Cognito does not know any more, or has disabled, at the latest after this.
OPERATOR_UNCHECKED_FOR = timedelta(minutes=15)


class TenantState(StoredEnum):
    """The state that the operator gave a tenant."""

    ACTIVE = "active"  #: its line should answer
    PAUSED = "paused"  #: its line should be silent; the login is kept
    UNKNOWN = "unknown"  #: written by a later release: silent, as if it were paused


class Audience(StoredEnum):
    """The contacts whose messages are answered."""

    EVERYONE = "everyone"  #: everybody who writes
    NEW_CHATS = "new chats"  #: chats that began after the line was linked
    UNSAVED = "unsaved contacts"  #: contacts that are not saved in the phone
    UNKNOWN = "unknown"  #: written by a later release: only whom each of the others would answer


class GroupAnswers(StoredEnum):
    """The messages of groups that are answered."""

    NEVER = "never"  #: none
    MENTIONED = "when mentioned"  #: those that mention the line's account or quote a message of it
    ALWAYS = "always"  #: each one
    UNKNOWN = "unknown"  #: written by a later release: none


@dataclass(frozen=True, slots=True)
class Problem:
    """An error that only a person can fix, and since when."""

    code: ProblemCode
    since: int
    #: one technical sentence for the operator; never a secret or a message text
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Policies:
    """The rules of a tenant's line; the names carry the units.

    The defaults are those of a stored tenant that lacks the attribute: a new tenant may begin with others.
    """

    audience: Audience = Audience.EVERYONE
    groups: GroupAnswers = GroupAnswers.NEVER
    #: messages without words (a picture without a caption, a voice message) are answered too
    answer_without_words: bool = False
    #: the contact reads one fixed sentence about messages without words, at most once a day
    wordless_notice: bool = True
    takeover_minutes: int = 60
    #: 0 switches the cap off
    replies_per_minute: int = 6
    replies_per_contact_per_day: int = 60
    tokens_per_month: int = 0
    history_messages: int = 20
    retention_days: int = 30
    #: digits of phones, and ids of chats without a number, that never get an answer
    ignored_phones: tuple[str, ...] = ()
    #: if not empty, only these get an answer
    allowed_phones: tuple[str, ...] = ()
    #: the reply to the contact when the model cannot answer; empty for none
    give_up_text: str = ""
    #: why the line does not introduce itself as an automatic assistant; empty: it does
    introduction_off_reason: str = ""
    #: stand after the fixed part of the introduction; empty: ours
    introduction_words: str = ""
    #: the model is instructed to decline what does not concern the business
    own_subjects_only: bool = True
    #: the model is instructed to begin an answer about an emergency with a sentence
    emergency: bool = False
    #: that sentence; empty: ours
    emergency_words: str = ""


@dataclass(frozen=True, slots=True)
class AssistantCheckup:
    """The result of the last check of an assistant."""

    at: int
    #: True if it would answer, False if a person must fix something, None if that could not be found out
    ok: bool | None
    #: for the operator
    sentence: str
    #: of the assistant that was checked
    version: int


@dataclass(frozen=True, slots=True)
class Tenant:
    """A client of the agency. KMS encrypts its OpenAI key with the tenant in the encryption context."""

    id: str
    name: str
    owner_email: str
    language: str
    state: TenantState
    revision: int
    created_at: int
    assistant_version: int
    key_ciphertext: str = field(repr=False)
    key_last4: str
    policies: Policies = field(default_factory=Policies)
    #: ISO 3166 alpha-2: phones may be listed as they are dialled there; empty: only with a country code
    country: str = ""
    assistant_problem: Problem | None = None
    mail_problem: Problem | None = None
    #: an IANA name, for what the model is told of day and time; empty for UTC
    time_zone: str = ""
    #: when a check of the assistant was last asked for, and the operator who did; None: it was the daily one
    check_asked_at: int | None = None
    check_by: str | None = None
    checked: AssistantCheckup | None = None
    #: the day on which OpenAI ends the model, as YYYY-MM-DD, once it is near
    model_ends_on: str | None = None

    @property
    def paused(self) -> bool:
        """True if the line should be silent."""
        return self.state is not TenantState.ACTIVE

    @property
    def is_being_checked(self) -> bool:
        """True if a check of the assistant was asked for, and has found nothing yet."""
        return (self.check_asked_at or 0) > (self.checked.at if self.checked is not None else 0)

    def is_check_due(self, now: int) -> bool:
        """True once the assistant should be checked again, and if the job of a check that was asked for is lost."""
        if self.is_being_checked:
            return now - (self.check_asked_at or 0) >= milliseconds(CHECK_LOST_AFTER)
        checked_at = self.checked.at if self.checked is not None else None
        place = hashlib.sha256(f"{self.id}|{checked_at}".encode()).digest()[0] / 256
        # The first check of a tenant comes at any time of its first day, so that those of all are spread over the day.
        days = place if checked_at is None else 0.9 + place / 5
        return now - (checked_at or self.created_at) >= days * milliseconds(CHECKED_EVERY)


@dataclass(frozen=True, slots=True)
class Invite:
    """The link that is mailed to the owner: a capability, of which only the token's hash is stored."""

    token_sha256: str
    tenant: str
    created_at: int
    opened_at: int | None = None
    revoked_at: int | None = None
    #: hash of the cookie of the one browser that may see the QR code
    bound_sha256: str | None = None

    def is_usable(self, now: int) -> bool:
        """True unless it was revoked, or expired before it was opened."""
        if self.revoked_at is not None:
            return False
        return self.opened_at is not None or now < self.created_at + milliseconds(INVITE_UNOPENED_FOR)


class EventKind(StoredEnum):
    """The kind of an event in the timeline of a tenant."""

    CREATED = "created"  #: an operator created the tenant
    EDITED = "edited"  #: an operator changed settings
    PAUSED = "paused"  #: an operator paused the line
    RESUMED = "resumed"  #: an operator resumed the line
    INVITE_SENT = "invite_sent"  #: an invite was mailed
    INVITE_OPENED = "invite_opened"  #: a browser opened the invite for the first time
    INVITE_MOVED = "invite_moved"  #: another browser took the owner's page over
    INVITE_REVOKED = "invite_revoked"  #: an operator revoked the invite
    MAIL_FAILED = "mail_failed"  #: a mail could not be sent or was not delivered
    LINKED = "linked"  #: the owner linked a WhatsApp account
    LOGGED_OUT = "logged_out"  #: WhatsApp or the phone ended the login
    ONLINE = "online"  #: the session came online
    OFFLINE = "offline"  #: the session is not online any more
    PROBLEM = "problem"  #: a person must fix a problem
    RESOLVED = "mended"  #: a problem is over
    TAKEOVER = "takeover"  #: the owner answered chats from the phone; one event an hour counts them
    TURN_GIVEN_UP = "turn_given_up"  #: a turn is never answered: by the model, or WhatsApp refuses it
    CHAT_MUTED = "chat_muted"  #: a bot is at the other end of a chat: the line is silent there for an hour
    INTRODUCTION_OFF = "introduction_off"  #: an operator ended the introduction as an automatic assistant, and why
    INTRODUCTION_ON = "introduction_on"  #: an operator resumed it
    RUNNER_LOST = "runner_lost"  #: the runner that held the session was lost
    DISK_FULL = "disk_full"  #: the disk of the session's runner is full: the session moves to another one
    RESTORE_FELL_BACK = "restore_fell_back"  #: a snapshot was unusable, and an earlier one is tried
    UNKNOWN = "unknown"  #: written by a later release


@dataclass(frozen=True, slots=True)
class Event:
    """An event of a tenant's timeline: append-only; never a message text, a number, a code or a key."""

    tenant: str
    at: int
    kind: EventKind
    detail: str = ""
    #: the actor: an operator's e-mail, ``owner``, or ``answerline``
    by: str = "answerline"
    #: so many of them within the hour
    count: int = 1
