"""The exit code of the doctor."""

import pytest

from infrastructure.checks import bad, ok, unknown
from infrastructure.doctor import __main__


def test_one_bad_line_makes_the_command_fail(capsys: pytest.CaptureFixture[str]) -> None:
    assert __main__.report([ok("fine"), unknown("who knows")]) == 0
    assert __main__.report([ok("fine"), bad("broken", "fix it")]) == 1
    assert capsys.readouterr().out.splitlines()[-1] == "bad      broken — fix it"
