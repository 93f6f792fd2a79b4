"""Reports that collide with other writes: what people wished and what an earlier report said stays."""

from collections.abc import Callable
from typing import Any

import pytest

from chalicelib.model import Runner, Session
from chalicelib.sessions import reports
from chalicelib.store.sessions import Sessions
from chalicelib.wiring import Services
from tests.unit.conftest import ASSISTANT, Clock, a_tenant
from tests.unit.support.online_line import T
from wire import Code, Phase, SessionReport

NUMBER, OTHER_NUMBER = "491701234567", "491707654321"
CODES = {"qr": Code(code="2@qr", expires_in_ms=20_000), "pairing": Code(code="ABCD1234", expires_in_ms=90_000)}


@pytest.fixture
def holder(services: Services, clock: Clock) -> Runner:
    """A runner that holds the session of an owner whose page is open."""
    services.tenants.create(a_tenant(T), ASSISTANT, by="operator@example.com")
    services.runners.register("runneraaaa", "0" * 64, 1, clock(), task="task-a")
    services.placement.keep_awake(T, clock())
    return found(services)


def found(services: Services) -> Runner:
    runner = services.runners.get("runneraaaa")
    assert runner is not None
    return runner


def report(services: Services, sequence: int, phase: Phase, **more: Any) -> SessionReport:
    epoch = services.sessions.get(T).epoch
    return SessionReport(tenant=T, epoch=epoch, sequence=sequence, phase=phase, **more)


def after_next_read(monkeypatch: pytest.MonkeyPatch, sessions: Sessions, *acts: Callable[[], object]) -> None:
    """Lets each act happen once, between a read of the session and what its reader writes."""
    read, waiting = sessions.get, list(acts)

    def get(tenant: str) -> Session:
        session = read(tenant)
        if waiting:
            waiting.pop(0)()
        return session

    monkeypatch.setattr(sessions, "get", get)


@pytest.mark.parametrize(("former", "wish"), [(None, NUMBER), (NUMBER, None), (NUMBER, OTHER_NUMBER)])
@pytest.mark.parametrize(
    ("phase", "more"),
    [(Phase.QR, CODES), (Phase.PAIRING, CODES), (Phase.STARTING, {}), (Phase.FAILED, {"detail": "no page"})],
)
def test_a_report_keeps_what_the_owner_chose_while_it_was_stored(
    services: Services,
    holder: Runner,
    clock: Clock,
    monkeypatch: pytest.MonkeyPatch,
    former: str | None,
    wish: str | None,
    phase: Phase,
    more: dict[str, Any],
) -> None:
    services.placement.pair_with(T, former, clock())
    said = report(services, 1, phase, **more)
    after_next_read(monkeypatch, services.sessions, lambda: services.placement.pair_with(T, wish, clock()))
    assert reports.store(services, found(services), [said], clock())
    monkeypatch.undo()
    stored = services.sessions.get(T)
    assert (stored.pair_with, found(services).assigned[0].pair_with) == (wish, wish)
    assert (stored.phase, stored.sequence) == (phase, 1)
    assert stored.pairing is None  # it is one for the phone of the former choice


def test_a_linking_ends_the_wish_for_a_pairing_code(services: Services, holder: Runner, clock: Clock) -> None:
    services.placement.pair_with(T, NUMBER, clock())
    assert reports.store(services, found(services), [report(services, 1, Phase.SYNCING, number=NUMBER)], clock())
    assert services.sessions.get(T).pair_with is None


@pytest.mark.parametrize("phase", [Phase.QR, Phase.STARTING, Phase.FAILED])
def test_a_later_report_takes_nothing_back_that_an_overlapping_one_stored(
    services: Services, holder: Runner, clock: Clock, monkeypatch: pytest.MonkeyPatch, phase: Phase
) -> None:
    assert reports.store(services, holder, [report(services, 1, Phase.ONLINE, number=NUMBER)], clock())
    runner = found(services)
    earlier = report(services, 2, Phase.LOGGED_OUT, detail="the phone ended the link")
    later = report(services, 3, phase)
    after_next_read(monkeypatch, services.sessions, lambda: reports.store(services, runner, [earlier], clock()))
    assert reports.store(services, runner, [later], clock())
    monkeypatch.undo()
    stored = services.sessions.get(T)
    assert (stored.phase, stored.linked, stored.logged_out_at) == (phase, False, clock())
    assert stored.last_number == NUMBER


def test_a_later_report_does_not_undo_a_linking_that_an_overlapping_one_stored(
    services: Services, holder: Runner, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    runner = found(services)
    earlier, later = report(services, 1, Phase.SYNCING, number=NUMBER), report(services, 2, Phase.OFFLINE)
    after_next_read(monkeypatch, services.sessions, lambda: reports.store(services, runner, [earlier], clock()))
    assert reports.store(services, runner, [later], clock())
    monkeypatch.undo()
    stored = services.sessions.get(T)
    assert (stored.phase, stored.number, stored.linked_at) == (Phase.OFFLINE, NUMBER, clock())


def test_an_earlier_report_that_comes_late_is_not_stored(
    services: Services, holder: Runner, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    later = report(services, 2, Phase.ONLINE, number=NUMBER)
    after_next_read(monkeypatch, services.sessions, lambda: reports.store(services, holder, [later], clock()))
    assert not reports.store(services, holder, [report(services, 1, Phase.QR, qr=CODES["qr"])], clock())
    assert services.sessions.get(T).phase is Phase.ONLINE


def test_a_session_that_changes_all_the_time_is_left_to_the_next_heartbeat(
    services: Services, holder: Runner, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    attempts: list[Session] = []

    def collide(runner: Runner, before: Session, after: Session) -> bool:
        attempts.append(after)
        return False

    monkeypatch.setattr(services.sessions, "record_report", collide)
    assert not reports.store(services, holder, [report(services, 1, Phase.QR, qr=CODES["qr"])], clock())
    assert len(attempts) == reports.ATTEMPTS
