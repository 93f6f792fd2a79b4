"""What the operator reads about things that happened, and when."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final

from chalicelib.model import Event, EventKind, Problem
from wire import Phase, ProblemCode

#: what happened → a few words, and the tone of its mark
HAPPENED: Final[Mapping[EventKind, tuple[str, str]]] = {
    EventKind.CREATED: ("Tenant created", ""),
    EventKind.EDITED: ("Settings changed", ""),
    EventKind.PAUSED: ("Paused", "attention"),
    EventKind.RESUMED: ("Resumed", "ok"),
    EventKind.INVITE_SENT: ("Invite sent", ""),
    EventKind.INVITE_OPENED: ("Invite opened", ""),
    EventKind.INVITE_REVOKED: ("Invite revoked", "attention"),
    EventKind.MAIL_FAILED: ("Mail could not be sent", "problem"),
    EventKind.LINKED: ("WhatsApp linked", "ok"),
    EventKind.LOGGED_OUT: ("WhatsApp logged out", "problem"),
    EventKind.ONLINE: ("Online", "ok"),
    EventKind.OFFLINE: ("Offline", "attention"),
    EventKind.PROBLEM: ("Problem", "problem"),
    EventKind.MENDED: ("Mended", "ok"),
    EventKind.TAKEOVER: ("A person took a chat over", ""),
    EventKind.TURN_GIVEN_UP: ("An answer was given up", "attention"),
    EventKind.RUNNER_LOST: ("The runner was lost; another takes over", "attention"),
    EventKind.RESTORE_FELL_BACK: ("The login was not usable; an earlier copy of it is tried", "attention"),
    EventKind.UNKNOWN: ("An event of a later release", ""),
}

#: What a redirect after a form says, by the word in its address: nothing else can be made to appear there.
DONE: Final[Mapping[str, tuple[str, str]]] = {
    "created": ("ok", "The tenant is there, and its owner has mail."),
    "unmailed": ("problem", "The tenant is there, but the mail with its link could not be sent."),
    "existed": ("quiet", "This form was saved before: here is its tenant."),
    "edited": ("ok", "Saved."),
    "unchanged": ("quiet", "Nothing was changed."),
    "paused": ("ok", "Paused. The line is silent; its login is kept."),
    "active": ("ok", "Resumed."),
    "invited": ("ok", "A new link was mailed; older ones no longer work."),
    "uninvited": ("problem", "The mail could not be sent; if there was a link before, it still works. Try again."),
    "revoked": ("ok", "The link no longer works."),
    "checking": ("ok", "Waiting messages are tried again now."),
    "busy": ("attention", "This tenant had many mails already. Wait an hour before sending another one."),
}

#: A problem in two or three words; its sentences are in ``locales/``.
PROBLEMS: Final[Mapping[ProblemCode, str]] = {
    ProblemCode.PASSKEY: "Passkey needed",
    ProblemCode.CONFLICT: "In use elsewhere",
    ProblemCode.BLOCKED: "Blocked by WhatsApp",
    ProblemCode.INCOMPATIBLE: "WhatsApp Web changed",
    ProblemCode.BROWSER_MISSING: "No browser",
    ProblemCode.KEY_REVOKED: "Key revoked",
    ProblemCode.KEY_FORBIDDEN: "Key not allowed",
    ProblemCode.OUT_OF_CREDIT: "Out of credit",
    ProblemCode.MODEL_RETIRED: "Model not available",
    ProblemCode.ASSISTANT_REFUSED: "Settings refused",
    ProblemCode.BUDGET_REACHED: "Budget used up",
    ProblemCode.MAIL_BOUNCED: "Mail not delivered",
    ProblemCode.MAIL_COMPLAINED: "Mail marked as spam",
}

#: What an edit changed: attributes of a tenant as people call them.
EDITED: Final[Mapping[str, str]] = {
    "name": "name",
    "owner_email": "owner’s e-mail",
    "language": "language",
    "key_last4": "OpenAI key",
    "assistant": "assistant",
    "policies": "how the line behaves",
}

#: The one action of a problem: a field of the edit form, or a form of the page.
MENDING: Final[Mapping[ProblemCode, str]] = {
    ProblemCode.PASSKEY: "invite",
    ProblemCode.KEY_REVOKED: "edit#api_key",
    ProblemCode.KEY_FORBIDDEN: "edit#api_key",
    ProblemCode.OUT_OF_CREDIT: "check",
    ProblemCode.MODEL_RETIRED: "edit#model",
    ProblemCode.ASSISTANT_REFUSED: "edit#model",
    ProblemCode.BUDGET_REACHED: "edit#tokens_per_month",
    ProblemCode.MAIL_BOUNCED: "edit#owner_email",
    ProblemCode.MAIL_COMPLAINED: "edit#owner_email",
}
#: The one action of a phase that has no problem.
HELPING: Final[Mapping[Phase, str]] = {
    Phase.QR: "invite",
    Phase.PASSKEY_REQUIRED: "invite",
    Phase.LOGGED_OUT: "invite",
}


def problem_name(problem: Problem) -> str:
    return PROBLEMS[problem.code]


def told(event: Event) -> str:
    """The detail of an event, in words: a problem by its name, an edit by what was changed."""
    if event.kind is EventKind.EDITED:
        return ", ".join(EDITED[name] for name in event.detail.split(", ") if name in EDITED)
    return PROBLEMS[ProblemCode(event.detail)] if event.detail in set(ProblemCode) else event.detail


def ago(instant: int | None, now: int) -> str:
    """How long ago, roughly; in one piece, so that a narrow column does not break it."""
    if not instant:
        return "never"
    seconds = max(0, now - instant) // 1000
    if seconds < 45:
        return "just\u00a0now"
    for size, one, several in ((86_400, "day", "days"), (3_600, "h", "h"), (60, "min", "min")):
        if seconds >= size:
            count = seconds // size
            return f"{count}\u00a0{one if count == 1 else several}\u00a0ago"
    return "1\u00a0min\u00a0ago"


def moment(instant: int) -> str:
    """The instant for a ``datetime`` attribute and its tooltip."""
    return datetime.fromtimestamp(instant / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
