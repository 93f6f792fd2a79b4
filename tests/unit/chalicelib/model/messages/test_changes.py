"""What a hand-in changes of a stored message, in whatever order the hand-ins come."""

from typing import Any

import pytest

from chalicelib.model import SkipReason, StoredMessage
from chalicelib.model.messages.changes import Change, change_of
from wire import Message, MessageKind

NOW = 1_790_000_000_000


def stored(**more: Any) -> StoredMessage:
    text = {"sender": None, "from_me": False, "kind": MessageKind.TEXT, "text": "Hello", "at": f"{NOW}#000"}
    return StoredMessage(**{"id": "M1", "chat": "4711@lid", "sent_at": NOW, "received_at": NOW, **text, **more})


def handed_in(**more: Any) -> Message:
    text = {"from_me": False, "sent_at_ms": NOW, "kind": MessageKind.TEXT, "text": "Hello"}
    return Message(**{"id": "M1", "chat": "4711@lid", **text, **more})


EDIT, LATER_EDIT, DELETION = handed_in(edited_at_ms=5), handed_in(edited_at_ms=9), handed_in(deleted=True, text="")
UNREADABLE = handed_in(kind=MessageKind.CIPHERTEXT, text="")
GONE = stored(skipped=SkipReason.DELETED, text="", version=1)


@pytest.mark.parametrize(
    ("before", "message", "change"),
    [
        (None, handed_in(), Change.NEW),
        (None, EDIT, Change.NEW),
        (None, DELETION, Change.NEW),
        (None, UNREADABLE, Change.NEW),
        (stored(), handed_in(), Change.DUPLICATE),
        (stored(), EDIT, Change.EDITED),
        (stored(edited_at=5), EDIT, Change.DUPLICATE),
        (stored(edited_at=5), LATER_EDIT, Change.EDITED),
        (stored(edited_at=9), EDIT, Change.DUPLICATE),
        (stored(edited_at=9), handed_in(), Change.DUPLICATE),
        (stored(), DELETION, Change.DELETED),
        (stored(edited_at=9), DELETION, Change.DELETED),
        (stored(skipped=SkipReason.TAKEOVER), DELETION, Change.DELETED),
        (stored(from_me=True), handed_in(from_me=True, edited_at_ms=5), Change.EDITED),
        (stored(from_me=True), handed_in(from_me=True, deleted=True), Change.DELETED),
        (GONE, DELETION, Change.DUPLICATE),
        (GONE, handed_in(), Change.DUPLICATE),
        (GONE, LATER_EDIT, Change.DUPLICATE),
        (stored(kind=MessageKind.CIPHERTEXT, text=""), UNREADABLE, Change.DUPLICATE),
        (stored(kind=MessageKind.CIPHERTEXT, text=""), handed_in(), Change.DECRYPTED),
        (stored(kind=MessageKind.CIPHERTEXT, text=""), EDIT, Change.DECRYPTED),
        (stored(kind=MessageKind.CIPHERTEXT, text=""), DELETION, Change.DELETED),
        (stored(skipped=SkipReason.GROUP, text=""), EDIT, Change.DUPLICATE),
        (stored(skipped=SkipReason.PAUSED, text=""), DELETION, Change.DELETED),
        (stored(skipped=SkipReason.OLDER_CHAT, kind=MessageKind.CIPHERTEXT, text=""), handed_in(), Change.DUPLICATE),
        (stored(), UNREADABLE, Change.DUPLICATE),
        (stored(skipped=SkipReason.DELETED, kind=MessageKind.CIPHERTEXT, text=""), handed_in(), Change.DUPLICATE),
    ],
)
def test_a_hand_in_changes(before: StoredMessage | None, message: Message, change: Change) -> None:
    assert change_of(before, message) is change
