"""Edits and deletions of messages that were handed in before, and their effect on an open turn and on our replies."""

from chalicelib.model import Chat, Classification, SkipReason, StoredMessage, Tenant, Turn, TurnState
from chalicelib.model.messages.changes import Change, change_of, edited, without_copies
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
        if _store(services, tenant, chat, message, before, latest, change, now):
            if change is not Change.DUPLICATE or message.deleted or message.edited_at_ms is not None:
                _withdraw_reply(services, chat, before, change, now)
            return _outcome(services, chat, message, before, change)
    return Classification(Outcome.DUPLICATE, SkipReason.HANDED_IN_BEFORE)


def change_own_reply(services: Services, turn: Turn, message: Message) -> None:
    """Replaces the text of our reply that the owner edited or deleted on the phone, so that the history is true."""
    if message.deleted or message.edited_at_ms is not None:
        text = "" if message.deleted else message.text or message.caption
        services.message_changes.rewrite_part(turn, turn.part_ids.index(message.id), text)


def _store(
    services: Services,
    tenant: Tenant,
    chat: Chat,
    message: Message,
    before: StoredMessage,
    latest: StoredMessage,
    change: Change,
    now: int,
) -> bool:
    """Stores a change; False if another process changed the message meanwhile."""
    changes = services.message_changes
    match change:
        case Change.DECRYPTED:
            kept_days = tenant.policies.retention_days
            return services.chats.replace_unreadable(chat, latest, retention_days=kept_days, now=now)
        case Change.EDITED:
            changes.erase_repetitions(chat, before)
            return changes.rewrite(chat, before, edited(before, latest, message.edited_at_ms))
        case Change.DELETED:
            # The copies first: a call of the model that no longer reads the message must not read one of them.
            changes.erase_copies(chat, before)
            return before.skipped is SkipReason.DELETED or changes.erase(chat, before)
        case _:
            return True


def _withdraw_reply(services: Services, chat: Chat, before: StoredMessage, change: Change, now: int) -> None:
    """Withdraws the open turn if nothing of it is sent and it is for a former wording, or repeats a deleted one.

    Should this process die before, the same hand-in comes again, as a duplicate.
    """
    fresh = services.message_changes.count(chat)
    for _ in range(MAX_LOOKS):
        after = services.chats.find_message(chat, before.key)
        if fresh is None or fresh.open_turn is None or after is None:
            break
        turn = services.turns.get(fresh.tenant, fresh.id, fresh.open_turn)
        stale = turn is not None and turn.frozen_versions.get(after.key, after.version) != after.version
        if turn is None or not (stale or (change is Change.DELETED and _repeats(turn, before))):
            break
        services.jobs.enqueue_check(chat.tenant, chat.id, delay_seconds=0)
        unsent = turn.state in (TurnState.THINKING, TurnState.READY, TurnState.WAITING) and not turn.fixed
        if not unsent or services.turns.withdraw(turn, now):
            break
    if change is Change.DELETED:
        services.message_changes.erase_copies(chat, before)  # a text may have been stored or taken meanwhile
        services.message_changes.forget_copies(chat, before)


def _repeats(turn: Turn, deleted: StoredMessage) -> bool:
    """True if the text repeats a message that was deleted; a call under way may have read it as history."""
    texts = (*turn.parts, turn.markdown)
    return turn.state is TurnState.THINKING or any(without_copies(text, deleted) != text for text in texts)


def _outcome(services: Services, chat: Chat, message: Message, before: StoredMessage, change: Change) -> Classification:
    duplicate = Classification(Outcome.DUPLICATE, SkipReason.HANDED_IN_BEFORE)
    fresh, after = services.chats.get(chat.tenant, chat.id), services.chats.get_message(chat, message)
    if fresh is None or after is None or after.from_me:
        return duplicate
    kept = before.skipped is None or before.skipped.keeps_content
    if not kept or (change is not Change.DECRYPTED and after.at <= fresh.answered_to):
        return duplicate  # at most the history or a quote changed: after a restart, no contact reads "typing…" again
    if change is Change.DUPLICATE:
        waits = after.skipped is None
        return Classification(Outcome.QUEUED, SkipReason.HANDED_IN_BEFORE) if waits else duplicate
    if after.skipped is None:
        return Classification(Outcome.QUEUED)
    return duplicate if after.skipped is before.skipped else Classification(Outcome.SKIPPED, after.skipped)
