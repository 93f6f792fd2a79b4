"""What an operator sees and does of lines that were disconnected, are used elsewhere, or wait for a passkey."""

from typing import Any

import pytest

from chalicelib.errors import TransientError
from chalicelib.model import EventKind
from chalicelib.model.notices.kinds import NoticeKind
from chalicelib.model.notices.notice import Subject
from chalicelib.notifications.invites import MAX_MAILS_PER_HOUR
from chalicelib.replies import inbound
from chalicelib.store.table import Update
from chalicelib.tokens import sha256
from tests.unit.conftest import Clock, FakeJobs
from tests.unit.support.admin_browser import Admin
from wire import Message, MessageKind, Phase, ProblemCode

NUMBER = "491701234567"


def session(olga: Admin, tenant: str, **changes: Any) -> None:
    olga.services.table.update(Update(f"TENANT#{tenant}", "SESSION", set=changes))


def problem(code: ProblemCode) -> dict[str, Any]:
    return {"code": code, "since": 1, "detail": ""}


def test_a_disconnected_line_is_first_and_red_also_while_a_new_code_waits(olga: Admin, clock: Clock) -> None:
    names = {name: olga.create(name=name) for name in ("Attic", "Bakery", "Mill", "Zoo")}
    online = {"phase": Phase.ONLINE, "number": NUMBER}
    session(olga, names["Attic"], **online)
    session(olga, names["Mill"], **online, problem=problem(ProblemCode.CONFLICT))
    ended = {"last_number": NUMBER, "logged_out_at": clock() - 27 * 60_000}
    for phase in (Phase.LOGGED_OUT, Phase.QR, Phase.IDLE, Phase.STARTING):
        session(olga, names["Zoo"], phase=phase, since=clock(), **ended)
        for path in ("/admin", "/admin/live"):
            page = olga.browser.get(path)
            places = [page.text.index(name) for name in ("Zoo", "Mill", "Attic", "Bakery")]
            assert places == sorted(places), phase
            assert '<span class="badge problem">Disconnected</span>' in page.html
            assert "27 min ago" in page.text.replace("\u00a0", " ")
    page = olga.browser.get(f"/admin/tenants/{names['Zoo']}")
    assert "Disconnected" in page.text and "Nobody who writes gets an answer" in page.text


def test_a_paused_line_that_was_disconnected_is_no_alarm(olga: Admin, clock: Clock) -> None:
    paused = olga.create(name="Attic")
    session(olga, paused, phase=Phase.LOGGED_OUT, last_number=NUMBER, logged_out_at=clock())
    olga.press(paused, "pause")
    assert "badge problem" not in olga.browser.get("/admin").html


def test_the_open_page_of_a_disconnected_line_starts_no_browser_by_itself(olga: Admin, clock: Clock) -> None:
    tenant = olga.create()
    session(olga, tenant, phase=Phase.IDLE, last_number=NUMBER, logged_out_at=clock())
    for path in ("", "/live"):
        page = olga.browser.get(f"/admin/tenants/{tenant}{path}")
        assert not olga.services.sessions.get(tenant).is_awake(clock())
        assert "Show a QR code" in page.text and "A code appears here" not in page.text
    assert "A code appears here" in olga.press(tenant, "code").text
    stored = olga.services.sessions.get(tenant)
    assert stored.is_awake(clock()) and not stored.is_owner_looking(clock())


def test_a_page_that_nobody_touches_keeps_no_browser_busy_all_night(olga: Admin, clock: Clock) -> None:
    tenant = olga.create()
    olga.browser.get(f"/admin/tenants/{tenant}/live")
    until = olga.services.sessions.get(tenant).awake_until
    for _ in range(30):
        clock.pass_seconds(60)
        olga.browser.get(f"/admin/tenants/{tenant}/live?untouched=yes")
    assert olga.services.sessions.get(tenant).awake_until == until


def test_an_operators_page_is_not_the_owner(olga: Admin, clock: Clock) -> None:
    tenant = olga.create()
    olga.browser.get(f"/admin/tenants/{tenant}")
    stored = olga.services.sessions.get(tenant)
    assert stored.is_awake(clock()) and not stored.is_owner_looking(clock())


@pytest.mark.parametrize(
    ("stored", "label"),
    [
        ({"phase": Phase.CONFLICT, "number": NUMBER}, "Use it here again"),
        ({"phase": Phase.CONFLICT, "number": NUMBER, "problem": problem(ProblemCode.CONFLICT)}, "Use it here again"),
        ({"phase": Phase.PASSKEY_REQUIRED, "problem": problem(ProblemCode.PASSKEY)}, "Show a new code"),
    ],
)
def test_an_operator_may_order_to_try_again_at_any_time(olga: Admin, stored: dict[str, Any], label: str) -> None:
    tenant = olga.create()
    session(olga, tenant, **stored)
    page = olga.browser.get(f"/admin/tenants/{tenant}")
    assert label in page.text and f"/admin/tenants/{tenant}/again" in page.html
    before = olga.services.sessions.get(tenant).try_again_at
    assert "told to try again" in olga.press(tenant, "again").text
    assert olga.services.sessions.get(tenant).try_again_at > before


def test_a_paused_line_takes_no_order(olga: Admin) -> None:
    tenant = olga.create()
    olga.press(tenant, "pause")
    before = olga.services.sessions.get(tenant)
    for order in ("again", "code"):
        olga.press(tenant, order)
    assert olga.services.sessions.get(tenant) == before


def test_an_operator_sees_who_wrote_meanwhile_and_has_them_answered_once(
    olga: Admin, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    tenant, jobs = olga.create(), FakeJobs()
    monkeypatch.setitem(olga.services.__dict__, "jobs", jobs)
    hour, now = 3_600_000, clock()
    ended = {"last_number": NUMBER, "logged_out_at": now - 20 * hour, "missed_since": now - 20 * hour}
    session(olga, tenant, phase=Phase.ONLINE, number=NUMBER, linked_at=now, account_since=now - 99 * hour, **ended)
    for id, hours, author in (("M1", 1, "Ann"), ("M2", 13, "Bob")):
        written = Message(
            id=id,
            chat=f"{id[1:]}@lid",
            from_me=False,
            sent_at_ms=now - hours * hour,
            kind=MessageKind.TEXT,
            text="A secret question",
            author=author,
        )
        assert [each.reason for each in inbound.hand_in(olga.services, tenant, [written])] == ["while disconnected"]
    for path in ("", "/live"):
        page = olga.browser.get(f"/admin/tenants/{tenant}{path}")
        missed = page.text[page.text.index("Wrote while disconnected") : page.text.index("Not answered")]
        assert "No answer was sent to these 2 chats" in missed and missed.index("Ann") < missed.index("Bob")
        assert "1 h ago" in missed.replace("\u00a0", " ") and "only a person can answer" in missed
        assert "secret" not in page.html
    assert "They are answered now" in olga.press(tenant, "answer").text
    assert [chat for _, chat, _ in jobs.sent] == ["1@lid"]
    page = olga.press(tenant, "answer")
    assert "None of them can be answered any more" in page.text and "Answer these now" not in page.text
    assert [chat for _, chat, _ in jobs.sent] == ["1@lid"]


@pytest.mark.parametrize("stored", [{"problem": problem(ProblemCode.PASSKEY)}, {"passkey_since": 1, "phase": Phase.QR}])
def test_the_instructions_about_a_passkey_are_mailed_and_the_open_link_goes_on_working(
    olga: Admin, clock: Clock, stored: dict[str, Any]
) -> None:
    tenant = olga.create()
    opened = olga.services.invites.get_current(tenant)
    assert opened is not None
    session(olga, tenant, **{"phase": Phase.PASSKEY_REQUIRED, **stored})
    page = olga.browser.get(f"/admin/tenants/{tenant}")
    assert "Send the instructions" in page.text and f"/admin/tenants/{tenant}/passkey" in page.html
    assert "The steps were mailed" in olga.press(tenant, "passkey").text
    [(kind, subject, link)] = olga.mailer.told
    assert (kind, subject) == (NoticeKind.PASSKEY, Subject.NEWS)
    further = olga.services.invites.find(sha256(link.rpartition("/")[2]), now=clock())
    assert further.tenant == tenant
    assert olga.services.invites.find(opened.token_sha256, now=clock()) == opened
    assert EventKind.INVITE_SENT in olga.happened(tenant)


def test_instructions_that_cannot_be_mailed_are_a_problem_and_many_are_too_many(olga: Admin) -> None:
    tenant = olga.create()
    olga.mailer.error = TransientError("SES is busy.")
    assert "could not be sent" in olga.press(tenant, "passkey").text
    assert olga.services.tenants.get(tenant).mail_problem is not None
    olga.mailer.error = None
    texts = [olga.press(tenant, "passkey").text for _ in range(MAX_MAILS_PER_HOUR)]
    assert "The steps were mailed" in texts[0] and "many mails already" in texts[-1]
    assert olga.services.tenants.get(tenant).mail_problem is None
