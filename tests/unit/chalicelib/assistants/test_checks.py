"""A check of an assistant finds what a reply would meet, sets and clears the problem, and is made once a day."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from itertools import pairwise
from typing import Any, cast

import pytest

from chalicelib.assistants import checks
from chalicelib.aws.sqs import ASSISTANT_CHECK, TurnCheck
from chalicelib.errors import ActionRequired
from chalicelib.llm.advice import KEY_UNREADABLE, TAKES_TOO_LONG
from chalicelib.llm.client import AssistantCheck, LlmClient
from chalicelib.model import Assistant, EventKind, Problem, Tenant, TenantState, TurnState
from chalicelib.model.assistants.models import OfferedModel, OfferedModels
from chalicelib.model.notices.kinds import NoticeKind, Recipient
from chalicelib.model.notices.notice import NewsState
from chalicelib.model.tenant import CHECK_LOST_AFTER, AssistantCheckup
from chalicelib.reconcilers import reconcile
from chalicelib.store.assistant_checks import MODELS_KEPT_FOR
from chalicelib.store.table import Update
from chalicelib.wiring import Services
from tests.simulators.openai import OpenAISimulator
from tests.unit.conftest import ASSISTANT, Clock, a_tenant
from tests.unit.support.online_line import CHAT, T, hand_in, jobs, message, open_turn
from tests.unit.support.online_line import check as check_chat
from wire import ProblemCode

DAY = 24 * 3600
OLGA = "olga@agency.example"


class CheckedLlm:
    """A model whose check ends as the test wants; replies are the fake's."""

    def __init__(self, services: Services) -> None:
        self.result = AssistantCheck("The key works, and gpt-6-luna answers.")
        self.ends_on: str | None = ""
        self.models: tuple[OfferedModel, ...] | None = None
        self.checked: list[tuple[str, Assistant]] = []
        self.reply = services.llm.reply

    def check(self, key: str, assistant: Assistant, *, as_reply: bool = False) -> AssistantCheck:
        assert as_reply
        self.checked.append((key, assistant))
        return self.result

    def shutdown_date(self, key: str, assistant: Assistant) -> str | None:
        return self.ends_on

    def list_models(self, key: str, assistant: Assistant) -> tuple[OfferedModel, ...] | None:
        return self.models


@pytest.fixture
def model(line: Services) -> CheckedLlm:
    fake = CheckedLlm(line)
    line.__dict__["llm"] = fake
    return fake


def perform(services: Services, attempt: int = 0) -> Tenant:
    checks.perform(services, TurnCheck(tenant=T, chat=ASSISTANT_CHECK, attempt=attempt))
    return services.tenants.get(T)


def failed(code: ProblemCode, sentence: str = "Do something.") -> AssistantCheck:
    return AssistantCheck(sentence, problem=code)


def a_waiting_turn(line: Services, clock: Clock, sentence: str = "no credit") -> None:
    """A turn that waits for a person, and the problem that it waits for."""
    cast(Any, line.llm.reply).__self__.next = [ActionRequired(ProblemCode.OUT_OF_CREDIT, sentence)]
    hand_in(line, message(clock, "M1"))
    clock.pass_seconds(2)
    check_chat(line)
    assert open_turn(line).state is TurnState.WAITING
    jobs(line).sent.clear()


# -- what a check does -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("code", [code for code in ProblemCode if code.name.startswith(("KEY", "OUT", "MODEL", "ASS"))])
def test_a_check_sets_the_problem_that_it_finds_with_its_notice_once(
    line: Services, clock: Clock, model: CheckedLlm, code: ProblemCode
) -> None:
    model.result = failed(code)
    for _ in range(2):
        after = perform(line)
    assert after.assistant_problem == Problem(code, clock(), "Do something.")
    assert after.checked == AssistantCheckup(clock(), False, "Do something.", 1)
    assert [event.kind for event in line.timeline.latest(T)].count(EventKind.PROBLEM) == 1
    notice = line.notices.get(T, Recipient.OPERATORS, NoticeKind(code))
    assert notice is not None and notice.state is NewsState.OPEN


def test_a_check_that_passes_clears_the_problem_and_wakes_what_waited(
    line: Services, clock: Clock, model: CheckedLlm
) -> None:
    a_waiting_turn(line, clock)
    assert line.tenants.get(T).assistant_problem is not None
    checks.request(line, T, by=OLGA)
    assert line.tenants.get(T).assistant_problem is not None, "it is not declared fixed before it was checked"
    assert line.tenants.get(T).is_being_checked
    clock.pass_seconds(1)
    after = perform(line)
    assert after.assistant_problem is None and not after.is_being_checked
    assert after.checked == AssistantCheckup(clock(), True, "The key works, and gpt-6-luna answers.", 1)
    assert jobs(line).sent == [(T, ASSISTANT_CHECK, 0), (T, CHAT, 0)]
    [resolved] = [event for event in line.timeline.latest(T) if event.kind is EventKind.RESOLVED]
    assert resolved.by == OLGA
    assert check_chat(line) == "rang"


@pytest.mark.parametrize(("by", "stays"), [(None, True), (OLGA, False)])
def test_that_a_model_takes_too_long_is_tried_again_by_operators_only(
    line: Services, clock: Clock, model: CheckedLlm, by: str | None, stays: bool
) -> None:
    a_waiting_turn(line, clock)
    line.tenants.set_assistant_problem(T, Problem(ProblemCode.ASSISTANT_REFUSED, clock(), TAKES_TOO_LONG))
    jobs(line).sent.clear()
    checks.request(line, T, by=by)
    assert (perform(line).assistant_problem is not None) is stays
    assert ((T, CHAT, 0) in jobs(line).sent) is not stays


def test_a_budget_that_is_used_up_is_found_without_asking_the_model(
    line: Services, clock: Clock, model: CheckedLlm
) -> None:
    tenant = line.tenants.get(T)
    spent = replace(tenant.policies, tokens_per_month=10)
    line.tenants.edit(T, {"policies": spent}, expected_revision=tenant.revision, now=clock(), by=OLGA)
    line.counters.count(T, "tokens", "2026-09", 10, expires_at=clock() + 10**10)
    after = perform(line)
    assert after.assistant_problem is not None and after.assistant_problem.code is ProblemCode.BUDGET_REACHED
    assert model.checked == []


@pytest.mark.parametrize(
    "ciphertext", ["", "not base64!", "bm8gY2lwaGVydGV4dA=="], ids=["none", "no base64", "foreign"]
)
@pytest.mark.parametrize("found_by", ["check", "reply"])
def test_a_key_of_another_installation_is_a_visible_problem(
    line: Services, clock: Clock, model: CheckedLlm, ciphertext: str, found_by: str
) -> None:
    line.table.update(Update(f"TENANT#{T}", "TENANT", set={"key_ciphertext": ciphertext}))
    if found_by == "check":
        perform(line)
    else:
        hand_in(line, message(clock, "M1"))
        clock.pass_seconds(2)
        assert check_chat(line) == "action_required"
        assert open_turn(line).state is TurnState.WAITING
    problem = line.tenants.get(T).assistant_problem
    assert problem is not None
    assert (problem.code, problem.detail) == (ProblemCode.KEY_UNREADABLE, KEY_UNREADABLE)
    assert model.checked == []


def test_a_transient_error_changes_no_problem_and_is_tried_again_a_few_times(
    line: Services, clock: Clock, model: CheckedLlm
) -> None:
    line.tenants.set_assistant_problem(T, Problem(ProblemCode.OUT_OF_CREDIT, 1))
    model.result = AssistantCheck("OpenAI has too much to do.", transient=True)
    delays = []
    for attempt in range(checks.MAX_ATTEMPTS):
        jobs(line).sent.clear()
        after = perform(line, attempt)
        delays += [delay for _, chat, delay in jobs(line).sent if chat == ASSISTANT_CHECK]
        assert after.checked == AssistantCheckup(clock(), None, "OpenAI has too much to do.", 1)
        assert after.assistant_problem == Problem(ProblemCode.OUT_OF_CREDIT, 1)
    assert len(delays) == checks.MAX_ATTEMPTS - 1
    assert all(60 * 2**n <= delay <= 78 * 2**n for n, delay in enumerate(delays))


def test_what_was_found_of_a_former_assistant_is_not_recorded(line: Services, clock: Clock, model: CheckedLlm) -> None:
    tenant = line.tenants.get(T)
    model.result = failed(ProblemCode.MODEL_RETIRED)
    check = model.check

    def edit_meanwhile(key: str, assistant: Assistant, **more: Any) -> AssistantCheck:
        other = replace(assistant, model="gpt-6-terra")
        line.tenants.edit(T, {}, expected_revision=tenant.revision, now=clock(), by=OLGA, assistant=other)
        return check(key, assistant, **more)

    model.check = edit_meanwhile  # type: ignore[method-assign]
    after = perform(line)
    assert (after.assistant_problem, after.checked, after.assistant_version) == (None, None, 2)


def test_an_effort_that_the_model_takes_instead_is_stored(line: Services, model: CheckedLlm) -> None:
    model.result = AssistantCheck("It works.", effort="low")
    perform(line)
    assert line.tenants.get_assistant(T, 1).found_effort == "low"


# -- the end of a model ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("named", "announced"),
    [
        ("2026-10-21", "2026-10-21"),  # in 30 days
        ("2026-10-22", None),
        ("2026-09-21", "2026-09-21"),
        ("2026-09-01", "2026-09-01"),
        ("", None),
    ],
)
def test_a_models_end_is_told_thirty_days_before(
    line: Services, clock: Clock, model: CheckedLlm, named: str, announced: str | None
) -> None:
    assert clock() // 1000 == 1_790_000_030  # 2026-09-21
    model.ends_on = named
    for _ in range(2):
        assert perform(line).model_ends_on == announced
    notice = line.notices.get(T, Recipient.OPERATORS, NoticeKind.MODEL_ENDS)
    assert (notice is not None and notice.revision == 1) is (announced is not None)
    assert line.notices.get(T, Recipient.OWNER, NoticeKind.MODEL_ENDS) is None
    assert line.tenants.get(T).assistant_problem is None, "the line goes on answering until then"


@pytest.mark.parametrize(("named", "kept"), [(None, True), ("", False), ("2028-01-01", False)])
def test_a_models_end_is_over_once_openai_names_none_and_stays_while_it_does_not_answer(
    line: Services, model: CheckedLlm, named: str | None, kept: bool
) -> None:
    model.ends_on = "2026-10-01"
    perform(line)
    model.ends_on = named
    assert (perform(line).model_ends_on is not None) is kept
    notice = line.notices.get(T, Recipient.OPERATORS, NoticeKind.MODEL_ENDS)
    assert notice is not None and (notice.state is NewsState.OPEN) is kept


# -- when one is due ---------------------------------------------------------------------------------------------------


def test_each_assistant_is_checked_about_once_a_day(line: Services, clock: Clock, model: CheckedLlm) -> None:
    began, times = clock(), []
    for _ in range(4 * 24 * 60 // 5):
        clock.pass_seconds(300)
        if line.tenants.get(T).is_check_due(clock()):
            times.append(clock() - began)
            checks.request(line, T)
            perform(line)
    assert 3 <= len(times) <= 5
    gaps = [later - earlier for earlier, later in pairwise(times)]
    assert all(0.9 * DAY * 1000 <= gap <= 1.1 * DAY * 1000 + 300_000 for gap in gaps)


def test_the_first_checks_are_spread_over_the_day_and_few_begin_in_a_minute(clock: Clock) -> None:
    tenants = [a_tenant(f"tenant{number:04d}", created_at=clock()) for number in range(2_000)]
    hours = [sum(each.is_check_due(clock() + hour * 3_600_000) for each in tenants) for hour in range(25)]
    assert hours[0] < 40 and hours[24] == 2_000
    assert all(40 <= later - earlier <= 130 for earlier, later in pairwise(hours))
    long_ago = [replace(each, created_at=1) for each in tenants]
    assert len(checks.due(long_ago, clock())) == checks.MAX_A_MINUTE


def test_paused_lines_are_not_checked_and_a_lost_job_is_requested_again(clock: Clock) -> None:
    tenant = a_tenant(T, created_at=1)
    assert checks.due([tenant, replace(tenant, state=TenantState.PAUSED)], clock()) == [tenant]
    asked = replace(tenant, check_asked_at=clock())
    assert checks.due([asked], clock() + CHECK_LOST_AFTER // timedelta(milliseconds=1) - 1) == []
    assert checks.due([asked], clock() + CHECK_LOST_AFTER // timedelta(milliseconds=1)) == [asked]
    done = replace(asked, checked=AssistantCheckup(clock(), None, "", 1))
    assert checks.due([done], clock() + 12 * 3_600_000) == []
    # A job that is lost each time does not keep the others from their turn.
    others = [replace(tenant, id=f"tenant{number:04d}") for number in range(checks.MAX_A_MINUTE)]
    assert replace(asked, check_asked_at=clock() - 10**6) not in checks.due([*others, asked], clock() + 10**6)


def test_the_loop_requests_what_is_due_once(line: Services, clock: Clock, model: CheckedLlm) -> None:
    clock.pass_seconds(2 * DAY)
    for _ in range(2):
        reconcile.reconcile(line)
    assert [chat for _, chat, _ in jobs(line).sent].count(ASSISTANT_CHECK) == 1
    assert line.tenants.get(T).check_by is None


# -- with the real client ----------------------------------------------------------------------------------------------


@pytest.fixture
def openai(line: Services) -> Iterator[OpenAISimulator]:
    with OpenAISimulator() as simulator:
        simulator.persona("sk-test-bakery", "Anna")
        client = LlmClient(simulator.base_url)
        line.__dict__["llm"] = client
        yield simulator
        client.close()


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"reasoning_effort": "low", "verbosity": "low"},
        {"vector_store_ids": ("vs_menu",), "web_search": True},
        {"max_output_tokens": 300},
    ],
)
def test_a_check_sends_all_that_a_reply_sends(
    line: Services, clock: Clock, openai: OpenAISimulator, changes: dict[str, Any]
) -> None:
    tenant = line.tenants.get(T)
    assistant = replace(ASSISTANT, **changes)
    line.tenants.edit(T, {}, expected_revision=tenant.revision, now=clock(), by=OLGA, assistant=assistant)
    openai.requests.clear()
    perform(line)
    hand_in(line, message(clock, "M1"))
    clock.pass_seconds(2)
    check_chat(line)
    checked, replied = [each.body for each in openai.requests if each.path.endswith("/responses")]
    assert checked.keys() | {"max_output_tokens"} == replied.keys() | {"max_output_tokens"}
    own = {"input", "safety_identifier", "prompt_cache_key", "max_output_tokens", "tool_choice"}
    assert {name: value for name, value in checked.items() if name not in own} == {
        name: value for name, value in replied.items() if name not in own
    }


def test_a_changed_model_that_openai_does_not_know_is_found_at_once(
    line: Services, clock: Clock, openai: OpenAISimulator
) -> None:
    tenant = line.tenants.get(T)
    unknown = replace(ASSISTANT, model="gpt-99-nonsense")
    line.tenants.edit(T, {}, expected_revision=tenant.revision, now=clock(), by=OLGA, assistant=unknown)
    problem = perform(line).assistant_problem
    assert problem is not None and problem.code is ProblemCode.MODEL_RETIRED
    assert "gpt-99-nonsense" in problem.detail


def test_an_effort_that_an_operator_chose_is_checked_as_a_reply_would_send_it(
    line: Services, clock: Clock, openai: OpenAISimulator
) -> None:
    tenant = line.tenants.get(T)
    chosen = replace(ASSISTANT, model="gpt-6-astra", reasoning_effort="none")
    line.tenants.edit(T, {}, expected_revision=tenant.revision, now=clock(), by=OLGA, assistant=chosen)
    problem = perform(line).assistant_problem
    assert problem is not None and problem.code is ProblemCode.ASSISTANT_REFUSED


# -- the models of a key -----------------------------------------------------------------------------------------------

LISTED = (OfferedModel("gpt-6-luna"), OfferedModel("gpt-4o", "2027-01-14"))


def test_a_check_stores_the_models_that_the_key_may_use(line: Services, clock: Clock, model: CheckedLlm) -> None:
    assert line.assistant_checks.get_models(T) is None
    model.models = LISTED
    perform(line)
    stored = line.assistant_checks.get_models(T)
    assert stored == OfferedModels(clock(), LISTED)
    clock.pass_seconds(60)
    model.models = None
    perform(line)
    assert line.assistant_checks.get_models(T) == stored, "a list that did not come replaces none"


def test_a_check_that_fails_lists_no_models(line: Services, clock: Clock, model: CheckedLlm) -> None:
    model.models, model.result = LISTED, failed(ProblemCode.KEY_REVOKED)
    perform(line)
    assert line.assistant_checks.get_models(T) is None


@pytest.mark.parametrize(
    ("listed", "asked", "ends_on"),
    [
        ((OfferedModel("gpt-6-luna", "2026-10-01"),), "2026-11-11", "2026-10-01"),
        ((OfferedModel("gpt-6-luna"),), "2026-10-01", None),
        ((OfferedModel("gpt-4o"),), "2026-10-01", "2026-10-01"),
        (None, "2026-10-01", "2026-10-01"),
    ],
)
def test_the_end_of_a_model_is_read_from_the_list_or_asked_for(
    line: Services,
    clock: Clock,
    model: CheckedLlm,
    listed: tuple[OfferedModel, ...] | None,
    asked: str,
    ends_on: str | None,
) -> None:
    model.models, model.ends_on = listed, asked
    assert perform(line).model_ends_on == ends_on


def test_a_list_of_models_expires_when_no_check_renews_it(line: Services, clock: Clock, model: CheckedLlm) -> None:
    model.models = LISTED
    perform(line)
    item = line.table.get(f"TENANT#{T}", "MODELS")
    assert item is not None and item["expires_at"] == (clock() + MODELS_KEPT_FOR // timedelta(milliseconds=1)) // 1000
