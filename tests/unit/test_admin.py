"""The operator's door as a browser sees it: signing in, the list, creating a tenant, its page."""

import logging
from dataclasses import replace

import pytest
from chalice.app import Chalice
from pydantic import TypeAdapter

from chalicelib import admin, pages
from chalicelib.admin.create import id_of
from chalicelib.admin.forms import NewTenantForm
from chalicelib.admin.mailing import MAILS_PER_HOUR
from chalicelib.brain import CheckResult
from chalicelib.errors import AskSomeone, Invalid, TryAgain
from chalicelib.identity import Code, NewPassword, Outcome, Refused, SetUp, SignedIn
from chalicelib.model import Active, Assistant, Happened, Policies, Problem, Tenant
from chalicelib.store.table import Update
from chalicelib.wiring import Services
from infrastructure.local.gateway import Gateway
from tests.unit.browsing import Browser, Page
from tests.unit.conftest import Clock, FakeJobs
from wire import Phase, ProblemCode, TenantId

OLGA = "olga@agency.example"
KEY = "sk-proj-abcdefghijklmnop1234"
FIELDS = {
    "name": "Hotel Alpenblick",
    "owner_email": "owner@example.com",
    "language": "de",
    "api_key": KEY,
    "model": "gpt-6-luna",
    "instructions": "You answer for the hotel.",
    "legacy_reference": "",
}
POLICIES = {
    "takeover_minutes": "60",
    "replies_per_minute": "6",
    "replies_per_contact_per_day": "60",
    "tokens_per_month": "0",
    "history_messages": "20",
    "retention_days": "30",
}


class FakeBrain:
    """Says of a key and an assistant what the test wants."""

    def __init__(self) -> None:
        self.result = CheckResult("The key works, and gpt-6-luna answers.")
        self.checked: list[tuple[str, Assistant]] = []

    def check(self, api_key: str, assistant: Assistant) -> CheckResult:
        self.checked.append((api_key, assistant))
        return self.result


class FakeMailer:
    """Keeps the mails, or fails as the test wants."""

    def __init__(self) -> None:
        self.sent: list[tuple[Tenant, str]] = []
        self.trouble: Exception | None = None

    def invite(self, tenant: Tenant, link: str) -> str:
        if self.trouble is not None:
            raise self.trouble
        self.sent.append((tenant, link))
        return "message-1"


class FakeIdentity:
    """One operator; further steps as the test wants."""

    def __init__(self) -> None:
        self.first: Outcome = SignedIn(OLGA)
        self.later: list[Outcome] = []
        self.answers: list[str] = []

    def sign_in(self, email: str, password: str) -> Outcome:
        return self.first if password == "right" else Refused("This e-mail and password do not belong together.")

    def new_password(self, step: NewPassword, email: str, password: str) -> Outcome:
        return self._answer(password)

    def code(self, step: Code, email: str, code: str) -> Outcome:
        return self._answer(code)

    def set_up(self, step: SetUp, email: str, code: str) -> Outcome:
        return self._answer(code)

    def _answer(self, answer: str) -> Outcome:
        self.answers.append(answer)
        return self.later.pop(0)


class Admin:
    """An operator at a browser, and what stands behind the door."""

    def __init__(self, services: Services) -> None:
        self.services = services
        self.brain, self.mailer, self.identity = FakeBrain(), FakeMailer(), FakeIdentity()
        services.__dict__.update(brain=self.brain, mailer=self.mailer, identity=self.identity)
        services.base_url = lambda: "https://lines.example/api"  # type: ignore[method-assign]
        app = Chalice("admin")
        pages.mount(app, services)
        admin.mount(app, services)
        self.gateway = Gateway(app)
        self.browser = Browser(self.gateway)

    def knock(self, password: str = "right", email: str = OLGA) -> Page:
        form = self.browser.get("/admin/sign-in")
        fields = {"csrf": form.hidden("csrf"), "email": email, "password": password}
        return self.browser.post("/admin/sign-in", fields)

    def go_on(self, **fields: str) -> Page:
        form = self.browser.get("/admin/sign-in")
        return self.browser.post("/admin/sign-in/next", {"csrf": form.hidden("csrf"), **fields})

    def signed_in(self) -> "Admin":
        assert self.knock().status == 303
        return self

    def fill_in(self, **changes: str) -> dict[str, str]:
        form = self.browser.get("/admin/new")
        return {"csrf": form.hidden("csrf"), "form_id": form.hidden("form_id"), **FIELDS, **changes}

    def create(self, **changes: str) -> str:
        answer = self.browser.post("/admin/new", self.fill_in(**changes))
        assert answer.status == 303, answer.text
        return answer.headers["location"].rpartition("/")[2].partition("?")[0]

    def press(self, tenant: str, what: str, **fields: str) -> Page:
        csrf = self.browser.get(f"/admin/tenants/{tenant}").hidden("csrf")
        return self.browser.follow(self.browser.post(f"/admin/tenants/{tenant}/{what}", {"csrf": csrf, **fields}))

    def edit(self, tenant: str, **changes: str) -> Page:
        form = self.browser.get(f"/admin/tenants/{tenant}/edit")
        kept = {**FIELDS, **POLICIES, "api_key": ""}
        hidden = {name: form.hidden(name) for name in ("csrf", "revision")}
        return self.browser.post(f"/admin/tenants/{tenant}/edit", {**kept, **hidden, **changes})

    def happened(self, tenant: str) -> list[Happened]:
        return [event.happened for event in self.services.tenants.timeline(tenant)]


@pytest.fixture
def stranger(services: Services) -> Admin:
    return Admin(services)


@pytest.fixture
def olga(stranger: Admin) -> Admin:
    return stranger.signed_in()


# --- signing in ---------------------------------------------------------------------------------------------


def test_every_screen_asks_a_stranger_to_sign_in_and_tells_him_nothing_else(stranger: Admin) -> None:
    for path in ("/admin", "/admin/new", "/admin/tenants/hotel0000", "/admin/tenants/hotel0000/edit"):
        answer = stranger.browser.get(path)
        assert (answer.status, answer.headers["location"], answer.html) == (303, "/api/admin/sign-in", "")
    for path in ("/admin/live", "/admin/tenants/hotel0000/live"):
        assert stranger.browser.get(path).status == 401
    for path in ("new", "tenants/hotel0000/edit", "tenants/hotel0000/pause", "tenants/hotel0000/invite"):
        answer = stranger.browser.post(f"/admin/{path}", FIELDS)
        assert (answer.status, answer.headers["location"]) == (303, "/api/admin/sign-in")
    assert stranger.mailer.sent == [] and stranger.brain.checked == []


def test_the_bare_address_leads_to_the_admin(stranger: Admin) -> None:
    assert stranger.browser.get("/").headers["location"] == "/api/admin"


def test_a_password_signs_in_and_the_cookie_is_opaque(stranger: Admin) -> None:
    answer = stranger.knock()
    assert answer.headers["location"] == "/api/admin"
    [operator] = [sent for sent in answer.set_cookies if sent.startswith("__Host-operator=")]
    assert "Secure; HttpOnly; SameSite=Lax" in operator and OLGA not in operator
    assert stranger.browser.get("/admin").status == 200


def test_a_wrong_password_is_refused_and_not_echoed(stranger: Admin) -> None:
    answer = stranger.knock("wr0ng-secret")
    assert answer.status == 401 and "do not belong together" in answer.text
    assert "wr0ng-secret" not in answer.html and answer.value("email") == OLGA


@pytest.mark.parametrize(("email", "password"), [("", "x"), (OLGA, ""), ("x" * 300, "x"), (OLGA, "x" * 300)])
def test_what_cannot_be_a_sign_in_never_reaches_cognito(stranger: Admin, email: str, password: str) -> None:
    assert stranger.knock(password, email).status == 422


def test_the_sign_in_form_needs_its_own_token_and_page(stranger: Admin) -> None:
    fields = {"email": OLGA, "password": "right"}
    assert stranger.browser.post("/admin/sign-in", fields).status == 403
    csrf = stranger.browser.get("/admin/sign-in").hidden("csrf")
    elsewhere = stranger.browser.post("/admin/sign-in", {**fields, "csrf": csrf}, sec_fetch_site="cross-site")
    assert elsewhere.status == 403
    another = Browser(stranger.gateway)
    another.get("/admin/sign-in")
    assert another.post("/admin/sign-in", {**fields, "csrf": csrf}).status == 403


def test_many_attempts_have_to_wait(stranger: Admin, clock: Clock) -> None:
    for _ in range(10):
        stranger.knock("wrong")
    refused = stranger.knock()
    assert refused.status == 429 and "Wait a quarter of an hour" in refused.text
    clock.pass_seconds(15 * 60)
    assert stranger.knock().status == 303


def test_a_first_password_leads_through_a_new_one_and_the_authenticator_app(stranger: Admin) -> None:
    stranger.identity.first = NewPassword("sub", "session-1")
    setting_up = SetUp("sub", "session-2", "JBSWY3DPEHPK3PXP")
    stranger.identity.later = [setting_up, Refused("This code is not right.", again=setting_up), SignedIn(OLGA)]
    assert "Choose a password" in stranger.browser.follow(stranger.knock()).text
    assert "not the same" in stranger.go_on(password="Second-Pass-1", again="other").text
    page = stranger.browser.follow(stranger.go_on(password="Second-Pass-1", again="Second-Pass-1"))
    assert "JBSWY3DPEHPK3PXP" in page.text and "<svg" in page.html
    assert "six digits" in stranger.go_on(code="12x").text
    again = stranger.go_on(code="000000")
    assert "not right" in again.text and "<svg" in again.html
    assert stranger.go_on(code="123 456").headers["location"] == "/api/admin"
    assert stranger.identity.answers == ["Second-Pass-1", "000000", "123456"]
    assert stranger.browser.get("/admin").status == 200


def test_no_step_of_a_sign_in_is_a_way_in_by_itself(stranger: Admin, clock: Clock) -> None:
    stranger.identity.first = Code("sub", "session-1")
    stranger.knock()
    assert stranger.browser.get("/admin").status == 303
    other = Browser(stranger.gateway)
    csrf = other.get("/admin/sign-in").hidden("csrf")
    assert "took too long" in other.post("/admin/sign-in/next", {"csrf": csrf, "code": "123456"}).text
    csrf = stranger.browser.get("/admin/sign-in").hidden("csrf")
    clock.pass_seconds(300)
    assert "took too long" in stranger.browser.post("/admin/sign-in/next", {"csrf": csrf, "code": "123456"}).text


def test_cognitos_session_is_never_in_a_page(stranger: Admin) -> None:
    stranger.identity.first = Code("sub", "cognito-session-string")
    assert "cognito-session-string" not in stranger.browser.follow(stranger.knock()).html


def test_starting_over_forgets_the_step(stranger: Admin) -> None:
    stranger.identity.first = Code("sub", "session-1")
    stranger.knock()
    assert "Password" in stranger.go_on(start_over="yes").text
    assert "Password" in stranger.browser.get("/admin/sign-in").text


def test_signing_out_ends_the_browser_for_good(olga: Admin) -> None:
    stolen = dict(olga.browser.cookies)
    csrf = olga.browser.get("/admin").hidden("csrf")
    assert olga.browser.post("/admin/sign-out", {"csrf": csrf}).status == 303
    assert "__Host-operator" not in olga.browser.cookies
    assert Browser(olga.gateway, cookies=stolen).get("/admin").status == 303


# --- creating -----------------------------------------------------------------------------------------------


def test_a_new_tenant_is_active_saved_whole_and_its_owner_has_mail(olga: Admin) -> None:
    tenant = olga.create()
    stored = olga.services.tenants.get(tenant)
    assert (stored.name, stored.owner_email, stored.language) == ("Hotel Alpenblick", "owner@example.com", "de")
    assert (stored.wanted, stored.key_last4) == (Active.ACTIVE, "1234")
    assert olga.services.vault.decrypt(tenant, stored.key_ciphertext) == KEY
    assert olga.services.tenants.assistant(tenant, 1).instructions == "You answer for the hotel."
    [(mailed, link)] = olga.mailer.sent
    assert mailed.id == tenant and link.startswith("https://lines.example/api/join/")
    assert olga.happened(tenant) == [Happened.INVITE_SENT, Happened.CREATED]
    page = olga.browser.get(f"/admin/tenants/{tenant}?done=created")
    assert "its owner has mail" in page.text and "sk-…1234" in page.text and KEY not in page.html


def test_the_same_form_posted_twice_creates_one_tenant_and_one_mail(olga: Admin) -> None:
    fields = olga.fill_in()
    first = olga.browser.post("/admin/new", fields)
    second = olga.browser.post("/admin/new", fields)
    assert first.headers["location"].partition("?")[0] == second.headers["location"].partition("?")[0]
    assert "saved before" in olga.browser.follow(second).text
    assert len(olga.services.tenants.overview()) == len(olga.mailer.sent) == len(olga.brain.checked) == 1


def test_of_two_equal_forms_at_the_same_moment_one_creates(olga: Admin) -> None:
    fields = olga.fill_in()
    inner: list[Page] = []
    check = olga.brain.check

    def meanwhile(api_key: str, assistant: Assistant) -> CheckResult:
        olga.brain.check = check  # type: ignore[method-assign]
        inner.append(Browser(olga.gateway, cookies=dict(olga.browser.cookies)).post("/admin/new", fields))
        return check(api_key, assistant)

    olga.brain.check = meanwhile  # type: ignore[method-assign]
    outer = olga.browser.post("/admin/new", fields)
    assert inner[0].headers["location"].endswith("done=created")
    assert outer.headers["location"].endswith("done=existed")
    assert len(olga.mailer.sent) == 1


BAD_INPUT: list[tuple[dict[str, str], str, str]] = [
    ({"name": ""}, "name", "Enter the client's name"),
    ({"name": " \t "}, "name", "Enter the client's name"),
    ({"name": "x" * 81}, "name", "at most 80"),
    ({"name": "<b>Hotel</b>"}, "name", "< or >"),
    ({"name": "Hotel\r\nBcc: victim@example.com"}, "name", "one line"),
    ({"name": "Hotel\x00"}, "name", "one line"),
    ({"name": "Hotel\u202egnp"}, "name", "one line"),
    ({"name": "…"}, "name", "letter or digit"),
    ({"owner_email": ""}, "owner_email", "Enter the owner's e-mail"),
    ({"owner_email": "   "}, "owner_email", "Enter the owner's e-mail"),
    ({"owner_email": "owner"}, "owner_email", "not an e-mail address"),
    ({"owner_email": "owner@localhost"}, "owner_email", "not an e-mail address"),
    ({"owner_email": "Olga <o@example.com>"}, "owner_email", "not an e-mail address"),
    ({"owner_email": "a@example.com, b@example.com"}, "owner_email", "not an e-mail address"),
    ({"owner_email": "a@example.com\r\nBcc: b@example.com"}, "owner_email", "one line"),
    ({"owner_email": "a" * 250 + "@example.com"}, "owner_email", "longer than"),
    ({"language": ""}, "language", "Choose one"),
    ({"language": "tlh"}, "language", "Choose one"),
    ({"api_key": ""}, "api_key", "Enter the OpenAI key"),
    ({"api_key": "   "}, "api_key", "Enter the OpenAI key"),
    ({"api_key": "sk-proj-abcdef ghijkl"}, "api_key", "spaces"),
    ({"api_key": "sk-proj-abc\r\ndefghijkl"}, "api_key", "line breaks"),
    ({"api_key": "sk-proj-äbcdefghijkl"}, "api_key", "foreign"),
    ({"api_key": "sk-" + "x" * 400}, "api_key", "longer than"),
    ({"api_key": "sk-proj-abc…wxyz"}, "api_key", "foreign characters"),
    ({"api_key": "sk-proj-abc...wxyz"}, "api_key", "shortened"),
    ({"api_key": "sk-a"}, "api_key", "does not look like"),
    ({"api_key": "hunter2-hunter2"}, "api_key", "does not look like"),
    ({"api_key": "sk-ant-api03-abcdefgh"}, "api_key", "Anthropic"),
    ({"api_key": "AIzaSyABCDEFGHIJKLMNOP"}, "api_key", "Google"),
    ({"api_key": "gsk_abcdefghijklmnop"}, "api_key", "Groq"),
    ({"api_key": "xai-abcdefghijklmnop"}, "api_key", "xAI"),
    ({"api_key": "sk-or-v1-abcdefghijkl"}, "api_key", "OpenRouter"),
    ({"api_key": "asst_abcdefghijklmnop"}, "api_key", "an assistant's id"),
    ({"api_key": "org-abcdefghijklmnop"}, "api_key", "organisation"),
    ({"model": ""}, "model", "Enter the name of a model"),
    ({"model": "gpt 6 luna"}, "model", "not the name of a model"),
    ({"model": "<script>"}, "model", "not the name of a model"),
    ({"model": "x" * 101}, "model", "not the name of a model"),
    ({"model": "gpt-6\r\nluna"}, "model", "one line"),
    ({"model": "asst_abcdefgh"}, "model", "not a model"),
    ({"instructions": ""}, "instructions", "Tell the assistant"),
    ({"instructions": " \r\n \x00"}, "instructions", "Tell the assistant"),
    ({"instructions": "x" * 32_001}, "instructions", "at most 32,000"),
    ({"legacy_reference": "wf_abcdefgh123456"}, "legacy_reference", "Agent Builder"),
    ({"legacy_reference": "my assistant"}, "legacy_reference", "asst_… or pmpt_…"),
    ({"legacy_reference": "asst_<b>x</b>"}, "legacy_reference", "asst_… or pmpt_…"),
    ({"legacy_reference": "asst_abc\r\ndef"}, "legacy_reference", "one line"),
    ({"legacy_reference": "asst_abcdefgh", "instructions": ""}, "legacy_reference", "26 August 2026"),
    ({"legacy_reference": "pmpt_abcdefgh", "instructions": ""}, "legacy_reference", "30 November 2026"),
]


@pytest.mark.parametrize(("changes", "field", "sentence"), BAD_INPUT)
def test_each_bad_field_has_its_own_sentence(changes: dict[str, str], field: str, sentence: str) -> None:
    with pytest.raises(Invalid) as caught:
        NewTenantForm.read({**FIELDS, **changes})
    assert sentence in caught.value.fields[field]
    typed = changes[field].strip()
    assert len(typed) < 5 or typed not in caught.value.fields[field]


def test_bad_input_is_told_at_its_field_and_changes_nothing(olga: Admin) -> None:
    for changes, field, sentence in BAD_INPUT:
        fields = olga.fill_in(**changes)
        answer = olga.browser.post("/admin/new", fields)
        assert answer.status == 422, changes
        assert sentence in answer.error(field), (changes, answer.error(field))
        assert fields["api_key"].strip() == "" or fields["api_key"] not in answer.html, changes
        if field != "name":
            assert answer.value("name") == "Hotel Alpenblick"
        assert answer.hidden("form_id") == fields["form_id"]
    assert olga.brain.checked == [] and olga.mailer.sent == [] and olga.services.tenants.overview() == []


def test_a_form_with_nothing_in_it_has_a_sentence_for_every_required_field(olga: Admin) -> None:
    full = olga.fill_in()
    answer = olga.browser.post("/admin/new", {"csrf": full["csrf"], "form_id": full["form_id"]})
    assert answer.status == 422 and "6 fields need another look" in answer.text


def test_html_in_what_is_kept_is_shown_as_text(olga: Admin) -> None:
    evil = '</textarea><script src="x"></script>'
    answer = olga.browser.post("/admin/new", olga.fill_in(instructions=evil, name=""))
    assert evil not in answer.html and answer.value("instructions") == evil
    page = olga.browser.get(f"/admin/tenants/{olga.create(instructions=evil)}")
    assert evil not in page.html


def test_small_blemishes_are_mended_silently(olga: Admin) -> None:
    tenant = olga.create(
        name="  Café   Zoë 👩‍🍳 ",
        owner_email=" owner@bücher.example ",
        api_key=f" {KEY}\r\n",
        instructions="One.\r\nTwo.\x00\x1b[0m\r",
        legacy_reference=" asst_abcdefgh ",
    )
    stored = olga.services.tenants.get(tenant)
    assert (stored.name, stored.owner_email) == ("Café Zoë 👩‍🍳", "owner@xn--bcher-kva.example")
    assert olga.services.vault.decrypt(tenant, stored.key_ciphertext) == KEY
    assistant = olga.services.tenants.assistant(tenant, 1)
    assert (assistant.instructions, assistant.legacy_reference) == ("One.\nTwo.[0m", "asst_abcdefgh")


@pytest.mark.parametrize(
    ("result", "field"),
    [
        (CheckResult("OpenAI does not accept this key.", ProblemCode.KEY_REVOKED), "api_key"),
        (CheckResult("This key lacks a permission.", ProblemCode.KEY_FORBIDDEN), "api_key"),
        (CheckResult("The OpenAI account of this key has no credit left.", ProblemCode.OUT_OF_CREDIT), "api_key"),
        (CheckResult("OpenAI does not know the model.", ProblemCode.MODEL_RETIRED), "model"),
        (CheckResult("OpenAI refuses these settings.", ProblemCode.ASSISTANT_REFUSED), "model"),
    ],
)
def test_what_openai_refuses_is_told_at_the_right_field_and_nothing_is_saved(
    olga: Admin, result: CheckResult, field: str
) -> None:
    olga.brain.result = result
    answer = olga.browser.post("/admin/new", olga.fill_in())
    assert answer.status == 422 and answer.error(field) == result.sentence
    assert KEY not in answer.html and "enter it again" in answer.text
    assert olga.services.tenants.overview() == [] and olga.mailer.sent == []


def test_an_openai_out_of_reach_saves_nothing_and_keeps_the_form(olga: Admin) -> None:
    olga.brain.result = CheckResult("OpenAI did not answer in time: try again in a minute.", passing=True)
    fields = olga.fill_in()
    answer = olga.browser.post("/admin/new", fields)
    assert answer.status == 503 and "Nothing was saved" in answer.text and KEY not in answer.html
    olga.brain.result = CheckResult("fine")
    assert olga.browser.post("/admin/new", fields).status == 303


@pytest.mark.parametrize(
    "trouble", [TryAgain("The mail service is out of reach."), AskSomeone(ProblemCode.MAIL_BOUNCED, "SES refused it.")]
)
def test_a_mail_that_fails_is_said_on_the_tenants_page_with_what_to_do(olga: Admin, trouble: Exception) -> None:
    olga.mailer.trouble = trouble
    page = olga.browser.follow(olga.browser.post("/admin/new", olga.fill_in()))
    assert "could not be sent" in page.text and str(trouble) in page.text and "Send a new link" in page.text
    tenant = page.path.rpartition("/")[2]
    assert Happened.MAIL_FAILED in olga.happened(tenant)
    olga.mailer.trouble = None
    assert "A new link was mailed" in olga.press(tenant, "invite").text
    assert olga.services.tenants.get(tenant).mail_problem is None


@pytest.mark.parametrize("spoil", ["missing", "wrong", "cross-site", "form_id"])
def test_a_form_that_is_not_ours_creates_nothing(olga: Admin, spoil: str) -> None:
    fields = olga.fill_in()
    site = "cross-site" if spoil == "cross-site" else "same-origin"
    if spoil == "missing":
        del fields["csrf"]
    if spoil == "wrong":
        fields["csrf"] = "guess"
    if spoil == "form_id":
        fields["form_id"] = "../x"
    answer = olga.browser.post("/admin/new", fields, sec_fetch_site=site)
    assert answer.status == (400 if spoil == "form_id" else 403)
    assert olga.services.tenants.overview() == []


def test_no_secret_is_ever_logged(olga: Admin, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG, logger="chalicelib"):
        olga.create()
        olga.brain.check = lambda *_: 1 / 0  # type: ignore[method-assign,assignment]
        assert olga.browser.post("/admin/new", olga.fill_in()).status == 500
    assert KEY not in caplog.text and olga.mailer.sent[0][1] not in caplog.text


# --- the list -----------------------------------------------------------------------------------------------


def test_the_list_says_of_every_tenant_where_it_stands(olga: Admin, clock: Clock) -> None:
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


# --- a tenant's page ----------------------------------------------------------------------------------------


def test_looking_at_an_unlinked_tenant_keeps_its_session_running(olga: Admin, clock: Clock) -> None:
    tenant = olga.create()
    olga.browser.get(f"/admin/tenants/{tenant}")
    assert olga.services.placement.session(tenant).watched(clock())
    clock.pass_seconds(16 * 60)
    assert not olga.services.placement.session(tenant).watched(clock())
    olga.browser.get(f"/admin/tenants/{tenant}/live")
    assert olga.services.placement.session(tenant).watched(clock())


def test_looking_at_a_paused_or_linked_tenant_changes_nothing(olga: Admin) -> None:
    paused, linked = olga.create(), olga.create()
    olga.services.tenants.set_wanted(paused, Active.PAUSED, now=1, by=OLGA)
    olga.services.table.update(Update(f"TENANT#{linked}", "SESSION", set={"number": "491701234567"}))
    for tenant in (paused, linked):
        assert olga.browser.get(f"/admin/tenants/{tenant}").status == 200
        assert olga.services.placement.session(tenant).watched_until == 0


def test_a_living_code_is_shown_and_a_dead_one_never(olga: Admin, clock: Clock) -> None:
    tenant = olga.create()
    code = {"code": "2@abc,def", "expires_at": clock() + 20_000}
    olga.services.table.update(Update(f"TENANT#{tenant}", "SESSION", set={"phase": Phase.QR, "qr": code}))
    page = olga.browser.get(f"/admin/tenants/{tenant}/live")
    assert 'class="qr-code"' in page.html and "New code in 20 s" in page.text and "2@abc,def" not in page.html
    clock.pass_seconds(20)
    assert 'class="qr-code"' not in olga.browser.get(f"/admin/tenants/{tenant}/live").html


def test_every_phase_and_every_problem_has_a_page(olga: Admin) -> None:
    tenant = olga.create()
    both = [(phase, None) for phase in Phase] + [(Phase.OFFLINE, problem) for problem in ProblemCode]
    for phase, problem in both:
        seen = {"phase": phase, "problem": {"code": problem, "since": 1, "detail": ""} if problem else None}
        olga.services.table.update(Update(f"TENANT#{tenant}", "SESSION", set={**seen}))
        for path in (f"/admin/tenants/{tenant}/live", "/admin/live"):
            assert olga.browser.get(path).status == 200, (phase, problem)


def test_an_unknown_tenant_is_a_page_that_tells_nothing(olga: Admin) -> None:
    pages_seen = [olga.browser.get(f"/admin/tenants/{id}") for id in ("hotel0000", "x", "..%2f..", "0" * 500)]
    assert {page.status for page in pages_seen} == {404} and len({page.html for page in pages_seen}) == 1


def test_pausing_and_resuming_is_wanted_told_and_done(olga: Admin) -> None:
    tenant = olga.create()
    assert "The line is silent" in olga.press(tenant, "pause").text
    assert olga.services.tenants.get(tenant).wanted is Active.PAUSED
    assert "Resumed" in olga.press(tenant, "resume").text
    assert olga.services.tenants.get(tenant).wanted is Active.ACTIVE


def test_sending_the_invite_again_kills_the_old_link_and_has_a_limit(olga: Admin, clock: Clock) -> None:
    tenant = olga.create()
    first = olga.services.tenants.invites.current(tenant)
    olga.press(tenant, "invite")
    second = olga.services.tenants.invites.current(tenant)
    assert first is not None and second is not None and first.token_sha256 != second.token_sha256
    for _ in range(MAILS_PER_HOUR):
        page = olga.press(tenant, "invite")
    assert "Wait an hour" in page.text
    assert len(olga.mailer.sent) == 1 + MAILS_PER_HOUR
    clock.pass_seconds(3_600)
    olga.signed_in()
    assert "A new link was mailed" in olga.press(tenant, "invite").text


def test_revoking_the_invite_leaves_none(olga: Admin) -> None:
    tenant = olga.create()
    page = olga.press(tenant, "revoke")
    assert "no longer works" in page.text and "none that works" in page.text
    assert olga.services.tenants.invites.current(tenant) is None


def test_checking_again_wakes_the_chats_that_wait_for_it(olga: Admin, clock: Clock) -> None:
    tenant = olga.create()
    olga.services.tenants.set_assistant_problem(tenant, Problem(ProblemCode.OUT_OF_CREDIT, clock()))
    waiting = {
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
    }
    olga.services.table.update(Update(f"CHAT#{tenant}#4711@lid", "TURN#turn0001", set={**waiting}))
    assert "tried again now" in olga.press(tenant, "check").text
    assert olga.services.tenants.get(tenant).assistant_problem is None
    jobs = olga.services.jobs
    assert isinstance(jobs, FakeJobs) and jobs.sent == [(tenant, "4711@lid", 0)]


# --- editing ------------------------------------------------------------------------------------------------


def test_editing_shows_what_is_stored_but_no_key(olga: Admin) -> None:
    form = olga.browser.get(f"/admin/tenants/{olga.create()}/edit")
    for name in ("name", "owner_email", "model", "instructions"):
        assert form.value(name) == FIELDS[name]
    assert {name: form.value(name) for name in POLICIES} == POLICIES
    assert KEY not in form.html and "sk-…1234" in form.html


def test_an_edit_without_a_change_is_no_edit(olga: Admin) -> None:
    tenant = olga.create()
    assert "Nothing was changed" in olga.browser.follow(olga.edit(tenant)).text
    assert olga.services.tenants.get(tenant).revision == 1


def test_policies_are_edited_in_peoples_words(olga: Admin) -> None:
    tenant = olga.create()
    phones = "+49 170 123-45 67\r\n0044 (7700) 900123, 4917012345 67\r\n\r\n"
    saved = olga.edit(
        tenant, takeover_minutes="90", answer_groups="yes", ignored_phones=phones, give_up_text=" Später.\r\n"
    )
    assert saved.status == 303
    assert olga.services.tenants.get(tenant).policies == replace(
        Policies(),
        takeover_minutes=90,
        answer_groups=True,
        ignored_phones=("491701234567", "447700900123"),
        give_up_text="Später.",
    )


BAD_EDITS = [
    ({"takeover_minutes": ""}, "takeover_minutes"),
    ({"takeover_minutes": "-1"}, "takeover_minutes"),
    ({"takeover_minutes": "1e3"}, "takeover_minutes"),
    ({"takeover_minutes": "٣"}, "takeover_minutes"),
    ({"retention_days": "0"}, "retention_days"),
    ({"retention_days": "91"}, "retention_days"),
    ({"replies_per_minute": "9" * 30}, "replies_per_minute"),
    ({"ignored_phones": "call me"}, "ignored_phones"),
    ({"allowed_phones": "0170 1234567"}, "allowed_phones"),
    ({"give_up_text": "x" * 501}, "give_up_text"),
    ({"api_key": "sk-ant-abcdefgh"}, "api_key"),
    ({"name": " "}, "name"),
]


def test_bad_edits_are_told_at_their_field_and_change_nothing(olga: Admin) -> None:
    tenant = olga.create()
    for changes, field in BAD_EDITS:
        answer = olga.edit(tenant, **changes)
        assert answer.status == 422 and answer.error(field), (changes, answer.error(field))
    assert olga.services.tenants.get(tenant).revision == 1


def test_a_new_key_is_checked_with_the_new_settings_and_mends_the_problem(olga: Admin, clock: Clock) -> None:
    tenant = olga.create()
    olga.services.tenants.set_assistant_problem(tenant, Problem(ProblemCode.KEY_REVOKED, clock()))
    new_key = "sk-proj-zyxwvutsrqponmlk9876"
    assert olga.edit(tenant, api_key=new_key, model="gpt-6-sol").status == 303
    [_, (key, assistant)] = olga.brain.checked
    assert (key, assistant.model) == (new_key, "gpt-6-sol")
    stored = olga.services.tenants.get(tenant)
    assert (stored.key_last4, stored.assistant_version, stored.assistant_problem) == ("9876", 2, None)
    assert olga.services.vault.decrypt(tenant, stored.key_ciphertext) == new_key


def test_a_new_key_that_fails_changes_nothing_at_all(olga: Admin) -> None:
    tenant = olga.create()
    olga.brain.result = CheckResult("OpenAI does not accept this key.", ProblemCode.KEY_REVOKED)
    answer = olga.edit(tenant, api_key="sk-proj-zyxwvutsrqponmlk9876", name="Other")
    assert answer.status == 422 and "does not accept" in answer.error("api_key") and answer.value("name") == "Other"
    stored = olga.services.tenants.get(tenant)
    assert (stored.name, stored.key_last4, stored.revision) == ("Hotel Alpenblick", "1234", 1)


def test_two_editors_at_once_lose_nothing_silently(olga: Admin) -> None:
    tenant = olga.create()
    assert olga.edit(tenant, name="First").status == 303
    second = olga.edit(tenant, name="Second", revision="1")
    assert second.status == 409 and "Somebody else changed" in second.text and second.value("name") == "Second"
    assert olga.services.tenants.get(tenant).name == "First"
    assert olga.edit(tenant, name="Second", revision=second.hidden("revision")).status == 303
    assert olga.services.tenants.get(tenant).name == "Second"


def test_a_new_address_mends_the_mail(olga: Admin) -> None:
    olga.mailer.trouble = AskSomeone(ProblemCode.MAIL_BOUNCED, "SES refused it.")
    tenant = olga.create()
    assert olga.edit(tenant, owner_email="right@example.com").status == 303
    assert olga.services.tenants.get(tenant).mail_problem is None


def test_a_tenants_id_comes_from_its_form_and_fits_the_wire() -> None:
    assert TypeAdapter(TenantId).validate_python(id_of("form")) == id_of("form") != id_of("another")
