"""What WhatsApp is asked for the codes of one order, however long its page is open."""

from typing import Any

import pytest

from runner.browser.linking import Linking
from runner.browser.page import LiveCode, Page, PageObservation, PageRefused, PageSilent
from runner.browser.pairing_order import ASKS_PER_ORDER, CODES_PER_ORDER
from tests.unit.support.runner_fakes import FakeClock, FakePage
from wire import Hold, PairingProblem, Wanted

NUMBER, OTHER = "491701234567", "491701234568"
DAY_SECONDS = 86_400
#: A code's life, less the bridge's margin.
CODE_SECONDS = 193


class Watched:
    """A page that an owner leaves open, and the seconds at which WhatsApp was asked for a code."""

    def __init__(self, jitter: float = 0.5) -> None:
        self.clock = FakeClock()
        self.page = FakePage()
        self.asked: list[float] = []
        self.errors: list[Exception | None] = []
        self.loaded = 0
        self.linking = Linking(self.clock, self._load_again, lambda: jitter)
        self._code: tuple[str, float] | None = None
        self.page.pair = self._pair  # type: ignore[method-assign]

    async def pass_seconds(self, seconds: float, **hold: Any) -> None:
        """Lets the page be looked at each second, and after a quarter of an hour each minute."""
        order = Hold(
            **{"tenant": "tenantaaaa", "epoch": 1, "wanted": Wanted.RUN, "watched": True, "pair_with": NUMBER, **hold}
        )
        ends_at = self.clock.time + seconds
        steps = [1.0] * min(int(seconds), 900) + [60.0] * (max(0, int(seconds) - 900) // 60)
        for step in steps:
            await self.linking.refresh_code(self.page, self._observation(), order)
            self.clock.time += step
        self.clock.time = ends_at

    def problem(self) -> PairingProblem | None:
        return self.linking.pairing_problem

    def lose_document(self) -> None:
        self._code = None
        self.linking.reset()

    async def _load_again(self, page: Page) -> None:
        self.loaded += 1

    async def _pair(self, digits: str) -> None:
        self.asked.append(self.clock.now())
        error = self.errors.pop(0) if self.errors else None
        if error is not None:
            raise error
        self._code = digits, self.clock.now() + CODE_SECONDS

    def _observation(self) -> PageObservation:
        digits, ends_at = self._code or ("", 0.0)
        left_ms = int((ends_at - self.clock.now()) * 1000)
        code = LiveCode("ABCD1234", left_ms) if left_ms > 0 else None
        return PageObservation(pairing=code, pairing_phone=digits if code is not None else None)


@pytest.mark.parametrize("order", [None, 5])
async def test_a_day_of_one_order_gets_three_codes_one_after_the_other(order: int | None) -> None:
    watched = Watched()
    await watched.pass_seconds(3 * (CODE_SECONDS - 6), pair_order=order)
    assert watched.problem() is None
    await watched.pass_seconds(DAY_SECONDS, pair_order=order)
    assert len(watched.asked) == CODES_PER_ORDER == 3
    assert watched.asked[-1] - watched.asked[0] > 6 * 60  # an owner who types slowly has about ten minutes
    assert watched.problem() is PairingProblem.ENDED


@pytest.mark.parametrize("error", [PageRefused("rate-overlimit"), PageSilent("pair: no answer")])
@pytest.mark.parametrize("jitter", [0.0, 1.0])
async def test_refusals_are_asked_again_ever_later_and_a_few_times_only(error: Exception, jitter: float) -> None:
    watched = Watched(jitter)
    watched.errors = [error] * 999
    await watched.pass_seconds(2, pair_order=5)
    assert watched.problem() is PairingProblem.REFUSED
    await watched.pass_seconds(DAY_SECONDS, pair_order=5)
    assert len(watched.asked) == ASKS_PER_ORDER
    waits = [later - first for first, later in zip(watched.asked, watched.asked[1:], strict=False)]
    spread = 0.75 + jitter / 2
    expected = [15, 30, 60, 120, 120]
    assert all(each * spread <= wait <= each * spread + 1 for each, wait in zip(expected, waits, strict=True))
    assert watched.problem() is PairingProblem.GIVEN_UP


async def test_a_code_after_refusals_is_shown_and_its_order_ends_like_any_other() -> None:
    watched = Watched()
    watched.errors = [PageRefused("x"), PageRefused("x")]
    await watched.pass_seconds(60, pair_order=5)
    assert watched.problem() is None
    await watched.pass_seconds(DAY_SECONDS, pair_order=5)
    assert len(watched.asked) == 2 + CODES_PER_ORDER
    assert watched.problem() is PairingProblem.ENDED


async def test_each_order_of_a_person_gets_its_codes_and_no_new_document_does() -> None:
    watched = Watched()
    for order in (5, 6, 7):
        for _ in range(20):
            await watched.pass_seconds(20, pair_order=order)
            watched.lose_document()
    assert len(watched.asked) == 3 * CODES_PER_ORDER


async def test_another_number_is_another_order() -> None:
    watched = Watched()
    await watched.pass_seconds(3_600, pair_order=5)
    await watched.pass_seconds(10, pair_order=6, pair_with=OTHER)
    assert len(watched.asked) == CODES_PER_ORDER + 1
    assert watched.problem() is None


@pytest.mark.parametrize("already", [0, 30])
async def test_an_order_that_the_control_plane_has_closed_gets_no_further_code(already: int) -> None:
    watched = Watched()
    await watched.pass_seconds(already, pair_order=5)
    await watched.pass_seconds(10, pair_order=0)
    assert watched.problem() is (None if already else PairingProblem.ENDED)  # a living code stays
    await watched.pass_seconds(DAY_SECONDS, pair_order=0)
    assert len(watched.asked) == bool(already)
    assert watched.problem() is PairingProblem.ENDED
    await watched.pass_seconds(10, pair_order=6)
    assert len(watched.asked) == bool(already) + 1


async def test_back_to_the_qr_code_no_pairing_code_is_missing() -> None:
    watched = Watched()
    watched.errors = [PageRefused("x")] * 9
    await watched.pass_seconds(5, pair_order=5)
    await watched.pass_seconds(5, pair_with=None, watched=False)
    assert watched.problem() is None
    assert len(watched.asked) == 1
