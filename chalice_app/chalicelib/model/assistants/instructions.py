"""The instructions as the model gets them: the operator's own, and a sentence for each setting about wording."""

from collections.abc import Mapping, Sequence
from typing import Final

from chalicelib.model.assistant import AnswerLength, Assistant

#: What the model is told about the length of its answers.
LENGTHS: Final[Mapping[AnswerLength, str]] = {
    AnswerLength.SHORT: "Answer in two or three short sentences, unless the contact asks for more.",
    AnswerLength.MEDIUM: "Answer in at most two short paragraphs, unless the contact asks for more.",
    AnswerLength.LONG: "Answer in full where the question needs it, in at most about 250 words.",
}


def complete_instructions(assistant: Assistant) -> str:
    """Returns the assistant's instructions, followed by what its settings add to them."""
    added = (LENGTHS.get(assistant.answer_length, ""), describe_languages(assistant.languages))
    return "\n\n".join(filter(None, (assistant.instructions, *added)))


def describe_languages(languages: Sequence[str]) -> str:
    """Returns the sentence about the languages to answer in; empty where the contact's own is right."""
    if not languages:
        return ""
    if len(languages) == 1:
        return f"Always answer in {languages[0]}, whatever language the contact writes in."
    listed = f"{', '.join(languages[:-1])} or {languages[-1]}"
    return f"Answer in the contact's language if it is {listed}; otherwise answer in {languages[0]}."
