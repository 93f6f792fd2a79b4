import pytest

from chalicelib.model import (
    ExpiringCode,
    Problem,
    Session,
    TenantState,
)
from chalicelib.web.landing_view import Screen, choose_screen, landing_view
from tests.unit.support.landing_browser import BAKERY, tenant
from wire import Phase, ProblemCode

NOW = 1_790_000_000_000
LIVING = ExpiringCode("code", NOW + 1_000)


@pytest.mark.parametrize(
    ("session", "screen"),
    [
        (Session(BAKERY), Screen.WAITING),
        (Session(BAKERY, Phase.STARTING), Screen.WAITING),
        (Session(BAKERY, Phase.QR, qr=LIVING), Screen.QR),
        (Session(BAKERY, Phase.QR, qr=ExpiringCode("code", NOW)), Screen.WAITING),
        (Session(BAKERY, Phase.QR), Screen.WAITING),
        (Session(BAKERY, Phase.QR, qr=LIVING, pair_with="49170"), Screen.WAITING),
        (Session(BAKERY, Phase.IDLE, qr=LIVING), Screen.WAITING),
        (Session(BAKERY, Phase.PAIRING, pairing=LIVING, pair_with="49170"), Screen.PAIRING),
        (Session(BAKERY, Phase.PAIRING, pairing=LIVING), Screen.WAITING),
        (Session(BAKERY, Phase.QR, qr=LIVING, number="49170"), Screen.MESSAGE),
        (Session(BAKERY, Phase.STARTING, number="49170"), Screen.MESSAGE),
        (Session(BAKERY, Phase.SYNCING), Screen.MESSAGE),
        (Session(BAKERY, Phase.ONLINE, number="49170"), Screen.CONNECTED),
        (Session(BAKERY, Phase.LOGGED_OUT), Screen.MESSAGE),
        (Session(BAKERY, Phase.LOGGED_OUT, awake_until=NOW + 1), Screen.WAITING),
    ],
)
def test_a_code_is_shown_only_while_it_is_valid_and_needed(session: Session, screen: Screen) -> None:
    assert choose_screen(tenant(BAKERY), session, NOW) is screen
    assert choose_screen(tenant(BAKERY, state=TenantState.PAUSED), session, NOW) is Screen.PAUSED


def test_the_repr_of_a_view_has_no_code() -> None:
    session = Session(BAKERY, Phase.QR, qr=ExpiringCode("secret-code", NOW + 1_000))
    assert "secret-code" not in repr(landing_view(tenant(BAKERY), session, NOW))


@pytest.mark.parametrize("phase", [Phase.CONFLICT, Phase.PASSKEY_REQUIRED, Phase.OFFLINE])
def test_the_page_polls_often_while_its_owner_waits_for_a_change(phase: Phase) -> None:
    waiting = Session(BAKERY, phase, number="49170", awake_until=NOW + 1)
    assert landing_view(tenant(BAKERY), waiting, NOW).every_ms == 1_000
    assert landing_view(tenant(BAKERY), waiting, NOW + 1).every_ms == 15_000


@pytest.mark.parametrize(
    ("session", "assistant", "shown"),
    [
        (None, None, None),
        (ProblemCode.RESTRICTED, None, ProblemCode.RESTRICTED),
        (None, ProblemCode.OUT_OF_CREDIT, ProblemCode.OUT_OF_CREDIT),
        (ProblemCode.RESTRICTED, ProblemCode.OUT_OF_CREDIT, ProblemCode.RESTRICTED),
    ],
)
def test_a_connected_page_shows_the_problem_that_its_owner_can_do_most_about(
    session: ProblemCode | None, assistant: ProblemCode | None, shown: ProblemCode | None
) -> None:
    problems = [Problem(code, NOW) if code is not None else None for code in (session, assistant)]
    online = Session(BAKERY, Phase.ONLINE, number="49170", problem=problems[0])
    assert landing_view(tenant(BAKERY, assistant_problem=problems[1]), online, NOW).problem == shown
