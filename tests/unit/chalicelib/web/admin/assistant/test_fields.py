"""The assistant's part of the forms: how much it thinks, which server answers, and the budget of a new tenant."""

import pytest

from chalicelib.llm.client import AssistantCheck
from chalicelib.model import Assistant
from tests.unit.support.admin_browser import KEY, Admin

OTHER = "https://llm.example.com/v1"
LISTED = {"OPENAI_SERVERS": f"{OTHER} https://other.example/v1"}


@pytest.fixture
def listed(olga: Admin) -> Admin:
    """An installation whose operator lists two compatible servers."""
    olga.services._environment = {**olga.services._environment, **LISTED}
    return olga


def stored(olga: Admin, tenant: str) -> Assistant:
    return olga.services.tenants.get_assistant(tenant, olga.services.tenants.get(tenant).assistant_version)


def test_a_new_assistant_thinks_as_little_as_its_model_allows_and_has_no_region(olga: Admin) -> None:
    form = olga.browser.get("/admin/new")
    assert (form.chosen("reasoning_effort"), form.chosen("server")) == ("automatic", "global")
    tenant = olga.create()
    assert (stored(olga, tenant).reasoning_effort, stored(olga, tenant).server) == (None, None)
    page = olga.browser.get(f"/admin/tenants/{tenant}").text
    assert "As little as the model allows: none" in page and "OpenAI, global" in page


def test_an_effort_is_chosen_kept_and_shown(olga: Admin) -> None:
    tenant = olga.create(reasoning_effort="low", server="eu")
    assert (stored(olga, tenant).reasoning_effort, stored(olga, tenant).server) == ("low", "eu")
    form = olga.browser.get(f"/admin/tenants/{tenant}/edit")
    assert (form.chosen("reasoning_effort"), form.chosen("server")) == ("low", "eu")
    olga.edit(tenant, reasoning_effort="high", server="us")
    assert (stored(olga, tenant).reasoning_effort, stored(olga, tenant).server) == ("high", "us")
    page = olga.browser.get(f"/admin/tenants/{tenant}").text
    assert "High" in page and "OpenAI, US" in page


def test_an_effort_that_the_check_found_is_stored(olga: Admin) -> None:
    olga.llm.result = AssistantCheck("The key works.", effort="low")
    automatic = stored(olga, olga.create(model="gpt-9"))
    assert (automatic.reasoning_effort, automatic.found_effort) == (None, "low")
    chosen = stored(olga, olga.create(model="gpt-9", reasoning_effort="minimal"))
    assert (chosen.reasoning_effort, chosen.found_effort) == ("low", None)


def test_an_effort_that_was_found_holds_for_its_model_only(olga: Admin) -> None:
    olga.llm.result = AssistantCheck("The key works.", effort="low")
    tenant = olga.create(model="gpt-9")
    olga.edit(tenant, model="gpt-9", instructions="Be brief.")
    assert stored(olga, tenant).found_effort == "low"
    olga.edit(tenant, model="gpt-10")
    assert stored(olga, tenant).found_effort is None


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("reasoning_effort", "banana"),
        ("server", OTHER),
        ("server", "https://169.254.169.254/v1"),
        ("server", "http://127.0.0.1:4704/v1"),
        ("server", "eu.api.openai.com"),
    ],
)
def test_nothing_but_the_lists_can_be_chosen(olga: Admin, field: str, value: str) -> None:
    refused = olga.browser.post("/admin/new", olga.fill_in(**{field: value}))
    assert refused.status == 422
    assert refused.error(field)
    assert not olga.llm.checked


def test_a_listed_server_can_be_chosen_with_a_key_of_its_own_form(listed: Admin) -> None:
    tenant = listed.create(server=OTHER, api_key="gsk_abcdefghijklmnop")
    assert stored(listed, tenant).server == OTHER
    assert "llm.example.com" in listed.browser.get(f"/admin/tenants/{tenant}").text
    refused = listed.browser.post("/admin/new", listed.fill_in(api_key="gsk_abcdefghijklmnop"))
    assert "Groq" in refused.error("api_key")


def test_a_key_never_goes_to_a_server_that_it_was_not_entered_for(listed: Admin) -> None:
    tenant = listed.create()
    assert "another server" in listed.edit(tenant, server=OTHER).error("api_key")
    assert listed.edit(tenant, server="eu").status == 303
    assert listed.edit(tenant, server=OTHER, api_key=KEY).status == 303
    assert "another server" in listed.edit(tenant, server="global").error("api_key")
    assert "another server" in listed.edit(tenant, server="https://other.example/v1").error("api_key")


def test_a_server_that_is_listed_no_more_is_not_changed_in_silence(listed: Admin) -> None:
    tenant = listed.create(server=OTHER, api_key=KEY)
    listed.services._environment = {**listed.services._environment, "OPENAI_SERVERS": ""}
    form = listed.browser.get(f"/admin/tenants/{tenant}/edit")
    assert form.chosen("server") == OTHER
    assert "OPENAI_SERVERS" in listed.edit(tenant, server=OTHER).error("server")


@pytest.mark.parametrize(("entered", "budget"), [(None, 5_000_000), ("", 5_000_000), ("0", 0), ("70000", 70_000)])
def test_a_new_tenant_has_a_budget_unless_its_operator_wants_none(
    olga: Admin, entered: str | None, budget: int
) -> None:
    assert olga.browser.get("/admin/new").value("tokens_per_month") == "5000000"
    tenant = olga.create(**({} if entered is None else {"tokens_per_month": entered}))
    assert olga.services.tenants.get(tenant).policies.tokens_per_month == budget
    assert ("no budget" in olga.browser.get(f"/admin/tenants/{tenant}").text) is (budget == 0)


def test_a_budget_that_is_no_number_is_refused(olga: Admin) -> None:
    refused = olga.browser.post("/admin/new", olga.fill_in(tokens_per_month="plenty"))
    assert "whole number" in refused.error("tokens_per_month")
