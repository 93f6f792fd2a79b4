"""The exit code of the doctor."""

import os
import subprocess
import sys

import pytest

from infrastructure.checkout import REPOSITORY
from infrastructure.checks import bad, ok, unknown
from infrastructure.doctor import __main__


def test_one_bad_line_makes_the_command_fail(capsys: pytest.CaptureFixture[str]) -> None:
    assert __main__.report([ok("fine"), unknown("who knows")]) == 0
    assert __main__.report([ok("fine"), bad("broken", "fix it")]) == 1
    assert capsys.readouterr().out.splitlines()[-1] == "bad      broken — fix it"


def test_a_reader_that_ends_early_is_no_error() -> None:
    """As `make doctor | head -1`."""
    code = """
import sys
from infrastructure.checks import ok
from infrastructure.doctor.__main__ import report
sys.exit(report([ok("x" * 70_000)] * 9))
"""
    process = subprocess.Popen(
        [sys.executable, "-c", code],
        cwd=REPOSITORY,
        env={**os.environ, "PYTHONPATH": ".:chalice_app:chalice_app/vendor"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout is not None and process.stderr is not None
    process.stdout.read(9)
    process.stdout.close()
    assert (process.stderr.read(), process.wait(30)) == (b"", 0)
    process.stderr.close()
