"""The model call for one frozen batch: a reply for the bell, a retry, a problem for a person, or none of them."""

import logging
import random
from dataclasses import replace

from chalicelib import log_context
from chalicelib.assistants import usage
from chalicelib.assistants.opened_assistant import open_assistant
from chalicelib.aws.sqs import MAX_DELAY_SECONDS
from chalicelib.errors import ActionRequired, AnswerlineError, PermanentError, TimedOut, TransientError
from chalicelib.llm.advice import TAKES_TOO_LONG
from chalicelib.log_events import LogEvent
from chalicelib.model import (
    MAX_FAILURES,
    MAX_MODEL_ATTEMPTS,
    MAX_TIMEOUTS,
    ChatLine,
    Event,
    EventKind,
    Problem,
    SkipReason,
    StoredMessage,
    Tenant,
    Turn,
    TurnState,
    history,
)
from chalicelib.model.conduct.introduction import introduced
from chalicelib.model.messages.context import context_line
from chalicelib.model.turn_decisions import ReplyOutcome
from chalicelib.model.turn_rules.view import ChatView
from chalicelib.notifications import notice_jobs
from chalicelib.rendering.contact_texts import introduction_of
from chalicelib.replies import bell, paid_calls
from chalicelib.replies.formatting import CHARACTERS_PER_PART, for_whatsapp
from chalicelib.replies.unanswered import report_turn
from chalicelib.wiring import Services
from wire import ProblemCode

log = logging.getLogger(__name__)

#: The first pause of the exponential backoff after a transient error; it doubles up to the longest delay of SQS.
BACKOFF_SECONDS = 2.0
#: A turn that waits for a person is retried this often: the cause may be fixed at OpenAI.
WAITING_RETRIED_EVERY_MS = 15 * 60_000


class _LostReply(Exception):
    """An error of ours, whatever it is, after the model answered: the reply is lost, and paid."""

    def __init__(self, cause: Exception) -> None:
        super().__init__()
        self.cause = cause


def answer(services: Services, view: ChatView, turn: Turn, batch: tuple[StoredMessage, ...]) -> ReplyOutcome:
    """Calls the model once for one frozen batch; the text is stored before any of it is sent."""
    log_context.bind(turn=turn.id)
    tenant = view.tenant
    others = tuple(other for other in view.turns if other.id != turn.id)
    lines = history(view.read_with(batch), others, batch, tenant.policies.history_messages, since=view.history_since)
    lines = (*lines, context_line(lines, batch, now=services.clock(), time_zone=tenant.time_zone))
    given_up = False
    try:
        text, version = _call_model(services, tenant, turn, lines)
    except _LostReply as error:
        return _count_failure(services, tenant, turn, error.cause, view.attempt)
    except TimedOut as error:
        return _count_timeout(services, tenant, turn, error, view.attempt)
    except TransientError as error:
        _give_back_unpaid(services, tenant, turn, error)
        return _postpone(services, tenant, turn, error, view.attempt)
    except ActionRequired as error:
        _give_back_unpaid(services, tenant, turn, error)
        return _wait_for_action(services, tenant, turn, error)
    except PermanentError as error:
        text, version = tenant.policies.give_up_text, None
        if not text:
            return _give_up(services, tenant, turn, error.reason)
        _log_given_up(turn, error.reason)
        given_up = True
    try:
        if given_up:
            services.ended_turns.count(tenant.id, services.clock(), given_up=True)  # it ends when the text is delivered
        return _store(services, view, turn, text, batch, version)
    except Exception as error:
        # Whatever it is: the model is paid, and would be again each time that the job is repeated.
        return _count_failure(services, tenant, turn, error, view.attempt)


def _give_back_unpaid(services: Services, tenant: Tenant, turn: Turn, error: AnswerlineError) -> None:
    """Takes the call off the counts, unless a part of it was paid before it failed: an answer without words, say."""
    if not any(error.tokens):
        paid_calls.give_back(services, tenant, turn)


def _call_model(services: Services, tenant: Tenant, turn: Turn, lines: tuple[ChatLine, ...]) -> tuple[str, int | None]:
    """Returns the model's text, and the version of the assistant that wrote it."""
    usage.require_budget(services, tenant)
    if turn.timeouts >= MAX_TIMEOUTS:
        raise ActionRequired(ProblemCode.ASSISTANT_REFUSED, TAKES_TOO_LONG)
    assistant, key = open_assistant(services, tenant)
    assistant = usage.within_search_limit(services, tenant, assistant)
    try:
        reply = services.llm.reply(key, assistant, lines, tenant=tenant.id, chat=turn.chat, turn=turn.id)
    except AnswerlineError as error:
        usage.count(services, tenant, sum(error.tokens), error.web_searches)
        raise
    paid = {"input_tokens": reply.input_tokens, "output_tokens": reply.output_tokens}
    paid |= {"web_searches": reply.web_searches, "assistant_version": assistant.version}
    log.info(LogEvent.MODEL_ANSWERED, extra={"tenant": tenant.id, "turn": turn.id, **paid})
    try:
        usage.count(services, tenant, reply.input_tokens + reply.output_tokens, reply.web_searches)
    except Exception as error:
        raise _LostReply(error) from error
    return reply.text, assistant.version


def _store(
    services: Services, view: ChatView, turn: Turn, text: str, batch: tuple[StoredMessage, ...], version: int | None
) -> ReplyOutcome:
    """Stores the text, formatted, for the batch for which it was made, and rings the bell of its runner."""
    tenant, now = view.tenant, services.clock()
    introduction = introduction_of(view, now)
    shorter = {"characters": CHARACTERS_PER_PART - len(introduction) - len("\n\n")} if introduction else {}
    parts = introduced(introduction, for_whatsapp(text, **shorter))
    if not parts:
        return _give_up(services, tenant, turn, SkipReason.EMPTY_REPLY)
    written = replace(turn, assistant_version=version)
    ready = services.turns.store_text(written, parts, now, markdown=text, introduces=bool(introduction))
    if ready is None:
        services.jobs.enqueue_check(tenant.id, turn.chat, delay_seconds=0)
        return ReplyOutcome.SUPERSEDED
    waited = now - min((message.received_at for message in batch), default=now)
    log.info(LogEvent.REPLY_STORED, extra={"tenant": tenant.id, "turn": turn.id, "latency_ms": waited})
    if tenant.assistant_problem is not None:
        services.tenants.clear_assistant_problem(tenant.id, now=now)
    bell.ring(services, ready)
    return ReplyOutcome.RANG


def _count_failure(services: Services, tenant: Tenant, turn: Turn, error: Exception, attempt: int) -> ReplyOutcome:
    """Retries a turn whose reply an error of ours lost; after MAX_FAILURES it is given up, for each was paid."""
    counted = replace(turn, failures=turn.failures + 1)
    why = {"error": type(error).__name__, "trace": log_context.trace(error)}
    log.error(LogEvent.REPLY_FAILED, extra={"tenant": tenant.id, "turn": turn.id, "failures": counted.failures, **why})
    if counted.failures >= MAX_FAILURES:
        return _give_up(services, tenant, turn, SkipReason.REPLY_FAILED)
    return _postpone(services, tenant, counted, TransientError("An error in Answerline lost the reply."), attempt)


def _count_timeout(services: Services, tenant: Tenant, turn: Turn, error: TimedOut, attempt: int) -> ReplyOutcome:
    """Retries a turn whose model gave no answer in time; after MAX_TIMEOUTS a person must choose less effort."""
    counted = replace(turn, timeouts=turn.timeouts + 1)
    if counted.timeouts >= MAX_TIMEOUTS:
        refused = ActionRequired(ProblemCode.ASSISTANT_REFUSED, TAKES_TOO_LONG)
        return _wait_for_action(services, tenant, counted, refused)
    return _postpone(services, tenant, counted, error, attempt)


def _postpone(services: Services, tenant: Tenant, turn: Turn, error: TransientError, attempt: int) -> ReplyOutcome:
    attempts = turn.attempts + 1
    if attempts >= MAX_MODEL_ATTEMPTS:
        return _give_up(services, tenant, turn, SkipReason.MODEL_UNAVAILABLE)
    now = services.clock()
    pause = max(error.retry_after_seconds or 0.0, BACKOFF_SECONDS * 2 ** min(attempts - 1, 10))
    pause = min(MAX_DELAY_SECONDS, pause * random.uniform(1.0, 1.3))  # noqa: S311
    services.turns.postpone(
        turn, TurnState.THINKING, due_at=now + round(pause * 1000), attempts=attempts, reason=error.code
    )
    # Our own message, and only the code of its cause: the text of another system may quote the contact.
    cause = getattr(error.__cause__, "response", {}).get("Error", {}).get("Code", "")
    why = {"error_message": error.message, "cause": cause}
    log.warning(LogEvent.TURN_POSTPONED, extra={"tenant": tenant.id, "turn": turn.id, "attempts": attempts, **why})
    services.jobs.enqueue_check(tenant.id, turn.chat, delay_seconds=pause + 1, attempt=attempt + 1)
    return ReplyOutcome.POSTPONED


def _wait_for_action(services: Services, tenant: Tenant, turn: Turn, error: ActionRequired) -> ReplyOutcome:
    now = services.clock()
    services.turns.postpone(
        turn,
        TurnState.WAITING,
        due_at=now + WAITING_RETRIED_EVERY_MS,
        attempts=turn.attempts,
        reason=error.problem,
    )
    problem = Problem(error.problem, now, error.message)
    if services.tenants.set_assistant_problem(tenant.id, problem):
        log.warning(
            LogEvent.ASSISTANT_NEEDS_ACTION, extra={"tenant": tenant.id, "turn": turn.id, "problem": error.problem}
        )
        notice_jobs.request_of_problem(services, tenant.id, problem.code)
    return ReplyOutcome.ACTION_REQUIRED


def _give_up(services: Services, tenant: Tenant, turn: Turn, reason: str) -> ReplyOutcome:
    if services.turns.discard(turn, reason, services.clock()):
        report_turn(services, tenant, turn, reason, services.clock())
    record_given_up(services, turn, reason)
    return ReplyOutcome.SKIPPED


def record_given_up(services: Services, turn: Turn, reason: str) -> None:
    """Records in log and timeline that this turn is never answered."""
    _log_given_up(turn, reason)
    now = services.clock()
    services.timeline.record(Event(turn.tenant, now, EventKind.TURN_GIVEN_UP, reason))
    services.ended_turns.count(turn.tenant, now, ended=True, given_up=True)


def _log_given_up(turn: Turn, reason: str) -> None:
    log.warning(LogEvent.TURN_GIVEN_UP, extra={"tenant": turn.tenant, "turn": turn.id, "reason": reason})
