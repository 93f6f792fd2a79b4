"""The live check, rehearsed on the simulator with a scripted person."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.live.__main__ import Options, rehearse
from tests.live.report import Finding, Outcome, Report

pytestmark = pytest.mark.chromium


@pytest.mark.timeout(300)
async def test_all_steps_come_to_an_end_and_are_written_down(tmp_path: Path) -> None:
    report = await rehearse(Options(tmp_path / "data", tmp_path / "report.md", tuple(range(1, 11))))
    assert {each.number: each.outcome for each in report.findings} == dict.fromkeys(range(1, 11), Outcome.PASSED)
    text = (tmp_path / "report.md").read_text()
    assert "wa-js: 4." in text and "Chromium: " in text and "WhatsApp Web: 2." in text
    assert "| 9. One contact keeps its keys across a restart | passed |" in text
    assert "greeting: 1 s after the contact's message (3 s at most), recognised: True" in text
    assert "4917" not in text


async def test_what_the_person_did_not_see_fails_and_what_they_do_not_want_is_skipped(tmp_path: Path) -> None:
    options = Options(tmp_path / "data", tmp_path / "report.md", (1,))
    report = await rehearse(options, disagrees_with=("exactly once",))
    assert [each.outcome for each in report.findings] == [Outcome.FAILED]
    report = await rehearse(options, disagrees_with=("Take this step",))
    assert [each.outcome for each in report.findings] == [Outcome.SKIPPED]


def test_the_last_line_is_the_verdict(tmp_path: Path) -> None:
    report = Report(tmp_path / "r.md", {})
    report.findings = [Finding(1, "a", Outcome.PASSED), Finding(2, "b", Outcome.FAILED), Finding(3, "c")]
    assert report.last_line.startswith("live-check: 3 steps, 1 passed, 1 FAILED, 1 skipped · ")
