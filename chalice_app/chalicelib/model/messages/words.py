"""Words: tells messages that say something from those that only show it, and texts from blank ones. Pure."""

import unicodedata
from collections.abc import Iterable
from typing import Final

from chalicelib.model.messages.message import StoredMessage
from wire import Media, Message, MessageKind

#: Structured messages whose ``summary`` is what their author said or chose: a question with its options, the items of
#: an order, a product, a date, the entry of a list, a button or a form. A business's own form is no contact's words.
SAID_IN_SUMMARY: Final = frozenset({"poll", "order", "product", "event", "list_reply", "button_reply", "form_reply"})
#: Letters and signs that show nothing: Hangul fillers, the blank Braille pattern, a notehead, a lost object.
INVISIBLE: Final = frozenset("\u115f\u1160\u3164\uffa0\u2800\U0001d159\ufffc")
#: Code points that Unicode keeps for signs that show nothing (Default_Ignorable_Code_Point), assigned or not.
IGNORABLE: Final = (range(0x2060, 0x2070), range(0xFFF0, 0xFFF9), range(0xE0000, 0xE1000))


def is_blank(text: str) -> bool:
    """True if a text shows nothing: white space, marks without a letter, signs that steer how others are shown."""
    return not any(_is_visible(letter) for letter in text)


def has_words(message: Message) -> bool:
    """True if its author typed something, or chose or wrote what its summary says.

    What the message quotes was said by another, a document's name is no text, and neither are a card, a place or the
    invitation to a group. A kind that the line does not know has no words: nobody typed what is in it.
    """
    return _says(message.kind, (message.text, message.caption), message.variant, message.summary, message.media)


def stored_words(message: StoredMessage) -> bool:
    """True if the author of a stored message typed, chose or wrote something."""
    return _says(message.kind, (message.text,), message.variant, message.summary, message.media)


def _says(kind: MessageKind, texts: Iterable[str], variant: str, summary: str, media: Media | None) -> bool:
    typed = {text for text in texts if not is_blank(text)}
    if kind is MessageKind.DOCUMENT and media is not None:
        typed = {text for text in typed if text.strip() != media.file_name.strip()}
    if kind is MessageKind.OTHER and not variant:
        return False
    return bool(typed) or (variant in SAID_IN_SUMMARY and not is_blank(summary))


def _is_visible(letter: str) -> bool:
    """Letters, numbers, punctuation and symbols are; so is what a later Unicode than this Python's may assign."""
    if letter in INVISIBLE or any(ord(letter) in ignorable for ignorable in IGNORABLE):
        return False
    category = unicodedata.category(letter)
    return category[0] in "LNPS" or category in ("Cn", "Co")
