"""The nouns of Answerline, their states and their rules: pure; every rule takes `now`.

All instants are epoch milliseconds of the control plane's clock, unless a name says "WhatsApp time".
"""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from enum import StrEnum

from wire import MessageKind, Outcome, Phase, ProblemCode


def milliseconds(duration: timedelta) -> int:
    """The whole milliseconds of a duration."""
    return duration // timedelta(milliseconds=1)


# --- leases ------------------------------------------------------------------------------------------------

#: How long a runner may host its sessions without being heard.
LEASE = timedelta(seconds=60)
#: The lease is written at most this often, however often the runner calls.
LEASE_RENEWED_EVERY = timedelta(seconds=10)
#: A runner is reaped when another one synced at least twice, this far apart, after the lease ran out …
REAP_WITNESS_SPAN = timedelta(seconds=15)
#: … or when it was silent for this many leases, whoever else is there.
REAP_AFTER_LEASES = 3
#: A runner declared dead may still hand in messages and mark turns sent for this long.
DEAD_TOKEN_GRACE = timedelta(hours=24)

# --- people -------------------------------------------------------------------------------------------------

#: An unlinked session runs while somebody looked at its page this recently.
WATCHED_FOR = timedelta(minutes=15)
#: An invite that was never opened dies after this long.
INVITE_UNOPENED_FOR = timedelta(hours=72)
OPERATOR_IDLE_FOR = timedelta(minutes=30)
OPERATOR_AT_MOST = timedelta(hours=12)

# --- conversations --------------------------------------------------------------------------------------------

#: A chat is answered once nobody wrote in it for this long …
QUIET_FOR = timedelta(milliseconds=1_500)
#: … or once its oldest unanswered message is this old.
ANSWER_AT_LATEST = timedelta(seconds=6)
#: The first look at a chat comes this long after a message.
DEBOUNCE = timedelta(seconds=2)
#: An older message gets no answer any more.
TOO_OLD = timedelta(hours=12)
#: A reply this late quotes the message it answers.
QUOTED_AFTER = timedelta(minutes=10)
#: Texts that may be thrown away because the contact wrote on; after that the turn is sent as it is.
DISCARDS_AT_MOST = 2
#: A turn that made no progress for this long is looked at again.
TURN_OVERDUE_AFTER = timedelta(seconds=150)
#: Attempts of the model before a turn is given up.
THINK_ATTEMPTS_AT_MOST = 12
#: So many alternations within the window look like two bots talking.
LOOP_REPLIES, LOOP_WINDOW = 10, timedelta(minutes=2)


class Active(StrEnum):
    """What the operator wants of a tenant."""

    ACTIVE = "active"  #: its line should answer
    PAUSED = "paused"  #: its line should be silent; the login is kept


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
    wanted: Active
    revision: int
    created_at: int
    assistant_version: int
    key_ciphertext: str = field(repr=False)
    key_last4: str
    policies: Policies = field(default_factory=Policies)
    assistant_problem: Problem | None = None
    mail_problem: Problem | None = None


@dataclass(frozen=True, slots=True)
class ExpiringCode:
    """A QR string or pairing code and when it dies. Never logged."""

    code: str = field(repr=False)
    expires_at: int

    def alive(self, now: int) -> bool:
        return now < self.expires_at


@dataclass(frozen=True, slots=True)
class Session:
    """A tenant's WhatsApp Web login as it was last seen, and who holds it."""

    tenant: str
    phase: Phase = Phase.IDLE
    since: int = 0
    epoch: int = 1
    runner: str | None = None
    #: order of the runner's reports; an older one is ignored
    sequence: int = 0
    problem: Problem | None = None
    detail: str = ""
    qr: ExpiringCode | None = None
    pairing: ExpiringCode | None = None
    number: str | None = None
    linked_at: int | None = None
    #: WhatsApp time up to which nothing waits for an answer
    caught_up_to: int | None = None
    watched_until: int = 0
    #: digits of the phone that asked for a pairing code
    pair_with: str | None = None
    #: who held it last, and at which epoch (a runner may reuse its local profile)
    last_runner: str | None = None
    last_epoch: int | None = None
    probed_at: int | None = None
    last_message_at: int | None = None
    last_reply_at: int | None = None

    @property
    def linked(self) -> bool:
        return self.number is not None

    def watched(self, now: int) -> bool:
        return now < self.watched_until


def should_run(wanted: Active, session: Session, now: int) -> bool:
    """Every promise speaks of this: active, and linked or watched."""
    return wanted is Active.ACTIVE and (session.linked or session.watched(now))


class RunnerState(StrEnum):
    """A runner's life only goes forward."""

    ALIVE = "alive"
    DRAINING = "draining"  #: releases what it holds, takes nothing new
    DEAD = "dead"  #: final; the same process comes back under a new id


@dataclass(frozen=True, slots=True)
class Assignment:
    """What a runner's own record says of a session it holds, so that a sync reads one item."""

    tenant: str
    epoch: int
    wanted: str = "run"
    sequence: int = 0
    watched_until: int = 0
    pair_with: str | None = None
    number: str | None = None
    caught_up_to: int | None = None
    last_epoch: int | None = None


@dataclass(frozen=True, slots=True)
class Runner:
    """A process that hosts sessions."""

    id: str
    state: RunnerState
    token_sha256: str
    lease_until: int
    capacity: int
    registered_at: int
    assigned: tuple[Assignment, ...] = ()
    image: str = ""
    commit: str = ""
    chromium: str = ""
    wa_js: str = ""
    #: who synced after this runner's lease ran out: (runner, first time it did)
    witness: tuple[str, int] | None = None
    drain: bool = False

    @property
    def free(self) -> int:
        return max(0, self.capacity - len(self.assigned)) if self.state is RunnerState.ALIVE else 0


def may_reap(runner: Runner, now: int, witness: str | None = None) -> bool:
    """True once the silent runner's sessions may be given to others.

    An outage of the control plane silences every runner at once; so somebody else must have been heard for a while
    after the lease ran out, or three leases must have passed.
    """
    if runner.state is RunnerState.DEAD or now < runner.lease_until:
        return False
    if now >= runner.lease_until + (REAP_AFTER_LEASES - 1) * milliseconds(LEASE):
        return True
    return (
        witness is not None
        and runner.witness is not None
        and runner.witness[1] >= runner.lease_until
        and now - runner.witness[1] >= milliseconds(REAP_WITNESS_SPAN)
    )


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

    def usable(self, now: int) -> bool:
        if self.revoked_at is not None:
            return False
        return self.opened_at is not None or now < self.created_at + milliseconds(INVITE_UNOPENED_FOR)


# --- chats, messages, turns -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Chat:
    """One conversation of a tenant with a contact."""

    tenant: str
    id: str
    open_turn: str | None = None
    takeover_until: int = 0
    #: arrival up to which every message is answered or skipped
    answered_to: str = ""
    phone: str | None = None
    #: the id WhatsApp used last; replies go there
    whatsapp_id: str = ""


@dataclass(frozen=True, slots=True)
class StoredMessage:
    """A message that was handed in. ``at`` orders a chat by arrival at the control plane."""

    id: str
    chat: str
    sender: str | None
    from_me: bool
    kind: MessageKind
    text: str = field(repr=False)
    sent_at: int
    received_at: int
    at: str
    skipped: str | None = None

    @property
    def key(self) -> str:
        """Unique in its chat: an id alone is chosen by its sender."""
        return message_key(self.from_me, self.sender, self.id)


def message_key(from_me: bool, sender: str | None, id: str) -> str:
    return f"{'me' if from_me else sender or 'contact'}#{id}"


class TurnState(StrEnum):
    """A turn only goes forward, except that a new message may send it back to thinking."""

    THINKING = "thinking"  #: the batch is frozen, there is no text yet
    READY = "ready"  #: the text is stored, nothing was sent
    SENDING = "sending"  #: a runner took it
    SENT = "sent"  #: every part is on WhatsApp's server
    WAITING = "waiting"  #: a person must mend a problem first
    DISCARDED = "discarded"  #: it will never be sent; ``reason`` says why


OPEN_STATES = frozenset({TurnState.THINKING, TurnState.READY, TurnState.SENDING, TurnState.WAITING})


@dataclass(frozen=True, slots=True)
class Turn:
    """One reply: the frozen batch of messages it answers, its text, its delivery."""

    id: str
    tenant: str
    chat: str
    state: TurnState
    revision: int
    #: keys of the messages it answers, oldest first
    messages: tuple[str, ...]
    #: stanza id of the first message of the first revision: seeds the reply's own ids
    first_message: str
    #: the last message it answers, to quote if the reply comes late
    last_message: str
    created_at: int
    #: the arrival of its last message: where it stands in the history
    at: str
    oldest_sent_at: int
    parts: tuple[str, ...] = field(default=(), repr=False)
    cursor: int = 0
    generation: int = 0
    discards: int = 0
    attempts: int = 0
    epoch: int | None = None
    due_at: int = 0
    reason: str | None = None
    sent_at: int | None = None
    assistant_version: int | None = None

    def part_id(self, part: int) -> str:
        return reply_id(self.tenant, self.first_message, part, self.generation)

    @property
    def part_ids(self) -> tuple[str, ...]:
        return tuple(self.part_id(part) for part in range(len(self.parts)))


def reply_id(tenant: str, first_message: str, part: int, generation: int) -> str:
    """The message id that a part of a reply has on WhatsApp, however often it is sent.

    WhatsApp deduplicates by id, and clients choose it: ``3EB0`` + 18 hex digits is the shape that WhatsApp Web
    itself uses (facts: whatsmeow ``GenerateMessageID``, Baileys ``generateMessageIDV2``).
    """
    digest = hashlib.sha256(f"r1|{tenant}|{first_message}|{part}|{generation}".encode()).hexdigest()
    return "3EB0" + digest[:18].upper()


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is to become of a message that is handed in for the first time."""

    outcome: Outcome
    reason: str = ""


def judge(
    *,
    chat_id: str,
    from_me: bool,
    kind: MessageKind,
    text: str,
    phone: str | None,
    sent_at: int,
    caught_up_to: int | None,
    takeover_until: int,
    wanted: Active,
    policies: Policies,
    now: int,
) -> Verdict:
    """Answer it, or skip it and say why. Own messages that are not our replies are a takeover."""
    if chat_id.endswith("@broadcast") or chat_id.endswith("@newsletter"):
        return Verdict(Outcome.SKIPPED, "broadcast")
    if from_me:
        if now - sent_at > milliseconds(TOO_OLD) or (caught_up_to is not None and sent_at < caught_up_to):
            return Verdict(Outcome.SKIPPED, "history")
        return Verdict(Outcome.TAKEOVER)
    if caught_up_to is None or sent_at < caught_up_to:
        return Verdict(Outcome.SKIPPED, "history")
    if chat_id.endswith("@g.us") and not policies.answer_groups:
        return Verdict(Outcome.SKIPPED, "group")
    if phone is not None and phone in policies.ignored_phones:
        return Verdict(Outcome.SKIPPED, "ignored contact")
    if policies.allowed_phones and phone not in policies.allowed_phones:
        return Verdict(Outcome.SKIPPED, "not an allowed contact")
    if now - sent_at > milliseconds(TOO_OLD):
        return Verdict(Outcome.SKIPPED, "too old")
    if kind is MessageKind.CIPHERTEXT:
        return Verdict(Outcome.SKIPPED, "not decrypted yet")
    if kind is MessageKind.OTHER or not text.strip():
        return Verdict(Outcome.SKIPPED, f"no text ({kind})")
    if wanted is Active.PAUSED:
        return Verdict(Outcome.SKIPPED, "paused")
    if now < takeover_until:
        return Verdict(Outcome.SKIPPED, "takeover")
    return Verdict(Outcome.QUEUED)


def unanswered(
    messages: Iterable[StoredMessage], turns: Iterable[Turn], now: int, *, ignoring: str | None = None
) -> tuple[StoredMessage, ...]:
    """Messages that wait for an answer, in order of arrival: not skipped, not covered by a turn, not too old.

    ``ignoring`` names the open turn whose batch is being frozen anew.
    """
    covered = {key for turn in turns if turn.id != ignoring for key in turn.messages}
    return tuple(
        sorted(
            (
                message
                for message in messages
                if not message.from_me
                and message.skipped is None
                and message.key not in covered
                and now - message.sent_at <= milliseconds(TOO_OLD)
            ),
            key=lambda message: message.at,
        )
    )


def settled(waiting: Sequence[StoredMessage], now: int) -> bool:
    """True once the contact seems to have finished writing."""
    if not waiting:
        return False
    newest = max(message.received_at for message in waiting)
    oldest = min(message.received_at for message in waiting)
    return now - newest >= milliseconds(QUIET_FOR) or now - oldest >= milliseconds(ANSWER_AT_LATEST)


@dataclass(frozen=True, slots=True)
class Said:
    """One line of a chat's history, as the model reads it. ``role``: ``user`` or ``assistant``."""

    role: str
    text: str = field(repr=False)


def history(
    messages: Iterable[StoredMessage], turns: Iterable[Turn], waiting: Sequence[StoredMessage], depth: int
) -> tuple[Said, ...]:
    """The last ``depth`` lines before the waiting messages, then the waiting messages themselves."""
    waiting_keys = {message.key for message in waiting}
    lines: list[tuple[str, Said]] = []
    for message in messages:
        if message.key in waiting_keys or not message.text.strip():
            continue
        if message.skipped in ("broadcast", "not decrypted yet"):
            continue
        lines.append((message.at + "#0", Said("assistant" if message.from_me else "user", message.text)))
    for turn in turns:
        if turn.state in (TurnState.SENT, TurnState.SENDING):
            lines.append((turn.at + "#1", Said("assistant", "\n\n".join(turn.parts))))
    lines.sort(key=lambda line: line[0])
    before = [said for _, said in lines[-depth:]] if depth else []
    return (*before, *(Said("user", message.text) for message in waiting))


def frozen(turn: Turn, waiting: Sequence[StoredMessage], now: int) -> Turn:
    """The turn with its batch frozen anew, because the contact wrote on before anything was sent."""
    discarded = 1 if turn.parts else 0
    return replace(
        turn,
        state=TurnState.THINKING,
        revision=turn.revision + 1,
        messages=tuple(message.key for message in waiting),
        last_message=waiting[-1].id,
        at=waiting[-1].at,
        oldest_sent_at=min(message.sent_at for message in waiting),
        parts=(),
        discards=turn.discards + discarded,
        due_at=now + milliseconds(TURN_OVERDUE_AFTER),
    )


def looks_like_a_loop(turns: Iterable[Turn], now: int) -> bool:
    """Two bots talk to each other: so many replies in one chat within so short a time."""
    since = now - milliseconds(LOOP_WINDOW)
    return sum(1 for turn in turns if turn.sent_at is not None and turn.sent_at >= since) >= LOOP_REPLIES


class Happened(StrEnum):
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
    MENDED = "mended"
    TAKEOVER = "takeover"
    TURN_GIVEN_UP = "turn_given_up"
    RUNNER_LOST = "runner_lost"


@dataclass(frozen=True, slots=True)
class Event:
    """One line of a tenant's timeline: append-only; never a message text, a number, a code or a key."""

    tenant: str
    at: int
    happened: Happened
    detail: str = ""
    #: an operator's e-mail, ``owner``, or ``answerline``
    by: str = "answerline"
