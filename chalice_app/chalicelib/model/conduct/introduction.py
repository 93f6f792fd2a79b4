"""The introduction: the paragraph of ours that names an automatic assistant, and when a chat needs it. Pure."""

from datetime import timedelta
from typing import Final

from chalicelib.model.conversation import Chat, Turn
from chalicelib.model.tenant import Policies
from chalicelib.model.times import milliseconds

#: A chat is introduced to the assistant again this long after the last time.
REPEATED_AFTER: Final = timedelta(days=30)


def is_introduction_due(chat: Chat, policies: Policies, linked_at: int | None, now: int) -> bool:
    """Returns whether the next reply of the chat begins with the introduction.

    Args:
        linked_at: when the present login was linked; None while none is.
        now: epoch milliseconds.
    """
    if policies.introduction_off_reason:
        return False
    last = chat.introduced_at
    return last is None or last < (linked_at or 0) or now - last >= milliseconds(REPEATED_AFTER)


def introduced(introduction: str, parts: tuple[str, ...]) -> tuple[str, ...]:
    """Returns the parts of a reply with the introduction as the first paragraph of the first one, if there is any."""
    if not introduction or not parts:
        return parts
    return (f"{introduction}\n\n{parts[0]}", *parts[1:])


def introduced_by(turn: Turn) -> int | None:
    """Returns since when the contact knows by this turn that an assistant answers; None if that part was not sent."""
    return turn.introduced_at if turn.cursor else None
