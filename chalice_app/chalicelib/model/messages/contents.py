"""The content of a message in words for the model: nothing but typed text reads as if it had been typed. Pure."""

import unicodedata

from chalicelib.model.messages.message import StoredMessage
from chalicelib.model.messages.skip_reason import SkipReason
from wire import MAX_QUOTE_CHARACTERS, Media, MessageKind, Quote

#: A name or another short text of somebody else: on one line, and not longer.
MAX_NAME_CHARACTERS = 80

#: What the model reads in place of media. Its own words are below it: a caption, the comment of a location.
UNSEEN: dict[MessageKind, str] = {
    MessageKind.IMAGE: "picture that you cannot see",
    MessageKind.VIDEO: "video that you cannot see",
    MessageKind.VOICE: "voice message that you cannot hear",
    MessageKind.AUDIO: "audio file that you cannot hear",
    MessageKind.STICKER: "sticker that you cannot see",
    MessageKind.DOCUMENT: "document that you cannot read",
    MessageKind.LOCATION: "location",
    MessageKind.CONTACT_CARD: "contact card",
    MessageKind.CIPHERTEXT: "message that could not be decrypted",
    MessageKind.OTHER: "message of a kind that you cannot see",
}
#: Finer than the kind (``wire.Message.variant``); others read as their kind.
VARIANTS: dict[str, str] = {
    "gif": "animated picture that you cannot see",
    "video_note": "video that you cannot see",
    "view_once": "picture or video to be seen once, which you cannot see",
    "live_location": "live location",
    "contact_cards": "contact cards",
    "poll": "poll",
    "event": "event",
    "order": "order",
    "product": "product",
    "payment": "payment",
    "group_invite": "invitation to a group",
    "list_reply": "chose from a list",
    "button_reply": "pressed a button",
    "form_reply": "filled in a form",
    "business_message": "message of a business with choices",
}


def describe(message: StoredMessage) -> str:
    """Returns the message as a line for the model; empty for one without content (deleted, or not kept)."""
    text, summary = message.text.strip(), message.summary.strip()
    if message.kind is MessageKind.TEXT and message.variant not in VARIANTS:
        return text
    if message.skipped is not None and (message.skipped is SkipReason.DELETED or not message.skipped.keeps_content):
        return ""  # not even that there was something is told
    label = _label(message.kind, message.variant, message.media)
    structured = _without_repetition(summary, text)
    if message.kind in (MessageKind.TEXT, MessageKind.OTHER, MessageKind.LOCATION, MessageKind.CONTACT_CARD):
        return " ".join(filter(None, (f"[{label}]", structured, text)))
    caption = f"caption: {text}" if text else ""
    return " ".join(filter(None, (f"[{label}]", structured, caption)))


def describe_quote(quote: Quote) -> str:
    """Returns the quoted message in words, at most MAX_QUOTE_CHARACTERS of it."""
    text = quote.text.strip()[:MAX_QUOTE_CHARACTERS]
    if quote.kind is MessageKind.TEXT:
        return text
    label = UNSEEN.get(quote.kind, UNSEEN[MessageKind.OTHER])
    return f"[{label}] caption: {text}" if text else f"[{label}]"


def on_one_line(name: str) -> str:
    """Returns somebody's name without line breaks, invisible signs and brackets, at most MAX_NAME_CHARACTERS."""
    visible = ("" if unicodedata.category(sign) == "Cf" else sign for sign in name)
    kept = (" " if unicodedata.category(sign)[0] in "CZ" or sign in "[]" else sign for sign in "".join(visible))
    return " ".join("".join(kept).split())[:MAX_NAME_CHARACTERS].strip()


def _label(kind: MessageKind, variant: str, media: Media | None) -> str:
    label = VARIANTS.get(variant) or UNSEEN.get(kind, UNSEEN[MessageKind.OTHER])
    if media is None:
        return label
    facts = []
    if kind is MessageKind.DOCUMENT and (name := on_one_line(media.file_name)):
        facts.append(f'file name "{name}"')
    if kind in (MessageKind.VOICE, MessageKind.AUDIO, MessageKind.VIDEO) and media.seconds:
        facts.append(f"{media.seconds} s")
    return ", ".join([label, *facts])


def _without_repetition(summary: str, text: str) -> str:
    return "" if summary == text else summary
