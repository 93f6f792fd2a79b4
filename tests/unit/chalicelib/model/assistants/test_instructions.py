"""What the model is told besides the operator's own instructions."""

import pytest

from chalicelib.model import Assistant
from chalicelib.model.assistant import AnswerLength
from chalicelib.model.assistants.instructions import complete_instructions, describe_languages


def test_settings_at_their_defaults_add_nothing() -> None:
    assert complete_instructions(Assistant(1, "gpt-6-luna", "Be kind.\n")) == "Be kind.\n"


@pytest.mark.parametrize("length", [AnswerLength.FREE, AnswerLength.UNKNOWN])
def test_a_length_that_is_open_or_of_a_later_release_adds_nothing(length: AnswerLength) -> None:
    assert complete_instructions(Assistant(1, "gpt-6-luna", "Be kind.", answer_length=length)) == "Be kind."


@pytest.mark.parametrize("length", [AnswerLength.SHORT, AnswerLength.MEDIUM, AnswerLength.LONG])
def test_a_length_and_languages_follow_the_instructions(length: AnswerLength) -> None:
    told = complete_instructions(Assistant(1, "gpt-6-luna", "Be kind.", answer_length=length, languages=("German",)))
    own, about_length, about_languages = told.split("\n\n")
    assert own == "Be kind." and about_length.startswith("Answer in") and about_languages.startswith("Always")


@pytest.mark.parametrize(
    ("languages", "sentence"),
    [
        ((), ""),
        (("German",), "Always answer in German, whatever language the contact writes in."),
        (
            ("German", "English"),
            "Answer in the contact's language if it is German or English; otherwise answer in German.",
        ),
        (
            ("Spanish", "Catalan", "English"),
            "Answer in the contact's language if it is Spanish, Catalan or English; otherwise answer in Spanish.",
        ),
    ],
)
def test_languages(languages: tuple[str, ...], sentence: str) -> None:
    assert describe_languages(languages) == sentence
