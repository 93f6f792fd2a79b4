"""A text that shows nothing is no text, whatever it is made of."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.model.messages.words import is_blank


@pytest.mark.parametrize(
    "text", ["a", "1", "?", "…", "👍", "👍🏽", "🏴󠁧󠁢󠁳󠁣󠁴󠁿", "€", "漢", "ا", "\u200b.\u200b", "©️", "\U0001fae9"]
)
def test_a_sign_is_visible(text: str) -> None:
    assert not is_blank(text)


@given(st.text())
def test_letters_and_digits_are_visible_and_adding_nothing_changes_nothing(text: str) -> None:
    fillers = "\u115f\u1160\u3164\uffa0"
    if any(each.isalnum() and each not in fillers for each in text):
        assert not is_blank(text)
    assert is_blank(f"\u200b{text}\ufe0f\u2800\U000e0061") is is_blank(text)


@given(st.text(st.characters(categories=("Z", "Cc", "Cf", "Cs", "M"))))
def test_spaces_controls_and_marks_alone_are_blank(text: str) -> None:
    assert is_blank(text)


def test_each_ignorable_code_point_is_blank() -> None:
    """Default_Ignorable_Code_Point of Unicode 16, DerivedCoreProperties.txt."""
    ignorable = [0xAD, 0x34F, 0x61C, 0x3164, 0xFEFF, 0xFFA0, *range(0x115F, 0x1161), *range(0x17B4, 0x17B6)]
    ignorable += [*range(0x180B, 0x1810), *range(0x200B, 0x2010), *range(0x202A, 0x202F), *range(0x2060, 0x2070)]
    ignorable += [*range(0xFE00, 0xFE10), *range(0xFFF0, 0xFFF9), *range(0x1BCA0, 0x1BCA4), *range(0x1D173, 0x1D17B)]
    ignorable += range(0xE0000, 0xE1000)
    assert [hex(each) for each in ignorable if not is_blank(chr(each))] == []
    assert unicodedata.category("\u2800") == "So" and is_blank("\u2800"), "the blank Braille pattern is a symbol"
