"""An observation of the page stands for a phase of its session."""

import pytest

from runner.browser.page import LiveCode, PageObservation
from runner.browser.page_state import classify, is_logged_out, is_other_account
from wire import Phase, ProblemCode

CODE = LiveCode("code", 1000)
MAIN = {"injected": True, "authenticated": True, "mode": "MAIN", "info": "NORMAL", "socket": "CONNECTED"}


@pytest.mark.parametrize(
    ("observation", "phase"),
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
def test_an_observation_stands_for_a_phase(observation: dict[str, object], phase: Phase) -> None:
    assert classify(PageObservation(**observation), linked=False).phase is phase  # type: ignore[arg-type]


def test_a_problem_that_a_person_must_fix_is_named() -> None:
    assert classify(PageObservation(injected=True, mode="TOS_BLOCK"), False).problem is ProblemCode.BLOCKED
    assert (
        classify(PageObservation(injected=True, mode="DEPRECATED_VERSION"), False).problem is ProblemCode.INCOMPATIBLE
    )
    assert classify(PageObservation(injected=True, passkey_asked=True), False).problem is ProblemCode.PASSKEY


def test_a_linked_page_is_logged_out_by_a_logout_or_a_new_code_and_not_by_a_slow_start() -> None:
    assert not is_logged_out(PageObservation(injected=True, mode="QR"), linked=True)
    assert is_logged_out(PageObservation(injected=True, mode="QR", qr=CODE), linked=True)
    assert is_logged_out(PageObservation(injected=True, logged_out=True), linked=True)
    assert not is_logged_out(
        PageObservation(injected=True, authenticated=True, mode="MAIN", logged_out=True), linked=True
    )
    assert not is_logged_out(PageObservation(injected=True, mode="QR", qr=CODE), linked=False)


def test_an_unknown_number_is_not_another_account() -> None:
    assert is_other_account("1", "2")
    assert not is_other_account(None, "2")
    assert not is_other_account("1", None)
    assert not is_other_account("1", "1")
