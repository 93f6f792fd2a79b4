"""The style sheet: a look of one component reaches no other that shares a class with it."""

import re
from pathlib import Path

import chalicelib.rendering

STYLES = Path(chalicelib.rendering.__file__).parent / "static" / "answerline.css"


def selectors() -> list[str]:
    """Every selector of the sheet."""
    text = re.sub(r"/\*.*?\*/", "", STYLES.read_text(), flags=re.DOTALL)
    return [each.strip() for group in re.findall(r"([^{};]+)\{", text) for each in group.split(",")]


def test_ticks_of_a_list_do_not_reach_the_check_boxes_of_forms() -> None:
    of_checks = [each for each in selectors() if re.search(r"\.check\b(?!-)", each)]
    assert len(of_checks) > 5
    for each in of_checks:
        assert each.startswith((".field.check", ".checks > .check")), each
