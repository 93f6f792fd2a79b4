"""The fences of a turn: the conditions under which a write of what was decided by an earlier look holds."""

from chalicelib.model import Chat, TurnState
from chalicelib.store.table import Attr, ConditionBase


def nothing_changed_since(chat: Chat) -> ConditionBase:
    """Holds while no message was edited or deleted since the chat was read."""
    return Attr("changes").eq(chat.changes) if chat.changes else Attr("changes").not_exists()


def nothing_answered_since(chat: Chat) -> ConditionBase:
    """Holds while no turn ended since the chat was read: the messages that waited then may have their answer."""
    answered_to = Attr("answered_to")
    return answered_to.eq(chat.answered_to) if chat.answered_to else answered_to.not_exists()


def unsent() -> ConditionBase:
    """Holds for a turn of which no runner may have sent a part; not for a state that a later release wrote."""
    state = Attr("state")
    return state.eq(TurnState.THINKING) | state.eq(TurnState.READY) | state.eq(TurnState.WAITING)
