"""The news that is open of a session: after each report, and after each minute."""

from datetime import timedelta

import pytest

from chalicelib.model.notices.kinds import NoticeKind
from chalicelib.model.notices.notice import News, NewsState
from chalicelib.model.notices.session_news import news_between, open_after_a_minute, open_after_report
from wire import Phase, ProblemCode

D, L, P, C, B, R, W = (
    NoticeKind.DISCONNECTED,
    NoticeKind.LINE_DOWN,
    NoticeKind.PASSKEY,
    NoticeKind.CONFLICT,
    NoticeKind.BLOCKED,
    NoticeKind.RESTRICTED,
    NoticeKind.INCOMPATIBLE,
)


@pytest.mark.parametrize(
    ("former", "phase", "problem", "was_linked", "after"),
    [
        (set(), Phase.LOGGED_OUT, None, True, {D}),
        (set(), Phase.LOGGED_OUT, None, False, set()),
        ({D}, Phase.STARTING, None, False, {D}),
        ({D}, Phase.QR, None, False, {D}),
        ({D}, Phase.SYNCING, None, True, {D}),
        ({D}, Phase.ONLINE, None, True, set()),
        (set(), Phase.CONFLICT, ProblemCode.CONFLICT, True, {C}),
        ({C}, Phase.STARTING, None, True, {C}),
        ({C}, Phase.BLOCKED, ProblemCode.BLOCKED, True, {B}),
        ({C}, Phase.ONLINE, None, True, set()),
        ({C}, Phase.ONLINE, ProblemCode.RESTRICTED, True, {R}),
        (set(), Phase.PASSKEY_REQUIRED, ProblemCode.PASSKEY, False, {P}),
        ({D}, Phase.PASSKEY_REQUIRED, ProblemCode.PASSKEY, False, {D, P}),
        ({P}, Phase.QR, None, False, {P}),
        ({P}, Phase.FAILED, ProblemCode.INCOMPATIBLE, False, {P, W}),
        ({P}, Phase.BLOCKED, ProblemCode.BLOCKED, False, {P, B}),
        ({P, W}, Phase.BLOCKED, ProblemCode.BLOCKED, False, {P, B}),
        ({P, W}, Phase.PASSKEY_REQUIRED, ProblemCode.PASSKEY, False, {P}),
        ({P, W}, Phase.STARTING, None, False, {P, W}),
        ({P, W}, Phase.QR, None, False, {P}),
        ({P, W}, Phase.PAIRING, None, False, {P}),
        ({D, P}, Phase.FAILED, ProblemCode.INCOMPATIBLE, False, {D, P, W}),
        ({D, P, W}, Phase.QR, None, False, {D, P}),
        ({D, C}, Phase.QR, None, False, {D}),
        ({P}, Phase.SYNCING, None, False, {P}),
        ({P}, Phase.OFFLINE, None, True, {P}),
        ({P}, Phase.CONFLICT, ProblemCode.CONFLICT, True, {C}),
        ({D, P}, Phase.BLOCKED, ProblemCode.BLOCKED, True, {D, B}),
        ({P}, Phase.LOGGED_OUT, None, True, {D}),
        ({P}, Phase.ONLINE, None, False, set()),
        ({W}, Phase.QR, None, False, set()),
        ({W}, Phase.STARTING, None, False, {W}),
        ({L}, Phase.OFFLINE, None, True, {L}),
        ({L}, Phase.LOGGED_OUT, None, True, {D}),
        ({L}, Phase.BLOCKED, ProblemCode.BLOCKED, True, {B}),
        ({L}, Phase.ONLINE, None, True, set()),
    ],
)
def test_what_is_open_after_a_report(
    former: set[NoticeKind], phase: Phase, problem: ProblemCode | None, was_linked: bool, after: set[NoticeKind]
) -> None:
    assert open_after_report(frozenset(former), phase=phase, problem=problem, was_linked=was_linked) == after


@pytest.mark.parametrize(
    ("former", "should_run", "minutes", "after"),
    [
        (set(), True, None, set()),
        (set(), True, 4.99, set()),
        (set(), True, 5, {L}),
        ({L}, True, 60, {L}),
        ({L}, False, 60, set()),
        ({B}, True, 60, {B}),
        ({B, L}, True, 60, {B}),
        ({R}, True, 60, {R, L}),
        ({P}, True, 60, {P, L}),
        ({P}, True, None, {P}),
        ({L}, True, None, {L}),
        ({D}, False, None, {D}),
    ],
)
def test_what_is_open_after_a_minute(
    former: set[NoticeKind], should_run: bool, minutes: float | None, after: set[NoticeKind]
) -> None:
    down = None if minutes is None else timedelta(minutes=minutes)
    assert open_after_a_minute(frozenset(former), should_run=should_run, downtime=down) == after


def test_news_is_over_where_the_line_is_up_and_replaced_elsewhere() -> None:
    before, after = frozenset({C, D}), frozenset({D, B})
    for phase, ended in ((Phase.ONLINE, NewsState.OVER), (Phase.QR, NewsState.REPLACED), (None, NewsState.REPLACED)):
        assert news_between("bakery0001", before, after, phase=phase, at=7) == (
            News("bakery0001", B, NewsState.OPEN, 7),
            News("bakery0001", C, ended, 7),
        )


@pytest.mark.parametrize("kind", [W, NoticeKind.BROWSER_MISSING])
def test_operators_hear_that_a_fault_of_ours_is_over_once_a_code_is_shown(kind: NoticeKind) -> None:
    for phase, ended in ((Phase.PAIRING, NewsState.OVER), (Phase.BLOCKED, NewsState.REPLACED)):
        news = news_between("bakery0001", frozenset({kind, P}), frozenset({P}), phase=phase, at=7)
        assert news == (News("bakery0001", kind, ended, 7),)
