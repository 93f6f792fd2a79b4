"""The timeline of a tenant, on the template's own table."""

from chalicelib.model import Event, EventKind, Tenant
from chalicelib.store.table import Table
from chalicelib.store.timeline import Timeline
from tests.unit.chalicelib.store.conftest import happened


def test_the_timeline_is_newest_first_and_bounded(hotel: Tenant, timeline: Timeline) -> None:
    for minute in range(1, 6):
        timeline.record(Event(hotel.id, hotel.created_at + minute, EventKind.ONLINE, str(minute)))
    assert [event.detail for event in timeline.latest(hotel.id, 3)] == ["5", "4", "3"]


def test_two_events_of_the_same_millisecond_are_both_kept(hotel: Tenant, timeline: Timeline) -> None:
    for _ in range(2):
        timeline.record(Event(hotel.id, 9, EventKind.TAKEOVER, by="owner"))
    assert happened(timeline).count(EventKind.TAKEOVER) == 2


def test_each_event_expires_after_400_days(hotel: Tenant, table: Table) -> None:
    [item] = table.query(f"TENANT#{hotel.id}", begins_with="EVENT#")
    assert item["expires_at"] == hotel.created_at // 1000 + 400 * 86_400


def test_a_kind_that_is_counted_is_one_event_an_hour_at_the_first_of_them(hotel: Tenant, timeline: Timeline) -> None:
    hour = hotel.created_at // 3_600_000 * 3_600_000 + 3_600_000
    for minutes in (5, 6, 59, 60):
        timeline.count(Event(hotel.id, hour + minutes * 60_000, EventKind.TAKEOVER, by="owner"))
        timeline.record(Event(hotel.id, hour + minutes * 60_000 + 1, EventKind.ONLINE))
    events = timeline.latest(hotel.id)
    assert [event.at for event in events] == sorted((event.at for event in events), reverse=True)
    takeovers = [(event.at - hour, event.count, event.by) for event in events if event.kind is EventKind.TAKEOVER]
    assert takeovers == [(3_600_000, 1, "owner"), (300_000, 3, "owner")]
