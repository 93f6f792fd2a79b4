"""The whole story is part of the tests."""

from pathlib import Path

import pytest

from tests.story.story import browser, tell, told_stack


@pytest.mark.chromium
@pytest.mark.stack
@pytest.mark.timeout(240)
def test_two_lines_are_created_linked_and_answer_without_mixing_or_doubling(tmp_path: Path) -> None:
    with told_stack(tmp_path, print) as stack, browser() as people:
        told = tell(stack, people, None, print)
    assert told.ended_well, told.line
