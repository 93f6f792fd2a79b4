"""Editing a tenant: what is kept, what is refused, who was faster."""

from dataclasses import replace

import pytest

from chalicelib.aws.sqs import ASSISTANT_CHECK
from chalicelib.errors import ActionRequired
from chalicelib.llm.client import AssistantCheck
from chalicelib.model import Audience, EventKind, GroupAnswers, Policies, Problem
from tests.unit.conftest import Clock, FakeJobs
from tests.unit.support.admin_browser import FIELDS, KEY, OLGA, POLICIES, Admin
from wire import ProblemCode


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


@pytest.mark.parametrize("changes", [{}, {"name": "Another name"}])
def test_saving_has_an_assistant_with_a_problem_checked(olga: Admin, clock: Clock, changes: dict[str, str]) -> None:
    """The operator may have put right at OpenAI what was refused, and has nothing to change in the form."""
    tenant = olga.create()
    olga.services.tenants.set_assistant_problem(tenant, Problem(ProblemCode.ASSISTANT_REFUSED, clock()))
    saved = olga.browser.follow(olga.edit(tenant, **changes)).text
    assert "The assistant is being checked" in saved and ("Saved." in saved) is bool(changes)
    assert olga.services.tenants.get(tenant).assistant_problem is not None, "it was not checked yet"
    assert olga.services.tenants.get(tenant).is_being_checked


@pytest.mark.parametrize(
    ("changes", "checked"),
    [
        ({"model": "gpt-99-nonsense"}, True),
        ({"instructions": "Be brief."}, True),
        ({"reasoning_effort": "low"}, True),
        ({"server": "eu"}, True),
        ({"tokens_per_month": "1"}, True),
        ({"name": "Another name"}, False),
        ({"owner_email": "other@example.com"}, False),
    ],
)
def test_each_change_of_the_assistant_is_checked(olga: Admin, changes: dict[str, str], checked: bool) -> None:
    tenant = olga.create()
    saved = olga.browser.follow(olga.edit(tenant, **changes)).text
    assert ("The assistant is being checked" in saved) is checked
    jobs = olga.services.jobs
    assert isinstance(jobs, FakeJobs) and jobs.sent == ([(tenant, ASSISTANT_CHECK, 0)] if checked else [])
    assert olga.services.tenants.get(tenant).check_by == (OLGA if checked else None)


def test_policies_are_edited_in_peoples_words(olga: Admin) -> None:
    tenant = olga.create()
    phones = "+49 170 123-45 67\r\n0044 (7700) 900123, 4917012345 67\r\n\r\n"
    saved = olga.edit(
        tenant, takeover_minutes="90", groups="always", ignored_phones=phones, give_up_text=" Später.\r\n"
    )
    assert saved.status == 303
    assert olga.services.tenants.get(tenant).policies == replace(
        Policies(tokens_per_month=5_000_000),
        takeover_minutes=90,
        groups=GroupAnswers.ALWAYS,
        ignored_phones=("491701234567", "447700900123"),
        give_up_text="Später.",
    )


def test_who_is_answered_is_edited_and_shown(olga: Admin) -> None:
    tenant = olga.create(audience="new chats")
    assert olga.services.tenants.get(tenant).policies == Policies(
        audience=Audience.NEW_CHATS, tokens_per_month=5_000_000
    )
    saved = olga.edit(
        tenant, audience="unsaved contacts", groups="when mentioned", answer_without_words="yes", wordless_notice=""
    )
    assert saved.status == 303
    chosen = Policies(
        audience=Audience.UNSAVED,
        tokens_per_month=5_000_000,
        groups=GroupAnswers.MENTIONED,
        answer_without_words=True,
        wordless_notice=False,
    )
    assert olga.services.tenants.get(tenant).policies == chosen
    shown = olga.browser.get(f"/admin/tenants/{tenant}").text
    assert "Only contacts not saved in the phone" in shown and "When mentioned or quoted" in shown
    form = olga.browser.get(f"/admin/tenants/{tenant}/edit")
    assert form.chosen("audience") == "unsaved contacts" and form.chosen("groups") == "when mentioned"


BAD_EDITS = [
    ({"audience": ""}, "audience"),
    ({"audience": "unknown"}, "audience"),
    ({"groups": "sometimes"}, "groups"),
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


def test_a_time_zone_is_one_of_the_tz_database(olga: Admin) -> None:
    tenant = olga.create(time_zone="Europe/Berlin")
    assert olga.services.tenants.get(tenant).time_zone == "Europe/Berlin"
    assert olga.edit(tenant, time_zone="america/new york").status == 422
    assert olga.edit(tenant, time_zone=" America/New York ").status == 303
    assert olga.services.tenants.get(tenant).time_zone == "America/New_York"


def test_bad_edits_have_a_sentence_at_their_field_and_change_nothing(olga: Admin) -> None:
    tenant = olga.create()
    for changes, field in BAD_EDITS:
        answer = olga.edit(tenant, **changes)
        assert answer.status == 422 and answer.error(field), (changes, answer.error(field))
    assert olga.services.tenants.get(tenant).revision == 1


def test_a_new_key_is_checked_with_the_new_settings_and_clears_the_problem(olga: Admin, clock: Clock) -> None:
    tenant = olga.create()
    olga.services.tenants.set_assistant_problem(tenant, Problem(ProblemCode.KEY_REVOKED, clock()))
    new_key = "sk-proj-zyxwvutsrqponmlk9876"
    assert olga.edit(tenant, api_key=new_key, model="gpt-6-sol").status == 303
    [_, (key, assistant)] = olga.llm.checked
    assert (key, assistant.model) == (new_key, "gpt-6-sol")
    stored = olga.services.tenants.get(tenant)
    assert (stored.key_last4, stored.assistant_version, stored.assistant_problem) == ("9876", 2, None)
    assert olga.services.key_encryption.decrypt(tenant, stored.key_ciphertext) == new_key


def test_a_new_key_that_fails_changes_nothing_at_all(olga: Admin) -> None:
    tenant = olga.create()
    olga.llm.result = AssistantCheck("OpenAI does not accept this key.", ProblemCode.KEY_REVOKED)
    answer = olga.edit(tenant, api_key="sk-proj-zyxwvutsrqponmlk9876", name="Other")
    assert answer.status == 422 and "does not accept" in answer.error("api_key") and answer.value("name") == "Other"
    stored = olga.services.tenants.get(tenant)
    assert (stored.name, stored.key_last4, stored.revision) == ("Hotel Alpenblick", "1234", 1)


def test_two_editors_at_once_lose_no_change_silently(olga: Admin) -> None:
    tenant = olga.create()
    assert olga.edit(tenant, name="First").status == 303
    second = olga.edit(tenant, name="Second", revision="1")
    assert second.status == 409 and "Somebody else changed" in second.text and second.value("name") == "Second"
    assert olga.services.tenants.get(tenant).name == "First"
    assert olga.edit(tenant, name="Second", revision=second.hidden("revision")).status == 303
    assert olga.services.tenants.get(tenant).name == "Second"


def test_a_new_address_clears_the_problem_of_the_mail(olga: Admin) -> None:
    olga.mailer.error = ActionRequired(ProblemCode.MAIL_BOUNCED, "SES refused it.")
    tenant = olga.create()
    assert olga.edit(tenant, owner_email="right@example.com").status == 303
    assert olga.services.tenants.get(tenant).mail_problem is None


# -- the introduction ------------------------------------------------------------------------------------------------

WHY = "Each contact signs that an assistant answers."


def test_a_new_tenant_introduces_itself_and_its_page_says_so(olga: Admin) -> None:
    tenant = olga.create()
    assert not olga.services.tenants.get(tenant).policies.introduction_off_reason
    assert "Introduces itself as an automatic assistant" in olga.browser.get(f"/admin/tenants/{tenant}").text
    form = olga.browser.get(f"/admin/tenants/{tenant}/edit")
    assert form.chosen("introduction") == "on"
    assert "Für Hotel Alpenblick antwortet hier ein automatischer Assistent (KI)." in form.text


def test_the_introduction_is_switched_off_with_a_reason_that_is_kept(olga: Admin) -> None:
    tenant = olga.create()
    refused = olga.edit(tenant, introduction="off", introduction_off_reason=" … ")
    assert refused.status == 422 and "Say why" in refused.error("introduction_off_reason")
    assert olga.edit(tenant, introduction="off", introduction_off_reason=f" {WHY}\r\n").status == 303
    assert olga.services.tenants.get(tenant).policies.introduction_off_reason == WHY
    page = olga.browser.get(f"/admin/tenants/{tenant}").text
    assert f"Introduces itself no: {WHY}" in page and "The line does not introduce itself any more" in page
    assert olga.browser.get(f"/admin/tenants/{tenant}/edit").chosen("introduction") == "off"
    event = next(e for e in olga.services.timeline.latest(tenant) if e.kind is EventKind.INTRODUCTION_OFF)
    assert (event.detail, event.by) == (WHY, OLGA)
    assert olga.edit(tenant, introduction="off", introduction_off_reason=WHY, name="Other").status == 303
    assert olga.happened(tenant).count(EventKind.INTRODUCTION_OFF) == 1
    assert olga.edit(tenant, introduction="on", introduction_off_reason=WHY).status == 303
    assert not olga.services.tenants.get(tenant).policies.introduction_off_reason
    assert olga.happened(tenant)[:2].count(EventKind.INTRODUCTION_ON) == 1
    kept = [event.detail for event in olga.services.timeline.latest(tenant) if event.detail == WHY]
    assert kept, "the reason of before stays among the events"


@pytest.mark.parametrize(
    ("typed", "kept"),
    [
        ("", ""),
        ("  Ask me\r\n\r\nanything.  ", "Ask me anything."),
        ("Mit STOP schalten Sie automatische Antworten aus.", ""),
        ("Write STOP to switch automatic answers off.", ""),  # ours, of a tenant whose language was another
        ("x" * 300, "x" * 300),
    ],
)
def test_the_words_after_the_fixed_part_are_one_paragraph_and_ours_follow_the_language(
    olga: Admin, typed: str, kept: str
) -> None:
    tenant = olga.create()
    assert olga.edit(tenant, introduction_words=typed).status == 303
    assert olga.services.tenants.get(tenant).policies.introduction_words == kept


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"introduction": "perhaps"}, "introduction"),
        ({"introduction": "off"}, "introduction_off_reason"),
        ({"introduction": "off", "introduction_off_reason": "y" * 301}, "introduction_off_reason"),
        ({"introduction_words": "x" * 301}, "introduction_words"),
    ],
)
def test_a_wrong_choice_of_the_introduction_has_a_sentence(olga: Admin, changes: dict[str, str], field: str) -> None:
    tenant = olga.create()
    answer = olga.edit(tenant, **changes)
    assert answer.status == 422 and answer.error(field)
    assert olga.services.tenants.get(tenant).revision == 1


def test_a_form_of_the_former_release_leaves_the_introduction_on(olga: Admin) -> None:
    tenant = olga.create()
    assert olga.edit(tenant, takeover_minutes="90").status == 303  # it has no field for it
    assert not olga.services.tenants.get(tenant).policies.introduction_off_reason


# -- our own instructions ----------------------------------------------------------------------------------------------


def test_the_subjects_and_the_emergency_are_chosen_and_shown(olga: Admin) -> None:
    tenant = olga.create()
    page = olga.browser.get(f"/admin/tenants/{tenant}").text
    assert "Subjects only this business’s" in page and "In an emergency" not in page
    form = olga.browser.get(f"/admin/tenants/{tenant}/edit")
    assert form.chosen("own_subjects_only") == "on" and "in der EU 112" in form.text
    assert olga.edit(tenant, own_subjects_only="off", emergency="yes", emergency_words="").status == 303
    policies = olga.services.tenants.get(tenant).policies
    assert (policies.own_subjects_only, policies.emergency, policies.emergency_words) == (False, True, "")
    page = olga.browser.get(f"/admin/tenants/{tenant}").text
    assert "Subjects any" in page and "In an emergency Wenn jemand in Gefahr ist" in page
    assert olga.browser.get(f"/admin/tenants/{tenant}/edit").chosen("own_subjects_only") == "off"
    assert olga.edit(tenant, emergency="yes", emergency_words=" Rufen Sie\r\n144 an. ").status == 303
    assert olga.services.tenants.get(tenant).policies.emergency_words == "Rufen Sie 144 an."
    assert olga.edit(tenant, emergency_words="x" * 301).error("emergency_words")
    assert olga.edit(tenant, own_subjects_only="some").error("own_subjects_only")


def test_a_key_is_checked_with_the_instructions_of_a_reply_and_saved_without_ours(olga: Admin) -> None:
    tenant = olga.create()
    new_key = "sk-proj-zyxwvutsrqponmlk9876"
    assert olga.edit(tenant, api_key=new_key, name="Inn", emergency="yes", emergency_words="Call 144.").status == 303
    for (_, checked), name in zip(olga.llm.checked, ("Hotel Alpenblick", "Inn"), strict=True):
        instructions = checked.instructions
        assert instructions.startswith("You answer for the hotel.\n\nRules of this service.")
        assert f'You are an automatic assistant of "{name}", and no person.' in instructions
    assert '"Call 144."' in olga.llm.checked[1][1].instructions
    saved = olga.services.tenants.get(tenant)
    stored = olga.services.tenants.get_assistant(tenant, saved.assistant_version)
    assert stored.instructions == "You answer for the hotel."
