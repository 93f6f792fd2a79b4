"""Edits and deletions of messages that were handed in before, and their effect on an open turn and on our replies."""

from chalicelib.model import Chat, Classification, SkipReason, StoredMessage, Tenant, Turn, TurnState
from chalicelib.model.messages.changes import Change, change_of, edited
from chalicelib.wiring import Services
from wire import Message, Outcome

#: A message that other processes change at the same moment is looked at so often.
MAX_LOOKS = 5


def apply_change(
    services: Services, tenant: Tenant, chat: Chat, message: Message, latest: StoredMessage, now: int
) -> Classification:
    """Applies what a hand-in changes of a message that is stored; returns the outcome for the runner.

    Before it is sent, the turn that answers the message is withdrawn at once, so that no text for the former wording
    is stored or sent; the check that follows freezes its batch again. After it is sent, only the history changes.

    Args:
        latest: the message as it would be stored if it were new.
    """
    for _ in range(MAX_LOOKS):
        before = services.chats.get_message(chat, message)
        if before is None:
            break  # it expired a moment ago
        change = change_of(before, message)
        match change:
            case Change.DECRYPTED:
                kept_days = tenant.policies.retention_days
                changed = services.chats.replace_unreadable(chat, latest, retention_days=kept_days, now=now)
            case Change.EDITED:
                after = edited(before, latest, message.edited_at_ms)
                changed = services.message_changes.rewrite(chat, before, after)
            case Change.DELETED:
                # The copies first, for this process may die: no later one knows the text any more. And once more
                # afterwards: a message that quotes it may have come meanwhile.
                services.message_changes.erase_copies(chat, before)
                changed = services.message_changes.erase(chat, before)
                if changed:
                    services.message_changes.erase_copies(chat, before)
            case _:
                changed = True
        if changed:
            return _conclude(services, chat, message, before, change, now)
    return Classification(Outcome.DUPLICATE, SkipReason.HANDED_IN_BEFORE)


def change_own_reply(services: Services, turn: Turn, message: Message) -> None:
    """Replaces the text of our reply that the owner edited or deleted on the phone, so that the history is true."""
    if message.deleted or message.edited_at_ms is not None:
        text = "" if message.deleted else message.text or message.caption
        services.message_changes.rewrite_part(turn, turn.part_ids.index(message.id), text)


def _conclude(
    services: Services, chat: Chat, message: Message, before: StoredMessage, change: Change, now: int
) -> Classification:
    """Withdraws the open turn if it answers a former wording, after a duplicate too, and returns the outcome."""
    duplicate = Classification(Outcome.DUPLICATE, SkipReason.HANDED_IN_BEFORE)
    fresh, after = services.chats.get(chat.tenant, chat.id), services.chats.get_message(chat, message)
    if fresh is None or after is None or after.from_me:
        return duplicate
    _withdraw(services, fresh, after, now)
    if change is Change.DUPLICATE:
        waits = after.skipped is None
        return Classification(Outcome.QUEUED, SkipReason.HANDED_IN_BEFORE) if waits else duplicate
    if change is not Change.DECRYPTED and after.at <= fresh.answered_to:
        return duplicate  # only the history changed
    if after.skipped is None:
        return Classification(Outcome.QUEUED)
    return duplicate if after.skipped is before.skipped else Classification(Outcome.SKIPPED, after.skipped)


def _withdraw(services: Services, chat: Chat, message: StoredMessage, now: int) -> None:
    turn = services.turns.get(chat.tenant, chat.id, chat.open_turn) if chat.open_turn is not None else None
    if turn is None or turn.frozen_versions.get(message.key, message.version) == message.version:
        return
    unsent = turn.state in (TurnState.THINKING, TurnState.READY, TurnState.WAITING)
    if unsent and not turn.fixed:
        services.turns.withdraw(turn, now)
    services.jobs.enqueue_check(chat.tenant, chat.id, delay_seconds=0)
