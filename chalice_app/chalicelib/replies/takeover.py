"""Messages of the account itself: replies of the line, or a person who takes the chat over from the phone."""

from datetime import timedelta

from chalicelib.model import MAX_MESSAGE_AGE, Chat, Event, EventKind, SkipReason, Tenant, milliseconds
from chalicelib.replies.unanswered import report_turn
from chalicelib.wiring import Services
from wire import Message

#: An own reply is searched among the turns of this time first: as a rule it follows its message soon …
OWN_REPLIES_SEARCHED_FIRST = timedelta(hours=1)
#: … and then as far back as a reply may wait, with the time that a runner needs to send one that it took.
OWN_REPLIES_SEARCHED = MAX_MESSAGE_AGE + timedelta(hours=1)


def is_own_reply(services: Services, chat: Chat, message: Message, now: int) -> bool:
    """Returns whether the account's message is a reply that the line sent."""
    if chat.open_turn is not None:
        turn = services.turns.get(chat.tenant, chat.id, chat.open_turn)
        if turn is not None and message.id in turn.part_ids:
            return True
    # An echo comes with every reply and is found at once; a takeover is rare, and must not be mistaken for one.
    for back in (OWN_REPLIES_SEARCHED_FIRST, OWN_REPLIES_SEARCHED):
        recent = services.chats.read_recent(chat, depth=0, now=now, since=message.sent_at_ms - milliseconds(back))
        if recent.turn_with_part(message.id) is not None:
            return True
    return False


def take_over(services: Services, tenant: Tenant, chat: Chat, written_at: int, now: int) -> None:
    """Takes the chat over for the person who wrote from the phone: discards the open turn and pauses the line there."""
    if tenant.policies.takeover_minutes == 0:
        return
    until = written_at + tenant.policies.takeover_minutes * 60_000
    if until > max(now, chat.takeover_until):
        services.chats.record_takeover(chat, until)  # first, so that no turn is opened after the next check
        if chat.takeover_until < now:
            services.timeline.record(Event(tenant.id, now, EventKind.TAKEOVER, by="owner"))
    fresh = services.chats.get(chat.tenant, chat.id)
    if fresh is not None and fresh.open_turn is not None:
        turn = services.turns.get(chat.tenant, chat.id, fresh.open_turn)
        theirs = turn is not None and (until > now or turn.oldest_sent_at <= written_at)
        if turn is not None and theirs and services.turns.discard(turn, SkipReason.TAKEOVER, now):
            report_turn(services, tenant, turn, SkipReason.TAKEOVER, now)
