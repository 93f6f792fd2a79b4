"""What a look at the page means."""

import pytest

from runner.browser.page import LiveCode, Sight
from runner.browser.page_state import Ladder, Relaunches, Step, is_logged_out, is_other_account, judge
from wire import Phase, ProblemCode

CODE = LiveCode("code", 1000)
MAIN = {"injected": True, "authenticated": True, "mode": "MAIN", "info": "NORMAL", "socket": "CONNECTED"}


@pytest.mark.parametrize(
    ("sight", "phase"),
    [
        ({}, Phase.STARTING),
        ({"injected": True}, Phase.STARTING),
        ({"injected": True, "mode": "QR", "qr": CODE}, Phase.QR),
        ({"injected": True, "mode": "QR", "pairing": CODE}, Phase.PAIRING),
        ({"injected": True, "mode": "QR", "qr": CODE, "passkey_asked": True}, Phase.PASSKEY_REQUIRED),
        (MAIN, Phase.ONLINE),
        ({**MAIN, "mode": "SYNCING"}, Phase.SYNCING),
        ({**MAIN, "mode": "QR"}, Phase.SYNCING),
        ({**MAIN, "info": "RESUMING"}, Phase.SYNCING),
        ({**MAIN, "info": "OPENING"}, Phase.OFFLINE),
        ({**MAIN, "socket": "OPENING"}, Phase.OFFLINE),
        ({**MAIN, "mode": "OFFLINE"}, Phase.OFFLINE),
        ({**MAIN, "mode": "CONFLICT"}, Phase.CONFLICT),
        ({**MAIN, "socket": "CONFLICT"}, Phase.CONFLICT),
        ({**MAIN, "socket": "TOS_BLOCK"}, Phase.BLOCKED),
        ({**MAIN, "mode": "PROXYBLOCK"}, Phase.BLOCKED),
        ({**MAIN, "mode": "DEPRECATED_VERSION"}, Phase.FAILED),
    ],
)
def test_a_sight_stands_for_a_phase(sight: dict[str, object], phase: Phase) -> None:
    assert judge(Sight(**sight), linked=False).phase is phase  # type: ignore[arg-type]


def test_what_a_person_must_mend_is_named() -> None:
    assert judge(Sight(injected=True, mode="TOS_BLOCK"), False).problem is ProblemCode.BLOCKED
    assert judge(Sight(injected=True, mode="DEPRECATED_VERSION"), False).problem is ProblemCode.INCOMPATIBLE
    assert judge(Sight(injected=True, passkey_asked=True), False).problem is ProblemCode.PASSKEY


def test_a_linked_page_is_logged_out_by_a_word_or_by_a_new_code_and_not_by_a_slow_start() -> None:
    assert not is_logged_out(Sight(injected=True, mode="QR"), linked=True)
    assert is_logged_out(Sight(injected=True, mode="QR", qr=CODE), linked=True)
    assert is_logged_out(Sight(injected=True, logged_out=True), linked=True)
    assert not is_logged_out(Sight(injected=True, authenticated=True, mode="MAIN", logged_out=True), linked=True)
    assert not is_logged_out(Sight(injected=True, mode="QR", qr=CODE), linked=False)


def test_an_unknown_number_is_nobody_elses() -> None:
    assert is_other_account("1", "2")
    assert not is_other_account(None, "2")
    assert not is_other_account("1", None)
    assert not is_other_account("1", "1")


def test_two_misses_reload_and_a_minute_later_a_new_browser_is_started() -> None:
    ladder = Ladder()
    steps = [ladder.missed(now) for now in (0.0, 15.0, 30.0, 45.0, 75.0)]
    assert steps == [Step.WAIT, Step.RELOAD, Step.WAIT, Step.WAIT, Step.RELAUNCH]


def test_a_good_answer_starts_the_ladder_anew() -> None:
    ladder = Ladder()
    ladder.missed(0.0)
    ladder.fine()
    assert ladder.missed(15.0) is Step.WAIT


def test_more_than_three_browsers_in_a_quarter_of_an_hour_are_too_many() -> None:
    relaunches = Relaunches()
    counts = [relaunches.count(now) for now in (0.0, 10.0, 20.0, 30.0)]
    assert [relaunches.too_many(count) for count in counts] == [False, False, False, True]
    assert not relaunches.too_many(relaunches.count(1000.0))
