"""A difference shows each change with a few lines around it, marks the words that changed, and takes bounded time."""

from difflib import SequenceMatcher

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chalicelib.model.assistants import text_diff
from chalicelib.model.assistants.text_diff import DiffLine, LineKind, compare_texts

SIGNS = {LineKind.SAME: " ", LineKind.ADDED: "+", LineKind.REMOVED: "-", LineKind.LEFT_OUT: "~"}


def shown(old: str, new: str) -> list[str]:
    """Returns the lines with a sign before each, and brackets around the words that changed."""
    return [SIGNS[line.kind] + (str(line.count) if line.count else marked(line)) for line in compare_texts(old, new)]


def marked(line: DiffLine) -> str:
    return "".join(f"[{text}]" if changed else text for text, changed in line.pieces)


@pytest.mark.parametrize(
    ("old", "new", "lines"),
    [
        ("", "", []),
        ("a", "a", []),
        ("", "a", ["-", "+a"]),
        ("Be kind.", "Be kind and brief.", ["-Be kind.", "+Be kind[ and brief]."]),
        ("Open from 9 to 18.", "Open from 9 to 17.", ["-Open from 9 to [18].", "+Open from 9 to [17]."]),
        ("one\ntwo", "one\ntwo\nthree", [" one", " two", "+three"]),
        ("one\ntwo\nthree", "one\nthree", [" one", "-two", " three"]),
        ("Hello there", "Closed on Mondays", ["-Hello there", "+Closed on Mondays"]),
        ("a\nb\nc\nd\ne\nf\nx", "a\nb\nc\nd\ne\nf\ny", ["~4", " e", " f", "-x", "+y"]),
        ("x\na\nb\nc\nd\ne", "y\na\nb\nc\nd\ne", ["-x", "+y", " a", " b", "~3"]),
        ("<b>1</b>", "<b>2</b>", ["-<b>[1]</b>", "+<b>[2]</b>"]),
    ],
)
def test_a_difference(old: str, new: str, lines: list[str]) -> None:
    assert shown(old, new) == lines


TEXTS = st.lists(st.text(alphabet="ab \U0001f950", max_size=6), max_size=12).map("\n".join)


@settings(max_examples=60, deadline=None)
@given(TEXTS, TEXTS)
def test_no_changed_line_is_lost_or_made_up(old: str, new: str) -> None:
    lines = compare_texts(old, new)
    before, after = old.split("\n"), new.split("\n")
    left_out = sum(line.count for line in lines)
    for kind, texts in ((LineKind.REMOVED, before), (LineKind.ADDED, after)):
        kept = [line.text for line in lines if line.kind in (LineKind.SAME, kind)]
        assert not lines or len(kept) + left_out == len(texts)
        rest = iter(texts)
        assert all(text in rest for text in kept), "in the order of the text"


def test_long_texts_that_have_nothing_in_common_are_compared_in_bounded_time(monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[int] = []

    def match(junk: None, before: list[str], after: list[str], *, autojunk: bool) -> "SequenceMatcher[str]":
        compared.append(len(before) * len(after))
        return SequenceMatcher(junk, before, after, autojunk)

    monkeypatch.setattr(text_diff, "SequenceMatcher", match)
    old, new = "\n".join(["a"] * 4_000), "\n".join(["b"] * 4_000)
    assert len(compare_texts(old, new)) == 8_000
    one_line = compare_texts("a " * 4_000, "b " * 4_000)
    assert [line.kind for line in one_line] == [LineKind.REMOVED, LineKind.ADDED]
    assert sum(compared) <= text_diff.MAX_COMPARED
