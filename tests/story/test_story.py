"""The end-to-end story, as a test."""

from pathlib import Path

import pytest

from tests.story.story import browser, run_story, story_stack


@pytest.mark.chromium
@pytest.mark.stack
@pytest.mark.timeout(240)
def test_two_lines_are_created_linked_and_answer_without_mixing_or_doubling(tmp_path: Path) -> None:
    with story_stack(tmp_path, print) as stack, browser() as people:
        result = run_story(stack, people, None, print)
    assert result.is_good, result.summary
