"""The tenant's page lists the recognised automatic messages, and the operator marks them."""

from datetime import timedelta

from chalicelib.model import EventKind
from chalicelib.model.messages.automatic_messages import TextMark
from tests.unit.conftest import Clock
from tests.unit.support.admin_browser import OLGA, Admin

TEXT = "a" * 32
WORDS = 'Welcome! <b>Tables</b> & "chairs"'


def recognise(olga: Admin, tenant: str, clock: Clock, times: int = 1) -> None:
    for number in range(times):
        olga.services.automatic_texts.record(
            tenant, TEXT, chat=str(number), text=WORDS, retention=timedelta(days=30), now=clock()
        )


def mark_of(olga: Admin, tenant: str, clock: Clock) -> TextMark | None:
    return olga.services.automatic_texts.recognised(tenant, now=clock())[0].mark


def test_a_recognised_text_is_listed_with_its_count(olga: Admin, clock: Clock) -> None:
    tenant = olga.create()
    assert "Automatic messages" not in olga.browser.get(f"/admin/tenants/{tenant}").text
    recognise(olga, tenant, clock)
    assert "Seen once" in olga.browser.get(f"/admin/tenants/{tenant}").text
    recognise(olga, tenant, clock, 3)
    page = olga.browser.get(f"/admin/tenants/{tenant}")
    assert "Seen 4 times" in page.text and WORDS in page.text and "<b>Tables" not in page.html


def test_the_operator_marks_a_text_and_takes_the_mark_back(olga: Admin, clock: Clock) -> None:
    tenant = olga.create()
    recognise(olga, tenant, clock)
    assert "typed by a person" in olga.press(tenant, "texts", text=TEXT, mark="person").text
    assert mark_of(olga, tenant, clock) is TextMark.PERSON
    assert "automatic, you said" in olga.press(tenant, "texts", text=TEXT, mark="automatic").text
    assert mark_of(olga, tenant, clock) is TextMark.AUTOMATIC
    page = olga.press(tenant, "texts", text=TEXT, mark="")
    assert "Saved." in page.text and "you said" not in page.text and mark_of(olga, tenant, clock) is None
    assert olga.happened(tenant).count(EventKind.EDITED) == 3
    assert f"automatic messages · by {OLGA}" in page.text


def test_a_text_that_is_not_listed_or_no_mark_is_refused(olga: Admin, clock: Clock) -> None:
    tenant = olga.create()
    recognise(olga, tenant, clock)
    for text, mark in (("b" * 32, "person"), ("x", "person"), ("a" * 3_000, "person"), ("", ""), (TEXT, "unknown")):
        fields = {"csrf": olga.browser.get("/admin/new").hidden("csrf"), "text": text, "mark": mark}
        assert olga.browser.post(f"/admin/tenants/{tenant}/texts", fields).status == 404
    assert mark_of(olga, tenant, clock) is None


def test_a_mark_without_the_page_is_refused(olga: Admin, clock: Clock) -> None:
    tenant = olga.create()
    recognise(olga, tenant, clock)
    fields = {"csrf": "forged", "text": TEXT, "mark": "person"}
    assert olga.browser.post(f"/admin/tenants/{tenant}/texts", fields).status == 403
    assert mark_of(olga, tenant, clock) is None
