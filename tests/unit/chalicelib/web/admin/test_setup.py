"""The page of the setup, as the operator sees it after signing in."""

import json

import pytest

from chalicelib.aws.cognito import SignedIn
from chalicelib.errors import ActionRequired
from chalicelib.model import apply_report
from chalicelib.notifications import bounces
from chalicelib.notifications.bounces import EventOutcome
from tests.unit.conftest import Clock
from tests.unit.support.admin_browser import OLGA, Admin
from tests.unit.support.headless_browser import Page
from wire import Phase, ProblemCode, SessionReport

HOST = {"host": "lines.example"}


def headings(page: Page) -> dict[str, bool]:
    """Each step on the page, and whether it is ticked."""
    parts = page.html.split('<li class="card check ')[1:]
    return {part.split("<h2>")[1].split(" <span")[0]: part.startswith("ok") for part in parts}


def open_setup(olga: Admin, **headers: str) -> Page:
    return olga.browser.get("/admin/setup", **headers)


def send(olga: Admin) -> None:
    csrf = open_setup(olga).hidden("csrf")
    answer = olga.browser.post("/admin/setup/mail", {"csrf": csrf})
    assert (answer.status, answer.headers["location"]) == (303, "/api/admin/setup")


def dismiss(olga: Admin) -> None:
    csrf = open_setup(olga).hidden("csrf")
    answer = olga.browser.post("/admin/setup/dismiss", {"csrf": csrf})
    assert answer.headers["location"] == "/api/admin"


def connect(olga: Admin, tenant: str, clock: Clock) -> None:
    services = olga.services
    runner = services.runners.register("runneraaaa", "0" * 64, 5, clock(), task="task-a")
    session = services.placement.keep_awake(tenant, clock())
    online = SessionReport(tenant=tenant, epoch=session.epoch, sequence=1, phase=Phase.ONLINE, number="491709999999")
    services.sessions.record_report(runner, session, apply_report(session, online, clock()))


def test_the_first_sign_in_opens_the_setup(stranger: Admin) -> None:
    assert stranger.sign_in().headers["location"] == "/api/admin/setup"
    assert headings(open_setup(stranger)) == {"Public address": False, "Test mail": False, "First client": False}


def test_once_it_is_dismissed_the_tenants_open_and_the_page_can_still_be_found(olga: Admin) -> None:
    dismiss(olga)
    assert olga.sign_in().headers["location"] == "/api/admin"
    assert "/api/admin/setup" in olga.browser.get("/admin").html
    page = open_setup(olga)
    assert "Do not show this" not in page.html
    assert not any(headings(page).values())


def test_the_address_is_ticked_once_it_was_opened(olga: Admin) -> None:
    assert headings(open_setup(olga, host="elsewhere.example"))["Public address"] is False
    assert headings(open_setup(olga, **HOST))["Public address"] is True
    assert headings(open_setup(olga, host="elsewhere.example"))["Public address"] is True
    olga.services.base_url = lambda: "https://moved.example/api"  # type: ignore[method-assign]
    assert headings(open_setup(olga, **HOST))["Public address"] is False


def test_a_test_mail_is_ticked_once_its_link_was_opened(olga: Admin) -> None:
    send(olga)
    [(operator, link, _)] = olga.mailer.trials
    assert operator == OLGA
    assert "handed over" in open_setup(olga).text
    elsewhere = type(olga.browser)(olga.gateway)  # a mail program without our cookies
    answer = elsewhere.get(link.removeprefix("https://lines.example/api"))
    assert (answer.status, answer.headers["location"]) == (303, "/api/admin/setup")
    assert headings(open_setup(olga))["Test mail"] is True
    assert elsewhere.get(link.removeprefix("https://lines.example/api")).status == 303  # opened twice


@pytest.mark.parametrize("token", ["x" * 43, "short", "x" * 65, "..", "%2e%2e"])
def test_the_link_of_no_mail_ticks_nothing(olga: Admin, token: str) -> None:
    send(olga)
    assert olga.browser.get(f"/admin/setup/mail/{token}").status == 404
    assert headings(open_setup(olga))["Test mail"] is False


def test_the_link_of_a_former_mail_ticks_nothing(olga: Admin, clock: Clock) -> None:
    send(olga)
    clock.pass_seconds(60)
    send(olga)
    [(_, former, _), (_, latest, _)] = olga.mailer.trials
    assert olga.browser.get(former.removeprefix("https://lines.example/api")).status == 404
    assert olga.browser.get(latest.removeprefix("https://lines.example/api")).status == 303


def test_two_presses_send_one_mail(olga: Admin, clock: Clock) -> None:
    send(olga)
    send(olga)
    assert len(olga.mailer.trials) == 1
    clock.pass_seconds(20)
    send(olga)
    assert len(olga.mailer.trials) == 2


def test_a_second_press_is_answered_with_how_long_to_wait(olga: Admin, clock: Clock) -> None:
    assert "wait" not in open_setup(olga).text
    send(olga)
    clock.pass_seconds(5)
    send(olga)
    page = open_setup(olga)
    assert "One was sent just now; wait 15 s." in page.text and "disabled>Send another" in page.html
    clock.pass_seconds(14.5)
    assert "wait 1 s." in open_setup(olga).text
    clock.pass_seconds(0.5)
    page = open_setup(olga)
    assert "wait" not in page.text and "disabled" not in page.html


def advise(olga: Admin, **advice: object) -> None:
    environment = olga.services.__dict__["_environment"]
    olga.services.__dict__["_environment"] = {**environment, "SETUP_ADVICE": json.dumps(advice)}


def test_an_installation_with_stand_ins_says_so_and_is_not_complete(olga: Admin, clock: Clock) -> None:
    advise(olga, stand_ins="Played here: WhatsApp and OpenAI.", make_real="When ready: `sudo make service X=real`")
    connect(olga, olga.create(), clock)
    send(olga)
    olga.browser.get(olga.mailer.trials[0][1].removeprefix("https://lines.example/api"))
    page = open_setup(olga, **HOST)
    assert all(headings(page).values()) and "Everything is set up" not in page.text
    assert "Played here: WhatsApp and OpenAI." in page.text
    assert 'When ready: <code class="mono">sudo make service X=real</code>' in page.html
    assert olga.sign_in().headers["location"] == "/api/admin/setup"
    dismiss(olga)
    assert olga.sign_in().headers["location"] == "/api/admin"


def test_without_a_mail_server_the_test_mail_is_in_the_outbox(olga: Admin, clock: Clock) -> None:
    advise(olga, mailbox="http://outbox.example:4701")
    send(olga)
    link = olga.mailer.trials[0][1].removeprefix("https://lines.example/api")
    assert olga.browser.get(link).status == 303
    page = open_setup(olga)
    assert headings(page)["Test mail"] is False and "It is in the outbox" in page.text
    assert 'href="http://outbox.example:4701"' in page.html
    advise(olga)  # with a mail server now
    assert headings(open_setup(olga))["Test mail"] is False, "it stayed here"
    clock.pass_seconds(60)
    send(olga)
    olga.browser.get(olga.mailer.trials[1][1].removeprefix("https://lines.example/api"))
    assert headings(open_setup(olga))["Test mail"] is True


def test_one_button_stands_out(olga: Admin) -> None:
    assert open_setup(olga).html.count("button primary") == 1
    open_setup(olga, **HOST)  # the first step is done
    page = open_setup(olga, **HOST)
    assert page.html.count("button primary") == 1 and 'button primary">Send me' in page.html
    assert "1 of 3 steps is done." in page.text


def test_a_mail_that_is_refused_shows_why(olga: Admin) -> None:
    olga.mailer.error = ActionRequired(ProblemCode.MAIL_BOUNCED, "The sender's domain is not verified.")
    send(olga)
    page = open_setup(olga)
    assert "failed: The sender’s domain" in page.text or "failed: The sender's domain is not verified." in page.text
    assert headings(page)["Test mail"] is False


def bounced(tag: str) -> dict[str, object]:
    recipient = {"emailAddress": OLGA, "status": "5.1.1"}
    bounce = {"bounceType": "Permanent", "bounceSubType": "General", "bouncedRecipients": [recipient]}
    tags = {"kind": ["trial"], "tenant": [tag]}
    mail = {"messageId": "m-1", "destination": [OLGA], "tags": tags}
    return {"detail-type": "Email Bounced", "detail": {"mail": mail, "bounce": bounce}}


def test_a_mail_that_bounces_shows_why(olga: Admin) -> None:
    send(olga)
    [(_, _, tag)] = olga.mailer.trials
    assert bounces.handle(olga.services, bounced(tag)) is EventOutcome.OPERATORS
    assert "Your mail server refuses this address (5.1.1)." in open_setup(olga).text


def test_the_bounce_of_a_former_mail_changes_nothing(olga: Admin, clock: Clock) -> None:
    send(olga)
    clock.pass_seconds(60)
    send(olga)
    assert bounces.handle(olga.services, bounced(olga.mailer.trials[0][2])) is EventOutcome.OPERATORS
    assert bounces.handle(olga.services, bounced("0" * 64)) is EventOutcome.OPERATORS
    assert "handed over" in open_setup(olga).text


def test_the_first_client_is_ticked_once_its_whatsapp_is_connected(olga: Admin, clock: Clock) -> None:
    tenant = olga.create()
    page = open_setup(olga)
    assert headings(page)["First client"] is False
    assert f"/admin/tenants/{tenant}" in page.html
    connect(olga, tenant, clock)
    assert headings(open_setup(olga))["First client"] is True


def test_a_complete_setup_no_longer_opens_by_itself(olga: Admin, clock: Clock) -> None:
    connect(olga, olga.create(), clock)
    send(olga)
    olga.browser.get(olga.mailer.trials[0][1].removeprefix("https://lines.example/api"))
    page = open_setup(olga, **HOST)
    assert all(headings(page).values()) and "Everything is set up" in page.text
    assert olga.sign_in().headers["location"] == "/api/admin"


def test_backups_are_a_step_where_something_makes_them(olga: Admin, clock: Clock) -> None:
    olga.services.__dict__["_environment"] = {
        **olga.services.__dict__["_environment"],
        "BACKUP_STATE_PARAMETER": "/unit/backup-state",
    }
    page = open_setup(olga)
    assert headings(page)["Backups"] is False and "Nothing is known of backups yet" in page.text
    state = {"place": "/mnt/backups", "at_ms": clock(), "bytes": 5_000_000, "verified_at_ms": 0, "problem": ""}
    olga.services.parameters._client.put_parameter(
        Name="/unit/backup-state", Value=json.dumps(state), Type="String", Overwrite=True
    )
    assert headings(open_setup(olga))["Backups"] is True
    state["problem"] = "The place is full."
    olga.services.parameters._client.put_parameter(
        Name="/unit/backup-state", Value=json.dumps(state), Type="String", Overwrite=True
    )
    clock.pass_seconds(6)
    page = open_setup(olga)
    assert headings(page)["Backups"] is False and "The place is full." in page.text


def test_a_stranger_reads_and_sends_nothing(stranger: Admin) -> None:
    assert stranger.browser.get("/admin/setup").headers["location"] == "/api/admin/sign-in"
    assert stranger.browser.get("/admin/setup/live").status == 401
    for form in ("mail", "dismiss"):
        answer = stranger.browser.post(f"/admin/setup/{form}", {"csrf": "x"})
        assert answer.headers["location"] == "/api/admin/sign-in"
    assert not stranger.mailer.trials and not stranger.services.setup.get().closed


def test_the_forms_need_their_token(olga: Admin) -> None:
    for form in ("mail", "dismiss"):
        assert olga.browser.post(f"/admin/setup/{form}", {"csrf": "x"}).status == 403
    assert not olga.mailer.trials and not olga.services.setup.get().closed


def test_another_operator_signs_in_to_the_same_setup(olga: Admin) -> None:
    dismiss(olga)
    olga.identity.first = SignedIn("otto@agency.example")
    assert olga.sign_in(email="otto@agency.example").headers["location"] == "/api/admin"
