"""Mutants of the notices: a safeguard is removed, and a history must find that out. `make simulate` plays them."""

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from chalicelib.errors import TransientError
from chalicelib.model.notices import notice as rules
from chalicelib.model.notices.notice import Notice
from chalicelib.notifications import webhook
from chalicelib.store import sessions, tenants
from chalicelib.store.notifications import batches as notice_batches
from chalicelib.store.notifications import notices
from chalicelib.store.notifications.batches import Held, NoticeBatches
from chalicelib.store.notifications.notices import Notices
from chalicelib.store.table import Attr, ConditionFailed, Update
from tests.simulation.notice_history import NoticePlan, play

SEEDS = range(12)
#: Slow mails, so that senders meet; and many deaths.
SLOW = NoticePlan(mail_takes_seconds=45.0, mail_fails=0.3, worker_dies=0.2, unreadable=False)


def news_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    """Writes notices after the transaction that makes the news, as a second step that may not come."""
    change = tenants.Tenants._change

    def changed(self: Any, update: Update, event: Any, news: Sequence[Any] = ()) -> bool:
        done = change(self, update, event)
        for write in notices.news_writes(news if done else ()):
            self._table.update(write)
        return done

    monkeypatch.setattr(tenants.Tenants, "_change", changed)
    monkeypatch.setattr(sessions, "news_writes", lambda news: [])


def claim_of_everyone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lets two senders have the same notice."""
    monkeypatch.setattr(Notices, "claim", lambda self, notice, now: replace(notice, claimed_until=now))


def batch_of_everyone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lets two senders have the operators' batch."""

    def claim(self: NoticeBatches, name: str, now: int) -> Held | None:
        return Held("everyone", None)

    monkeypatch.setattr(NoticeBatches, "claim", claim)
    monkeypatch.setattr(NoticeBatches, "_change", lambda self, held, changes: True)


def claim_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leaves a notice to its sender, although that died."""
    monkeypatch.setattr(notices, "CLAIMED_FOR", timedelta(days=30))
    monkeypatch.setattr(notice_batches, "CLAIMED_FOR", timedelta(days=30))


def one_attempt(monkeypatch: pytest.MonkeyPatch) -> None:
    """Gives a notice up when SES does not take it at once."""
    monkeypatch.setattr(rules, "MAX_ATTEMPTS", 1)


def no_hold(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sends the same news whenever it comes back."""
    monkeypatch.setattr(rules, "REPEATED_AFTER", timedelta(0))


def channels_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    """Owes a channel nothing that failed while another one got the batch."""
    monkeypatch.setattr("chalicelib.notifications.operator_notices.owe", lambda owed, channel, lines: dict(owed))


def clear_to_everybody(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sends all-clears also to those who never had the news."""
    step = rules.next_step

    def generous(notice: Notice) -> Any:
        known = notice.heard is None and notice.state is rules.NewsState.OVER
        return step(replace(notice, heard=rules.NewsState.OPEN) if known else notice)

    for module in ("owner_notices", "operator_notices"):
        monkeypatch.setattr(f"chalicelib.notifications.{module}.next_step", generous)


def one_record_ends_all(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ends the job at the first tenant that cannot be read."""

    class NoIsolation:
        def run(self, subject: str, step: Any, *arguments: Any) -> Any:
            return step(*arguments)

        def finish(self) -> None:
            pass

    def kept_back_until(services: Any, notice: Notice, now: int) -> int:
        return now + 900_000 if services.tenants.get(notice.tenant).paused else now

    monkeypatch.setattr("chalicelib.notifications.notices.ErrorIsolation", NoIsolation)
    monkeypatch.setattr("chalicelib.notifications.operator_notices._kept_back_until", kept_back_until)


def damaged_batch_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leaves the operators' batch as it is although nobody can read when the next one begins."""
    monkeypatch.setattr(notice_batches, "is_over", lambda name, now: Attr(name).not_exists() | Attr(name).lte(now))


def no_quiet_hours(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sends at night what could wait."""
    for module in ("owner_notices", "operator_notices"):
        monkeypatch.setattr(
            f"chalicelib.notifications.{module}.earliest", lambda step, kind, quiet, now: max(step.at, 0)
        )


def webhook_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    """Takes what the webhook refuses for taken."""
    send = webhook.send

    def once(*arguments: Any) -> None:
        with suppress(TransientError):
            send(*arguments)

    monkeypatch.setattr(webhook, "send", once)


MUTANTS: list[tuple[Callable[[pytest.MonkeyPatch], None], tuple[str, ...], NoticePlan]] = [
    (news_apart, ("unheard", "no all-clear"), NoticePlan(worker_dies=0.3)),
    (claim_of_everyone, ("twice",), SLOW),
    (batch_of_everyone, ("twice",), SLOW),
    (claim_for_ever, ("unheard", "no all-clear"), SLOW),
    (one_attempt, ("unheard", "no all-clear"), NoticePlan()),
    (no_hold, ("too often",), NoticePlan()),
    (channels_forgotten, ("unheard", "no all-clear", "untrue"), SLOW),
    (clear_to_everybody, ("untrue",), NoticePlan()),
    (one_record_ends_all, ("unheard",), NoticePlan()),
    (damaged_batch_for_ever, ("unheard",), NoticePlan()),
    (no_quiet_hours, ("at night",), NoticePlan()),
    (webhook_forgotten, ("unheard", "no all-clear"), NoticePlan(mail_fails=0.3)),
]


@pytest.mark.parametrize("plan", [SLOW, NoticePlan(worker_dies=0.3)], ids=["slow", "deadly"])
def test_with_every_safeguard_in_place_the_same_plans_end_well(plan: NoticePlan) -> None:
    for seed in SEEDS:
        assert play(seed, plan) == [], seed


@pytest.mark.parametrize(("mutate", "kinds", "plan"), MUTANTS, ids=[mutant[0].__name__ for mutant in MUTANTS])
@pytest.mark.filterwarnings("ignore")
def test_a_removed_safeguard_is_found_out(
    monkeypatch: pytest.MonkeyPatch,
    mutate: Callable[[pytest.MonkeyPatch], None],
    kinds: tuple[str, ...],
    plan: NoticePlan,
) -> None:
    mutate(monkeypatch)
    for seed in SEEDS:
        try:
            violations = play(seed, plan)
        except ConditionFailed:
            continue
        if any(violation.startswith(kind) for violation in violations for kind in kinds):
            return
    pytest.fail(f"{len(SEEDS)} histories have no violation of the kinds {kinds}")
