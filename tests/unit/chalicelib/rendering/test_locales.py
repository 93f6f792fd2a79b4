import json
import re
import string

import pytest

from chalicelib.rendering.languages import LANGUAGE_NAMES, LANGUAGES, preferred_language, translator
from infrastructure.checkout import REPOSITORY
from wire import Phase, ProblemCode

LOCALES = REPOSITORY / "chalice_app" / "chalicelib" / "rendering" / "locales"
#: A space that the language does not have, or one that is missing.
MISPLACED_SPACES = {
    "de": r" [.,:;!?…]|\u00a0[:;!?]|[^\u00a0]…|  ",
    "fr": r" [.,:;!?…»]|\u00a0[.,…]|« |«[^\u00a0]|[^\u00a0\d][:;!?»]|  ",
}
EVERY_LANGUAGE = pytest.mark.parametrize("language", LANGUAGES)


def texts(language: str) -> dict[str, str]:
    found: dict[str, str] = json.loads((LOCALES / f"{language}.json").read_text(encoding="utf-8"))
    return found


def for_owners(language: str) -> dict[str, str]:
    return {key: text for key, text in texts(language).items() if not key.startswith("admin.")}


def placeholders(text: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(text) if name is not None}


def test_there_is_one_file_for_each_language_and_no_other() -> None:
    assert {path.stem for path in LOCALES.iterdir()} == set(LANGUAGES) == set(LANGUAGE_NAMES)


@EVERY_LANGUAGE
def test_each_language_has_the_same_keys(language: str) -> None:
    assert for_owners(language).keys() == for_owners("en").keys()


@EVERY_LANGUAGE
def test_a_key_is_written_once(language: str) -> None:
    pairs: list[tuple[str, str]] = []
    json.loads((LOCALES / f"{language}.json").read_text(encoding="utf-8"), object_pairs_hook=pairs.extend)
    assert len(pairs) == len({key for key, _ in pairs})


@EVERY_LANGUAGE
def test_each_text_asks_for_the_same_values_as_the_english_one(language: str) -> None:
    english = for_owners("en")
    assert {key: placeholders(text) for key, text in for_owners(language).items()} == {
        key: placeholders(text) for key, text in english.items()
    }


@EVERY_LANGUAGE
def test_no_text_is_empty_but_an_action_that_does_not_exist(language: str) -> None:
    english = texts("en")
    for key, text in texts(language).items():
        assert text.strip() == text
        assert bool(text) == bool(english[key]), key
        assert text or key.endswith(".action"), key


@EVERY_LANGUAGE
def test_no_sentence_ends_with_a_name_which_may_end_with_a_full_stop(language: str) -> None:
    """``{name}.`` would be read as *Miller & Co..*"""
    assert [key for key, text in texts(language).items() if re.search(r"\{(name|sender)\}[.!?,;]*[.!?]", text)] == []


@EVERY_LANGUAGE
def test_spaces_stand_where_the_language_has_them(language: str) -> None:
    """Before an ellipsis only in German; before other punctuation only in French, where the line must not break."""
    shape = MISPLACED_SPACES.get(language, r" [.,:;!?…]|\u00a0[:;!?…]|  ")
    assert [key for key, text in texts(language).items() if re.search(shape, text)] == []


@EVERY_LANGUAGE
def test_every_phase_and_problem_has_its_sentences(language: str) -> None:
    translate = translator(language)
    for phase in Phase:
        assert all(translate(f"phase.{phase}.{part}") for part in ("label", "title", "sentence"))
        assert len(translate(f"phase.{phase}.action")) < 30
        assert translate(f"admin.phase.{phase}.sentence")
    for problem in ProblemCode:
        assert translate(f"problem.{problem}.sentence")
        assert len(translate(f"problem.{problem}.action")) < 30
        assert translate(f"admin.problem.{problem}.sentence")
        assert 0 < len(translate(f"admin.problem.{problem}.name")) < 30


def test_a_value_is_never_read_as_a_format_string() -> None:
    assert translator("en")("landing.for", name="{0.__class__}%s") == "for {0.__class__}%s"


def test_an_unknown_language_is_english() -> None:
    assert translator("xx")("landing.title") == translator("en")("landing.title")


@pytest.mark.parametrize(
    ("header", "language"),
    [
        ("", "en"),
        ("de", "de"),
        ("DE-at;q=0.8, fr;q=0.9", "fr"),
        ("pt-BR,pt;q=0.9,en;q=0.8", "pt"),
        ("zh,ja;q=0.5", "en"),
        ("es;q=0, fr;q=nan", "en"),
        ("es;q=abc,de;q=0.1", "de"),
        ("*", "en"),
        ("\x00" * 100_000, "en"),
    ],
)
def test_the_language_a_browser_likes_best_is_chosen(header: str, language: str) -> None:
    assert preferred_language(header) == language
