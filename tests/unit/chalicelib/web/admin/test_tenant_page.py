"""The list, and one tenant's page with everything an operator can do there."""

from typing import Any

import pytest

from chalicelib.assistants import checks as assistant_checks
from chalicelib.aws.sqs import ASSISTANT_CHECK, TurnCheck
from chalicelib.errors import NotFound, TransientError
from chalicelib.llm.client import AssistantCheck
from chalicelib.model import Problem, SnapshotVersion, TenantState
from chalicelib.notifications.invites import MAX_MAILS_PER_HOUR
from chalicelib.store.fleet import waiting_index
from chalicelib.store.runners import Save
from chalicelib.store.table import Update
from tests.unit.conftest import Clock, FakeJobs
from tests.unit.support.admin_browser import OLGA, Admin
from wire import Phase, ProblemCode


def test_the_list_says_when_many_replies_were_given_up(olga: Admin, clock: Clock) -> None:
    olga.create(name="Zoo")
    for number in range(10):
        olga.services.ended_turns.count("anybody", clock(), ended=True, given_up=number < 3)
    for path in ("/admin", "/admin/live"):
        assert "30 % of the last replies were given up" in olga.browser.get(path).text
    for _ in range(5):
        olga.services.ended_turns.count("anybody", clock(), ended=True)
    assert "given up" not in olga.browser.get("/admin").text


def test_the_list_shows_the_state_of_every_tenant(olga: Admin, clock: Clock) -> None:
    assert "No tenants yet" in olga.browser.get("/admin").text
    online, broke, paused = olga.create(name="Zoo"), olga.create(name="Bakery"), olga.create(name="Attic")
    seen = {"phase": Phase.ONLINE, "since": clock() - 7_200_000, "number": "491701234567", "last_message_at": clock()}
    olga.services.table.update(Update(f"TENANT#{online}", "SESSION", set={**seen}))
    olga.services.tenants.set_assistant_problem(broke, Problem(ProblemCode.OUT_OF_CREDIT, clock()))
    olga.press(paused, "pause")
    for path in ("/admin", "/admin/live"):
        page = olga.browser.get(path)
        assert page.text.index("Bakery") < page.text.index("Attic") < page.text.index("Zoo")  # problems first
        assert "Online" in page.text and "2 h ago" in page.text and "just now" in page.text
        assert "Out of credit" in page.text and "no credit left" in page.text
        assert "Paused" in page.text
    assert "<html" not in olga.browser.get("/admin/live").html


def test_the_page_of_an_unlinked_tenant_keeps_its_session_awake(olga: Admin, clock: Clock) -> None:
    tenant = olga.create()
    olga.browser.get(f"/admin/tenants/{tenant}")
    assert olga.services.sessions.get(tenant).is_awake(clock())
    clock.pass_seconds(16 * 60)
    assert not olga.services.sessions.get(tenant).is_awake(clock())
    olga.browser.get(f"/admin/tenants/{tenant}/live")
    assert olga.services.sessions.get(tenant).is_awake(clock())


def test_the_page_of_a_paused_or_linked_tenant_changes_nothing(olga: Admin) -> None:
    paused, linked = olga.create(), olga.create()
    olga.services.tenants.set_state(paused, TenantState.PAUSED, now=1, by=OLGA)
    olga.services.table.update(Update(f"TENANT#{linked}", "SESSION", set={"number": "491701234567"}))
    for tenant in (paused, linked):
        assert olga.browser.get(f"/admin/tenants/{tenant}").status == 200
        assert olga.services.sessions.get(tenant).awake_until == 0


def test_a_valid_code_is_shown_and_an_expired_one_never(olga: Admin, clock: Clock) -> None:
    tenant = olga.create()
    code = {"code": "2@abc,def", "expires_at": clock() + 20_000}
    olga.services.table.update(Update(f"TENANT#{tenant}", "SESSION", set={"phase": Phase.QR, "qr": code}))
    page = olga.browser.get(f"/admin/tenants/{tenant}/live")
    assert 'class="qr-code"' in page.html and "New code in 20 s" in page.text and "2@abc,def" not in page.html
    clock.pass_seconds(20)
    assert 'class="qr-code"' not in olga.browser.get(f"/admin/tenants/{tenant}/live").html


def test_what_the_runner_adds_to_the_phase_is_shown(olga: Admin) -> None:
    tenant = olga.create()
    for phase, detail in ((Phase.ONLINE, "2 chats cannot be read"), (Phase.STARTING, "waiting for its turn to start")):
        seen = {"phase": phase, "detail": detail}
        olga.services.table.update(Update(f"TENANT#{tenant}", "SESSION", set=seen))
        page = olga.browser.get(f"/admin/tenants/{tenant}/live")
        assert detail in page.text
        assert ("all other chats are answered" in page.text) is (phase is Phase.ONLINE)


def test_every_phase_and_every_problem_has_a_page(olga: Admin) -> None:
    tenant = olga.create()
    both = [(phase, None) for phase in Phase] + [(Phase.OFFLINE, problem) for problem in ProblemCode]
    for phase, problem in both:
        seen = {"phase": phase, "problem": {"code": problem, "since": 1, "detail": ""} if problem else None}
        olga.services.table.update(Update(f"TENANT#{tenant}", "SESSION", set={**seen}))
        for path in (f"/admin/tenants/{tenant}/live", "/admin/live"):
            assert olga.browser.get(path).status == 200, (phase, problem)


def test_the_page_says_how_old_the_saved_login_is_and_why_it_is_not_newer(olga: Admin, clock: Clock) -> None:
    tenant, services = olga.create(), olga.services
    runner = services.runners.register("runneraaaa", "0" * 64, 5, clock(), task="task-a")
    assert services.placement.claim(services.sessions.get(tenant), runner.id, clock())
    epoch = services.sessions.get(tenant).epoch
    linked = {"number": "491701234567", "phase": Phase.ONLINE, "since": clock() - 86_400_000}
    services.table.update(Update(f"TENANT#{tenant}", "SESSION", set={**linked}))
    snapshot = SnapshotVersion("key", epoch, 1, "0" * 64, 10, "156.0", "", clock())
    services.snapshots.commit(tenant, runner.id, snapshot, clock())

    def page(saved_ago_minutes: int, problem: str = "", **more: Any) -> str:
        clock.pass_seconds(11)
        known = services.runners.get("runneraaaa")
        assert known is not None
        saves = {tenant: Save(clock() - saved_ago_minutes * 60_000, problem)}
        services.runners.renew_lease(known, clock(), capacity=5, draining=False, probes={}, saves=saves, **more)
        return olga.browser.get(f"/admin/tenants/{tenant}/live").text

    assert "Saved a moment ago." in page(0)
    clock.pass_seconds(180)
    assert "Saved 3 minutes ago." in page(0)
    text = page(180, "too_large")
    assert "Not saved for 3 hours: its profile is too large to be archived" in text
    text = page(180, "disk_full", disk_full=True)
    assert text.count("The disk of its runner is full: make room there") == 1  # in the notice; the fact has the age
    assert "Saved 3 min ago" in text.replace("\u00a0", " ")
    services.table.update(Update(f"TENANT#{tenant}", "SESSION", set={"snapshots": []}))
    assert "Not saved yet" in page(180, "disk_full", disk_full=True)


def test_the_page_of_an_unknown_tenant_reveals_nothing(olga: Admin) -> None:
    pages_seen = [
        olga.browser.get(f"/admin/tenants/{id}") for id in ("hotel0000", "x", "..%2f..", "HOTEL0000", "0" * 3_000)
    ]
    assert {page.status for page in pages_seen} == {404} and len({page.html for page in pages_seen}) == 1


def test_pausing_and_resuming_is_stored_shown_and_done(olga: Admin) -> None:
    tenant = olga.create()
    assert "The line is silent" in olga.press(tenant, "pause").text
    assert olga.services.tenants.get(tenant).state is TenantState.PAUSED
    assert "Resumed" in olga.press(tenant, "resume").text
    assert olga.services.tenants.get(tenant).state is TenantState.ACTIVE


def test_sending_the_invite_again_kills_the_old_link_and_has_a_limit(olga: Admin, clock: Clock) -> None:
    tenant = olga.create()
    first = olga.services.invites.get_current(tenant)
    olga.press(tenant, "invite")
    second = olga.services.invites.get_current(tenant)
    assert first is not None and second is not None and first.token_sha256 != second.token_sha256
    for _ in range(MAX_MAILS_PER_HOUR):
        page = olga.press(tenant, "invite")
    assert "Wait an hour" in page.text
    assert len(olga.mailer.sent) == 1 + MAX_MAILS_PER_HOUR
    clock.pass_seconds(3_600)
    olga.signed_in()
    assert "A new link was mailed" in olga.press(tenant, "invite").text


def test_a_link_that_cannot_be_mailed_leaves_the_former_one_alive(olga: Admin, clock: Clock) -> None:
    tenant = olga.create()
    first = olga.services.invites.get_current(tenant)
    olga.mailer.error = TransientError("SES is busy.")
    assert "it still works" in olga.press(tenant, "invite").text
    assert first is not None
    assert olga.services.invites.find(first.token_sha256, now=clock()) == first
    olga.mailer.error = None
    olga.press(tenant, "invite")
    with pytest.raises(NotFound):
        olga.services.invites.find(first.token_sha256, now=clock())


def test_revoking_the_invite_leaves_none(olga: Admin) -> None:
    tenant = olga.create()
    page = olga.press(tenant, "revoke")
    assert "no longer works" in page.text and "none that works" in page.text
    assert olga.services.invites.get_current(tenant) is None


def test_checking_again_wakes_the_chats_that_wait_for_it(olga: Admin, clock: Clock) -> None:
    tenant = olga.create()
    olga.services.tenants.set_assistant_problem(tenant, Problem(ProblemCode.OUT_OF_CREDIT, clock()))
    waiting = {
        **waiting_index.turn_of(tenant, clock()),
        "open_turns": "OPEN",
        "due_at": clock() + 60_000,
        "tenant": tenant,
        "chat": "4711@lid",
        "state": "waiting",
        "revision": 1,
        "messages": ["contact#A"],
        "first_message": "A",
        "last_message": "A",
        "created_at": clock(),
        "at": "1",
        "oldest_sent_at": clock(),
        **waiting_index.turn_of(tenant, clock()),
    }
    olga.services.table.update(Update(f"CHAT#{tenant}#4711@lid", "TURN#turn0001", set={**waiting}))
    page = olga.press(tenant, "check").text
    assert "A check of the assistant was asked for." in page and "The assistant is being checked" in page
    assert olga.services.tenants.get(tenant).assistant_problem is not None, "nothing was checked yet"
    jobs = olga.services.jobs
    assert isinstance(jobs, FakeJobs) and jobs.sent == [(tenant, ASSISTANT_CHECK, 0)]
    clock.pass_seconds(2)
    assistant_checks.perform(olga.services, TurnCheck(tenant=tenant, chat=ASSISTANT_CHECK))
    assert olga.services.tenants.get(tenant).assistant_problem is None
    assert jobs.sent[1:] == [(tenant, "4711@lid", 0)]
    live = olga.browser.get(f"/admin/tenants/{tenant}/live").text
    assert "being checked" not in live and "The key works, and gpt-6-luna answers." in live


def test_the_page_shows_what_a_check_found(olga: Admin, clock: Clock) -> None:
    tenant = olga.create()
    results = [
        (
            AssistantCheck("No such model.", problem=ProblemCode.MODEL_RETIRED),
            ["Model not available", "No such model."],
        ),
        (AssistantCheck("OpenAI is busy.", transient=True), ["could not be finished", "OpenAI is busy."]),
    ]
    for result, shown in results:
        olga.llm.result = result
        olga.press(tenant, "check")
        clock.pass_seconds(2)
        assistant_checks.perform(olga.services, TurnCheck(tenant=tenant, chat=ASSISTANT_CHECK, attempt=9))
        live = olga.browser.get(f"/admin/tenants/{tenant}/live").text
        assert all(text in live for text in shown), live


def test_the_page_shows_that_openai_ends_the_model_soon(olga: Admin, clock: Clock) -> None:
    tenant = olga.create()
    olga.llm.ends_on = "2026-09-30"
    assistant_checks.perform(olga.services, TurnCheck(tenant=tenant, chat=ASSISTANT_CHECK))
    assert "OpenAI ends this model on 30 September 2026" in olga.browser.get(f"/admin/tenants/{tenant}").text
