"""Texts of the admin: events of the timeline, results of forms, problems, times."""

from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum
from typing import Final, NamedTuple

from chalicelib.model import Audience, Event, EventKind, GroupAnswers, Problem, SkipReason
from chalicelib.rendering.languages import DEFAULT_LANGUAGE, translator
from chalicelib.rendering.tones import DISCONNECTED, Tone
from wire import Phase, ProblemCode


class Message(NamedTuple):
    """A text with the tone of its mark or notice."""

    tone: Tone
    text: str


#: The label of each kind of event.
EVENT_LABELS: Final[Mapping[EventKind, Message]] = {
    EventKind.CREATED: Message(Tone.NEUTRAL, "Tenant created"),
    EventKind.EDITED: Message(Tone.NEUTRAL, "Settings changed"),
    EventKind.PAUSED: Message(Tone.ATTENTION, "Paused"),
    EventKind.RESUMED: Message(Tone.OK, "Resumed"),
    EventKind.INVITE_SENT: Message(Tone.NEUTRAL, "Invite sent"),
    EventKind.INVITE_OPENED: Message(Tone.NEUTRAL, "Invite opened"),
    EventKind.INVITE_MOVED: Message(Tone.ATTENTION, "The owner’s page was taken over by another browser"),
    EventKind.INVITE_REVOKED: Message(Tone.ATTENTION, "Invite revoked"),
    EventKind.MAIL_FAILED: Message(Tone.PROBLEM, "Mail could not be sent"),
    EventKind.LINKED: Message(Tone.OK, "WhatsApp linked"),
    EventKind.LOGGED_OUT: Message(Tone.PROBLEM, "WhatsApp logged out"),
    EventKind.ONLINE: Message(Tone.OK, "Online"),
    EventKind.OFFLINE: Message(Tone.ATTENTION, "Offline"),
    EventKind.PROBLEM: Message(Tone.PROBLEM, "Problem"),
    EventKind.RESOLVED: Message(Tone.OK, "Fixed"),
    EventKind.TAKEOVER: Message(Tone.NEUTRAL, "A person took a chat over"),
    EventKind.TURN_GIVEN_UP: Message(Tone.ATTENTION, "An answer was given up"),
    EventKind.CHAT_MUTED: Message(Tone.ATTENTION, "Two bots talked in a chat: it is muted for an hour"),
    EventKind.INTRODUCTION_OFF: Message(Tone.ATTENTION, "The line does not introduce itself any more"),
    EventKind.INTRODUCTION_ON: Message(Tone.NEUTRAL, "The line introduces itself again"),
    EventKind.RUNNER_LOST: Message(Tone.ATTENTION, "The runner was lost; another takes over"),
    EventKind.DISK_FULL: Message(Tone.ATTENTION, "The runner’s disk is full; the line moves to another one"),
    EventKind.UNKNOWN: Message(Tone.NEUTRAL, "An event of a later release"),
    EventKind.RESTORE_FELL_BACK: Message(Tone.ATTENTION, "The login was not usable; an earlier copy of it is tried"),
}

#: What of a tenant was fixed; problems of its session have their own names.
RESOLVED_NAMES: Final[Mapping[str, str]] = {
    "assistant": "the problem with the assistant",
    "mail": "the problem with mail",
}
#: Why a message got no reply.
REASON_NAMES: Final[Mapping[SkipReason, str]] = {
    SkipReason.BROADCAST: "Broadcast list, status or channel",
    SkipReason.NOT_A_PERSON: "Not a person: an assistant of WhatsApp or of a company, or the own chat",
    SkipReason.HISTORY: "Written before WhatsApp was linked",
    SkipReason.GROUP: "Groups are not answered",
    SkipReason.NOT_MENTIONED: "The line was not mentioned in the group",
    SkipReason.SAVED_CONTACT: "Saved in the phone’s contacts",
    SkipReason.OLDER_CHAT: "The chat is older than the linking",
    SkipReason.IGNORED_CONTACT: "On the list of those who are never answered",
    SkipReason.NOT_ALLOWED: "Not on the list of those who are answered",
    SkipReason.TOO_OLD: "Older than 12 hours",
    SkipReason.NOT_DECRYPTED: "Not readable yet",
    SkipReason.NEVER_DECRYPTED: "WhatsApp could not decrypt it",
    SkipReason.DELETED: "Deleted by its author",
    SkipReason.STOPPED: "The contact asked for no more answers",
    SkipReason.AUTOMATIC: "Sent by the WhatsApp Business app itself",
    SkipReason.NO_TEXT_BLANK: "No words in it",
    SkipReason.NO_TEXT_IMAGE: "A picture without words",
    SkipReason.NO_TEXT_VOICE: "A voice message",
    SkipReason.NO_TEXT_AUDIO: "An audio file",
    SkipReason.NO_TEXT_VIDEO: "A video without words",
    SkipReason.NO_TEXT_DOCUMENT: "A document without words",
    SkipReason.NO_TEXT_STICKER: "A sticker",
    SkipReason.NO_TEXT_LOCATION: "A location without words",
    SkipReason.NO_TEXT_CONTACT_CARD: "A contact card",
    SkipReason.NO_TEXT_OTHER: "A kind of message that cannot be read",
    SkipReason.PAUSED: "The line was paused",
    SkipReason.TAKEOVER: "A person answers this chat",
    SkipReason.HANDED_IN_BEFORE: "Handed in before",
    SkipReason.DISCONNECTED: "Written while the line was disconnected",
    SkipReason.OTHER_LOGIN: "Written to an account that was linked before",
    SkipReason.BOT_LOOP: "Another bot seems to answer there",
    SkipReason.CHANGED_TOO_OFTEN: "Edited or deleted again and again",
    SkipReason.DAILY_CAP: "The contact’s replies of the day are used up",
    SkipReason.EMPTY_REPLY: "Nothing of the answer could be sent",
    SkipReason.REFUSED: "The model refused to answer",
    SkipReason.FILTERED: "OpenAI’s content filter stopped the answer",
    SkipReason.WROTE_NOTHING: "The model wrote nothing",
    SkipReason.GIVEN_UP: "OpenAI will not answer it",
    SkipReason.MODEL_UNAVAILABLE: "OpenAI did not answer in time",
    SkipReason.REPLY_FAILED: "An error in Answerline lost the answer",
    SkipReason.NOT_ACCEPTED: "WhatsApp did not accept the answer",
    SkipReason.UNKNOWN: "A reason of a later release",
}
#: The choices of *who is answered*, each with what it means.
AUDIENCE_LABELS: Final[Mapping[Audience, tuple[str, str]]] = {
    Audience.NEW_CHATS: ("Chats begun after linking", "Chats that the phone had before stay with its owner."),
    Audience.UNSAVED: ("Only contacts not saved in the phone", "Saved contacts stay with the owner."),
    Audience.EVERYONE: ("Everyone who writes", "Friends and family too, if this phone is also private."),
}
#: The choices of what is answered in groups.
GROUP_LABELS: Final[Mapping[GroupAnswers, str]] = {
    GroupAnswers.NEVER: "Never",
    GroupAnswers.MENTIONED: "When mentioned or quoted",
    GroupAnswers.ALWAYS: "Every message",
}


class FormResult(StrEnum):
    """The result of a form: the word in the address that the form redirects to."""

    CREATED = "created"  #: the tenant is saved and its owner has mail
    UNMAILED = "unmailed"  #: the tenant is saved, but the mail could not be sent
    EXISTED = "existed"  #: the same form was posted before
    EDITED = "edited"  #: the changes are saved
    UNCHANGED = "unchanged"  #: the form had no change
    PAUSED = "paused"  #: the line is paused
    RESUMED = "active"  #: the line is active again
    CODE_ASKED = "code"  #: a browser is started that shows a code
    TRIED_AGAIN = "again"  #: the runner was ordered to try again
    INVITED = "invited"  #: a new link was mailed
    INSTRUCTED = "instructed"  #: the steps that remove a passkey were mailed
    UNINVITED = "uninvited"  #: a new link could not be mailed
    REVOKED = "revoked"  #: the link is revoked
    MARKED = "marked"  #: the decision about a recognised text is saved
    CHECKING = "checking"  #: a check of the assistant was asked for
    EDITED_CHECKING = "edited-checking"  #: the changes are saved, and a check of the assistant was asked for
    ANSWERING = "answering"  #: the chats that wrote while the line was disconnected are answered
    NONE_LEFT = "none_left"  #: there was none of them that the line may answer
    BUSY = "busy"  #: the rate limit of mails is reached


#: The sentence of each result: no other text can be shown by an address.
FORM_RESULTS: Final[Mapping[str, Message]] = {
    FormResult.CREATED: Message(Tone.OK, "The tenant is there, and its owner has mail."),
    FormResult.UNMAILED: Message(Tone.PROBLEM, "The tenant is there, but the mail with its link could not be sent."),
    FormResult.EXISTED: Message(Tone.QUIET, "This form was saved before: here is its tenant."),
    FormResult.EDITED: Message(Tone.OK, "Saved."),
    FormResult.UNCHANGED: Message(Tone.QUIET, "Nothing was changed."),
    FormResult.PAUSED: Message(Tone.OK, "Paused. The line is silent; its login is kept."),
    FormResult.RESUMED: Message(Tone.OK, "Resumed."),
    FormResult.CODE_ASKED: Message(Tone.OK, "A code appears here in a few seconds."),
    FormResult.TRIED_AGAIN: Message(Tone.OK, "The runner was told to try again now."),
    FormResult.INVITED: Message(Tone.OK, "A new link was mailed; older ones no longer work."),
    FormResult.INSTRUCTED: Message(
        Tone.OK, "The steps were mailed. The page that the owner may have open goes on working."
    ),
    FormResult.UNINVITED: Message(
        Tone.PROBLEM, "The mail could not be sent; if there was a link before, it still works. Try again."
    ),
    FormResult.REVOKED: Message(Tone.OK, "The link no longer works."),
    FormResult.MARKED: Message(Tone.OK, "Saved. It holds for the next message with this text."),
    FormResult.CHECKING: Message(Tone.OK, "A check of the assistant was asked for."),
    FormResult.EDITED_CHECKING: Message(Tone.OK, "Saved. A check of the assistant was asked for."),
    FormResult.ANSWERING: Message(Tone.OK, "They are answered now, at the line’s usual pace."),
    FormResult.NONE_LEFT: Message(Tone.QUIET, "None of them can be answered any more."),
    FormResult.BUSY: Message(
        Tone.ATTENTION, "This tenant had many mails already. Wait an hour before sending another one."
    ),
}

#: The attributes of a tenant that an edit may change, as people call them.
ATTRIBUTE_NAMES: Final[Mapping[str, str]] = {
    "name": "name",
    "owner_email": "owner’s e-mail",
    "language": "language",
    "country": "country",
    "key_last4": "OpenAI key",
    "assistant": "assistant",
    "policies": "how the line behaves",
    "automatic_texts": "automatic messages",
}

#: The operator's one action for a problem: a field of the edit form, or a form of the page.
PROBLEM_ACTIONS: Final[Mapping[ProblemCode, str]] = {
    ProblemCode.PASSKEY: "passkey",
    ProblemCode.CONFLICT: "again",
    ProblemCode.KEY_REVOKED: "edit#api_key",
    ProblemCode.KEY_FORBIDDEN: "edit#api_key",
    ProblemCode.KEY_UNREADABLE: "edit#api_key",
    ProblemCode.OUT_OF_CREDIT: "check",
    ProblemCode.MODEL_RETIRED: "edit#model",
    ProblemCode.ASSISTANT_REFUSED: "edit#model",
    ProblemCode.BUDGET_REACHED: "edit#tokens_per_month",
    ProblemCode.MAIL_BOUNCED: "edit#owner_email",
    ProblemCode.MAIL_COMPLAINED: "edit#owner_email",
}
#: The operator's one action for a state that has no problem.
PHASE_ACTIONS: Final[Mapping[str, str]] = {
    DISCONNECTED: "invite",
    Phase.QR: "invite",
    Phase.PASSKEY_REQUIRED: "passkey",
    Phase.LOGGED_OUT: "invite",
    Phase.CONFLICT: "again",
}


def problem_name(problem: Problem) -> str:
    """Returns a problem in two or three words."""
    return _name_of(problem.code)


def describe_event(event: Event) -> str:
    """Returns the detail of an event in words: a problem and a reason by its name, an edit by what it changed."""
    if event.count > 1:
        return f"{event.count} chats within an hour"
    if event.kind is EventKind.EDITED:
        return ", ".join(ATTRIBUTE_NAMES[name] for name in event.detail.split(", ") if name in ATTRIBUTE_NAMES)
    if event.kind is EventKind.RESOLVED and event.detail in RESOLVED_NAMES:
        return RESOLVED_NAMES[event.detail]
    if event.kind is EventKind.TURN_GIVEN_UP:
        reason = SkipReason(event.detail)
        code = f"{REASON_NAMES[SkipReason.GIVEN_UP]} ({event.detail})"  # one of OpenAI's
        return code if reason is SkipReason.UNKNOWN else REASON_NAMES[reason]
    return _name_of(event.detail) if event.detail in set(ProblemCode) else event.detail


def _name_of(problem: str) -> str:
    return translator(DEFAULT_LANGUAGE)(f"admin.problem.{problem}.name")


def format_age(instant: int | None, now: int) -> str:
    """Returns the rough time since an instant, for example ``3 min ago``; ``never`` without one."""
    if not instant:
        return "never"
    seconds = max(0, now - instant) // 1000
    if seconds < 45:
        return "just\u00a0now"
    return f"{format_duration(timedelta(seconds=max(60, seconds)))}\u00a0ago"


def format_day(day: str | None) -> str:
    """Returns a day (YYYY-MM-DD) as people read it: ``1 October 2026``; empty without one."""
    read = date.fromisoformat(day) if day else None
    return f"{read.day}\u00a0{read:%B}\u00a0{read.year}" if read else ""


def format_duration(duration: timedelta) -> str:
    """Returns ``3 min``, ``2 h``, ``5 days``, with an unbreakable space for narrow columns."""
    seconds = max(0, round(duration.total_seconds()))
    for size, one, several in ((86_400, "day", "days"), (3_600, "h", "h"), (60, "min", "min")):
        if seconds >= size:
            count = seconds // size
            return f"{count}\u00a0{one if count == 1 else several}"
    return f"{seconds}\u00a0s"


def format_instant(instant: int) -> str:
    """Returns an instant for a ``datetime`` attribute and its tooltip."""
    return datetime.fromtimestamp(instant / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
