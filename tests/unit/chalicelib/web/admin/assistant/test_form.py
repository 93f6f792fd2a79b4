"""The assistant's fields: what is entered is stored and offered again; what does not fit is said at its field."""

from typing import Any

import pytest

from chalicelib.model import Assistant
from chalicelib.model.assistant import AnswerLength
from chalicelib.model.assistants.models import OfferedModel
from chalicelib.web.admin.assistant.form import AssistantForm, assistant_fields
from tests.unit.conftest import Clock
from tests.unit.support.admin_browser import Admin

SETTINGS = {
    "model": "gpt-6.1-terra",
    "instructions": "You answer for the bakery.",
    "reasoning_effort": "none",
    "server": "eu",
    "answer_length": "short",
    "languages": "German, English",
    "web_search": "yes",
    "web_domains": "bakery.example\nmenu.example",
    "web_searches_per_month": "40",
    "max_output_tokens": "700",
    "verbosity": "low",
    "temperature": "0.7",
    "legacy_reference": "asst_abcdef123",
}
STORED: dict[str, Any] = {
    **SETTINGS,
    "answer_length": AnswerLength.SHORT,
    "languages": ("German", "English"),
    "web_search": True,
    "web_domains": ("bakery.example", "menu.example"),
    "web_searches_per_month": 40,
    "max_output_tokens": 700,
    "temperature": 0.7,
}


def stored(olga: Admin, tenant: str) -> Assistant:
    return olga.services.tenants.get_assistant(tenant, olga.services.tenants.get(tenant).assistant_version)


def test_every_setting_is_stored_and_offered_again(olga: Admin) -> None:
    tenant = olga.create(**SETTINGS)
    assert stored(olga, tenant) == Assistant(version=1, **STORED)
    form = olga.browser.get(f"/admin/tenants/{tenant}/edit")
    shown = {name: form.value(name) or form.chosen(name) for name in SETTINGS if name != "web_search"}
    assert shown | {"web_search": "yes"} == SETTINGS
    assert 'name="web_search" value="yes" aria-describedby="web_search-hint" checked' in form.html
    assert olga.edit(tenant, **SETTINGS).status == 303
    assert stored(olga, tenant).version == 1, "nothing was changed"


def test_a_form_of_a_former_release_keeps_no_setting_wrong(olga: Admin) -> None:
    """A page that was open during an upgrade posts only the fields that it knew."""
    tenant = olga.create()
    assert stored(olga, tenant) == Assistant(1, "gpt-6-luna", "You answer for the hotel.")


def test_the_form_of_an_assistant_makes_that_assistant() -> None:
    for assistant in (Assistant(1, "gpt-6-luna", "Be kind."), Assistant(version=1, **STORED)):
        assert AssistantForm.parse(assistant_fields(assistant)).assistant() == assistant


def test_settings_are_shown_in_words(olga: Admin) -> None:
    page = olga.browser.get(f"/admin/tenants/{olga.create(**SETTINGS)}").text
    for words in (
        "How long its answers are Short",
        "Languages German, English",
        "Web search bakery.example, menu.example; at most 40 a month",
        "Longest answer 700 tokens",
        "Verbosity Low",
        "Temperature 0.7",
        "Formerly asst_abcdef123",
    ):
        assert words in page
    plain = olga.browser.get(f"/admin/tenants/{olga.create()}").text
    assert "Languages the contact’s" in plain and "Web search no" in plain and "Temperature" not in plain


BAD = [
    ("answer_length", "endless", "Choose one"),
    ("answer_length", "unknown", "Choose one"),
    ("languages", "German; <b>", "names of languages"),
    ("languages", "x" * 41, "names of languages"),
    ("languages", "\n", None),
    ("languages", ", ".join("abcdefghijk"), "at most 10"),
    ("web_domains", "not a domain", "is not a domain"),
    ("web_domains", "https://bakery.example/menu", "whole domains only"),
    ("web_searches_per_month", "-1", "whole number"),
    ("max_output_tokens", "15", "from 16 to 16,000"),
    ("max_output_tokens", "16001", "from 16 to 16,000"),
    ("max_output_tokens", "1e3", "whole number"),
    ("verbosity", "loud", "Choose one"),
    ("temperature", "2.1", "from 0 to 2"),
    ("temperature", "hot", "from 0 to 2"),
    ("temperature", "-0.1", "from 0 to 2"),
    ("temperature", "٠.٧", "from 0 to 2"),
    ("temperature", "0,7", None),
]


@pytest.mark.parametrize(("field", "value", "words"), BAD)
def test_what_cannot_be_stored_gets_a_sentence_at_its_field(
    olga: Admin, field: str, value: str, words: str | None
) -> None:
    answer = olga.browser.post("/admin/new", olga.fill_in(**{field: value}))
    if words is None:
        assert answer.status == 303
    else:
        assert answer.status == 422 and words in answer.error(field) and not olga.llm.checked


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"temperature": "0.7", "reasoning_effort": "low"}, "temperature"),
        ({"temperature": "0.7", "model": "gpt-6.2-sol"}, "temperature"),
        ({"web_search": "yes", "model": "gpt-5", "reasoning_effort": "minimal"}, "reasoning_effort"),
        ({"verbosity": "low", "model": "gpt-4o"}, "verbosity"),
    ],
)
def test_settings_that_exclude_each_other_are_refused_before_openai_does(
    olga: Admin, changes: dict[str, str], field: str
) -> None:
    answer = olga.browser.post("/admin/new", olga.fill_in(**changes))
    assert answer.status == 422 and answer.error(field) and not olga.llm.checked
    if field in ("temperature", "verbosity"):
        assert '<details class="more" open>' in answer.html, "the field with the error is in sight"


# -- the size of the instructions --------------------------------------------------------------------------------------


def test_no_text_is_ever_cut(olga: Admin) -> None:
    long = "x" * 33_000
    form = olga.browser.get("/admin/new")
    (textarea,) = [part for part in form.html.split("<textarea ") if part.startswith('id="instructions"')]
    assert "maxlength" not in textarea.partition(">")[0], "a browser would cut what is pasted, and say nothing"
    refused = olga.browser.post("/admin/new", olga.fill_in(instructions=long))
    assert refused.status == 422
    assert refused.error("instructions") == "Use at most 32,000 characters; these are 33,000."
    assert refused.value("instructions") == long
    assert '<span class="over">33,000 of 32,000 characters</span>' in refused.html


@pytest.mark.parametrize(
    ("text", "counted"),
    [
        ("", "0 of 32,000 characters, about 0 tokens (estimated)"),
        ("  four\r\nmore  ", "9 of 32,000 characters, about 3 tokens (estimated)"),
        ("ж" * 1_000, "1,000 of 32,000 characters, about 1,000 tokens (estimated)"),
    ],
)
def test_characters_and_tokens_are_counted_without_a_script(olga: Admin, text: str, counted: str) -> None:
    form = olga.browser.post("/admin/new", olga.fill_in(instructions=text, name=""))
    assert counted in form.text.replace(" , ", ", ").replace(" ,", ",")


# -- the models --------------------------------------------------------------------------------------------------------


def test_a_new_tenant_is_offered_our_suggestions_with_notes(olga: Admin) -> None:
    form = olga.browser.get("/admin/new")
    assert '<option value="gpt-6-luna">Quick and cheap ($0.10 / $0.50): right for most lines.</option>' in form.html
    assert "Any other name can be entered too" in form.text


def test_a_tenant_is_offered_what_its_key_may_use_and_any_other_name_is_taken(olga: Admin, clock: Clock) -> None:
    tenant = olga.create()
    models = (OfferedModel("gpt-6-luna"), OfferedModel("gpt-4o", "2027-01-14"), OfferedModel("<b>odd</b>"))
    olga.services.assistant_checks.record_models(tenant, models, clock() - 3 * 3_600_000)
    form = olga.browser.get(f"/admin/tenants/{tenant}/edit")
    assert form.html.count("<option value=") > 3 and "&lt;b&gt;odd&lt;/b&gt;" in form.html and "<b>odd" not in form.html
    assert "listed 3\xa0h\xa0ago" in form.text or "listed 3 h ago" in form.text
    assert "OpenAI ends it on 14" in form.text and "No note of ours." in form.text
    assert olga.edit(tenant, model="ft:gpt-9:shop::abc").status == 303
    assert stored(olga, tenant).model == "ft:gpt-9:shop::abc"
