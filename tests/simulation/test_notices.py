"""Histories of notices: every piece of news reaches its audience, once, and so does its all-clear.

A mutant for each safeguard is in ``tests/simulation/notice_mutations.py``, which `make simulate` plays.
"""

import pytest

from chalicelib.model.notices.kinds import NoticeKind
from chalicelib.notifications import notice_jobs
from tests.simulation.notice_history import OPERATORS, NoticeHistory, NoticePlan, play

FAULTLESS = NoticePlan(
    people=False,
    worker_dies=0.0,
    worker_freezes=0.0,
    database_busy=0.0,
    jobs_lost=0.0,
    index_lag_seconds=0.05,
    outages=0,
    mail_fails=0.0,
    mail_takes_seconds=1.0,
    unreadable=False,
)


@pytest.mark.parametrize("seed", range(2))
def test_ses_down_for_hours_and_senders_that_die_lose_no_news_and_repeat_none(seed: int) -> None:
    assert play(seed) == []


def test_without_faults_operators_hear_of_news_within_two_and_a_half_minutes() -> None:
    history = NoticeHistory(1, FAULTLESS)
    assert history.run() == []
    heard = [mail for mail in history.post.taken if mail.to == OPERATORS[0]]
    lasting = {key: spans[0] for key, spans in history.spans.items() if spans and spans[0][1] - spans[0][0] > 150}
    assert NoticeKind.DISCONNECTED in {kind for _, kind in lasting}
    for key, (begins, _) in lasting.items():
        assert [mail for mail in heard if (mail.tenant, mail.kind) == key and begins <= mail.at <= begins + 150], key


def test_without_the_minutes_loop_news_is_lost_and_the_verdict_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(notice_jobs, "request_repetition", lambda services: None)
    assert any(violation.startswith("unheard") for violation in play(0))
