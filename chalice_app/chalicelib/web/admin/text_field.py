"""Texts in a form, of one line or several, and the error of a field."""

import re
import unicodedata
from typing import Any, Final

from pydantic_core import PydanticCustomError

#: Control characters that change the reading direction of a name.
BIDI_CONTROLS: Final = re.compile("[\u202a-\u202e\u2066-\u2069]")


def invalid(sentence: str) -> PydanticCustomError:
    """Returns the error of one field, with the sentence that the form shows."""
    return PydanticCustomError("field", "{sentence}", {"sentence": sentence})


def parse_line(value: Any) -> str:
    """Parses one line of text without invisible characters; strips the spaces around it."""
    text = str(value or "").strip()
    if any(unicodedata.category(letter) in ("Cc", "Cs", "Zl", "Zp") for letter in text) or BIDI_CONTROLS.search(text):
        raise invalid("This must be one line, without line breaks or invisible characters. Type it by hand.")
    return text


def parse_lines(value: Any) -> str:
    """Parses text of several lines; unifies line ends and drops control characters that a copy may bring along."""
    text = str(value or "").replace("\r\n", "\n").replace("\r", "\n")
    kept = (letter for letter in text if letter in "\n\t" or unicodedata.category(letter) not in ("Cc", "Cs"))
    return "".join(kept).strip()
