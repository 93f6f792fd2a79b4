"""The change that a hand-in makes to a message: new, decrypted, edited, deleted, or none. Pure."""

from enum import StrEnum

from chalicelib.model.messages.message import StoredMessage
from chalicelib.model.messages.skip_reason import SkipReason
from wire import Message, MessageKind


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
    that policy left unanswered nothing is kept that could change, and its later wording is not kept either.
    """
    if before is None:
        return Change.NEW
    if before.skipped is not None and (before.skipped is SkipReason.DELETED or not before.skipped.keeps_content):
        return Change.DUPLICATE
    if message.deleted:
        return Change.DELETED
    if message.kind is MessageKind.CIPHERTEXT:
        return Change.DUPLICATE
    if before.kind is MessageKind.CIPHERTEXT:
        return Change.DECRYPTED
    return Change.EDITED if (message.edited_at_ms or 0) > (before.edited_at or 0) else Change.DUPLICATE
