"""The part of a tenant's page that says which messages got no reply, and why; it knows no text of them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from chalicelib.model import SkipReason, Tenant
from chalicelib.replies.unanswered import today
from chalicelib.wiring import Services
from wire import MessageKind

#: The reason in the words of the page.
REASONS: Final[Mapping[SkipReason, str]] = {
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
    SkipReason.UNKNOWN: "A reason of a later release",
}


@dataclass(frozen=True, slots=True)
class UnansweredRow:
    """A message in the list."""

    at: int
    chat: str
    kind: str
    reason: str


def unanswered_context(services: Services, tenant: Tenant) -> dict[str, Any]:
    """Returns what the template shows: how many of today by reason, and the last twenty."""
    counts = services.unanswered.counts(tenant.id, today(tenant, services.clock()))
    rows = [
        UnansweredRow(each.at, _chat_name(each.chat), _kind_name(each.kind), REASONS[each.reason])
        for each in services.unanswered.latest(tenant.id)
    ]
    return {"unanswered_today": [(REASONS[reason], count) for reason, count in counts.items()], "unanswered": rows}


def _chat_name(chat: str) -> str:
    """Returns the phone of a chat that is named by one, else the id, which the phone lists take too."""
    digits = chat.removesuffix("@c.us")
    return f"+{digits}" if digits.isdigit() else chat


def _kind_name(kind: MessageKind) -> str:
    return kind.replace("_", " ")
