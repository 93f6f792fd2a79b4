"""What models write, and what the contact reads.

A case of ``answers.yaml`` has these parts:

- ``input``: the model's Markdown; or a mapping with ``text``, and optional ``times`` (the text is repeated), ``then``
  and ``again`` (text after it, and one that is repeated as often after that), ``characters`` (of one part) and
  ``parts``.
- ``expected``: the one message that it becomes, or the list of all.
"""

from typing import Any

import pytest

from chalicelib.replies.formatting import CHARACTERS_PER_PART, MAX_PARTS, for_whatsapp
from tests.corpus.cases import Case, parameters


@pytest.mark.parametrize("case", parameters("answers"))
def test_an_answer(case: Case) -> None:
    given: dict[str, Any] = dict(case.input) if isinstance(case.input, dict) else {"text": case.input}
    times = given.pop("times", 1)
    text = given.pop("text") * times + given.pop("then", "") + given.pop("again", "") * times
    limits = {"characters": given.pop("characters", CHARACTERS_PER_PART), "parts": given.pop("parts", MAX_PARTS)}
    assert not given, f"unknown parts of a case: {given}"
    expected = (case.expected,) if isinstance(case.expected, str) else tuple(case.expected)
    assert for_whatsapp(text, **limits) == expected
