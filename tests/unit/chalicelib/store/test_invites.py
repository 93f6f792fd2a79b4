"""Invites: issued, opened, bound to a browser, replaced and revoked, on the template's own table."""

from collections.abc import Callable

import pytest

from chalicelib.errors import Conflict, NotFound
from chalicelib.model import EventKind, Invite, Tenant
from chalicelib.store.invites import Invites
from chalicelib.store.table import Table
from chalicelib.store.tenants import Tenants
from chalicelib.store.timeline import Timeline
from tests.unit.chalicelib.store.conftest import ASSISTANT, OPERATOR, a_tenant, happened
from tests.unit.conftest import Clock

HOUR = 3_600


def issue(invites: Invites, tenant: str, token_sha256: str, now: int) -> None:
    """Issues a link, and settles it as after its mail."""
    invites.settle(invites.prepare(tenant, token_sha256, now=now), now=now)


def test_the_former_link_is_valid_until_the_mail_of_the_new_one_is_sent(
    hotel: Tenant, clock: Clock, invites: Invites
) -> None:
    issue(invites, hotel.id, "first", clock())
    for token in ("unsent", "second"):
        prepared = invites.prepare(hotel.id, token, now=clock())
        current = invites.get_current(hotel.id)
        assert current is not None and current.token_sha256 == "first"
        assert invites.find("first", now=clock()).tenant == invites.find(token, now=clock()).tenant
    assert invites.settle(prepared, now=clock())
    assert not invites.settle(prepared, now=clock())
    for dead in ("first", "unsent"):
        with pytest.raises(NotFound):
            invites.find(dead, now=clock())
    current = invites.get_current(hotel.id)
    assert current is not None and current.token_sha256 == "second"


def test_opening_a_link_settles_it_whatever_ses_reports_of_its_mail(
    hotel: Tenant, clock: Clock, invites: Invites
) -> None:
    issue(invites, hotel.id, "first", clock())
    invites.prepare(hotel.id, "second", now=clock())
    invites.open("second", "browser", now=clock())
    with pytest.raises(NotFound):
        invites.find("first", now=clock())


def test_a_further_link_takes_a_page_over_only_where_it_says_so(
    hotel: Tenant, clock: Clock, timeline: Timeline, invites: Invites
) -> None:
    issue(invites, hotel.id, "first", clock())
    opened = invites.open("first", "laptop", now=clock())
    further = invites.prepare(hotel.id, "second", now=clock())
    assert invites.holder_of_page(further) == invites.holder_of_page(opened) == opened
    for known_as in (None, "phone"):
        with pytest.raises(Conflict):
            invites.open("second", "phone", known_as=known_as, now=clock())
    assert invites.find("first", now=clock()) == opened
    taken = invites.bind("second", "phone", instead_of="laptop", now=clock())
    assert (taken.opened_at, taken.bound_sha256) == (clock(), "phone")
    assert invites.holder_of_page(taken) == taken == invites.find("second", now=clock())
    with pytest.raises(NotFound):
        invites.find("first", now=clock())
    assert happened(timeline).count(EventKind.INVITE_OPENED) == happened(timeline).count(EventKind.INVITE_MOVED) == 1


def test_the_browser_that_has_the_page_opens_a_further_link_as_its_own(
    hotel: Tenant, clock: Clock, timeline: Timeline, invites: Invites
) -> None:
    issue(invites, hotel.id, "first", clock())
    invites.open("first", "laptop", now=clock())
    invites.prepare(hotel.id, "second", now=clock())
    assert invites.open("second", "laptop again", known_as="laptop", now=clock()).bound_sha256 == "laptop again"
    assert EventKind.INVITE_MOVED not in happened(timeline)
    with pytest.raises(NotFound):
        invites.find("first", now=clock())


def test_revoking_ends_both_the_valid_link_and_the_prepared_one(hotel: Tenant, clock: Clock, invites: Invites) -> None:
    issue(invites, hotel.id, "first", clock())
    second = invites.prepare(hotel.id, "second", now=clock())
    assert invites.revoke(hotel.id, now=clock(), by=OPERATOR)
    assert not invites.settle(second, now=clock())
    for dead in ("first", "second"):
        with pytest.raises(NotFound):
            invites.find(dead, now=clock())


def test_a_new_invite_revokes_the_former_one(hotel: Tenant, clock: Clock, invites: Invites) -> None:
    issue(invites, hotel.id, "first", clock())
    issue(invites, hotel.id, "second", clock())
    assert invites.find("second", now=clock()).tenant == hotel.id
    with pytest.raises(NotFound):
        invites.find("first", now=clock())
    current = invites.get_current(hotel.id)
    assert current is not None and current.token_sha256 == "second"


def test_an_invite_made_with_its_tenant_is_revoked_by_the_next_one(
    tenants: Tenants, clock: Clock, invites: Invites
) -> None:
    tenants.create(a_tenant(), ASSISTANT, by=OPERATOR, invite=Invite("first", "hotel000", clock()))
    assert invites.find("first", now=clock()).tenant == "hotel000"
    issue(invites, "hotel000", "second", clock())
    with pytest.raises(NotFound):
        invites.find("first", now=clock())


def test_an_unopened_invite_expires_after_72_hours_and_an_opened_one_does_not(
    hotel: Tenant, clock: Clock, invites: Invites
) -> None:
    issue(invites, hotel.id, "one", clock())
    clock.pass_seconds(72 * HOUR - 1)
    opened = invites.open("one", "browser", now=clock())
    assert (opened.opened_at, opened.bound_sha256) == (clock(), "browser")
    clock.pass_seconds(400 * 24 * HOUR)
    assert invites.find("one", now=clock()) == opened

    issue(invites, hotel.id, "two", clock())
    clock.pass_seconds(72 * HOUR)
    uses: list[Callable[[], object]] = [
        lambda: invites.find("two", now=clock()),
        lambda: invites.open("two", "b", now=clock()),
    ]
    for use in uses:
        with pytest.raises(NotFound):
            use()


def test_opening_again_changes_nothing_and_never_moves_the_binding(
    hotel: Tenant, clock: Clock, timeline: Timeline, invites: Invites
) -> None:
    issue(invites, hotel.id, "one", clock())
    first = invites.open("one", "laptop", now=clock())
    clock.pass_seconds(60)
    assert invites.open("one", "thief", now=clock()) == first
    assert happened(timeline).count(EventKind.INVITE_OPENED) == 1


def test_continue_here_moves_the_binding_unless_a_third_browser_was_faster(
    hotel: Tenant, clock: Clock, invites: Invites
) -> None:
    issue(invites, hotel.id, "one", clock())
    invites.open("one", "laptop", now=clock())
    moved = invites.bind("one", "phone", instead_of="laptop", now=clock())
    assert moved.bound_sha256 == "phone"
    with pytest.raises(Conflict):
        invites.bind("one", "tablet", instead_of="laptop", now=clock())


def test_a_revoked_invite_is_of_no_use(hotel: Tenant, clock: Clock, invites: Invites) -> None:
    issue(invites, hotel.id, "one", clock())
    invites.open("one", "laptop", now=clock())
    assert invites.revoke(hotel.id, now=clock(), by=OPERATOR)
    assert not invites.revoke(hotel.id, now=clock(), by=OPERATOR)
    assert invites.get_current(hotel.id) is None
    uses: list[Callable[[], object]] = [
        lambda: invites.find("one", now=clock()),
        lambda: invites.open("one", "laptop", now=clock()),
        lambda: invites.bind("one", "phone", instead_of="laptop", now=clock()),
    ]
    for use in uses:
        with pytest.raises(NotFound):
            use()


def test_an_invite_that_expired_in_dynamodb_can_be_replaced_and_stays_unknown(
    hotel: Tenant, clock: Clock, table: Table, invites: Invites
) -> None:
    issue(invites, hotel.id, "old", clock())
    table.delete("INVITE#old", "INVITE")
    assert invites.get_current(hotel.id) is None
    issue(invites, hotel.id, "new", clock())
    with pytest.raises(NotFound):
        invites.find("old", now=clock())
