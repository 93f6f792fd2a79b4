"""What people decide: tenants, assistants, policies, invites, the timeline. Pure; every rule takes `now`."""

from dataclasses import dataclass, field
from datetime import timedelta

from chalicelib.model.stored_enum import StoredEnum
from chalicelib.model.times import milliseconds
from wire import ProblemCode

#: An invite that was never opened dies after this long.
INVITE_UNOPENED_FOR = timedelta(hours=72)
OPERATOR_IDLE_FOR = timedelta(minutes=30)
MAX_OPERATOR_SESSION = timedelta(hours=12)


class TenantState(StoredEnum):
    """What the operator wants of a tenant."""

    ACTIVE = "active"  #: its line should answer
    PAUSED = "paused"  #: its line should be silent; the login is kept
    UNKNOWN = "unknown"  #: written by a later release: silent, as if it were paused


@dataclass(frozen=True, slots=True)
class Problem:
    """What a person must mend, and since when."""

    code: ProblemCode
    since: int
    #: One technical sentence for the operator; never a secret or a message text.
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Policies:
    """How a tenant's line behaves. Minutes, counts and days are in the names."""

    answer_groups: bool = False
    takeover_minutes: int = 60
    #: 0 switches the cap off
    replies_per_minute: int = 6
    replies_per_contact_per_day: int = 60
    tokens_per_month: int = 0
    history_messages: int = 20
    retention_days: int = 30
    #: digits of phones that never get an answer
    ignored_phones: tuple[str, ...] = ()
    #: if not empty, only these phones get an answer
    allowed_phones: tuple[str, ...] = ()
    #: what the contact sees when the assistant gives up; empty: nothing
    give_up_text: str = ""


@dataclass(frozen=True, slots=True)
class Assistant:
    """How a line answers; immutable, one record per version."""

    version: int
    model: str
    instructions: str
    max_output_tokens: int = 1_000
    reasoning_effort: str | None = None
    verbosity: str | None = None
    temperature: float | None = None
    vector_store_ids: tuple[str, ...] = ()
    web_search: bool = False
    #: an ``asst_…``/``pmpt_…`` id kept as a label; nothing at run time depends on it
    legacy_reference: str | None = None


@dataclass(frozen=True, slots=True)
class Tenant:
    """One client of the agency. The key is ciphertext under KMS, with the tenant in its encryption context."""

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
    assistant_problem: Problem | None = None
    mail_problem: Problem | None = None

    @property
    def paused(self) -> bool:
        """True if the line should be silent."""
        return self.state is not TenantState.ACTIVE


@dataclass(frozen=True, slots=True)
class Invite:
    """The emailed capability link; only the hash of its token is stored."""

    token_sha256: str
    tenant: str
    created_at: int
    opened_at: int | None = None
    revoked_at: int | None = None
    #: hash of the cookie of the one browser that may see the QR
    bound_sha256: str | None = None

    def is_usable(self, now: int) -> bool:
        if self.revoked_at is not None:
            return False
        return self.opened_at is not None or now < self.created_at + milliseconds(INVITE_UNOPENED_FOR)


class EventKind(StoredEnum):
    """What the timeline of a tenant tells."""

    CREATED = "created"
    EDITED = "edited"
    PAUSED = "paused"
    RESUMED = "resumed"
    INVITE_SENT = "invite_sent"
    INVITE_OPENED = "invite_opened"
    INVITE_REVOKED = "invite_revoked"
    MAIL_FAILED = "mail_failed"
    LINKED = "linked"
    LOGGED_OUT = "logged_out"
    ONLINE = "online"
    OFFLINE = "offline"
    PROBLEM = "problem"
    RESOLVED = "mended"
    TAKEOVER = "takeover"
    TURN_GIVEN_UP = "turn_given_up"
    RUNNER_LOST = "runner_lost"
    RESTORE_FELL_BACK = "restore_fell_back"
    UNKNOWN = "unknown"  #: written by a later release


@dataclass(frozen=True, slots=True)
class Event:
    """One line of a tenant's timeline: append-only; never a message text, a number, a code or a key."""

    tenant: str
    at: int
    kind: EventKind
    detail: str = ""
    #: an operator's e-mail, ``owner``, or ``answerline``
    by: str = "answerline"
