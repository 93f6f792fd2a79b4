"""The reports of a session: each change is new to the control plane, and is sent once."""

from runner.browser.page import PageRestriction
from runner.browser.page_state import PageState
from runner.session.status import Status
from tests.unit.support.runner_fakes import TENANT, FakeClock
from wire import Hold, Phase, Wanted

HOLD = Hold(tenant=TENANT, epoch=1, wanted=Wanted.RUN)


def test_a_report_gets_a_new_sequence_number_only_when_its_content_changes() -> None:
    status = Status(TENANT, FakeClock(), lambda: None)
    first = status.report(HOLD, None).sequence
    assert status.report(HOLD, None).sequence == first
    status.update(PageState(Phase.ONLINE))
    assert status.report(HOLD, None).sequence > first


def test_a_session_started_again_at_the_same_epoch_is_not_taken_for_old_news() -> None:
    clock = FakeClock()
    killed = Status(TENANT, clock, lambda: None)
    for phase in (Phase.SYNCING, Phase.ONLINE, Phase.OFFLINE):
        killed.update(PageState(phase))
        last = killed.report(HOLD, None).sequence
    clock.time += 1.0
    assert Status(TENANT, clock, lambda: None).report(HOLD, None).sequence > last


def test_a_restriction_travels_as_a_field_of_its_own_because_an_older_control_plane_refuses_an_unknown_problem() -> (
    None
):
    status = Status(TENANT, FakeClock(), lambda: None)
    status.update(PageState(Phase.ONLINE))
    before = status.report(HOLD, None)
    during = status.report(HOLD, None, restriction=PageRestriction(5, "WEB_COMPANION_ONLY"))
    assert during.restriction is not None and (during.restriction.until_ms, during.problem) == (5, None)
    assert during.sequence > before.sequence
    assert status.report(HOLD, None, restriction=PageRestriction(5, "WEB_COMPANION_ONLY")).sequence == during.sequence
    assert status.report(HOLD, None, restriction=PageRestriction(6, "WEB_COMPANION_ONLY")).sequence > during.sequence
    assert status.report(HOLD, None).restriction is None
