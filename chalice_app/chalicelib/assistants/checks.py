"""Checks of assistants: whether key, model and settings would answer now, and for how long OpenAI serves the model.

Only the function *think* may decrypt a key. So a check is a job of its queue: when an operator asks for it, after each
edit, and once a day. What it found stands in the tenant's record, as the assistant's problem and as the last check; the
models that the key may use stand beside it, for the form that chooses one.
"""

import logging
import random
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Final

from chalicelib.assistants.opened_assistant import open_assistant
from chalicelib.assistants.usage import require_budget
from chalicelib.aws.sqs import ASSISTANT_CHECK, TurnCheck
from chalicelib.errors import ActionRequired, TransientError
from chalicelib.llm.advice import TAKES_TOO_LONG
from chalicelib.log_events import LogEvent
from chalicelib.model import Problem, Tenant, TurnState
from chalicelib.model.assistants.models import OfferedModel
from chalicelib.model.tenant import AssistantCheckup
from chalicelib.notifications import notice_jobs
from wire import ProblemCode

if TYPE_CHECKING:
    from chalicelib.wiring import Services

log = logging.getLogger(__name__)

#: The checks of each day are spread over it: at most so many begin in a minute.
MAX_A_MINUTE: Final = 5
#: A check that a transient error ended is repeated after a minute, then two, …: so many attempts in all.
MAX_ATTEMPTS: Final = 4
RETRIED_AFTER: Final = timedelta(minutes=1)
#: Operators hear of a model's end this long before.
END_ANNOUNCED: Final = timedelta(days=30)


@dataclass(frozen=True, slots=True)
class _Result:
    """What one check found."""

    sentence: str
    problem: ProblemCode | None = None
    #: it has to be repeated: network, OpenAI down, rate limit
    transient: bool = False
    #: the day on which OpenAI ends the model, as YYYY-MM-DD; empty for none, None if it is not known
    ends_on: str | None = None
    #: the models that the key may use; None if that is not known
    models: tuple[OfferedModel, ...] | None = None

    @property
    def ok(self) -> bool | None:
        """True if the assistant would answer, None if that is not known."""
        return None if self.transient else self.problem is None


def due(tenants: Iterable[Tenant], now: int) -> list[Tenant]:
    """Returns the tenants whose daily check begins in this minute, those that wait longest first. Pure."""
    waiting = (each for each in tenants if not each.paused and each.is_check_due(now))
    return sorted(waiting, key=lambda each: (each.check_asked_at or each.created_at, each.id))[:MAX_A_MINUTE]


def request(services: "Services", tenant: str, *, by: str | None = None) -> None:
    """Requests a check.

    Args:
        by: the operator who asked for it, or whose edit is checked; None for the daily one.
    """
    services.assistant_checks.record_request(tenant, services.clock(), by=by)
    services.jobs.enqueue_check(tenant, ASSISTANT_CHECK, delay_seconds=0)


def perform(services: "Services", job: TurnCheck) -> bool:
    """Checks the assistant, records what was found, and sets or clears the assistant's problem. Idempotent.

    False if the tenant was edited meanwhile: then nothing is recorded, and that edit has asked for a check of its own.
    """
    tenant = services.tenants.get(job.tenant)
    result = _check(services, tenant)
    now = services.clock()
    checkup = AssistantCheckup(now, result.ok, result.sentence, tenant.assistant_version)
    ends_on = tenant.model_ends_on if result.ends_on is None else _announced(result.ends_on, now)
    news = services.assistant_checks.record(tenant, checkup, ends_on, now)
    if news is None:
        return False
    if result.models is not None:
        services.assistant_checks.record_models(tenant.id, result.models, now)
    notice_jobs.request_sending(services, news)
    if result.transient and job.attempt + 1 < MAX_ATTEMPTS:
        pause = RETRIED_AFTER.total_seconds() * 2**job.attempt * random.uniform(1.0, 1.3)  # noqa: S311
        services.jobs.enqueue_check(tenant.id, ASSISTANT_CHECK, delay_seconds=pause, attempt=job.attempt + 1)
    elif result.problem is not None:
        _set_problem(services, tenant.id, Problem(result.problem, now, result.sentence))
    elif not result.transient:
        clear_problem(services, tenant, now, by=tenant.check_by)
    return True


def _check(services: "Services", tenant: Tenant) -> _Result:
    try:
        require_budget(services, tenant)
        assistant, key = open_assistant(services, tenant)
    except ActionRequired as error:
        return _Result(error.message, problem=error.problem)
    except TransientError as error:
        return _Result(error.message, transient=True)
    checked = services.llm.check(key, assistant, as_reply=True)
    if checked.effort is not None:
        services.assistant_versions.store_found_effort(tenant.id, assistant.version, checked.effort)
    if not checked.ok:
        return _Result(checked.sentence, checked.problem, checked.transient)
    models = services.llm.list_models(key, assistant)
    listed = next((each for each in models or () if each.name == assistant.model), None)
    ends_on = services.llm.shutdown_date(key, assistant) if listed is None else listed.ends_on or ""
    return _Result(checked.sentence, ends_on=ends_on, models=models)


def _announced(ends_on: str, now: int) -> str | None:
    """Returns the day if it is near, or over."""
    if not ends_on:
        return None
    today = datetime.fromtimestamp(now / 1000, UTC).date()
    return ends_on if date.fromisoformat(ends_on) - today <= END_ANNOUNCED else None


def _set_problem(services: "Services", tenant: str, problem: Problem) -> None:
    if services.tenants.set_assistant_problem(tenant, problem):
        log.warning(LogEvent.ASSISTANT_NEEDS_ACTION, extra={"tenant": tenant, "problem": problem.code})
        notice_jobs.request_of_problem(services, tenant, problem.code)


def clear_problem(services: "Services", tenant: Tenant, now: int, *, by: str | None) -> None:
    """Clears the problem that a check would have found, and lets the messages be tried now that waited for it.

    That a model takes too long is not found by a check: only an operator's request tries it again.
    """
    problem = tenant.assistant_problem
    if problem is None and by is None:
        return
    if problem is not None:
        if problem.detail == TAKES_TOO_LONG and by is None:
            return
        services.tenants.clear_assistant_problem(tenant.id, now=now, by=by or "answerline")
    for turn in services.turns.open_turns_of(tenant.id):
        if turn.state is TurnState.WAITING:
            services.turns.try_again(turn, now)
            services.jobs.enqueue_check(tenant.id, turn.chat, delay_seconds=0)
