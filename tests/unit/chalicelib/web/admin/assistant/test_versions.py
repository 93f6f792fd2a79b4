"""The versions of an assistant: listed with author and time, compared readably, and restored as the next one."""

from dataclasses import replace
from typing import Any

import pytest

from chalicelib.aws.sqs import ASSISTANT_CHECK
from chalicelib.model import Assistant, EventKind
from chalicelib.web.admin.assistant.versions import PAGE, compare_settings
from tests.unit.conftest import Clock, FakeJobs
from tests.unit.support.admin_browser import KEY, OLGA, Admin
from tests.unit.support.headless_browser import Page

OTHER = "https://llm.example.com/v1"


def stored(olga: Admin, tenant: str) -> Assistant:
    return olga.services.tenants.get_assistant(tenant, olga.services.tenants.get(tenant).assistant_version)


def restore(olga: Admin, tenant: str, version: str, **changes: str) -> Page:
    page = olga.browser.get(f"/admin/tenants/{tenant}/version?number={version}&current=yes")
    fields = {name: page.hidden(name) for name in ("csrf", "number", "revision")}
    return olga.browser.post(f"/admin/tenants/{tenant}/restore", {**fields, **changes})


def test_the_list_says_what_each_version_changed_and_whose_it_is(olga: Admin, clock: Clock) -> None:
    tenant = olga.create()
    olga.edit(tenant, model="gpt-6.1-terra", instructions="Be brief.")
    olga.edit(tenant, model="gpt-6.1-terra", instructions="Be brief.", languages="German")
    page = olga.browser.get(f"/admin/tenants/{tenant}/versions").text
    latest, second, first = page.index("Version 3 · in use"), page.index("Version 2"), page.index("Version 1")
    assert latest < second < first
    assert "Changed: Languages." in page[latest:second]
    assert "Changed: Model, Instructions." in page[second:first]
    assert "The first one." in page[first:] and page.count(f"By {OLGA}.") == 3
    assert f"/admin/tenants/{tenant}/versions" in olga.browser.get(f"/admin/tenants/{tenant}").html


def test_a_long_list_has_pages_and_each_version_says_what_it_changed(olga: Admin, clock: Clock) -> None:
    tenant = olga.create()
    services = olga.services
    for number in range(PAGE + 4):
        assistant = replace(stored(olga, tenant), max_output_tokens=100 + number)
        revision = services.tenants.get(tenant).revision
        services.tenants.edit(tenant, {}, expected_revision=revision, now=clock(), by=OLGA, assistant=assistant)
    first = olga.browser.get(f"/admin/tenants/{tenant}/versions")
    assert first.text.count("Longest answer") == PAGE and "Version 6 " in first.text and "Version 5 " not in first.text
    assert '<a class="button" href="?from=5">Earlier versions</a>' in first.html
    second = olga.browser.get(f"/admin/tenants/{tenant}/versions?from=5")
    assert second.text.count("Longest answer") == 4 and "The first one." in second.text
    assert "Earlier versions" not in second.text
    for odd in ("0", "-1", "x", "9" * 40, "٣", "1e3"):
        assert olga.browser.get(f"/admin/tenants/{tenant}/versions?from={odd}").status == 200


def test_a_difference_marks_settings_lines_and_words(olga: Admin) -> None:
    tenant = olga.create(instructions="You answer for the <hotel>.\nOpen from 9 to 18.\nBe kind.")
    olga.edit(tenant, instructions="You answer for the <hotel>.\nOpen from 9 to 17.\nBe kind.", answer_length="short")
    page = olga.browser.get(f"/admin/tenants/{tenant}/version?number=2")
    assert "<p>You answer for the &lt;hotel&gt;.</p>" in page.html
    assert "<del>Open from 9 to <mark>18</mark>.</del>" in page.html
    assert "<ins>Open from 9 to <mark>17</mark>.</ins>" in page.html
    assert "<del>As the instructions say</del>" in page.html and "<ins>Short</ins>" in page.html
    back = olga.browser.get(f"/admin/tenants/{tenant}/version?number=1&current=yes")
    assert "<del>Open from 9 to <mark>18</mark>.</del>" in back.html and "Restore version 1" in back.text
    first = olga.browser.get(f"/admin/tenants/{tenant}/version?number=1")
    assert "The first version" in first.text and "Be kind." in first.text


def test_the_version_in_use_cannot_be_restored_and_one_that_is_not_there_is_not_found(olga: Admin) -> None:
    tenant = olga.create()
    assert "Restore version" not in olga.browser.get(f"/admin/tenants/{tenant}/version?number=1&current=yes").text
    for number in ("2", "9" * 9):
        assert olga.browser.get(f"/admin/tenants/{tenant}/version?number={number}").status == 404
    assert olga.browser.get(f"/admin/tenants/{tenant}/version?number=x").status == 200, "the one in use"
    assert olga.browser.get("/admin/tenants/nobody0000000000/versions").status == 404


def test_a_restored_version_is_the_next_one_and_is_checked(olga: Admin, clock: Clock) -> None:
    tenant = olga.create(instructions="The old ones.", web_search="yes", web_domains="bakery.example")
    old = stored(olga, tenant)
    olga.edit(tenant, instructions="The new ones.", model="gpt-6.1-terra")
    jobs = olga.services.jobs
    assert isinstance(jobs, FakeJobs)
    jobs.sent.clear()
    saved = olga.browser.follow(restore(olga, tenant, "1"))
    assert "Saved. A check of the assistant was asked for." in saved.text
    assert stored(olga, tenant) == replace(old, version=3)
    assert jobs.sent == [(tenant, ASSISTANT_CHECK, 0)]
    assert olga.happened(tenant)[0] is EventKind.EDITED
    assert "Version 1 restored. Changed: Model, Web search, Instructions." in (
        olga.browser.get(f"/admin/tenants/{tenant}/versions").text
    )
    again = olga.browser.follow(restore(olga, tenant, "1"))
    assert "Nothing was changed" in again.text and stored(olga, tenant).version == 3


def test_what_was_found_out_about_the_model_since_is_kept(olga: Admin) -> None:
    tenant = olga.create(model="gpt-9")
    olga.edit(tenant, model="gpt-9", instructions="Others.")
    olga.services.assistant_versions.store_found_effort(tenant, 2, "low")
    restore(olga, tenant, "1")
    assert stored(olga, tenant).found_effort == "low"


def test_an_edit_meanwhile_is_not_overwritten(olga: Admin) -> None:
    tenant = olga.create(instructions="The first.")
    olga.edit(tenant, instructions="The second.")
    page = olga.browser.get(f"/admin/tenants/{tenant}/version?number=1&current=yes")
    olga.edit(tenant, instructions="The third.")
    fields = {name: page.hidden(name) for name in ("csrf", "number", "revision")}
    refused = olga.browser.post(f"/admin/tenants/{tenant}/restore", fields)
    assert refused.status == 409 and "Somebody else changed this tenant meanwhile" in refused.text
    assert "third" in refused.html and stored(olga, tenant).instructions == "The third."
    assert refused.hidden("revision") == "3", "pressed again, it restores"


@pytest.mark.parametrize("fields", [{"number": ""}, {"number": "x"}, {"revision": "-1"}, {"number": "9" * 400}])
def test_a_form_that_is_not_whole_changes_nothing(olga: Admin, fields: dict[str, str]) -> None:
    tenant = olga.create()
    olga.edit(tenant, instructions="Others.")
    assert restore(olga, tenant, "1", **fields).status == 400
    assert stored(olga, tenant).version == 2


def test_a_version_of_another_server_is_not_restored_with_this_ones_key(olga: Admin) -> None:
    olga.services._environment = {**olga.services._environment, "OPENAI_SERVERS": OTHER}
    tenant = olga.create(server=OTHER, api_key=KEY)
    olga.edit(tenant, server="global", api_key=KEY)
    refused = restore(olga, tenant, "1")
    assert refused.status == 400 and "another server" in refused.text
    olga.services._environment = {**olga.services._environment, "OPENAI_SERVERS": ""}
    assert "OPENAI_SERVERS" in restore(olga, tenant, "1").text
    assert stored(olga, tenant).server is None


def test_no_change_of_a_setting_is_invisible() -> None:
    one = Assistant(1, "gpt-6-luna", "Be kind.")
    changes: tuple[dict[str, Any], ...] = (
        {"model": "gpt-9"},
        {"reasoning_effort": "none"},
        {"server": "eu"},
        {"answer_length": "short"},
        {"languages": ("German",)},
        {"web_search": True},
        {"web_domains": ("a.example",)},
        {"web_searches_per_month": 1},
        {"max_output_tokens": 1},
        {"verbosity": "low"},
        {"temperature": 0.0},
        {"vector_store_ids": ("vs_1",)},
        {"legacy_reference": "asst_1"},
    )
    for change in changes:
        assert compare_settings(one, replace(one, **change)), change
