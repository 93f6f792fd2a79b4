"""The pages of a tenant's timeline, of its messages without an answer, and of the chats that wrote meanwhile."""

import re
from datetime import date

import pytest

from chalicelib.model import Event, EventKind, SkipReason
from chalicelib.sessions.missed import MissedChat
from chalicelib.store.conversation.unanswered import UnansweredMessage
from chalicelib.store.table import Table
from chalicelib.web.admin import history
from tests.unit.conftest import Clock
from tests.unit.support.admin_browser import Admin
from tests.unit.support.billed_table import BilledTable
from wire import MessageKind

OLDER = re.compile(r'href="/api(/admin/tenants/\w+/\w+\?before=\d+)"')


@pytest.fixture
def memory_table() -> Table:
    return BilledTable()


def record(olga: Admin, tenant: str, name: str, number: int, at: int) -> None:
    services = olga.services
    if name == "timeline":
        services.timeline.record(Event(tenant, at, EventKind.MAIL_FAILED, f"entry {number:03d}", by="olga@example.com"))
    else:
        message = UnansweredMessage(at, f"entry {number:03d}@lid", f"M{number}", MessageKind.TEXT, SkipReason.TAKEOVER)
        services.unanswered.record(tenant, [message], date(2026, 9, 21))


def entries(page: str) -> list[str]:
    return re.findall(r"entry \d{3}", page)


@pytest.mark.parametrize("name", ["timeline", "unanswered"])
def test_older_entries_are_on_pages_of_their_own_each_once(olga: Admin, clock: Clock, name: str) -> None:
    tenant = olga.create()
    for number in range(250):
        record(olga, tenant, name, number, clock.pass_seconds(1) if number % 3 else clock())  # some at one instant
    olga.signed_in()
    shown = olga.browser.get(f"/admin/tenants/{tenant}").html
    first = entries(shown)
    assert f"/admin/tenants/{tenant}/{name}?before=" in shown and len(first) in range(20, 44)
    (link,) = [each for each in OLDER.findall(shown) if name in each]
    seen = [*first]
    while True:
        page = olga.browser.get(link)
        seen += entries(page.html)
        assert "The newest" in page.text and "2026-09-21 " in page.text, "an audit names the instant"
        links = OLDER.findall(page.html)
        if not links:
            break
        (link,) = links
    assert sorted(seen, reverse=True) == [f"entry {number:03d}" for number in reversed(range(250))]
    assert entries(olga.browser.get(f"/admin/tenants/{tenant}/{name}").html)[: len(first)] == first


@pytest.mark.parametrize("name", ["timeline", "unanswered"])
def test_a_page_reads_no_more_of_a_long_list_than_of_a_short_one(olga: Admin, clock: Clock, name: str) -> None:
    tenant = olga.create()
    read = []
    for count in (200, 300):
        for number in range(count):
            record(olga, tenant, name, number, clock.pass_seconds(1))
        olga.signed_in()
        table = olga.services.table
        assert isinstance(table, BilledTable)
        before = table.items_read
        for path in (f"/admin/tenants/{tenant}/{name}", f"/admin/tenants/{tenant}/live"):
            olga.browser.get(path)
        read.append(table.items_read - before)
    assert read[1] <= read[0]


@pytest.mark.parametrize("before", ["0", "1", "-1", "x", "²", "9" * 30, ""])
@pytest.mark.parametrize("name", ["timeline", "unanswered", "missed"])
def test_an_address_that_names_no_instant_is_a_page_all_the_same(
    olga: Admin, clock: Clock, name: str, before: str
) -> None:
    tenant = olga.create()
    assert olga.browser.get(f"/admin/tenants/{tenant}/{name}?before={before}").status == 200
    assert olga.browser.get(f"/admin/tenants/nosuchtenant/{name}").status == 404


def test_missed_chats_have_pages_too(olga: Admin, monkeypatch: pytest.MonkeyPatch) -> None:
    tenant = olga.create()
    chats = tuple(
        MissedChat(f"{number}@lid", f"entry {number:03d}", 1_000 - number // 2, True) for number in range(230)
    )
    monkeypatch.setattr(history, "missed_chats", lambda *_: chats)
    link, seen = f"/admin/tenants/{tenant}/missed", []
    for _ in range(3):
        page = olga.browser.get(link).html
        seen += entries(page)
        link = (*OLDER.findall(page), "")[0]
    assert link == "" and seen == [f"entry {number:03d}" for number in range(230)]
