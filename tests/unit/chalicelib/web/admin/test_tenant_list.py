"""The list of tenants in pages: what a poll reads, its order, its counts, its search, and its links."""

import re
from collections.abc import Callable
from typing import Any

import pytest

from chalicelib.model import Problem
from chalicelib.model.line_list.order import PAGE_ROWS
from chalicelib.reconcilers import health_report, line_list
from chalicelib.store.fleet.line_list import MISSING_BEFORE, PART_ROWS, RECENT_KEPT_FOR, WRITTEN_EVERY
from chalicelib.store.table import Table, Update
from chalicelib.wiring import Services
from tests.unit.conftest import ASSISTANT, Clock, a_tenant
from tests.unit.support.admin_browser import Admin
from tests.unit.support.billed_table import BilledTable, size_bytes
from wire import Phase, ProblemCode

#: Of the operator's session, which each page reads too.
SIGNED_IN = 4
ROW = re.compile(r'<a href="[^"]*/admin/tenants/(\w+)">')


@pytest.fixture
def memory_table() -> Table:
    return BilledTable()


def a_fleet(services: Services, clock: Clock, count: int) -> None:
    """Creates so many online lines, in the order of their names, and lets the loop of the minute make the list."""
    online = {"phase": Phase.ONLINE, "number": "491701234567", "linked_at": clock(), "since": clock()}
    for number in range(count):
        id = f"fleet{number:05d}"
        services.tenants.create(a_tenant(id, name=f"Client {number:05d}", created_at=clock()), ASSISTANT, by="olga")
        services.table.update(Update(f"TENANT#{id}", "SESSION", set=online))
    clock.pass_seconds(RECENT_KEPT_FOR.total_seconds())
    a_minute(services, clock)


def a_minute(services: Services, clock: Clock) -> None:
    """Lets a minute pass, and the loop make the list."""
    clock.pass_seconds(60)
    line_list.record(services, health_report.read(services), clock())


def session(services: Services, place: int, /, **changes: Any) -> None:
    services.table.update(Update(f"TENANT#fleet{place:05d}", "SESSION", set=changes))


def rows(olga: Admin, path: str) -> list[str]:
    return [id.removeprefix("fleet") for id in ROW.findall(olga.browser.get(path).html)]


def reads_of(services: Services, ask: Callable[[], object]) -> tuple[int, float]:
    """Returns the items and the units that this reads."""
    table = services.table
    assert isinstance(table, BilledTable)
    items, units = table.items_read, table.read_units
    ask()
    return table.items_read - items, table.read_units - units


@pytest.mark.parametrize("path", ["/admin/live?page=2", "/admin?page=2", "/admin/live", "/admin", "/admin/setup/live"])
def test_a_poll_reads_what_the_page_shows_however_many_lines_there_are(
    olga: Admin, services: Services, clock: Clock, path: str
) -> None:
    read: dict[int, tuple[int, float]] = {}
    for size in (2 * PAGE_ROWS, 9 * PAGE_ROWS):
        a_fleet(services, clock, size) if not read else grow(services, clock, size)
        olga.signed_in()  # an hour passed
        read[size] = reads_of(services, lambda: olga.browser.get(path))
    (few, few_units), (many, many_units) = read.values()
    assert many == few <= 2 * PAGE_ROWS + 2 + SIGNED_IN + 3
    assert many_units <= few_units + PART_ROWS * 200 / 4096, "the part of the list that has the page is larger"


def grow(services: Services, clock: Clock, size: int) -> None:
    for number in range(2 * PAGE_ROWS, size):
        id = f"fleet{number:05d}"
        services.tenants.create(a_tenant(id, name=f"Client {number:05d}", created_at=clock()), ASSISTANT, by="olga")
    clock.pass_seconds(RECENT_KEPT_FOR.total_seconds())
    a_minute(services, clock)


def test_each_line_is_on_one_page_and_the_pages_are_linked(olga: Admin, services: Services, clock: Clock) -> None:
    a_fleet(services, clock, 2 * PAGE_ROWS + 1)
    olga.signed_in()
    seen = [rows(olga, f"/admin?page={number}") for number in (1, 2, 3)]
    assert [len(page) for page in seen] == [PAGE_ROWS, PAGE_ROWS, 1]
    assert [*seen[0], *seen[1], *seen[2]] == [f"{number:05d}" for number in range(2 * PAGE_ROWS + 1)]
    middle = olga.browser.get("/admin?page=2")
    assert 'rel="prev" href="/api/admin"' in middle.html and 'rel="next" href="/api/admin?page=3"' in middle.html
    assert 'data-live="/api/admin/live?page=2"' in middle.html and "Page 2 of 3" in middle.text
    for path in ("/admin?page=2", "/admin?page=1", "/admin?page=3"):
        assert rows(olga, path.replace("/admin", "/admin/live")) == rows(olga, path)
    last, first = olga.browser.get("/admin?page=3").html, olga.browser.get("/admin").html
    assert 'rel="next"' not in last and 'rel="prev"' not in first


@pytest.mark.parametrize(
    ("page", "shown"), [("0", 1), ("-1", 1), ("x", 1), ("", 1), ("²", 1), ("99", 2), ("9" * 40, 1)]
)
def test_a_page_that_is_not_there_is_the_nearest(
    olga: Admin, services: Services, clock: Clock, page: str, shown: int
) -> None:
    a_fleet(services, clock, PAGE_ROWS + 1)
    olga.signed_in()
    assert f"Page {shown} of 2" in olga.browser.get(f"/admin?page={page}").text


def test_the_head_counts_all_lines_and_not_those_of_the_page(olga: Admin, services: Services, clock: Clock) -> None:
    a_fleet(services, clock, 2 * PAGE_ROWS)
    session(services, 77, phase=Phase.LOGGED_OUT, number=None, logged_out_at=clock())
    for number in (3, 91):
        services.tenants.set_assistant_problem(f"fleet{number:05d}", Problem(ProblemCode.OUT_OF_CREDIT, clock()))
    a_minute(services, clock)
    olga.signed_in()
    for path in ("/admin", "/admin?page=2", "/admin/live?page=2", "/admin?q=Client+00099"):
        text = " ".join(olga.browser.get(path).text.split())
        assert "All 100 Disconnected 1 With a problem 2 Online 99" in text, path
    assert rows(olga, "/admin")[:4] == ["00077", "00003", "00091", "00000"]


def test_the_counts_say_how_old_they_are_if_the_loop_rests(olga: Admin, services: Services, clock: Clock) -> None:
    a_fleet(services, clock, 2 * PAGE_ROWS)
    olga.signed_in()
    assert "Counted" not in olga.browser.get("/admin").text
    clock.pass_seconds(600)
    assert "Counted 10 min ago" in " ".join(olga.browser.get("/admin").text.replace("\u00a0", " ").split())


def test_rows_are_of_now_and_news_is_first_at_once(olga: Admin, services: Services, clock: Clock) -> None:
    a_fleet(services, clock, 2 * PAGE_ROWS)
    olga.signed_in()
    session(services, 1, phase=Phase.OFFLINE)
    assert "Offline" in olga.browser.get("/admin/live").text
    services.tenants.set_assistant_problem("fleet00099", Problem(ProblemCode.KEY_REVOKED, clock()))
    assert rows(olga, "/admin/live")[0] == "00099"
    a_minute(services, clock)
    clock.pass_seconds(MISSING_BEFORE.total_seconds() + 1)
    a_minute(services, clock)
    assert rows(olga, "/admin/live")[0] == "00099" and "00099" not in rows(olga, "/admin/live?page=2")


def test_a_new_tenant_is_shown_and_found_before_the_list_is_made_again(
    olga: Admin, services: Services, clock: Clock
) -> None:
    a_fleet(services, clock, 2 * PAGE_ROWS)
    olga.signed_in()
    new = olga.create(name="Zum Löwen")
    assert new in rows(olga, "/admin") and rows(olga, "/admin?q=lowen") == [new]
    olga.edit(new, name="Zum Adler")
    assert rows(olga, "/admin?q=lowen") == [] and rows(olga, "/admin?q=adler") == [new]
    a_minute(services, clock)
    a_minute(services, clock)
    a_minute(services, clock)
    assert (
        rows(olga, "/admin?q=adler") == [new] and new not in rows(olga, "/admin") and new in rows(olga, "/admin?page=3")
    )


def test_a_tenant_that_was_edited_is_found_by_its_new_name_alone_and_once(
    olga: Admin, services: Services, clock: Clock
) -> None:
    a_fleet(services, clock, 2 * PAGE_ROWS)
    olga.signed_in()
    olga.edit("fleet00070", name="Client 00070 & Sons")
    assert rows(olga, "/admin?q=00070") == ["00070"] and "1 found" in olga.browser.get("/admin?q=00070").text
    olga.edit("fleet00070", name="Zum Adler")
    assert rows(olga, "/admin?q=client+00070") == [] and rows(olga, "/admin?q=adler") == ["00070"]


def test_a_tenant_that_the_list_missed_when_it_was_made_is_shown(olga: Admin, services: Services, clock: Clock) -> None:
    """The directory lags behind, and the loop works for most of a minute on what it read at first."""
    a_fleet(services, clock, 2 * PAGE_ROWS)
    olga.signed_in()
    read = health_report.read(services)
    new = olga.create(name="Zum Adler")
    clock.pass_seconds(45)
    line_list.record(services, read, clock())
    assert new in rows(olga, "/admin") and rows(olga, "/admin?q=adler") == [new]


def test_a_search_has_pages_and_keeps_its_words(olga: Admin, services: Services, clock: Clock) -> None:
    a_fleet(services, clock, 3 * PAGE_ROWS)
    olga.signed_in()
    page = olga.browser.get("/admin?q=client%20000&page=2")
    assert "100 found for “client 000”." in page.text and "Page 2 of 2" in page.text
    assert 'rel="prev" href="/api/admin?q=client+000"' in page.html and 'value="client 000"' in page.html
    assert 'data-live="/api/admin/live?q=client+000&amp;page=2"' in page.html
    assert rows(olga, "/admin/live?q=client+000&page=2") == [f"{number:05d}" for number in range(50, 100)]
    nothing = olga.browser.get("/admin?q=%3Cscript%3E")
    assert "0 found for “<script>”." in nothing.text and "<script>”" not in nothing.html
    assert "No tenants yet" not in nothing.text and "Show all" in nothing.text
    items, _ = reads_of(services, lambda: olga.browser.get("/admin/live?q=client+00077"))
    assert items <= SIGNED_IN + 2 + 1 + 2


def test_few_lines_need_neither_search_nor_pages(olga: Admin, services: Services, clock: Clock) -> None:
    a_fleet(services, clock, 3)
    olga.signed_in()
    page = olga.browser.get("/admin")
    assert (
        'type="search"' not in page.html
        and "pager" not in page.html
        and "All 3 Online 3" in " ".join(page.text.split())
    )
    session(services, 1, phase=Phase.LOGGED_OUT, number=None, logged_out_at=clock())
    page = olga.browser.get("/admin")
    assert rows(olga, "/admin") == ["00001", "00000", "00002"] and "Disconnected 1" in " ".join(page.text.split())


def test_only_what_changed_is_written_each_minute(services: Services, clock: Clock) -> None:
    a_fleet(services, clock, PART_ROWS + 1)
    clock.now = (clock() // 600_000 + 1) * 600_000
    written: list[str] = []
    table = services.table
    assert isinstance(table, BilledTable)
    a_minute(services, clock)
    table.watchers.append(lambda key, before, after: written.append(key[1]))
    a_minute(services, clock)
    assert written == ["HEAD"]
    written.clear()
    session(services, PART_ROWS, number="491709999999")
    a_minute(services, clock)
    assert written == ["SESSION", "PART#0001", "HEAD"]
    written.clear()
    clock.pass_seconds(WRITTEN_EVERY.total_seconds())
    a_minute(services, clock)
    assert written == ["PART#0000", "PART#0001", "HEAD"]


def test_a_list_that_no_loop_has_made_yet_is_made_by_the_first_page(
    olga: Admin, services: Services, clock: Clock
) -> None:
    for number in range(2 * PAGE_ROWS):
        services.tenants.create(a_tenant(f"fleet{number:05d}", name=f"Client {number:05d}"), ASSISTANT, by="olga")
    assert len(rows(olga, "/admin")) == 2 * PAGE_ROWS, "those that are new are shown too"
    clock.pass_seconds(1)
    items, _ = reads_of(services, lambda: olga.browser.get("/admin?page=2"))
    assert items <= 2 * PAGE_ROWS + 2 + SIGNED_IN + 3


def test_a_part_with_the_longest_entries_fits_into_an_item(services: Services, clock: Clock) -> None:
    longest = {"name": "\U0001f468" * 80, "owner_email": "a" * 64 + "@" + "b" * 189}
    for number in range(3):
        services.tenants.create(a_tenant(f"tenant{number:026d}", **longest), ASSISTANT, by="olga")
        services.table.update(Update(f"TENANT#tenant{number:026d}", "SESSION", set={"number": "4" * 15}))
    line_list.record(services, health_report.read(services), clock())
    (part,) = services.table.query("LINES", begins_with="PART#")
    assert size_bytes(part) / 3 * PART_ROWS < 400_000
