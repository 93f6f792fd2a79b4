"""Subjects of mails: what happened first, then whose line it is, in the room that is left."""

import pytest

from chalicelib.rendering.languages import LANGUAGES
from chalicelib.rendering.subjects import MAX_SUBJECT_LENGTH, isolate, shorten, subject_of

TITLE = "WhatsApp is no longer connected"


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("Bakery", "Bakery"),
        ("Harbour Dental Practice Ltd.", "Harbour Dental Practice…"),
        ("Harbour Dental Practice.", "Harbour Dental Practice."),
        ("x" * 200, "x" * 26 + "…"),
        ("日本料理" * 50, "日本料理" * 6 + "日本…"),
        ("👩‍🍳" * 40, "👩‍🍳" * 8 + "…"),
        ("🇩🇪" * 60, "🇩🇪" * 13 + "…"),
        ("Cafe\u0301" * 40, "Cafe\u0301" * 5 + "C…"),
        ("مطعم بيروت", "\u2068مطعم بيروت\u2069"),
        ("א" * 60, "\u2068" + "א" * 24 + "…\u2069"),
        ("e" + "\u0301" * 200, "e" + "\u0301" * 25 + "…"),
    ],
)
def test_a_name_is_shown_whole_or_cut_after_a_word_or_else_a_character(name: str, shown: str) -> None:
    subject = subject_of(TITLE, name, "en")
    assert subject == f"{TITLE}: {shown}"
    assert len(subject) <= MAX_SUBJECT_LENGTH


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("length", range(0, MAX_SUBJECT_LENGTH + 20, 7))
def test_some_of_a_name_is_always_shown(length: int, language: str) -> None:
    subject = subject_of("T" * length, "N" * 60, language)
    assert subject.startswith("T" * length) and subject.count("N") >= 7


def test_without_a_name_the_title_is_the_subject() -> None:
    assert subject_of(TITLE, "", "de") == TITLE
    assert shorten("T" * 99, MAX_SUBJECT_LENGTH) == subject_of("T" * 99, "", "en") == "T" * 59 + "…"


@pytest.mark.parametrize("name", ["مطعم", "מסעדה & Co.", "Grill \u202e evil", "٣ Sterne"])
def test_a_direction_of_writing_ends_with_the_name(name: str) -> None:
    assert isolate(name) == f"\u2068{name}\u2069"
    assert isolate("Café 日本 😀 Αθήνα") == "Café 日本 😀 Αθήνα"
