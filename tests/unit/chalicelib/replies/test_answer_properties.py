"""What holds for any text of a model: nothing is lost, rewritten, torn or left as a sign, and nothing fails."""

import re
import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chalicelib.model.messages.words import is_blank
from chalicelib.replies.formatting import CHARACTERS_PER_PART, for_whatsapp
from tests.unit.support.hostile_texts import HOSTILE

pytestmark = pytest.mark.thorough

bounded = settings(max_examples=60, deadline=None, derandomize=True)

SIGNS = "*_~`#>|[]\\<&$^="
letters = st.characters(categories=["L", "N", "P", "S"], exclude_characters=SIGNS)
plain_words = st.text(letters, min_size=1, max_size=8).filter(lambda word: not re.match(r"[-+]|\d{1,3}[.)]", word))
plain_lines = st.lists(plain_words, min_size=1, max_size=6).map(" ".join)

#: Words of many scripts; bold of some can be shown by WhatsApp only between spaces.
WORDS = [
    "Preis",
    "für",
    "10",
    "非常",
    "予約",
    "พิเศษ",
    "서울",
    "שעות",
    "مهم",
    "цена",
    "τιμή",
    "हिन्दी",
    "x",
    "5",
    "°C",
    "🎉",
    "é",
]
BEFORE = ["", " ", "a", "word", "是", "は", "ה", "(", "「", "，", "。", "„", "5", "€", "\n", "- ", "> ", ": "]
AFTER = ["", " ", "wort", "的", "に", "은", ".", ",", "!", ":", "：", "。", ")", "」", "“", "10€", "\n", " – "]
LAST = ["", ":", "：", "?", "!", "」", "%", "."]

ADDRESSES = [
    "https://example.com/__init__/a",
    "https://a.example/*promo*/b",
    "https://wa.me/49170?text=*Hello*",
    "https://a.example/x_(y)_z?q=(x)*y*&b=__c__#d_e_",
    "http://münchen.example/straße_a_b",
    "www.a.example/~me/_x_",
    "wa.me/49170?text=_Hi_",
    "mailto:a_b_c@x.example",
    "info_a_b@x.example",
    "https://[2001:db8::1]/a_b_",
]
AROUND = [
    ("", ""),
    ("See ", "."),
    ("(", ")"),
    ("**", "**"),
    ("*", "*"),
    ("__", "__"),
    ("**Shop: ", "**"),
    ("- ", ""),
    ("> ", "!"),
    ("# ", ""),
    ("„", "“"),
    ("请看 ", "。"),
    ("| a | ", " |"),
    ("[Shop](", ")"),
    ("<", ">"),
    ("~~", "~~ *x*"),
]
NOISE = [
    *(
        "*",
        "**",
        "***",
        "_",
        "__",
        "~~",
        "`",
        "```",
        "```\n",
        "[",
        "](",
        "[a](b)",
        "![",
        "]",
        ")",
        "(",
        "<",
        "<b>",
        "</b>",
    ),
    *(
        "</a>",
        "<!--",
        "-->",
        "&amp;",
        "&#0;",
        "\\",
        "\\(",
        "\\)",
        "\\[",
        "\\]",
        "$",
        "$$",
        "\\frac{",
        "}",
        "{",
        "^",
        "\n",
    ),
    *(
        "\n\n",
        "> ",
        "- ",
        "* ",
        "1. ",
        "2) ",
        "    ",
        "\t",
        "|",
        "|-|-|\n",
        "| a | b |\n",
        "---\n",
        "===\n",
        "# ",
        "\u200b",
    ),
    *(
        "\u200d",
        "\ud83d",
        "\x00",
        "a",
        "word ",
        "5",
        "€",
        "。",
        "「",
        "e\u0301",
        "👨‍👩‍👧‍👦",
        "🇩🇪",
        "1️⃣",
        "https://a.example/x_y",
    ),
    *(
        "a@b.example",
        "__init__",
        "<sup>2</sup>",
        "<p>",
        "<li>",
        "<a href=x>",
        "\ufdd0",
        "\ufdd1",
        "한",
        "ᄒ",
        "क्",
        "C:\\",
    ),
]
noise = st.lists(st.sampled_from(NOISE), max_size=60).map("".join)


def shown(text: str) -> str:
    return "\n".join(for_whatsapp(text, characters=10_000))


@bounded
@given(st.lists(plain_lines, min_size=1, max_size=5).map("\n".join))
def test_a_text_without_signs_of_markdown_stays_as_it_is(text: str) -> None:
    assert for_whatsapp(text, characters=10_000) == (() if is_blank(text) else (text,))


@bounded
@given(*map(st.sampled_from, (BEFORE, ["**", "__"], WORDS, ["", " "], WORDS, LAST, AFTER)))
def test_no_pair_of_double_marks_is_seen(
    before: str, mark: str, first: str, space: str, second: str, last: str, after: str
) -> None:
    if mark == "__" and (
        (before[-1:].isascii() and before[-1:].isalnum()) or (after[:1].isascii() and after[:1].isalnum())
    ):
        return  # an identifier: my__name
    if before == "5" and (first.isdigit() or second.isdigit()):
        return  # a power: 5**10
    text = f"{before}{mark}{first}{space}{second}{last}{mark}{after}"
    result = shown(text)
    assert "**" not in result and "__" not in result, text
    assert words_of(result) == words_of(text)


@bounded
@given(st.sampled_from(ADDRESSES), st.sampled_from(AROUND))
def test_an_address_stays_as_it_is(address: str, around: tuple[str, str]) -> None:
    before, after = around
    if address.startswith(("mailto:", "info", "www", "wa.me")) and before in ("[Shop](", "<"):
        return  # their scheme is dropped, or they are no address there
    text = f"{before}{address}{after}"
    found = shown(text if before[0:1] != "|" else f"| x | y |\n|---|---|\n{text}")
    assert address in found
    assert found.count(address) == 1


@bounded
@given(noise | st.text(), st.integers(20, 200), st.integers(1, 6))
def test_any_text_becomes_parts_within_their_limits(text: str, characters: int, most: int) -> None:
    parts = for_whatsapp(text, characters=characters, parts=most)
    assert len(parts) <= most
    for part in parts:
        assert len(part) <= characters
        assert not is_blank(part)
        assert not any(letter != "\n" and unicodedata.category(letter) in ("Cc", "Cs") for letter in part)
        assert not any("\ufdd0" <= letter <= "\ufdef" for letter in part)


@bounded
@given(
    st.lists(
        st.sampled_from([*"*_~`#>|[]()!$^{}-+ \n", "**", "- ", "1. ", "ab", "c1", "ü", "你", "א", "\n\n"]), max_size=50
    )
)
def test_letters_survive_in_order(tokens: list[str]) -> None:
    # A link drops its address where it leads nowhere, a formula its commands, code its language.
    text = "".join(tokens).replace("1. ", "2. ")
    for dropped in ("[", "$", "^", "_", "`", "~"):
        text = text.replace(dropped, "")
    assert words_of(shown(text)) == words_of(text)


def words_of(text: str) -> str:
    return "".join(letter for letter in text if letter.isalnum())


@bounded
@given(
    st.lists(
        st.sampled_from(
            ["これは長い文章です。", "「はい！」", "你好，世界！", "（注）", "ราคา", "word", " ", "!", ")"]
        ),
        min_size=4,
    )
)
def test_no_part_begins_with_closing_punctuation(pieces: list[str]) -> None:
    text = "x" + "".join(pieces)
    parts = for_whatsapp(text, characters=30, parts=100)
    assert words_of("".join(parts)) == words_of(text)
    if re.search(r"[!) ]{8,}", text):
        return  # nothing else is there to begin with
    for part in parts:
        assert unicodedata.category(part[0]) not in ("Pe", "Pf") and part[0] not in "。！，!", parts


WHOLES = [
    "`npm i --save`",
    "Shop (https://a.example/x)",
    "https://a.example/x-y?z=1",
    "👨‍👩‍👧‍👦",
    "🏴\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f",
    "1️⃣",
    "🇩🇪",
    "👋🏽",
    "e\u0301\u0302",
    "हिन्दी",
]


@bounded
@given(
    st.lists(st.sampled_from([*WHOLES, "word", "你好", "some more words"]), min_size=3, max_size=30),
    st.integers(44, 80),
)
def test_nothing_whole_is_cut(pieces: list[str], characters: int) -> None:
    text = " ".join(pieces).replace("Shop (https://a.example/x)", "[Shop](https://a.example/x)")
    parts = for_whatsapp(text, characters=characters, parts=100)
    for whole in set(WHOLES) & set(pieces):
        assert sum(part.count(whole) for part in parts) >= pieces.count(whole), (whole, parts)


@bounded
@given(st.lists(st.sampled_from(["one", "two", "three", "seventeen"]), min_size=10, max_size=60), st.integers(20, 60))
def test_a_quote_that_goes_on_keeps_its_mark(quoted: list[str], characters: int) -> None:
    parts = for_whatsapp("> " + " ".join(quoted), characters=characters, parts=100)
    assert all(part.startswith("> ") for part in parts)
    assert " ".join(part[2:] for part in parts).split() == quoted


@pytest.mark.parametrize("unit", HOSTILE)
def test_a_hostile_text_of_any_length_is_sent(unit: str) -> None:
    """How long a text takes: `make bench`."""
    assert all(len(part) <= CHARACTERS_PER_PART for part in for_whatsapp(unit * (6_000 // len(unit))))
