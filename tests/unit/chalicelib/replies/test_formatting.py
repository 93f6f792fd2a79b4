"""Markdown of a model becomes text as WhatsApp shows it, and no letter of it is lost."""

import re
import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chalicelib.replies.formatting import for_whatsapp, printable
from chalicelib.replies.parts import CUT_SHORT


def only(text: str) -> str:
    """Returns the one message that `text` becomes."""
    (part,) = for_whatsapp(text)
    return part


@pytest.mark.parametrize(
    ("markdown", "shown"),
    [
        ("We are **open**.", "We are *open*."),
        ("We are __open__.", "We are *open*."),
        ("*now* or _never_", "_now_ or _never_"),
        ("***very***", "_*very*_"),
        ("~~old~~ new", "~old~ new"),
        ("# Hours", "*Hours*"),
        ("Hours\n=====", "*Hours*"),
        ("### Our **best** hours #", "*Our best hours*"),
        ("[Shop](https://shop.example/a_b_c)", "Shop (https://shop.example/a_b_c)"),
        ("[https://a.example](https://a.example)", "https://a.example"),
        ("<https://a.example>", "https://a.example"),
        ("[write us](mailto:shop@a.example)", "write us (shop@a.example)"),
        ("[shop@a.example](mailto:shop@a.example)", "shop@a.example"),
        ("[the file](sandbox:/mnt/data/a.txt)", "the file"),
        ("[ü](https://ä.example/ü)", "ü (https://ä.example/ü)"),
        ("![our shop](https://a.example/shop.jpg)", "our shop (https://a.example/shop.jpg)"),
        ("**[Shop](https://a.example)**", "*Shop (https://a.example)*"),
        ("one\ntwo  \nthree", "one\ntwo\nthree"),
        ("one\n\n\n\ntwo", "one\n\ntwo"),
        ("one\n\n---\n\ntwo", "one\n\n———\n\ntwo"),
        ("* one\n* two", "- one\n- two"),
        ("- one\n\n- two", "- one\n- two"),
        ("3. three\n4. four", "3. three\n4. four"),
        ("1) one\n2) two", "1) one\n2) two"),
        ("- one\n  - deep\n    deeper\n- two", "- one\n  - deep\n    deeper\n- two"),
        ("> said\n> so", "> said\n> so"),
        ("> said\n>\n> so", "> said\n>\n> so"),
        ("`a * b`", "`a * b`"),
        ("```python\nx = 2 ** 3\n```", "```\nx = 2 ** 3\n```"),
        ("```\n# not a heading\n\n**as is**", "```\n# not a heading\n\n**as is**\n```"),
        ("| Day | Hours |\n|:--|--:|\n| Mo | **9-18** |\n| Su | |", "*Day* | *Hours*\nMo | *9-18*\nSu"),
        ("| Day |\n|---|\n| Mo | 9-18 |", "| Day |\n|---|\n| Mo | 9-18 |"),
        ("**two\nlines**", "*two*\n*lines*"),
        ("Tom &amp; Jerry", "Tom & Jerry"),
    ],
)
def test_markdown_becomes_whatsapps_own(markdown: str, shown: str) -> None:
    assert only(markdown) == shown


@pytest.mark.parametrize(
    "plain",
    [
        "Do you deliver?",
        "5*3*2 = 30",
        "2 * 3 * 4",
        "snake_case_name and __init__py",
        "<b>not ours</b> <script>alert(1)</script>",
        "[ref]: https://a.example",
        "[1] and [x] and (y)",
        "C:\\Users and 1 < 2 > 0",
        "+49 170 1234567",
        "+ 49 170 1234567",
        "100 % #1 @you $5",
        "Grüße 👋🏽 שלום مرحبا 你好",
        "[click](javascript:alert(1))",
    ],
)
def test_plain_text_stays_as_it_is(plain: str) -> None:
    assert only(plain) == plain


@pytest.mark.parametrize("nothing", ["", "  \n\n\t ", "\x00\x01", "```\n```", "#"])
def test_an_empty_text_becomes_no_message(nothing: str) -> None:
    assert for_whatsapp(nothing) == ()


def test_control_characters_are_removed_and_lines_are_kept() -> None:
    assert only("a\x00b\x07c\x1b[31m\td\r\ne\rf\u2028g\x85") == "abc[31m d\ne\nf\ng"
    assert only("half \ud83d emoji") == "half ? emoji"


def test_indented_text_is_not_code() -> None:
    assert only("Hello\n\n    we are **open**") == "Hello\n\nwe are *open*"


def test_a_text_that_is_nested_too_deep_is_sent_unchanged() -> None:
    deep = "> " * 60 + "hello"
    assert only(deep) == deep


def test_a_long_text_ends_its_parts_at_paragraphs() -> None:
    paragraph = "This is a sentence of a paragraph. " * 20
    text = "\n\n".join([paragraph.strip()] * 8)
    parts = for_whatsapp(text)
    assert len(parts) > 1
    assert all(part.endswith("paragraph.") and part.startswith("This") for part in parts)
    assert "\n\n".join(parts) == text


def test_a_long_paragraph_ends_its_parts_at_sentences() -> None:
    parts = for_whatsapp("One sentence is here (really). " * 40, characters=100, parts=50)
    assert all(part.endswith("(really).") for part in parts)


def test_a_long_sentence_ends_its_parts_at_words() -> None:
    parts = for_whatsapp("word " * 100, characters=50, parts=50)
    assert set(" ".join(parts).split()) == {"word"}


def test_a_text_without_spaces_is_cut_between_characters() -> None:
    family = "👨‍👩‍👧‍👦"
    assert for_whatsapp("x" * 100, characters=30)[0] == "x" * len(for_whatsapp("x" * 100, characters=30)[0])
    parts = for_whatsapp(family * 20, characters=40, parts=50)
    assert "".join(parts) == family * 20
    assert all(part.startswith("👨") and part.endswith("👦") for part in parts)


@pytest.mark.parametrize("letter", ["x", "x ", "x.\n", "x\n\n"])
def test_the_limit_is_kept_to_the_letter(letter: str) -> None:
    for length in range(20, 60):
        parts = for_whatsapp((letter * length)[:length], characters=30)
        assert all(len(part) <= 30 for part in parts)
    assert for_whatsapp("x" * 30, characters=30) == ("x" * 30,)
    assert len(for_whatsapp("x" * 31, characters=30)) == 2


def test_code_is_closed_and_opened_again_between_parts() -> None:
    code = "\n".join(f"line {number}" for number in range(60))
    parts = for_whatsapp(f"Look:\n\n```\n{code}\n```\n\nThat is all.", characters=120, parts=50)
    assert len(parts) > 3
    for part in parts:
        assert part.count("```") % 2 == 0, part
    assert re.findall(r"line (\d+)", "\n".join(parts)) == [str(number) for number in range(60)]


def test_more_than_five_parts_are_cut_and_marked() -> None:
    parts = for_whatsapp("This goes on and on. " * 5_000)
    assert len(parts) == 5
    assert parts[-1].endswith(CUT_SHORT)
    assert not any(part.endswith(CUT_SHORT) for part in parts[:-1])
    assert all(len(part) <= 3_500 for part in parts)


@pytest.mark.timeout(60)  # the parser is quadratic in some of these: without the cut they would take minutes
@pytest.mark.parametrize("hostile", ["*", "[", "_a", "`", "> ", "|-"])
def test_a_text_of_any_length_comes_to_an_end(hostile: str) -> None:
    assert len(for_whatsapp(hostile * 500_000)) <= 5


def test_a_part_has_a_least_size() -> None:
    with pytest.raises(ValueError, match="20 characters"):
        for_whatsapp("hello", characters=19)
    with pytest.raises(ValueError, match="one part"):
        for_whatsapp("hello", parts=0)


def said(text: str) -> str:
    return "".join(letter for letter in text if letter.isalnum())


words = st.text(alphabet="abcäß1290 א你", min_size=1, max_size=12)
#: No backslash, ampersand, backtick or tilde: an entity changes its letters, and a code block loses its language. No
#: list of ones: it is counted.
signs = st.sampled_from(
    [
        "*",
        "**",
        "_",
        "__",
        "#",
        "# ",
        "- ",
        "+ ",
        "3. ",
        "2) ",
        "> ",
        "|",
        "|-|-|",
        "---",
        "[",
        "](",
        ")",
        "!",
        "\n",
        "\n\n",
        "    ",
        "  \n",
        ". ",
    ]
)
markdown = st.lists(words | signs, max_size=40).map("".join)


@settings(deadline=None, derandomize=True)
@given(markdown)
def test_no_letter_is_lost_or_moved(text: str) -> None:
    assert said("".join(for_whatsapp(text, parts=50))) == said(printable(text))


@settings(deadline=None, derandomize=True)
@given(st.text() | markdown, st.integers(20, 200), st.integers(1, 6))
def test_every_part_is_within_its_limit(text: str, characters: int, most: int) -> None:
    parts = for_whatsapp(text, characters=characters, parts=most)
    assert len(parts) <= most
    for part in parts:
        assert 0 < len(part) <= characters
        assert part.strip() == part.rstrip() or part.startswith(" ")
        assert all(letter == "\n" or unicodedata.category(letter) not in ("Cc", "Cs") for letter in part)


@settings(deadline=None, derandomize=True)
@given(st.lists(words, min_size=1, max_size=60).map(". ".join), st.integers(20, 80))
def test_splitting_loses_nothing(text: str, characters: int) -> None:
    whole = for_whatsapp(text, characters=10_000)
    parts = for_whatsapp(text, characters=characters, parts=1_000)
    assert said("".join(parts)) == said("".join(whole))


@pytest.mark.parametrize("text", ["*" * 500 + "a" + "*" * 500, "***a " * 140 + "***" * 140, "*a " * 260 + "*" * 260])
def test_emphasis_in_emphasis_hundreds_deep_keeps_its_words(text: str) -> None:
    assert "".join(for_whatsapp(text)).count("a") == text.count("a")
