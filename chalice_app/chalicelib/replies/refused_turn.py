"""Ends turns that a runner took and that are never sent: visibly, and so that the chat's next message is answered."""

from chalicelib.model import SkipReason, Turn, TurnState
from chalicelib.model.turn_rules.delivery import reason_nobody_sends
from chalicelib.replies.look import request_check
from chalicelib.replies.model_call import record_given_up
from chalicelib.replies.unanswered import forget, report_turn
from chalicelib.wiring import Services


def end_refused(services: Services, turn: Turn, runner: str, epoch: int, part: int, now: int) -> bool:
    """Discards the turn with its reason, and checks the chat if a message came meanwhile.

    Args:
        part: the number of the part that WhatsApp refused; those before it stay sent.

    Returns:
        False if this runner does not send the turn at this epoch. Idempotent.
    """
    if not services.turns.end_refused(turn, runner, epoch, part):
        return False
    report_turn(services, services.tenants.get(turn.tenant), turn, SkipReason.NOT_ACCEPTED, now)
    if turn.state is not TurnState.DISCARDED:
        record_given_up(services, turn, SkipReason.NOT_ACCEPTED)
    services.runners.silence(runner, turn.id, turn.revision)
    ended = services.turns.get(turn.tenant, turn.chat, turn.id) or turn  # with the parts that were sent meanwhile
    if services.turns.close(ended):
        request_check(services, turn.tenant, turn.chat, delay_seconds=0)
    return True


def end_unsendable(services: Services, turn: Turn, now: int) -> bool:
    """Discards a turn that no runner can go on with; False if one can, or if the turn changed meanwhile.

    Its login ended, its tenant is paused, or its messages are too old. The caller checks the chat for other messages.
    """
    tenant = services.tenants.get(turn.tenant)
    reason = reason_nobody_sends(turn, tenant, services.sessions.get(turn.tenant), now)
    if reason is None or not services.turns.abandon(turn, reason):
        return False
    report_turn(services, tenant, turn, reason, now)
    chat = services.chats.get(turn.tenant, turn.chat)
    if chat is not None:
        forget(services, chat, services.chats.get_batch(turn), reason)
    return True
