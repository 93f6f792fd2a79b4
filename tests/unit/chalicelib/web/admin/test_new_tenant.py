"""A new tenant: every bad field, every answer of OpenAI, the same form twice, a mail that fails."""

import logging

import pytest
from pydantic import TypeAdapter

from chalicelib.errors import ActionRequired, Invalid, TransientError
from chalicelib.llm.client import AssistantCheck
from chalicelib.model import Assistant, Audience, EventKind, TenantState
from chalicelib.tokens import sha256
from chalicelib.web.admin.forms import NewTenantForm
from chalicelib.web.admin.new_tenant import derive_tenant_id
from tests.unit.conftest import Clock
from tests.unit.support.admin_browser import FIELDS, KEY, Admin
from tests.unit.support.headless_browser import Browser, Page
from wire import ProblemCode, TenantId


def test_a_new_tenant_is_active_saved_whole_and_its_owner_has_mail(olga: Admin) -> None:
    tenant = olga.create()
    stored = olga.services.tenants.get(tenant)
    assert (stored.name, stored.owner_email, stored.language) == ("Hotel Alpenblick", "owner@example.com", "de")
    assert (stored.state, stored.key_last4) == (TenantState.ACTIVE, "1234")
    assert olga.services.key_encryption.decrypt(tenant, stored.key_ciphertext) == KEY
    assert olga.services.tenants.get_assistant(tenant, 1).instructions == "You answer for the hotel."
    [(mailed, link)] = olga.mailer.sent
    assert mailed.id == tenant and link.startswith("https://lines.example/api/join/")
    assert olga.happened(tenant) == [EventKind.INVITE_SENT, EventKind.CREATED]
    page = olga.browser.get(f"/admin/tenants/{tenant}?done=created")
    assert "its owner has mail" in page.text and "sk-…1234" in page.text and KEY not in page.html


def test_the_same_form_posted_twice_creates_one_tenant_and_one_mail(olga: Admin) -> None:
    fields = olga.fill_in()
    first = olga.browser.post("/admin/new", fields)
    second = olga.browser.post("/admin/new", fields)
    assert first.headers["location"].partition("?")[0] == second.headers["location"].partition("?")[0]
    assert "saved before" in olga.browser.follow(second).text
    assert len(olga.services.tenants.list_all()) == len(olga.mailer.sent) == len(olga.llm.checked) == 1


def test_a_form_whose_function_ended_before_the_mail_is_mailed_when_it_is_posted_again(olga: Admin) -> None:
    fields = olga.fill_in()
    olga.mailer.error = KeyboardInterrupt()  # type: ignore[assignment]
    with pytest.raises(KeyboardInterrupt):
        olga.browser.post("/admin/new", fields)
    olga.mailer.error = None
    assert "its owner has mail" in olga.browser.follow(olga.browser.post("/admin/new", fields)).text
    assert "saved before" in olga.browser.follow(olga.browser.post("/admin/new", fields)).text
    [(mailed, link)] = olga.mailer.sent
    assert olga.services.invites.find(sha256(link.rpartition("/")[2]), now=mailed.created_at)


def test_a_form_posted_again_mails_nothing_once_its_link_was_opened_or_revoked(olga: Admin, clock: Clock) -> None:
    for end in ("open", "revoke"):
        fields = olga.fill_in()
        olga.mailer.error = TransientError("SES is out of reach.")
        tenant = olga.browser.post("/admin/new", fields).headers["location"].rpartition("/")[2].partition("?")[0]
        olga.mailer.error = None
        invites, link = olga.services.invites, olga.services.invites.get_current(tenant)
        assert link is not None
        if end == "open":
            invites.open(link.token_sha256, "browser", now=clock())
        else:
            invites.revoke(tenant, now=clock(), by="ops")
        assert olga.browser.post("/admin/new", fields).headers["location"].endswith("done=existed"), end
    assert olga.mailer.sent == []


def test_of_two_equal_forms_at_the_same_moment_one_creates(olga: Admin) -> None:
    fields = olga.fill_in()
    inner: list[Page] = []
    check = olga.llm.check

    def meanwhile(api_key: str, assistant: Assistant, *, as_reply: bool = False) -> AssistantCheck:
        olga.llm.check = check  # type: ignore[method-assign]
        inner.append(Browser(olga.gateway, cookies=dict(olga.browser.cookies)).post("/admin/new", fields))
        return check(api_key, assistant)

    olga.llm.check = meanwhile  # type: ignore[method-assign]
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
        NewTenantForm.parse({**FIELDS, **changes})
    assert sentence in caught.value.fields[field]
    typed = changes[field].strip()
    assert len(typed) < 5 or typed not in caught.value.fields[field]


def test_bad_input_has_a_sentence_at_its_field_and_changes_nothing(olga: Admin) -> None:
    for changes, field, sentence in BAD_INPUT:
        fields = olga.fill_in(**changes)
        answer = olga.browser.post("/admin/new", fields)
        assert answer.status == 422, changes
        assert sentence in answer.error(field), (changes, answer.error(field))
        assert fields["api_key"].strip() == "" or fields["api_key"] not in answer.html, changes
        if field != "name":
            assert answer.value("name") == "Hotel Alpenblick"
        assert answer.hidden("form_id") == fields["form_id"]
    assert olga.llm.checked == [] and olga.mailer.sent == [] and olga.services.tenants.list_all() == []


def test_an_empty_form_has_a_sentence_for_every_required_field(olga: Admin) -> None:
    full = olga.fill_in()
    answer = olga.browser.post("/admin/new", {"csrf": full["csrf"], "form_id": full["form_id"]})
    assert answer.status == 422 and "7 fields need another look" in answer.text


def test_a_new_tenant_answers_chats_begun_after_linking_unless_something_else_is_chosen(olga: Admin) -> None:
    assert olga.browser.get("/admin/new").chosen("audience") == Audience.NEW_CHATS
    for audience in ("new chats", "unsaved contacts", "everyone"):
        assert olga.services.tenants.get(olga.create(audience=audience)).policies.audience == audience


def test_html_in_what_is_kept_is_shown_as_text(olga: Admin) -> None:
    evil = '</textarea><script src="x"></script>'
    answer = olga.browser.post("/admin/new", olga.fill_in(instructions=evil, name=""))
    assert evil not in answer.html and answer.value("instructions") == evil
    page = olga.browser.get(f"/admin/tenants/{olga.create(instructions=evil)}")
    assert evil not in page.html


def test_small_blemishes_are_fixed_silently(olga: Admin) -> None:
    tenant = olga.create(
        name="  Café   Zoë 👩‍🍳 ",
        owner_email=" owner@bücher.example ",
        api_key=f" {KEY}\r\n",
        instructions="One.\r\nTwo.\x00\x1b[0m\r",
        legacy_reference=" asst_abcdefgh ",
    )
    stored = olga.services.tenants.get(tenant)
    assert (stored.name, stored.owner_email) == ("Café Zoë 👩‍🍳", "owner@xn--bcher-kva.example")
    assert olga.services.key_encryption.decrypt(tenant, stored.key_ciphertext) == KEY
    assistant = olga.services.tenants.get_assistant(tenant, 1)
    assert (assistant.instructions, assistant.legacy_reference) == ("One.\nTwo.[0m", "asst_abcdefgh")


@pytest.mark.parametrize(
    ("result", "field"),
    [
        (AssistantCheck("OpenAI does not accept this key.", ProblemCode.KEY_REVOKED), "api_key"),
        (AssistantCheck("This key lacks a permission.", ProblemCode.KEY_FORBIDDEN), "api_key"),
        (AssistantCheck("The OpenAI account of this key has no credit left.", ProblemCode.OUT_OF_CREDIT), "api_key"),
        (AssistantCheck("OpenAI does not know the model.", ProblemCode.MODEL_RETIRED), "model"),
        (AssistantCheck("OpenAI refuses these settings.", ProblemCode.ASSISTANT_REFUSED), "model"),
    ],
)
def test_a_refusal_of_openai_is_shown_at_the_right_field_and_nothing_is_saved(
    olga: Admin, result: AssistantCheck, field: str
) -> None:
    olga.llm.result = result
    answer = olga.browser.post("/admin/new", olga.fill_in())
    assert answer.status == 422 and answer.error(field) == result.sentence
    assert KEY not in answer.html and "enter it again" in answer.text
    assert olga.services.tenants.list_all() == [] and olga.mailer.sent == []


def test_without_openai_nothing_is_saved_and_the_form_is_kept(olga: Admin) -> None:
    olga.llm.result = AssistantCheck("OpenAI did not answer in time: try again in a minute.", transient=True)
    fields = olga.fill_in()
    answer = olga.browser.post("/admin/new", fields)
    assert (
        answer.status == 503 and "Not saved" in answer.text and "in a minute" in answer.text and KEY not in answer.html
    )
    olga.llm.result = AssistantCheck("fine")
    assert olga.browser.post("/admin/new", fields).status == 303


@pytest.mark.parametrize(
    "error",
    [TransientError("The mail service is out of reach."), ActionRequired(ProblemCode.MAIL_BOUNCED, "SES refused it.")],
)
def test_the_tenants_page_shows_a_failed_mail_and_what_to_do(olga: Admin, error: Exception) -> None:
    olga.mailer.error = error
    page = olga.browser.follow(olga.browser.post("/admin/new", olga.fill_in()))
    assert "could not be sent" in page.text and str(error) in page.text and "Send a new link" in page.text
    tenant = page.path.rpartition("/")[2]
    assert EventKind.MAIL_FAILED in olga.happened(tenant)
    olga.mailer.error = None
    assert "A new link was mailed" in olga.press(tenant, "invite").text
    assert olga.services.tenants.get(tenant).mail_problem is None


@pytest.mark.parametrize("spoil", ["missing", "wrong", "cross-site", "form_id"])
def test_a_forged_form_creates_nothing(olga: Admin, spoil: str) -> None:
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
    assert olga.services.tenants.list_all() == []


def test_no_secret_is_ever_logged(olga: Admin, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG, logger="chalicelib"):
        olga.create()
        olga.llm.check = lambda *_: 1 / 0  # type: ignore[method-assign,assignment]
        assert olga.browser.post("/admin/new", olga.fill_in()).status == 500
    assert KEY not in caplog.text and olga.mailer.sent[0][1] not in caplog.text


def test_a_tenants_id_comes_from_its_form_and_fits_the_wire() -> None:
    assert (
        TypeAdapter(TenantId).validate_python(derive_tenant_id("form"))
        == derive_tenant_id("form")
        != derive_tenant_id("another")
    )
