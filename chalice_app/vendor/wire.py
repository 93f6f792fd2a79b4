"""The contract between the control plane and the runners: frozen pydantic models without behaviour.

Every call is a POST of JSON over HTTPS to a path under ``/runner``, with ``Authorization: Bearer …``:

===============================  ==========================  ==========================  ========================
path                             request                     answer                      fenced by epoch
===============================  ==========================  ==========================  ========================
``/runner/sync``                 :class:`SyncRequest`        :class:`SyncAnswer`         each report
``/runner/bell``                 :class:`BellRequest`        :class:`BellAnswer`         no: it only reads
``/runner/messages``             :class:`MessagesRequest`    :class:`MessagesAnswer`     no: idempotent
``/runner/take``                 :class:`TakeRequest`        :class:`TakeAnswer`         yes
``/runner/sent``                 :class:`SentRequest`        :class:`SentAnswer`         no: monotone
``/runner/refused``              :class:`RefusedRequest`     :class:`RefusedAnswer`      yes
``/runner/release``              :class:`ReleaseRequest`     :class:`ReleaseAnswer`      yes
``/runner/snapshots/upload``     :class:`UploadRequest`      :class:`UploadAnswer`       yes
``/runner/snapshots/commit``     :class:`CommitRequest`      :class:`CommitAnswer`       yes
``/runner/snapshots/restore``    :class:`RestoreRequest`     :class:`RestoreAnswer`      yes
===============================  ==========================  ==========================  ========================

The first sync of a runner is its registration. It carries the stage's bootstrap token and the runner's ``task``: a
running task of the stage's ECS service that no other runner is registered for. The answer carries the runner's own
identity; its token (``<runner>.<secret>``) authorises every later call. The runner holds no session yet. It makes the
next call at once, which proves that it received its identity, and has room from then on. 401 means that the token is
unknown or that the runner was declared dead: the runner closes all sessions and registers again under a new identity.
For a registration, 401 means that this token is not accepted from this task.

``/runner/messages`` and ``/runner/sent`` also accept a *capability* for the request's tenant and epoch, which a runner
leaves on its disk for the next process there: ``<runner>.<tenant>.<epoch>.<proof>``. The proof is the HMAC-SHA256 of
``hand in <tenant> <epoch>``; its key is the hexadecimal SHA-256 of the runner's secret.

All instants are epoch milliseconds of the clock named in the field; durations carry their unit in the name.
Readers ignore unknown fields, so that either side may be one version ahead.
"""

from enum import StrEnum
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

#: Raised when a change cannot be ignored by the other side. The control plane accepts this one and the one before.
WIRE_VERSION = 1

#: The most sessions one runner may host.
MAX_CAPACITY = 25
#: The most messages one hand-in may carry.
MESSAGES_PER_BATCH = 50
#: A longer text is cut by the runner.
MAX_TEXT_BYTES = 65_536
#: A longer quoted text is cut by the runner.
MAX_QUOTE_CHARACTERS = 1_000
#: The largest snapshot that the control plane accepts.
MAX_SNAPSHOT_BYTES = 2_147_483_648
#: How long the control plane may hold a call for the bell before it answers.
MAX_BELL_HOLD_MS = 10_000


class Phase(StrEnum):
    """The phase of a tenant's WhatsApp Web login."""

    IDLE = "idle"  #: nothing runs: the session should not run, or no runner hosts it yet
    STARTING = "starting"  #: a browser is being started
    QR = "qr"  #: a QR code waits to be scanned
    PAIRING = "pairing"  #: an 8-character pairing code waits to be typed into the phone
    PASSKEY_REQUIRED = "passkey_required"  #: the phone asks for a passkey this browser cannot give
    SYNCING = "syncing"  #: linked; WhatsApp is loading its chats
    ONLINE = "online"  #: proven by a server round trip; the line answers
    OFFLINE = "offline"  #: linked, but WhatsApp's server is not reachable (or the runner parked itself)
    CONFLICT = "conflict"  #: another browser took this login over
    BLOCKED = "blocked"  #: WhatsApp refuses this account or this client
    LOGGED_OUT = "logged_out"  #: the phone (or WhatsApp) ended the link; a new scan is needed
    FAILED = "failed"  #: the browser reached none of the above; the runner retries


class ProblemCode(StrEnum):
    """A problem that a person must fix.

    No runner may report a member that the release before lacks: an older control plane would refuse the whole sync.
    New problems of a session travel as fields of their own, from which the control plane makes the code.
    """

    # of the session
    PASSKEY = "passkey"  #: the phone asks for a passkey this browser cannot give
    CONFLICT = "conflict"  #: another browser took this login over
    BLOCKED = "blocked"  #: WhatsApp refuses this account or this client
    RESTRICTED = "restricted"  #: WhatsApp restricts this account: it is linked, but may not write to everyone
    INCOMPATIBLE = "incompatible"  #: wa-js and the page no longer understand each other
    BROWSER_MISSING = "browser_missing"  #: the runner's machine has no Chromium
    # of the assistant
    KEY_REVOKED = "key_revoked"  #: OpenAI does not accept the key
    KEY_FORBIDDEN = "key_forbidden"  #: the key lacks a scope, a region or an address it needs
    KEY_UNREADABLE = "key_unreadable"  #: the stored key cannot be decrypted here: it came from another installation
    OUT_OF_CREDIT = "out_of_credit"  #: the OpenAI account has no credit left
    MODEL_RETIRED = "model_retired"  #: unknown, retired, or not open to this key
    ASSISTANT_REFUSED = "assistant_refused"  #: OpenAI refuses the settings (a parameter, a tool)
    BUDGET_REACHED = "budget_reached"  #: the tokens of this month are used up
    # of the mail
    MAIL_BOUNCED = "mail_bounced"  #: not delivered
    MAIL_COMPLAINED = "mail_complained"  #: marked as spam


class SaveProblem(StrEnum):
    """The reason why a profile could not be saved the last time; the runner tries again."""

    DISK_FULL = "disk_full"  #: the runner's disk has no room, or had none since the browser was started
    TOO_LARGE = "too_large"  #: the profile, or its archive, is larger than any that may be stored
    TOO_SLOW = "too_slow"  #: the browser may not stand still for as long as the copy took
    NOT_STORED = "not_stored"  #: the control plane or S3 did not take it
    FAILED = "failed"  #: an error of the runner


class PairingProblem(StrEnum):
    """The reason why a page shows no pairing code although one is wanted."""

    REFUSED = "refused"  #: WhatsApp gave none; the runner asks again in a while
    GIVEN_UP = "given_up"  #: WhatsApp gave none for as often as one order asks; a person may ask again
    ENDED = "ended"  #: the codes of one order have run out; a person may ask again


class Wanted(StrEnum):
    """The desired state of a session that a runner holds."""

    RUN = "run"  #: keep it online, or show the owner a code
    RELEASE = "release"  #: close the browser, then call ``/runner/release``


class MessageKind(StrEnum):
    """The kind of a WhatsApp message, as far as the line distinguishes it."""

    TEXT = "text"
    IMAGE = "image"
    VOICE = "voice"
    AUDIO = "audio"
    VIDEO = "video"
    DOCUMENT = "document"
    STICKER = "sticker"
    LOCATION = "location"
    CONTACT_CARD = "contact_card"
    CIPHERTEXT = "ciphertext"  #: not decrypted yet; handed in again once it is
    OTHER = "other"


class Outcome(StrEnum):
    """The control plane's decision about a message that was handed in."""

    QUEUED = "queued"  #: it will be answered: mark seen and show "typing…"
    DELIVERY = "delivery"  #: it is one of our own replies
    TAKEOVER = "takeover"  #: a person wrote from the phone
    SKIPPED = "skipped"  #: it will not be answered; ``reason`` says why
    DUPLICATE = "duplicate"  #: it was handed in before


TenantId = Annotated[str, StringConstraints(pattern=r"^[a-z0-9]{8,32}$")]
RunnerId = Annotated[str, StringConstraints(pattern=r"^[a-z0-9]{8,40}$")]
TurnId = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{8,64}$")]
#: ``491701234567@c.us``, ``4711@lid``, ``…@g.us``: opaque, never built from one another.
ChatId = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9._:-]{1,64}@[a-z.]{1,24}$|^status@broadcast$")]
#: The stanza id alone (``3EB0…``), not the serialized key. Chosen by the sender: never trusted as unique.
MessageId = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9._:+/=-]{1,128}$")]
#: ``profiles/<tenant>/<epoch>-<sequence>-<sha256>.tar.zst``: immutable, in the order of the epochs.
SnapshotKey = Annotated[
    str, StringConstraints(pattern=r"^profiles/[a-z0-9]{8,32}/[0-9]{16}-[0-9]{6}-[0-9a-f]{64}\.tar\.zst$")
]
Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
SnapshotSequence = Annotated[int, Field(ge=1, le=999_999)]
SnapshotBytes = Annotated[int, Field(ge=1, le=MAX_SNAPSHOT_BYTES)]
Epoch = Annotated[int, Field(ge=1, le=2**53)]
Milliseconds = Annotated[int, Field(ge=0, le=2**53)]
ShortText = Annotated[str, StringConstraints(max_length=200)]


class Wire(BaseModel):
    """Frozen; unknown fields are ignored. A model is built when it is first used: most functions use few of them."""

    model_config = ConfigDict(frozen=True, extra="ignore", defer_build=True)


class Code(Wire):
    """A QR string or a pairing code, with the time it still lives (a duration: the clocks differ)."""

    code: Annotated[str, StringConstraints(min_length=1, max_length=2048)]
    expires_in_ms: Milliseconds


class Restriction(Wire):
    """A restriction of an account that is linked: WhatsApp lets it write to some contacts only, or to none."""

    #: WhatsApp's time of its end; ``None`` where it is not known.
    until_ms: Milliseconds | None = None
    #: WhatsApp's word for it, such as WEB_COMPANION_ONLY; empty if WhatsApp only refused replies in several chats.
    kind: ShortText = ""


class SessionReport(Wire):
    """The state of one session, as its runner sees it.

    ``sequence`` grows whenever anything but the ages (``…_ms_ago``) and ``save_problem`` changes, and is repeated
    otherwise: the control plane stores a report only once, and ignores an older one.
    """

    tenant: TenantId
    epoch: Epoch
    sequence: Annotated[int, Field(ge=0, le=2**53)]
    phase: Phase
    problem: ProblemCode | None = None
    #: One technical sentence for the engineer on call; never a number, a code or a message text.
    detail: ShortText = ""
    qr: Code | None = None
    pairing: Code | None = None
    #: Why there is no pairing code: a ``PairingProblem``, or one of a later release; empty while there need be none.
    pairing_problem: ShortText = ""
    #: The linked account's phone number, digits only, once known.
    number: Annotated[str, StringConstraints(pattern=r"^[0-9]{5,20}$")] | None = None
    #: WhatsApp time up to which every message was handed in and acknowledged.
    caught_up_to_ms: Milliseconds | None = None
    restriction: Restriction | None = None
    #: How long ago the page last answered a probe.
    probed_ms_ago: Milliseconds | None = None
    #: How long ago the profile was last found to be saved: a snapshot was committed, or there was nothing new to save.
    saved_ms_ago: Milliseconds | None = None
    #: Why the profile is not saved: a ``SaveProblem``, or one of a later release; empty while saving works.
    save_problem: ShortText = ""


class SyncRequest(Wire):
    """The heartbeat: registers, renews the lease, reports sessions, and asks for the sessions to hold, in one call.

    Answered at once. A runner of an earlier release asks that it be held for the bell (``wait_ms``, which is ignored),
    and calls again after 0.2 s while it expects something.
    """

    wire: int = WIRE_VERSION
    #: Grew with every call of a runner of an earlier release. A control plane of that release requires it.
    sequence: Annotated[int, Field(ge=0, le=2**53)] = 0
    capacity: Annotated[int, Field(ge=0, le=MAX_CAPACITY)]
    draining: bool = False
    #: The last value of the bell that the runner knows.
    bell: Annotated[int, Field(ge=0, le=2**53)] = 0
    #: The ARN of the ECS task that this process runs in. ECS must know the task, and reports its end.
    task: ShortText = ""
    image: ShortText = ""
    commit: ShortText = ""
    chromium: ShortText = ""
    wa_js: ShortText = ""
    #: The same for all runners that share a disk, and for no others; empty where it is not known.
    disk: ShortText = ""
    #: The disk has no room: sessions should move to a runner on another disk, if one has room for them.
    disk_full: bool = False
    #: Twice as many as a runner hosts: one that ends may be reported beside the one that takes its place.
    sessions: Annotated[tuple[SessionReport, ...], Field(max_length=2 * MAX_CAPACITY)] = ()


class Identity(Wire):
    """The identity of a runner. The control plane sends the token once and stores only its hash."""

    runner: RunnerId
    token: str


class Hold(Wire):
    """A session that this runner holds, and its desired state."""

    tenant: TenantId
    epoch: Epoch
    wanted: Wanted
    #: A page of the owner or the operator keeps the session awake: an unlinked session should show a fresh code.
    watched: bool = False
    #: Digits of the phone that asked for a pairing code instead of a QR; ``None`` shows the QR.
    pair_with: str | None = None
    #: When that phone's code was asked for: each such order gets a few codes. 0 once it is over: no further code is
    #: asked of WhatsApp. ``None`` from a control plane of an earlier release.
    pair_order: Annotated[int, Field(ge=0, le=2**53)] | None = None
    #: Messages up to this WhatsApp time need no answer; ``None`` until the first linking.
    caught_up_to_ms: Milliseconds | None = None
    #: Only a profile whose account is this number may go online; ``None`` before the first linking.
    number: str | None = None
    #: The epoch of the session's last hold by any runner (the rule: ``runner/profile/directory.py``).
    last_epoch: int | None = None
    #: Grows when a person asks to try again: the runner then takes the login back at once, however often it did, or
    #: shows a new code instead of the phone's demand for a passkey. A runner of an earlier release ignores it.
    try_again: Annotated[int, Field(ge=0, le=2**53)] = 0


class Delivery(Wire):
    """A turn that is ready, or that another hold began to send. Take and sent repeat its ``chat``."""

    tenant: TenantId
    epoch: Epoch
    chat: ChatId
    turn: TurnId
    revision: int
    #: WhatsApp's time of the oldest message that it answers: a backlog is answered from the newest on.
    sent_at_ms: Milliseconds = 0


class SyncAnswer(Wire):
    """The complete state for this runner: it closes every session at once that is not in ``hold``."""

    wire: int = WIRE_VERSION
    #: Repeats the request's: a runner of an earlier release requires it.
    sequence: int = 0
    #: Only in the answer to a registration.
    identity: Identity | None = None
    bell: int = 0
    hold: tuple[Hold, ...] = ()
    #: All turns that this runner should take, in each answer; a finished turn may be listed a little longer.
    deliver: tuple[Delivery, ...] = ()
    #: The runner should call again no later than this.
    next_in_ms: int = 3_000
    #: The runner should release its sessions one after another and end.
    drain: bool = False


class BellRequest(Wire):
    """Waits for the bell: it rings when the sessions to hold or the turns to deliver changed.

    A control plane of an earlier release does not know this call (403 or 404); the syncs bring the same, a bit later.
    """

    wire: int = WIRE_VERSION
    #: The last value of the bell that the runner knows.
    bell: Annotated[int, Field(ge=0, le=2**53)] = 0
    #: How long the answer may be held for the bell to ring; 0 answers at once.
    wait_ms: Annotated[int, Field(ge=0, le=MAX_BELL_HOLD_MS)] = 0


class BellAnswer(Wire):
    """The bell as it is now. If it rang, the next sync brings the sessions to hold."""

    bell: int
    #: All turns that this runner should take, as in a sync's answer.
    deliver: tuple[Delivery, ...] = ()


class Media(Wire):
    """The facts of a picture, recording, video or document; its bytes never travel here."""

    mime: ShortText = ""
    size_bytes: Annotated[int, Field(ge=0, le=2**53)] | None = None
    #: The length of a recording or video.
    seconds: Annotated[int, Field(ge=0, le=2**31)] | None = None
    #: A document's name: never its text.
    file_name: ShortText = ""


class Quote(Wire):
    """The message that another one quotes, as far as the page knows it."""

    id: MessageId | None = None
    #: Written by the line's account: a reply of ours, or of its owner.
    from_me: bool = False
    #: The quoted author in a group.
    sender: ChatId | None = None
    kind: MessageKind = MessageKind.TEXT
    #: What was typed, or the caption.
    text: Annotated[str, StringConstraints(max_length=MAX_QUOTE_CHARACTERS)] = ""


class Message(Wire):
    """A WhatsApp message as the page has it; handed in again when it is decrypted, edited or deleted.

    Runners of an earlier release send the caption as ``text``, and none of the fields after it.
    """

    id: MessageId
    chat: ChatId
    #: The chat's other name (phone for a LID chat, LID for a phone chat), where the page knows it.
    chat_alias: ChatId | None = None
    #: Digits of the contact's phone, where known.
    phone: Annotated[str, StringConstraints(pattern=r"^[0-9]{5,20}$")] | None = None
    #: The author in a group; ``None`` in a direct chat.
    sender: ChatId | None = None
    from_me: bool
    #: WhatsApp's own time of the message.
    sent_at_ms: Milliseconds
    kind: MessageKind
    #: What its author typed, in the newest wording.
    text: str = ""
    #: What its author typed beside a picture, video, document, order, place, invite or payment.
    caption: str = ""
    #: Finer than ``kind``. Of OTHER: "poll", "order", "product", "list_reply", "button_reply", "form_reply",
    #: "group_invite", "event", "payment", "business_message", "view_once" (never readable here), … Besides:
    #: "contact_cards", "live_location", "gif", "video_note", "view_once", "broadcast" (sent to many at once;
    #: ``automatic`` if it is the account's own). Readers ignore those that they do not know.
    variant: ShortText = ""
    #: The content of a structured message in words: a poll's question and options, an order's items, the chosen entry.
    summary: str = ""
    quote: Quote | None = None
    #: The name that its author shows (their own, or as the phone has it saved).
    author: ShortText = ""
    #: In a group: our account is mentioned.
    mentions_us: bool = False
    media: Media | None = None
    #: WhatsApp's own time of the newest edit; ``None`` if it was never edited.
    edited_at_ms: Milliseconds | None = None
    #: Deleted for everyone; all of its content is empty then.
    deleted: bool = False
    #: WhatsApp itself marks it as not written by a person.
    automatic: bool = False
    #: The contact is saved in the phone's contacts; ``None`` where the page does not know.
    saved_contact: bool | None = None
    #: WhatsApp's own time of the oldest message that the page has of this chat: before the linking, the chat existed
    #: then already. ``None`` where the page does not know.
    chat_since_ms: Milliseconds | None = None


class MessagesRequest(Wire):
    """Messages of one session, oldest first within each chat. Handing in is idempotent."""

    wire: int = WIRE_VERSION
    tenant: TenantId
    epoch: Epoch
    messages: Annotated[tuple[Message, ...], Field(min_length=1, max_length=MESSAGES_PER_BATCH)]


class Acknowledgement(Wire):
    """The control plane's answer to one message, in the order of the request."""

    id: MessageId
    chat: ChatId
    outcome: Outcome
    reason: ShortText = ""


class MessagesAnswer(Wire):
    """An acknowledgement for each message."""

    acknowledged: tuple[Acknowledgement, ...]


class TakeRequest(Wire):
    """``ready → sending``: only the holder of the epoch may send."""

    wire: int = WIRE_VERSION
    tenant: TenantId
    epoch: Epoch
    chat: ChatId
    turn: TurnId


class Part(Wire):
    """A part of a reply, with its message id on WhatsApp, which is the same each time that it is sent."""

    id: MessageId
    text: str


class TakeAnswer(Wire):
    """``gone``: the turn is delivered, discarded or no longer this runner's; forget it."""

    result: Literal["taken", "gone"]
    #: Where to send it: the chat's id as WhatsApp used it last (not necessarily the request's).
    chat: ChatId
    revision: int = 0
    #: All parts; those before ``cursor`` are known to be sent.
    parts: tuple[Part, ...] = ()
    cursor: int = 0
    #: Quote this message of the contact (the reply comes late); ``None`` for a plain reply.
    quote: MessageId | None = None


class SentRequest(Wire):
    """Part ``part`` of the turn is on WhatsApp's server (ack ≥ 1)."""

    wire: int = WIRE_VERSION
    tenant: TenantId
    epoch: Epoch
    chat: ChatId
    turn: TurnId
    part: Annotated[int, Field(ge=0, le=99)]
    message: MessageId


class SentAnswer(Wire):
    """``done`` is true once every part of the turn is sent."""

    done: bool


class RefusedRequest(Wire):
    """WhatsApp refused part ``part`` of the turn for good (ack < 0), however often it was sent: nobody will read it."""

    wire: int = WIRE_VERSION
    tenant: TenantId
    epoch: Epoch
    chat: ChatId
    turn: TurnId
    part: Annotated[int, Field(ge=0, le=99)]
    message: MessageId
    #: WhatsApp's code (wa-js's ACK: -1 failed, -2 expired, …).
    ack: Annotated[int, Field(ge=-99, le=-1)]


class RefusedAnswer(Wire):
    """``ended`` is true if the turn was this runner's; it is discarded now, and has its reason."""

    ended: bool


class ReleaseRequest(Wire):
    """Releases a session whose browser is closed; another runner may host it."""

    wire: int = WIRE_VERSION
    tenant: TenantId
    epoch: Epoch
    reason: ShortText = ""
    #: The runner gave up: it could bring the session neither online nor to a code.
    failed: bool = False


class ReleaseAnswer(Wire):
    """``released`` is true if the runner still held the session at this epoch; it is free now."""

    released: bool


class UploadRequest(Wire):
    """Asks where to upload a packed snapshot. A snapshot counts only after its commit."""

    wire: int = WIRE_VERSION
    tenant: TenantId
    epoch: Epoch
    #: Grows with each snapshot of this epoch.
    sequence: SnapshotSequence
    sha256: Sha256
    size_bytes: SnapshotBytes


class UploadAnswer(Wire):
    """The target of a PUT with exactly these bytes and headers; 412 means that the object exists already."""

    key: SnapshotKey
    url: str
    headers: dict[str, str]


class CommitRequest(Wire):
    """Makes an uploaded snapshot the session's newest version."""

    wire: int = WIRE_VERSION
    tenant: TenantId
    epoch: Epoch
    sequence: SnapshotSequence
    sha256: Sha256
    size_bytes: SnapshotBytes
    chromium: ShortText
    wa_js: ShortText = ""


class CommitAnswer(Wire):
    """``committed`` is false if a newer version was committed before."""

    committed: bool


class RestoreRequest(Wire):
    """Asks for the snapshots that this session may start from; asked again after one that failed."""

    wire: int = WIRE_VERSION
    tenant: TenantId
    epoch: Epoch
    #: The snapshots that failed already; the control plane does not offer them again.
    failed: Annotated[tuple[SnapshotKey, ...], Field(max_length=32)] = ()
    #: The reason why the last snapshot failed; empty at the first call.
    reason: ShortText = ""


class SnapshotVersion(Wire):
    """A version of the session's snapshot, and the URL to fetch it from."""

    key: SnapshotKey
    url: str
    epoch: Epoch
    sequence: SnapshotSequence
    sha256: Sha256
    size_bytes: SnapshotBytes
    chromium: ShortText = ""
    wa_js: ShortText = ""


class RestoreAnswer(Wire):
    """Snapshot versions, newest first; empty if there is none of the account that is linked now."""

    generations: tuple[SnapshotVersion, ...] = ()


class Refusal(Wire):
    """The body of every answer that is not 2xx."""

    code: str
    message: str
