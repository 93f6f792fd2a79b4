"""Places for the end of a part: never inside what a reader sees as one, best where a reader pauses."""

import pytest

from chalicelib.replies.breaks import Break, grade_breaks


@pytest.mark.parametrize(
    "one",
    [
        "e\u0301\u0302",
        "👨‍👩‍👧‍👦",
        "🏳️‍🌈",
        "🏴\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f",
        "🇩🇪",
        "1️⃣",
        "👋🏽",
        "\u1112\u1161\u11ab",
        "क्षि",
        "กำ",
        "ｶﾞ",
    ],
)
def test_no_character_is_torn(one: str) -> None:
    text = one * 3
    grades = grade_breaks(text)
    for position in range(1, len(text)):
        inside = position % len(one) != 0
        assert (grades[position] == Break.INSIDE_CHARACTER) == inside, position


@pytest.mark.parametrize(
    ("before", "after", "grade"),
    [
        ("end", "\n\nnext", Break.PARAGRAPH),
        ("end", "\nnext", Break.LINE),
        ("End.", " Next", Break.SENTENCE),
        ("(really).)", " Next", Break.SENTENCE),
        ("長い。", "次", Break.SENTENCE),
        ("「はい」。」", "次", Break.SENTENCE),
        ("хочу?", " Да", Break.SENTENCE),
        ("हैं।", " हम", Break.SENTENCE),
        ("؟", " نعم", Break.SENTENCE),
        ("ነው።", "እና", Break.SENTENCE),
        ("է։", " Այո", Break.SENTENCE),
        ("เปิดแล้ว", " ครับ", Break.SENTENCE),
        ("one", " two", Break.SPACE),
        ("你", "好", Break.BETWEEN_IDEOGRAPHS),
        ("wo", "rd", Break.INSIDE_WORD),
        ("3", ".5", Break.AT_PUNCTUATION),
        ("你", "。", Break.AT_PUNCTUATION),
        ("bonjour", " !", Break.AT_PUNCTUATION),
        ("（", "注", Break.AT_PUNCTUATION),
        ("a", "\u00a0b", Break.AT_PUNCTUATION),
        ("カ", "ー", Break.AT_PUNCTUATION),
        ("- ", "one", Break.INSIDE_WHOLE),
        ("> ", "one", Break.INSIDE_WHOLE),
    ],
)
def test_a_place_has_its_grade(before: str, after: str, grade: Break) -> None:
    assert grade_breaks(before + after)[len(before)] == grade


def test_what_is_whole_is_only_cut_at_its_ends() -> None:
    grades = grade_breaks("see the shop now", [(4, 12)])
    assert [position for position in range(1, 16) if grades[position] > Break.INSIDE_WHOLE] == [1, 2, 3, 12, 14, 15]
