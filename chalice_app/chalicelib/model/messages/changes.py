"""The change that a hand-in makes to a message: new, decrypted, edited, deleted, or none. Pure."""

import re
from dataclasses import replace
from enum import StrEnum
from typing import Final

from chalicelib.model.messages.message import StoredMessage
from chalicelib.model.messages.skip_reason import SAID_NOTHING, SkipReason
from wire import Message, MessageKind

#: A shorter text, or line of a text, says nothing about its message where it occurs in another one.
MIN_COPY_CHARACTERS: Final = 4
#: Stands in a reply for what its contact deleted.
ERASED: Final = "[deleted]"


class Change(StrEnum):
    """The change that a hand-in makes to a message."""

    NEW = "new"  #: it is not stored yet; an edit or a deletion may come before its original
    DUPLICATE = "duplicate"  #: all of it is stored already, or it is older than what is stored
    DECRYPTED = "decrypted"  #: it was stored as unreadable, and is readable now
    EDITED = "edited"  #: its author changed its wording
    DELETED = "deleted"  #: its author deleted it for everyone


def change_of(before: StoredMessage | None, message: Message) -> Change:
    """Returns what this hand-in changes.

    Hand-ins come late, twice and in any order: only a newer edit counts, and nothing follows a deletion. Of a message
    that policy left unanswered nothing is kept that could change, and its later wording is not kept either; but another
    message may quote it, so that its deletion counts.
    """
    if before is None:
        return Change.NEW
    if before.skipped is SkipReason.DELETED and not (message.deleted and before.copies):
        return Change.DUPLICATE
    if message.deleted:
        return Change.DELETED
    if before.skipped is not None and not before.skipped.keeps_content:
        return Change.DUPLICATE
    if message.kind is MessageKind.CIPHERTEXT:
        return Change.DUPLICATE
    if before.kind is MessageKind.CIPHERTEXT:
        return Change.DECRYPTED
    return Change.EDITED if (message.edited_at_ms or 0) > (before.edited_at or 0) else Change.DUPLICATE


def edited(before: StoredMessage, latest: StoredMessage, edited_at: int | None) -> StoredMessage:
    """Returns the stored message in its new wording, one version later.

    A message that said nothing waits from now on if its new wording says something, as if it came now; one that says
    nothing any more, or that the line may not answer by now, does not wait. Of a message that gets no answer for
    another reason only the wording changes.

    Args:
        latest: the message as it would be stored if it were new.
        edited_at: WhatsApp's own time of the edit.
    """
    after = replace(latest, sender=before.sender, sent_at=before.sent_at)
    after = replace(after, version=before.version + 1, edited_at=edited_at)
    if before.skipped in SAID_NOTHING:
        return after
    if before.skipped is not None or latest.skipped is None:
        skipped = before.skipped
    else:
        ends = latest.skipped in SAID_NOTHING or not latest.skipped.keeps_content
        skipped = latest.skipped if ends else None
    return replace(after, skipped=skipped, at=before.at, received_at=before.received_at)


def erased(before: StoredMessage, reason: SkipReason) -> StoredMessage:
    """Returns the stored message without content, one version later: deleted, or not to be answered any more."""
    empty = replace(before, text="", variant="", summary="", quote=None, author="", media=None)
    copies = copies_of(before) if reason is SkipReason.DELETED else ()
    return replace(empty, skipped=reason, version=before.version + 1, copies=copies)


def copies_of(message: StoredMessage) -> tuple[str, ...]:
    """Returns what a copy of a message may say, the longest first: the whole text, or whole lines of it."""
    name = message.media.file_name if message.media is not None else ""
    said = {name, message.text, message.summary, *message.text.splitlines(), *message.summary.splitlines()}
    said = {*map(str.strip, said), *message.copies}
    return tuple(
        sorted((each for each in said if len(each) >= MIN_COPY_CHARACTERS), key=lambda each: (-len(each), each))
    )


def without_copies(text: str, deleted: StoredMessage) -> str:
    """Returns a reply without what it repeats of a deleted message."""
    for copy in copies_of(deleted):
        text = re.sub(re.escape(copy), ERASED, text, flags=re.IGNORECASE)
    return text
