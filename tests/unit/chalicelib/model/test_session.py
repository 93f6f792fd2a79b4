"""Since when messages are answered and read: of the present login, and of no account that was linked before it."""

import pytest

from chalicelib.model import Session, apply_report, milliseconds
from chalicelib.model.session import LINKING_REPORTED_WITHIN
from wire import Phase, SessionReport

NOON = 1_900_000_000_000
EARLY = milliseconds(LINKING_REPORTED_WITHIN)
A, B = "491701111111", "491702222222"


@pytest.mark.parametrize(
    ("reports", "answers_from", "reads_from"),
    [
        ([], None, 0),
        ([(0, A)], -EARLY, -EARLY),
        # the same number goes on: nothing of it is another account's, not even what came just before the logout
        ([(0, A), (60_000, None), (61_000, A)], 61_000 - EARLY, -EARLY),
        ([(0, A), (60_000, None), (90_000, A)], 90_000 - EARLY, -EARLY),
        # another number: what came until the logout was written to the former one
        ([(0, A), (60_000, None), (61_000, B)], 60_000, 60_000),
        ([(0, A), (60_000, None), (60_000 + EARLY, B)], 60_000, 60_000),
        ([(0, A), (60_000, None), (90_000, B)], 90_000 - EARLY, 90_000 - EARLY),
        ([(0, A), (60_000, None), (60_400, None), (61_000, B)], 60_400, 60_400),
        ([(0, A), (1_000, None), (2_000, B), (3_000, None), (4_000, A)], 3_000, 3_000),
        # the other number linked again: its own logout hides nothing of it, the former number's still does
        ([(0, A), (60_000, None), (61_000, B), (62_000, None), (63_000, B)], 60_000, 60_000),
        ([(0, A), (60_000, None), (61_000, B), (300_000, None), (301_000, B)], 301_000 - EARLY, 60_000),
        ([(0, A), (60_000, None), (61_000, A), (62_000, None), (63_000, B)], 62_000, 62_000),
    ],
)
def test_what_came_until_the_logout_of_another_number_is_neither_answered_nor_read(
    reports: list[tuple[int, str | None]], answers_from: int | None, reads_from: int
) -> None:
    session = Session("tenantaaaa")
    for sequence, (after, number) in enumerate(reports, start=1):
        phase = Phase.LOGGED_OUT if number is None else Phase.ONLINE
        report = SessionReport(tenant=session.tenant, epoch=1, sequence=sequence, phase=phase, number=number)
        session = apply_report(session, report, NOON + after)
    assert session.answers_since == (None if answers_from is None else NOON + answers_from)
    assert session.history_since == (NOON + reads_from if reports else 0)
