"""Words for what happened, and when."""

import pytest

from chalicelib.model import Event, EventKind, Problem
from chalicelib.rendering.languages import translator
from chalicelib.web.messages import (
    EVENT_LABELS,
    FORM_RESULTS,
    PHASE_ACTIONS,
    PROBLEM_ACTIONS,
    FormResult,
    describe_event,
    format_age,
    format_instant,
    problem_name,
)
from wire import Phase, ProblemCode

NOW = 1_790_000_000_000
SECOND, MINUTE, HOUR, DAY = 1_000, 60_000, 3_600_000, 86_400_000


@pytest.mark.parametrize(
    ("before", "words"),
    [
        (-5 * SECOND, "just now"),  # another clock may be ahead
        (0, "just now"),
        (44 * SECOND, "just now"),
        (45 * SECOND, "1 min ago"),
        (119 * SECOND, "1 min ago"),
        (59 * MINUTE, "59 min ago"),
        (HOUR, "1 h ago"),
        (DAY, "1 day ago"),
        (3 * DAY, "3 days ago"),
    ],
)
def test_an_age_is_rounded(before: int, words: str) -> None:
    assert " ".join(format_age(NOW - before, NOW).split()) == words


def test_without_an_instant_the_age_is_never() -> None:
    assert format_age(None, NOW) == format_age(0, NOW) == "never"
    assert format_instant(NOW) == "2026-09-21 14:13:20 UTC"


def test_every_event_and_every_problem_has_a_text() -> None:
    assert set(EVENT_LABELS) == set(EventKind)
    assert all(problem_name(Problem(code, NOW)) for code in ProblemCode)
    assert set(FORM_RESULTS) == set(FormResult)
    translate = translator("en")
    assert all(translate(f"admin.problem.{code}.action") for code in PROBLEM_ACTIONS)
    assert all(translate(f"admin.phase.{phase}.action") for phase in PHASE_ACTIONS)
    assert all(translate(f"admin.phase.{phase}.sentence") for phase in Phase)


@pytest.mark.parametrize(
    ("reason", "said"),
    [
        ("refusal", "The model refused to answer"),
        ("empty", "The model wrote nothing"),
        ("an error in Answerline", "An error in Answerline lost the answer"),
        ("invalid_prompt", "OpenAI will not answer it (invalid_prompt)"),
    ],
)
def test_an_answer_that_was_given_up_says_why(reason: str, said: str) -> None:
    assert describe_event(Event("hotel000", NOW, EventKind.TURN_GIVEN_UP, reason)) == said


def test_an_edit_is_described_in_words_and_a_problem_by_its_name() -> None:
    edited = Event("hotel000", NOW, EventKind.EDITED, "key_ciphertext, key_last4, owner_email, assistant")
    assert describe_event(edited) == "OpenAI key, owner’s e-mail, assistant"
    assert describe_event(Event("hotel000", NOW, EventKind.PROBLEM, "out_of_credit")) == "Out of credit"
    assert describe_event(Event("hotel000", NOW, EventKind.OFFLINE, "no network")) == "no network"
    assert describe_event(Event("hotel000", NOW, EventKind.RESOLVED, "assistant")) == "the problem with the assistant"
    assert problem_name(Problem(ProblemCode.PASSKEY, NOW)) == "Passkey needed"
