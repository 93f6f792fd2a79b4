"""Ends a turn that WhatsApp refuses for good: visibly, and so that the chat's next message is answered."""

from chalicelib.model import SkipReason, Turn, TurnState
from chalicelib.replies.look import request_check
from chalicelib.replies.model_call import record_given_up
from chalicelib.replies.unanswered import report_turn
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
    if services.turns.close(turn):
        request_check(services, turn.tenant, turn.chat, delay_seconds=0)
    return True
