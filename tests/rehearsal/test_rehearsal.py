"""The package and the template are deployed, and the story is told there, with every permission enforced."""

from pathlib import Path

import pytest

from tests.rehearsal.rehearsal import rehearse


@pytest.mark.chromium
@pytest.mark.stack
@pytest.mark.timeout(600)
def test_the_story_can_be_told_on_what_would_be_deployed(tmp_path: Path) -> None:
    verdict = rehearse(tmp_path, print)
    assert verdict.troubles == []
    assert verdict.ended_well, verdict.line
