"""The simulated authenticator app shows the digits that RFC 6238 demands."""

import time

import pytest

from tests.story.authenticator import Authenticator


@pytest.mark.parametrize(
    ("at", "digits"), [(59, "287082"), (1111111109, "081804"), (1234567890, "005924"), (20000000000, "353130")]
)
def test_the_digits_are_those_of_the_standard(monkeypatch: pytest.MonkeyPatch, at: int, digits: str) -> None:
    """Appendix B of RFC 6238, of which six of eight digits are shown."""
    monkeypatch.setattr(time, "time", lambda: at)
    app = Authenticator(b"12345678901234567890")
    assert app.digits() == digits
    assert app.wrong_digits() != digits and len(app.wrong_digits()) == 6
