"""Notices: written with the news, due in the index, sent by one sender."""

from dataclasses import replace

import pytest

from chalicelib.model.notices.kinds import NoticeKind, Recipient
from chalicelib.model.notices.notice import News, NewsState, Notice, Subject
from chalicelib.store.notifications.batches import Batch, BatchLine, Owed, OwedLine
from chalicelib.store.notifications.notices import CLAIMED_FOR, SHARDS, Notices, news_writes
from chalicelib.store.table import Table
from tests.unit.conftest import ENGINES, Clock

T = "bakery0001"
KEY = (T, Recipient.OWNER, NoticeKind.CONFLICT)


@pytest.fixture(params=ENGINES)
def table(request: pytest.FixtureRequest) -> Table:
    made: Table = request.getfixturevalue(f"{request.param}_table")
    return made


@pytest.fixture
def notices(table: Table) -> Notices:
    return Notices(table)


def make(table: Table, state: NewsState, at: int, kind: NoticeKind = NoticeKind.CONFLICT, tenant: str = T) -> None:
    table.transact(*news_writes([News(tenant, kind, state, at)]))


def stored(notices: Notices) -> Notice:
    found = notices.get(*KEY)
    assert found is not None
    return found


def due(notices: Notices, at: int, recipient: Recipient = Recipient.OWNER) -> list[Notice]:
    return list(notices.due(recipient, due_before=at, limit=50))


def test_news_is_due_at_once_for_each_audience_until_it_is_sent(table: Table, notices: Notices, clock: Clock) -> None:
    assert notices.get(*KEY) is None
    make(table, NewsState.OPEN, clock())
    assert due(notices, clock() - 1) == []
    assert [notice.recipient for notice in due(notices, clock())] == [Recipient.OWNER]
    assert [notice.kind for notice in due(notices, clock(), Recipient.OPERATORS)] == [NoticeKind.CONFLICT]
    claimed = notices.claim(stored(notices), clock())
    assert claimed is not None
    notices.record_sent(claimed, Subject.NEWS, clock.pass_seconds(1))
    assert due(notices, clock() + 10**12) == []
    assert (stored(notices).heard, stored(notices).news_at, stored(notices).attempts) == (NewsState.OPEN, clock(), 0)
    assert "expires_at" not in (table.get(f"TENANT#{T}", "NOTICE#owner#conflict") or {})


def test_no_partition_of_the_index_gets_more_than_its_share(table: Table, notices: Notices, clock: Clock) -> None:
    for number in range(64):
        make(table, NewsState.OPEN, clock(), tenant=f"tenant{number:04}")
    items = table.query("NOTICE#owner#0", index="open_turns", keys=("open_turns", "due_at"), consistent=False)
    assert 0 < len(list(items)) < 64 / SHARDS * 3
    assert len(due(notices, clock())) == 64


def test_a_notice_is_claimed_by_one_sender_until_its_claim_is_over(
    table: Table, notices: Notices, clock: Clock
) -> None:
    make(table, NewsState.OPEN, clock())
    seen = stored(notices)
    assert notices.claim(seen, clock()) is not None
    assert notices.claim(seen, clock()) is None
    assert due(notices, clock()) == [], "it comes back when its sender died"
    clock.pass_seconds(CLAIMED_FOR.total_seconds())
    assert [notice.tenant for notice in due(notices, clock())] == [T]
    assert notices.claim(stored(notices), clock()) is not None


def test_a_notice_that_changed_since_it_was_read_is_not_claimed(table: Table, notices: Notices, clock: Clock) -> None:
    make(table, NewsState.OPEN, clock())
    seen = stored(notices)
    make(table, NewsState.OVER, clock())
    assert notices.claim(seen, clock()) is None
    notices.postpone(seen, clock() + 99, clock())
    assert stored(notices).due_at == clock()


def test_news_that_comes_while_a_mail_is_sent_stays_due(table: Table, notices: Notices, clock: Clock) -> None:
    make(table, NewsState.OPEN, clock())
    claimed = notices.claim(stored(notices), clock())
    assert claimed is not None
    make(table, NewsState.OVER, clock.pass_seconds(1))
    notices.record_sent(claimed, Subject.NEWS, clock.pass_seconds(1))
    after = stored(notices)
    assert (after.state, after.heard, after.due_at) == (NewsState.OVER, NewsState.OPEN, clock() - 1000)
    assert notices.claim(after, clock()) is not None


def test_what_is_recorded_late_and_again_changes_nothing(table: Table, notices: Notices, clock: Clock) -> None:
    make(table, NewsState.OPEN, clock())
    first, sent_at = stored(notices), clock.pass_seconds(1)
    notices.record_sent(first, Subject.NEWS, sent_at)
    make(table, NewsState.OVER, clock.pass_seconds(1))
    notices.record_sent(stored(notices), Subject.ALL_CLEAR, clock.pass_seconds(600))
    notices.record_sent(first, Subject.NEWS, sent_at)
    assert stored(notices).heard is NewsState.OVER


def test_a_failure_is_due_again_and_leaves_later_news_alone(table: Table, notices: Notices, clock: Clock) -> None:
    make(table, NewsState.OPEN, clock())
    claimed = notices.claim(stored(notices), clock())
    assert claimed is not None
    failed = notices.record_failure(claimed, clock.pass_seconds(5))
    assert failed.due_at is not None and failed.due_at > clock()
    assert (stored(notices).due_at, stored(notices).attempts) == (failed.due_at, 1)
    claimed = notices.claim(stored(notices), clock())
    assert claimed is not None
    make(table, NewsState.OVER, clock.pass_seconds(1))
    notices.record_failure(claimed, clock())
    assert (stored(notices).attempts, stored(notices).due_at) == (0, clock())
    assert notices.claim(stored(notices), clock()) is not None, "the claim is given back"


def test_what_is_over_expires_and_what_is_open_stays(table: Table, notices: Notices, clock: Clock) -> None:
    make(table, NewsState.OPEN, clock())
    notices.postpone(stored(notices), None, clock())
    assert "expires_at" not in (table.get(f"TENANT#{T}", "NOTICE#owner#conflict") or {})
    make(table, NewsState.OVER, clock())
    notices.postpone(stored(notices), None, clock())
    assert "expires_at" in (table.get(f"TENANT#{T}", "NOTICE#owner#conflict") or {})
    make(table, NewsState.OPEN, clock())
    assert "expires_at" not in (table.get(f"TENANT#{T}", "NOTICE#owner#conflict") or {})


def test_a_mail_that_can_never_be_sent_is_not_tried_again_until_there_is_news(
    table: Table, notices: Notices, clock: Clock
) -> None:
    make(table, NewsState.OPEN, clock())
    claimed = notices.claim(stored(notices), clock())
    assert claimed is not None
    notices.give_up(claimed, clock())
    assert due(notices, clock() + 10**12) == []
    make(table, NewsState.OVER, clock())
    assert len(due(notices, clock())) == 1


# -- the batch of operators -------------------------------------------------------------------------------------------

LINE = BatchLine(T, NoticeKind.CONFLICT, Subject.NEWS, 1, 5)


def test_one_sender_has_the_batch_and_another_one_goes_on_when_it_died(notices: Notices, clock: Clock) -> None:
    batches = notices.batches
    held = batches.claim("first", clock())
    assert held is not None and held.batch is None
    assert batches.claim("second", clock()) is None
    batch = Batch(clock(), (LINE,), ("mail:a", "mail:b"))
    assert batches.store(held, batch)
    assert batches.store(held, replace(batch, left=("mail:b",), begun=True))
    after = batches.claim("second", clock.pass_seconds(CLAIMED_FOR.total_seconds()))
    assert after is not None and after.batch == replace(batch, left=("mail:b",), begun=True)
    assert not batches.store(held, batch), "the first one was only frozen"
    batches.end(after, next_at=clock() + 60_000)
    assert batches.claim("third", clock()) is None
    third = batches.claim("third", clock.pass_seconds(60))
    assert third is not None and third.batch is None


def test_a_round_that_failed_is_repeated_after_a_while(notices: Notices, clock: Clock) -> None:
    held = notices.batches.claim("first", clock())
    assert held is not None
    notices.batches.end(held, failures=1, next_at=clock() + 30_000)
    assert notices.batches.claim("second", clock()) is None
    again = notices.batches.claim("second", clock.pass_seconds(30))
    assert again is not None and again.failures == 1


def test_what_a_channel_is_owed_stays_until_it_is_taken_off(notices: Notices, clock: Clock) -> None:
    held = notices.batches.claim("first", clock())
    assert held is not None and held.owed == {}
    owed = {"mail:b": Owed((OwedLine(T, NoticeKind.CONFLICT, knows=False),), attempts=2, next_at=clock() + 1)}
    assert notices.batches.store_owed(held, owed)
    notices.batches.end(held)
    second = notices.batches.claim("second", clock())
    assert second is not None and second.owed == owed
    assert not notices.batches.store_owed(held, {})
    assert notices.batches.store_owed(second, {})
    notices.batches.end(second)
    third = notices.batches.claim("third", clock())
    assert third is not None and third.owed == {}
