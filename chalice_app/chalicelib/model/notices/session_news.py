"""The news that a session makes: between two reports of its runner, and while it is down."""

from collections.abc import Collection
from datetime import timedelta
from typing import Final

from chalicelib.model.notices.kinds import NoticeKind, kind_of
from chalicelib.model.notices.notice import News, NewsState
from wire import Phase, ProblemCode

#: A line that should run and does not is news after this long.
DOWN_IS_NEWS_AFTER: Final = timedelta(minutes=5)
#: In these phases a code is shown: what kept the browser of an unlinked line from working is over.
CODE_SHOWN: Final = frozenset({Phase.QR, Phase.PAIRING})
#: Faults of ours, which are over once a code is shown; of others nobody knows before the line is online.
OVER_WITH_A_CODE: Final = frozenset({NoticeKind.INCOMPATIBLE, NoticeKind.BROWSER_MISSING})


def open_after_report(
    former: frozenset[NoticeKind], *, phase: Phase, problem: ProblemCode | None, was_linked: bool
) -> frozenset[NoticeKind]:
    """Returns the news that is open after a report.

    News is over once the line is online without it: a browser that starts anew knows nothing of it for a while, and an
    account that was linked again may not come online. Another problem takes the place of the former one at once, but a
    passkey is asked for until an account is linked, whatever happens meanwhile. A line without an account keeps no
    other problem once it shows a code.

    Args:
        former: the news that was open before.
        phase: the reported one.
        problem: the reported one.
        was_linked: an account was linked before the report.
    """
    if phase is Phase.ONLINE:
        return frozenset({kind_of(problem)}) if problem is not None else frozenset()
    lasting = former & {NoticeKind.PASSKEY} if not was_linked else frozenset()
    if problem is not None:
        kept = lasting | {kind_of(problem)}
    else:
        kept = lasting if not was_linked and phase in CODE_SHOWN else former
    if NoticeKind.DISCONNECTED in former or (was_linked and phase is Phase.LOGGED_OUT):
        ended = {NoticeKind.LINE_DOWN, NoticeKind.PASSKEY} if was_linked else {NoticeKind.LINE_DOWN}
        return (kept | {NoticeKind.DISCONNECTED}) - ended
    return kept


def news_between(
    tenant: str, before: frozenset[NoticeKind], after: frozenset[NoticeKind], *, phase: Phase | None, at: int
) -> tuple[News, ...]:
    """Returns the news between two sets of open news.

    What is not open any more is over if the line works as far as that goes; else it was only replaced.

    Args:
        phase: the reported one; None where no report makes the news.
        at: when it happened.
    """

    def ended(kind: NoticeKind) -> NewsState:
        over = phase is Phase.ONLINE or (phase in CODE_SHOWN and kind in OVER_WITH_A_CODE)
        return NewsState.OVER if over else NewsState.REPLACED

    return (
        *(News(tenant, kind, NewsState.OPEN, at) for kind in sorted(after - before)),
        *(News(tenant, kind, ended(kind), at) for kind in sorted(before - after)),
    )


def news_of_number(tenant: str, former: Collection[str | None], number: str | None, *, at: int) -> tuple[News, ...]:
    """Returns the news that an account was linked, unless it is the one that was linked before."""
    if number is None or number in former:
        return ()
    return (News(tenant, NoticeKind.NUMBER_LINKED, NewsState.OPEN, at),)


def open_after_a_minute(
    former: frozenset[NoticeKind], *, should_run: bool, downtime: timedelta | None
) -> frozenset[NoticeKind]:
    """Returns the news that is open as the reconcile loop sees a linked line: it may be down, or need not run.

    Args:
        former: the news that was open before.
        should_run: the line should be online.
        downtime: how long it has not been.
    """
    # People hear of what keeps it down: no restriction does, nor a passkey once an account is linked.
    explained = former - {NoticeKind.LINE_DOWN, NoticeKind.RESTRICTED, NoticeKind.PASSKEY}
    if not should_run or explained:
        return former - {NoticeKind.LINE_DOWN}
    if downtime is not None and downtime >= DOWN_IS_NEWS_AFTER:
        return former | {NoticeKind.LINE_DOWN}
    return former
