"""Invites against another process that issues, opens, binds or revokes a link between a read and its write."""

from collections.abc import Callable

import pytest

from chalicelib.errors import Conflict, NotFound
from chalicelib.model import EventKind, Tenant
from chalicelib.store.invites import Invites
from chalicelib.store.table import Table, Update
from chalicelib.store.timeline import Timeline
from tests.unit.chalicelib.store.conftest import OPERATOR, happened
from tests.unit.support.racing_table import RacingTable

NOW = 1_790_000_000_000


@pytest.fixture
def table(racing: RacingTable) -> Table:
    return racing


@pytest.fixture
def issue(invites: Invites, hotel: Tenant) -> Callable[[str], None]:
    """Issues a link, as a mail that was sent does."""

    def link(token: str) -> None:
        invites.settle(invites.prepare(hotel.id, token, now=NOW), now=NOW)

    return link


def revoked(racing: RacingTable, token: str) -> bool:
    return "revoked_at" in (racing.get(f"INVITE#{token}", "INVITE") or {})


def valid(invites: Invites, hotel: Tenant) -> str | None:
    current = invites.get_current(hotel.id)
    return current.token_sha256 if current is not None else None


def test_of_two_links_that_are_prepared_at_once_the_later_one_counts(
    invites: Invites, hotel: Tenant, racing: RacingTable, issue: Callable[[str], None]
) -> None:
    issue("former")
    racing.before_next("transact", lambda: invites.prepare(hotel.id, "first", now=NOW))
    second = invites.prepare(hotel.id, "second", now=NOW)
    assert revoked(racing, "first") and not revoked(racing, "former")
    assert invites.settle(second, now=NOW)
    assert valid(invites, hotel) == "second" and revoked(racing, "former")


def test_the_first_link_of_a_tenant_is_valid_at_once_and_a_prepared_one_is_not(
    invites: Invites, hotel: Tenant, racing: RacingTable
) -> None:
    first = invites.prepare(hotel.id, "first", now=NOW)
    assert valid(invites, hotel) == "first"
    assert not invites.settle(first, now=NOW)
    second = invites.prepare(hotel.id, "second", now=NOW)
    assert (valid(invites, hotel), revoked(racing, "first")) == ("first", False)
    assert invites.settle(second, now=NOW)
    assert not invites.settle(second, now=NOW)


def test_a_link_that_was_settled_meanwhile_is_not_settled_again(
    invites: Invites, hotel: Tenant, racing: RacingTable, issue: Callable[[str], None]
) -> None:
    issue("former")
    prepared = invites.prepare(hotel.id, "next", now=NOW)
    racing.before_next("transact", lambda: invites.settle(prepared, now=NOW))
    assert not invites.settle(prepared, now=NOW)
    assert valid(invites, hotel) == "next"


def test_a_link_that_another_one_replaced_meanwhile_is_not_settled(
    invites: Invites, hotel: Tenant, racing: RacingTable, issue: Callable[[str], None]
) -> None:
    issue("former")
    prepared = invites.prepare(hotel.id, "next", now=NOW)
    racing.before_next("transact", lambda: issue("newest"))
    assert not invites.settle(prepared, now=NOW)
    assert valid(invites, hotel) == "newest" and revoked(racing, "next")


def test_links_that_change_all_the_time_are_a_conflict(
    invites: Invites, hotel: Tenant, racing: RacingTable, issue: Callable[[str], None]
) -> None:
    issue("former")
    names = iter(range(99))

    def again() -> None:
        racing.before_next("transact", lambda: None)
        invites.prepare(hotel.id, f"other-{next(names)}", now=NOW)
        racing.before_next("transact", again)

    racing.before_next("transact", again)
    with pytest.raises(Conflict):
        invites.prepare(hotel.id, "mine", now=NOW)


@pytest.mark.parametrize("what", ["opened", "revoked", "gone"])
def test_a_link_is_opened_by_one_browser_unless_it_is_revoked_or_gone(
    invites: Invites, hotel: Tenant, racing: RacingTable, timeline: Timeline, issue: Callable[[str], None], what: str
) -> None:
    issue("link")
    meanwhile: dict[str, Callable[[], object]] = {
        "opened": lambda: invites.open("link", "laptop", now=NOW + 1),
        "revoked": lambda: invites.revoke(hotel.id, now=NOW + 1, by=OPERATOR),
        "gone": lambda: racing.delete("INVITE#link", "INVITE"),
    }
    racing.before_next("transact", meanwhile[what])
    if what == "opened":
        assert invites.open("link", "phone", now=NOW + 2).bound_sha256 == "laptop"
    else:
        with pytest.raises(NotFound):
            invites.open("link", "phone", now=NOW + 2)
        assert "bound_sha256" not in (racing.get("INVITE#link", "INVITE") or {})
    assert happened(timeline).count(EventKind.INVITE_OPENED) == (what == "opened")


def test_a_link_that_was_opened_and_not_bound_is_bound_by_the_next_browser(
    invites: Invites, racing: RacingTable, issue: Callable[[str], None]
) -> None:
    issue("link")
    invites.open("link", "laptop", now=NOW)
    item = racing.get("INVITE#link", "INVITE") or {}
    racing.delete("INVITE#link", "INVITE")
    racing.partitions["INVITE#link"] = {"INVITE": {name: item[name] for name in item if name != "bound_sha256"}}
    racing.before_next("update", lambda: invites.bind("link", "phone", instead_of=None, now=NOW))
    with pytest.raises(Conflict):
        invites.open("link", "tablet", now=NOW)
    assert invites.open("link", "tablet", now=NOW).bound_sha256 == "phone"


@pytest.mark.parametrize("what", ["revoked", "gone"])
def test_a_link_that_ended_meanwhile_is_not_bound(
    invites: Invites, hotel: Tenant, racing: RacingTable, issue: Callable[[str], None], what: str
) -> None:
    issue("link")
    invites.open("link", "laptop", now=NOW)
    meanwhile: dict[str, Callable[[], object]] = {
        "revoked": lambda: invites.revoke(hotel.id, now=NOW, by=OPERATOR),
        "gone": lambda: racing.delete("INVITE#link", "INVITE"),
    }
    racing.before_next("transact", meanwhile[what])
    with pytest.raises(NotFound):
        invites.bind("link", "phone", instead_of="laptop", now=NOW)
    assert (racing.get("INVITE#link", "INVITE") or {}).get("bound_sha256") != "phone"


@pytest.mark.parametrize("prepared", [True, False])
def test_a_revocation_ends_every_link_or_none(
    invites: Invites, hotel: Tenant, racing: RacingTable, issue: Callable[[str], None], prepared: bool
) -> None:
    issue("former")
    if prepared:
        invites.prepare(hotel.id, "next", now=NOW)
    racing.before_next("transact", lambda: invites.prepare(hotel.id, "newest", now=NOW))
    with pytest.raises(Conflict):
        invites.revoke(hotel.id, now=NOW, by=OPERATOR)
    assert not revoked(racing, "former")
    assert invites.revoke(hotel.id, now=NOW, by=OPERATOR)
    assert revoked(racing, "former") and revoked(racing, "newest")


def test_without_a_link_none_is_read_or_revoked(invites: Invites, hotel: Tenant, racing: RacingTable) -> None:
    racing.operations.clear()
    assert invites.get_current(hotel.id) is None
    assert racing.operations == {"get": 1}
    alone = invites.prepare(hotel.id, "alone", now=NOW)
    racing.update(Update(f"TENANT#{hotel.id}", "TENANT", set={"invite_next": "alone"}, remove=("invite",)))
    assert invites.settle(alone, now=NOW)
    assert valid(invites, hotel) == "alone"
    assert invites.revoke(hotel.id, now=NOW, by=OPERATOR)
    assert racing.get("INVITE#None", "INVITE") is None


def test_a_link_that_expires_while_a_browser_is_bound_is_not_made_again(
    invites: Invites, issue: Callable[[str], None], racing: RacingTable
) -> None:
    issue("link")
    racing.before_next("transact", lambda: racing.delete("INVITE#link", "INVITE"))
    with pytest.raises(NotFound):
        invites.bind("link", "browser", instead_of=None, now=NOW)
    assert racing.get("INVITE#link", "INVITE") is None


def test_a_tenant_that_there_is_not_gets_no_link(invites: Invites, hotel: Tenant, racing: RacingTable) -> None:
    with pytest.raises(NotFound):
        invites.get_current("nobody00")
    racing.before_next("transact", lambda: racing.delete(f"TENANT#{hotel.id}", "TENANT"))
    with pytest.raises(NotFound):
        invites.prepare(hotel.id, "link", now=NOW)
    assert racing.get(f"TENANT#{hotel.id}", "TENANT") is None and racing.get("INVITE#link", "INVITE") is None


def test_a_link_is_not_issued_twice(invites: Invites, hotel: Tenant, issue: Callable[[str], None]) -> None:
    issue("link")
    invites.bind("link", "browser", instead_of=None, now=NOW)
    with pytest.raises(Conflict):
        invites.prepare(hotel.id, "link", now=NOW)
    assert invites.find("link", now=NOW).bound_sha256 == "browser"


@pytest.mark.parametrize("former", ["bound", "settled", "revoked"])
def test_a_further_link_is_no_way_past_a_browser_that_was_bound_meanwhile(
    invites: Invites, hotel: Tenant, racing: RacingTable, timeline: Timeline, issue: Callable[[str], None], former: str
) -> None:
    issue("former")
    further = invites.prepare(hotel.id, "further", now=NOW)
    meanwhile: dict[str, Callable[[], object]] = {
        "bound": lambda: invites.open("former", "laptop", now=NOW + 1),
        "settled": lambda: invites.settle(further, now=NOW + 1),
        "revoked": lambda: invites.revoke(hotel.id, now=NOW + 1, by=OPERATOR),
    }
    racing.before_next("transact", meanwhile[former])
    if former == "settled":
        assert invites.open("further", "phone", now=NOW + 2).bound_sha256 == "phone"
        return
    with pytest.raises(Conflict if former == "bound" else NotFound):
        invites.open("further", "phone", now=NOW + 2)
    assert "bound_sha256" not in (racing.get("INVITE#further", "INVITE") or {})
    assert revoked(racing, "former") == (former == "revoked")


def test_a_page_that_a_third_browser_took_meanwhile_is_not_taken_through_a_further_link(
    invites: Invites, hotel: Tenant, racing: RacingTable, issue: Callable[[str], None]
) -> None:
    issue("former")
    invites.open("former", "laptop", now=NOW)
    invites.prepare(hotel.id, "further", now=NOW)
    racing.before_next("transact", lambda: invites.bind("former", "tablet", instead_of="laptop", now=NOW + 1))
    with pytest.raises(Conflict):
        invites.bind("further", "phone", instead_of="laptop", now=NOW + 2)
    assert invites.find("former", now=NOW).bound_sha256 == "tablet"
    assert invites.bind("further", "phone", instead_of="tablet", now=NOW + 3).bound_sha256 == "phone"
    assert revoked(racing, "former") and valid(invites, hotel) == "further"
