"""Sessions: reports and changes against a runner that holds the session no more, or another process that was faster."""

from dataclasses import fields, replace
from typing import Any

import pytest

from chalicelib.errors import NotFound, StaleEpoch
from chalicelib.model import AWAKE_FOR, ExpiringCode, Problem, Runner, RunnerState, Session, apply_report, milliseconds
from chalicelib.model.notices.kinds import NoticeKind
from chalicelib.model.notices.notice import NewsState
from chalicelib.store.placement import Placement
from chalicelib.store.sessions import ACTIVITY_RECORDED_EVERY, ATTEMPTS, AWAKE_RENEWED_EVERY, Sessions
from chalicelib.store.table import Update
from chalicelib.store.tenants import Tenants
from chalicelib.store.timeline import Timeline
from tests.unit.conftest import ASSISTANT, Clock, a_tenant
from tests.unit.support.placing import A, B, placement_on, registered
from tests.unit.support.racing_table import RacingTable
from wire import Phase, ProblemCode, SessionReport

PK = f"TENANT#{A}"
RUNNER_PK = "RUNNER#runneraaaa"


@pytest.fixture
def placement(racing: RacingTable) -> Placement:
    tenants = Tenants(racing, Timeline(racing))
    for id in (A, B):
        tenants.create(a_tenant(id), ASSISTANT, by="operator@example.com")
    return placement_on(racing)


@pytest.fixture
def sessions(placement: Placement) -> Sessions:
    return placement.sessions


@pytest.fixture
def held(placement: Placement, clock: Clock) -> Session:
    """The session of A, which runneraaaa holds."""
    registered(placement, clock)
    return placement.keep_awake(A, clock())


def item(racing: RacingTable) -> dict[str, Any]:
    return racing.get(PK, "SESSION") or {}


def copy(racing: RacingTable) -> dict[str, Any]:
    """What the runner's record says of the session."""
    return dict((racing.get(RUNNER_PK, "RUNNER") or {})["assigned"].get(A, {}))


def test_a_tenant_that_there_is_not_has_no_session(sessions: Sessions) -> None:
    with pytest.raises(NotFound):
        sessions.get("nobodyaaaa")


# -- what owners ask -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("seconds", "written"), [(0, False), (59.999, False), (60, False), (60.001, True), (90, True)])
def test_an_open_page_keeps_a_session_awake_with_one_write_a_minute(
    sessions: Sessions, held: Session, racing: RacingTable, clock: Clock, seconds: float, written: bool
) -> None:
    assert AWAKE_RENEWED_EVERY.total_seconds() == 60
    now = clock.pass_seconds(seconds)
    racing.operations.clear()
    after = sessions.keep_awake(held, now)
    assert (after.awake_until == now + milliseconds(AWAKE_FOR)) is (written or seconds == 0)
    assert racing.operations["transact"] == written
    assert copy(racing)["watched_until"] == after.awake_until


@pytest.mark.parametrize("by_owner", [True, False])
def test_only_the_owners_browser_counts_as_the_owner_also_beside_an_operators(
    sessions: Sessions, placement: Placement, clock: Clock, by_owner: bool
) -> None:
    registered(placement, clock)
    first = sessions.keep_awake(sessions.get(A), clock(), by_owner=False)
    assert (first.is_awake(clock()), first.is_owner_looking(clock())) == (True, False)
    after = sessions.keep_awake(first, clock(), by_owner=by_owner)
    assert after.is_owner_looking(clock()) is by_owner
    assert not after.is_owner_looking(clock() + milliseconds(AWAKE_FOR))


def test_each_order_to_try_again_is_a_new_one_and_reaches_the_runner(
    sessions: Sessions, held: Session, racing: RacingTable, placement: Placement, clock: Clock
) -> None:
    orders = [held.try_again_at]
    for now in (clock(), clock(), clock() - 5_000):  # another function's clock may be behind
        rung = placement.runners.bell("runneraaaa").count
        orders.append(sessions.try_again(sessions.get(A), now).try_again_at)
        assert placement.runners.bell("runneraaaa").count > rung
        assert copy(racing)["try_again_at"] == orders[-1]
    assert orders == sorted(set(orders))


@pytest.mark.parametrize(
    ("meanwhile", "stored"),
    [
        ({}, True),
        ({"number": "492"}, False),
        ({"linked_at": 9}, False),
        ({"number": None, "linked_at": None}, False),
        ({"epoch": 7}, True),  # a move to another runner is the same login
    ],
)
def test_missed_messages_may_be_replied_to_only_in_the_login_that_was_asked_for(
    sessions: Sessions, racing: RacingTable, meanwhile: dict[str, Any], stored: bool
) -> None:
    racing.update(Update(PK, "SESSION", set={"number": "491", "linked_at": 5}))
    asked = sessions.get(A)
    racing.update(Update(PK, "SESSION", set=meanwhile))
    assert sessions.answer_missed(asked, 3) is stored
    assert item(racing).get("answers_missed_since") == (3 if stored else None)


@pytest.mark.parametrize(("former", "since", "after"), [(None, 3, 3), (2, 3, 2), (4, 3, 3)])
def test_a_later_wish_takes_none_of_the_former_one_back(
    sessions: Sessions, racing: RacingTable, former: int | None, since: int, after: int
) -> None:
    racing.update(Update(PK, "SESSION", set={"number": "491", "linked_at": 5, "answers_missed_since": former}))
    assert sessions.answer_missed(sessions.get(A), since)
    assert item(racing)["answers_missed_since"] == after


@pytest.mark.parametrize(("digits", "written"), [("491701234567", True), (None, False)])
def test_an_order_of_a_pairing_code_reaches_the_runner(
    sessions: Sessions,
    held: Session,
    racing: RacingTable,
    placement: Placement,
    clock: Clock,
    digits: str | None,
    written: bool,
) -> None:
    rung = placement.runners.bell("runneraaaa").count
    assert sessions.pair_with(held, digits, clock()).pair_with == digits
    assert copy(racing).get("pair_with") == digits
    assert placement.runners.bell("runneraaaa").count == rung + written


def test_each_order_for_a_number_is_a_new_one_and_keeps_the_code_that_is_shown(
    sessions: Sessions, held: Session, racing: RacingTable
) -> None:
    code = {"code": "ABCD1234", "expires_at": 9}
    sessions.pair_with(held, "491701234567", 5)
    for digits, now, shown in (("491701234567", 6, code), ("491701234568", 7, None)):
        racing.update(Update(PK, "SESSION", set={"pairing": code, "pairing_problem": "ended"}))
        after = sessions.pair_with(sessions.get(A), digits, now)
        assert (after.pair_ordered_at, copy(racing)["pair_ordered_at"], after.pairing_problem) == (now, now, "")
        assert item(racing).get("pairing") == shown
    assert sessions.pair_with(sessions.get(A), None, 8).pair_ordered_at is None
    assert "pair_ordered_at" not in copy(racing)


def test_a_change_of_a_session_that_moves_reaches_its_next_holder(
    sessions: Sessions, held: Session, racing: RacingTable, placement: Placement, clock: Clock
) -> None:
    def moves() -> None:
        assert placement.release(A, "runneraaaa", held.epoch, clock())
        assert placement.claim(sessions.get(A), "runneraaaa", clock())

    racing.before_next("transact", moves)
    assert sessions.pair_with(held, "491701234567", 5).pair_with == "491701234567"
    assert (copy(racing)["epoch"], copy(racing)["pair_with"]) == (held.epoch + 2, "491701234567")


def test_a_change_of_a_session_that_is_released_meanwhile_is_stored_for_its_next_holder(
    sessions: Sessions, held: Session, racing: RacingTable, placement: Placement, clock: Clock
) -> None:
    racing.before_next("transact", lambda: placement.release(A, "runneraaaa", held.epoch, clock()))
    assert sessions.pair_with(held, "491701234567", 5).pair_with == "491701234567"
    assert copy(racing) == {}


def test_a_change_of_a_free_session_that_is_claimed_meanwhile_reaches_the_runner(
    sessions: Sessions, racing: RacingTable, placement: Placement, clock: Clock
) -> None:
    registered(placement, clock)
    free = sessions.get(A)
    racing.before_next("update", lambda: placement.claim(free, "runneraaaa", clock()))
    assert sessions.pair_with(free, "491701234567", 5).pair_with == "491701234567"
    assert copy(racing)["pair_with"] == "491701234567"


@pytest.mark.parametrize("record", ["session", "runner"])
def test_a_session_that_is_in_between_two_records_is_not_changed(
    sessions: Sessions, held: Session, racing: RacingTable, record: str
) -> None:
    """One of the records is at another epoch, as only an error could leave them."""
    if record == "session":
        racing.update(Update(PK, "SESSION", set={"epoch": held.epoch + 1}))
    else:
        racing.update(Update(RUNNER_PK, "RUNNER", set={("assigned", A, "epoch"): held.epoch + 1}))
    racing.operations.clear()
    with pytest.raises(StaleEpoch):
        sessions.pair_with(held, "491701234567", 5)
    assert racing.operations["transact"] == ATTEMPTS
    assert "pair_with" not in item(racing)


# -- what runners report ---------------------------------------------------------------------------------------------


def reported(session: Session, clock: Clock, **more: Any) -> Session:
    given = {"tenant": A, "epoch": session.epoch, "sequence": session.sequence + 1, "phase": Phase.ONLINE}
    report = SessionReport.model_validate({**given, "number": "491709999999", **more})
    return apply_report(session, report, clock())


@pytest.fixture
def holder(placement: Placement, held: Session) -> Runner:
    runner = placement.runners.get("runneraaaa")
    assert runner is not None
    return runner


@pytest.mark.parametrize(
    ("changes", "of_runner", "accepted"),
    [
        ({}, {}, True),
        ({"runner": "runnerbbbb"}, {}, False),
        ({"epoch": 9}, {}, False),
        ({"sequence": 1}, {}, False),
        ({"sequence": 2}, {}, False),
        ({}, {"state": RunnerState.DEAD}, False),
        ({}, {"state": RunnerState.DRAINING}, True),
        ({}, {("assigned", A, "epoch"): 9}, False),
    ],
    ids=str,
)
def test_a_report_is_stored_if_nothing_moved_on_since_it_was_read(
    sessions: Sessions,
    held: Session,
    holder: Runner,
    racing: RacingTable,
    clock: Clock,
    changes: dict[str, Any],
    of_runner: dict[Any, Any],
    accepted: bool,
) -> None:
    racing.update(Update(PK, "SESSION", set=changes))
    racing.update(Update(RUNNER_PK, "RUNNER", set=of_runner))
    assert sessions.record_report(holder, held, reported(held, clock)) is accepted
    assert (item(racing).get("number") == "491709999999") is accepted
    assert (copy(racing).get("number") == "491709999999") is accepted
    assert copy(racing)["sequence"] == accepted


def test_what_a_report_says_is_read_back_and_what_it_says_no_more_is_removed(
    sessions: Sessions, held: Session, holder: Runner, racing: RacingTable, clock: Clock
) -> None:
    said = {
        "problem": Problem(ProblemCode.RESTRICTED, 1, "until tomorrow"),
        "detail": "why",
        "qr": ExpiringCode("a code", 2),
        "pairing": ExpiringCode("another", 3),
        "pairing_problem": "refused",
        "number": "491701111111",
        "linked_at": 4,
        "last_number": "491702222222",
        "account_since": 5,
        "logged_out_at": 6,
        "caught_up_to": 7,
        "pair_with": "8",
        "came_up": True,
        "failures": 9,
        "next_try_at": 10,
        "down_since": 11,
        "open_news": frozenset({NoticeKind.RESTRICTED}),
    }
    full = replace(held, phase=Phase.ONLINE, since=12, sequence=1, **said)  # type: ignore[arg-type]
    assert sessions.record_report(holder, held, full)
    assert sessions.get(A) == full
    fresh: dict[str, Any] = {each.name: each.default for each in fields(Session) if each.name in said}
    silent = replace(full, sequence=2, **fresh)
    assert sessions.record_report(holder, full, silent)
    assert sessions.get(A) == silent
    assert not {*said, "fails", "news"} & {*item(racing)}


def test_a_report_without_news_copies_its_sequence_alone(
    sessions: Sessions, held: Session, holder: Runner, racing: RacingTable, clock: Clock
) -> None:
    online = reported(held, clock)
    assert sessions.record_report(holder, held, online)
    racing.update(Update(RUNNER_PK, "RUNNER", set={("assigned", A, "number"): "as it was"}))
    assert sessions.record_report(holder, online, reported(online, clock))
    assert (copy(racing)["number"], copy(racing)["sequence"]) == ("as it was", 2)


def test_a_report_stores_its_news_with_the_notices_of_each_audience_or_nothing_of_it(
    sessions: Sessions, held: Session, holder: Runner, racing: RacingTable, clock: Clock
) -> None:
    linked = replace(held, number="4917")
    after = apply_report(linked, SessionReport(tenant=A, epoch=held.epoch, sequence=1, phase=Phase.LOGGED_OUT), clock())
    assert not sessions.record_report(holder, linked, replace(after, epoch=9))
    assert not list(racing.query(PK, begins_with="NOTICE#"))
    assert sessions.record_report(holder, linked, after)
    assert item(racing)["news"] == ["logged_out"]
    notices = {notice["sk"]: notice for notice in racing.query(PK, begins_with="NOTICE#")}
    assert set(notices) == {"NOTICE#owner#logged_out", "NOTICE#operators#logged_out"}
    assert {(notice["state"], notice["since"], notice["due_at"]) for notice in notices.values()} == {
        ("open", clock(), clock())
    }


def test_a_report_is_not_stored_over_news_that_it_does_not_know(
    sessions: Sessions, held: Session, holder: Runner, racing: RacingTable, clock: Clock
) -> None:
    racing.update(Update(PK, "SESSION", set={"news": ["line_down"]}))
    assert not sessions.record_report(holder, held, reported(held, clock))
    known = sessions.get(A)
    assert sessions.record_report(holder, known, reported(known, clock))


def test_news_that_no_report_makes_is_stored_unless_a_report_came_meanwhile(
    sessions: Sessions, held: Session, holder: Runner, racing: RacingTable, clock: Clock
) -> None:
    assert sessions.record_report(holder, held, reported(held, clock))
    down = frozenset({NoticeKind.LINE_DOWN})
    assert sessions.change_news(held, down, clock()) == ()
    assert [news.kind for news in sessions.change_news(sessions.get(A), down, clock())] == [NoticeKind.LINE_DOWN]
    assert item(racing)["news"] == ["line_down"]
    assert sessions.change_news(sessions.get(A), frozenset(), clock())[0].state is NewsState.REPLACED


def test_what_a_former_release_did_not_mail_becomes_a_notice(
    sessions: Sessions, racing: RacingTable, clock: Clock
) -> None:
    former = {"untold": Phase.LOGGED_OUT, "logged_out_at": 5}
    racing.update(Update(PK, "SESSION", set=former))
    session = sessions.get(A)
    assert session.former_notice is NoticeKind.DISCONNECTED
    assert session.open_news == {NoticeKind.DISCONNECTED}
    (news,) = sessions.change_news(session, session.open_news, clock())
    assert (news.kind, news.state) == (NoticeKind.DISCONNECTED, NewsState.OPEN)
    assert "untold" not in item(racing)
    assert racing.get(PK, "NOTICE#owner#logged_out") is not None


# -- activity --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "kind"), [("last_message_at", "message"), ("last_reply_at", "reply")])
@pytest.mark.parametrize(("ms", "written"), [(60_000, False), (60_001, True)])
def test_activity_is_recorded_once_a_minute_each_kind_by_itself(
    sessions: Sessions, racing: RacingTable, clock: Clock, name: str, kind: str, ms: int, written: bool
) -> None:
    assert milliseconds(ACTIVITY_RECORDED_EVERY) == 60_000
    sessions.record_activity(sessions.get(A), clock(), **{kind: True})
    known = {"last_message_at", "last_reply_at"} & set(item(racing))
    assert (known, item(racing)[name]) == ({name}, clock())
    sessions.record_activity(sessions.get(A), clock() + ms, **{kind: True})
    assert item(racing)[name] == clock() + (ms if written else 0)


def test_no_activity_is_no_write(sessions: Sessions, racing: RacingTable, clock: Clock) -> None:
    session = sessions.get(A)
    racing.operations.clear()
    sessions.record_activity(session, clock())
    assert racing.operations == {}
