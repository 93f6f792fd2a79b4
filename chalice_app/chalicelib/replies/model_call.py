"""One try to answer a frozen batch: OpenAI → text for WhatsApp → the runner's bell, or what else it comes to."""

import logging
import random
from enum import StrEnum

from chalicelib import log_context
from chalicelib.aws.sqs import DELAY_AT_MOST_SECONDS, TurnCheck
from chalicelib.errors import ActionRequired, PermanentError, TransientError
from chalicelib.log_events import LogEvent
from chalicelib.model import (
    THINK_ATTEMPTS_AT_MOST,
    ChatLine,
    Event,
    EventKind,
    Problem,
    StoredMessage,
    Tenant,
    Turn,
    TurnState,
    history,
)
from chalicelib.model.times import month_of
from chalicelib.notifications import notices
from chalicelib.replies import bell
from chalicelib.replies.formatting import for_whatsapp
from chalicelib.store.chats import Recent
from chalicelib.wiring import Services
from wire import ProblemCode

log = logging.getLogger(__name__)

#: Passing trouble of the model: the first pause, doubled each time up to what SQS can delay.
BACKOFF_SECONDS = 2.0
#: A turn that waits for a person is tried again this often: the trouble may be mended on OpenAI's side.
WAITING_TRIED_EVERY_MS = 15 * 60_000
DAY_MS = 86_400_000


class ReplyOutcome(StrEnum):
    """What a look at a chat came to."""

    NOTHING_WAITS = "nothing waits"
    NOT_YET = "not yet"  #: the contact may still be writing, or a cap says wait: looked at again
    BUSY = "busy"  #: somebody else is at this turn
    RANG = "rang"  #: the text is stored and the runner's bell rang
    SUPERSEDED = "superseded"  #: the contact wrote on while the model thought
    PUT_OFF = "put off"  #: passing trouble: tried again later
    WAITS_FOR_SOMEONE = "waits for someone"
    SKIPPED = "skipped"
    PAUSED = "paused"


def answer(
    services: Services,
    tenant: Tenant,
    turn: Turn,
    recent: Recent,
    waiting: tuple[StoredMessage, ...],
    job: TurnCheck,
) -> ReplyOutcome:
    """One call of the model for one frozen batch; the text is stored before anything is sent."""
    log_context.bind(turn=turn.id)
    others = tuple(other for other in recent.turns if other.id != turn.id)
    lines = history(recent.messages, others, waiting, tenant.policies.history_messages)
    try:
        text = _reply(services, tenant, turn, lines)
    except TransientError as trouble:
        return _put_off(services, tenant, turn, trouble, job)
    except ActionRequired as trouble:
        return _ask_someone(services, tenant, turn, trouble)
    except PermanentError as trouble:
        text = tenant.policies.give_up_text
        if not text:
            return _give_up(services, tenant, turn, trouble.reason)
        _note_given_up(turn, trouble.reason)
    parts = for_whatsapp(text)
    if not parts:
        return _give_up(services, tenant, turn, "empty reply")
    now = services.clock()
    ready = services.turns.store_text(turn, parts, now)
    if ready is None:
        services.jobs.enqueue_check(tenant.id, turn.chat, delay_seconds=0)
        return ReplyOutcome.SUPERSEDED
    waited = now - min((message.received_at for message in waiting), default=now)
    log.info(LogEvent.REPLY_STORED, extra={"tenant": tenant.id, "turn": turn.id, "latency_ms": waited})
    if tenant.assistant_problem is not None:
        services.tenants.clear_assistant_problem(tenant.id, now=now)
    bell.ring(services, ready)
    return ReplyOutcome.RANG


def _reply(services: Services, tenant: Tenant, turn: Turn, lines: tuple[ChatLine, ...]) -> str:
    budget = tenant.policies.tokens_per_month
    if budget and services.tenants.counted(tenant.id, "tokens", month_of(services.clock())) >= budget:
        raise ActionRequired(ProblemCode.BUDGET_REACHED, f"The {budget} tokens of this month are used up.")
    assistant = services.tenants.assistant(tenant.id, tenant.assistant_version)
    key = services.key_encryption.decrypt(tenant.id, tenant.key_ciphertext)
    reply = services.llm.reply(key, assistant, lines, tenant=tenant.id, chat=turn.chat, turn=turn.id)
    tokens = {"input_tokens": reply.input_tokens, "output_tokens": reply.output_tokens}
    log.info(LogEvent.MODEL_ANSWERED, extra={"tenant": tenant.id, "turn": turn.id, **tokens})
    now = services.clock()
    used = reply.input_tokens + reply.output_tokens
    services.tenants.count(tenant.id, "tokens", month_of(now), used, expires_at=now + 400 * DAY_MS)
    return reply.text


def _put_off(services: Services, tenant: Tenant, turn: Turn, trouble: TransientError, job: TurnCheck) -> ReplyOutcome:
    attempts = turn.attempts + 1
    if attempts >= THINK_ATTEMPTS_AT_MOST:
        return _give_up(services, tenant, turn, "the model did not answer")
    now = services.clock()
    pause = max(trouble.retry_after_seconds or 0.0, BACKOFF_SECONDS * 2 ** min(attempts - 1, 10))
    pause = min(DELAY_AT_MOST_SECONDS, pause * random.uniform(1.0, 1.3))  # noqa: S311
    services.turns.put_off(
        turn, TurnState.THINKING, due_at=now + round(pause * 1000), attempts=attempts, reason=trouble.code
    )
    # The reason in our words, and of a cause only its name: what others wrote may quote the contact.
    cause = getattr(trouble.__cause__, "response", {}).get("Error", {}).get("Code", "")
    told = {
        "tenant": tenant.id,
        "turn": turn.id,
        "attempts": attempts,
        "error_message": trouble.message,
        "cause": cause,
    }
    log.warning(LogEvent.TURN_POSTPONED, extra=told)
    services.jobs.enqueue_check(tenant.id, turn.chat, delay_seconds=pause + 1, attempt=job.attempt + 1)
    return ReplyOutcome.PUT_OFF


def _ask_someone(services: Services, tenant: Tenant, turn: Turn, trouble: ActionRequired) -> ReplyOutcome:
    now = services.clock()
    services.turns.put_off(
        turn,
        TurnState.WAITING,
        due_at=now + WAITING_TRIED_EVERY_MS,
        attempts=turn.attempts,
        reason=trouble.problem,
    )
    problem = Problem(trouble.problem, now, trouble.message)
    if services.tenants.set_assistant_problem(tenant.id, problem):
        log.warning(
            LogEvent.ASSISTANT_NEEDS_ACTION, extra={"tenant": tenant.id, "turn": turn.id, "problem": trouble.problem}
        )
        notices.of_problem(services, tenant, problem)
    return ReplyOutcome.WAITS_FOR_SOMEONE


def _give_up(services: Services, tenant: Tenant, turn: Turn, reason: str) -> ReplyOutcome:
    _note_given_up(turn, reason)
    now = services.clock()
    services.turns.discard(turn, reason, now)
    services.tenants.record(Event(tenant.id, now, EventKind.TURN_GIVEN_UP, reason))
    return ReplyOutcome.SKIPPED


def _note_given_up(turn: Turn, reason: str) -> None:
    log.warning(LogEvent.TURN_GIVEN_UP, extra={"tenant": turn.tenant, "turn": turn.id, "reason": reason})
