"""Subjects of mails: what happened, and then whose line it is, short enough that mail programs show the whole of it."""

import unicodedata
from typing import Final

from chalicelib.rendering.languages import translator
from chalicelib.replies.breaks import Break, grade_breaks

#: Mail programs cut a longer subject.
MAX_SUBJECT_LENGTH: Final = 60
#: However long the rest is, so much of a name is shown.
MIN_NAME_LENGTH: Final = 8
#: Characters that change the direction of writing (the bidirectional classes of Unicode's UAX #9).
_DIRECTED: Final = frozenset({"R", "AL", "AN", "LRE", "LRO", "RLE", "RLO", "LRI", "RLI", "FSI"})
_ISOLATE, _END_OF_ISOLATE = "\u2068", "\u2069"


def subject_of(title: str, name: str, language: str) -> str:
    """Returns a subject: the title, and the name of the line, which is shortened as needed.

    Args:
        name: empty for a mail that is about no line, or about several.
    """
    if not name:
        return shorten(title, MAX_SUBJECT_LENGTH)
    translate = translator(language)
    marks = len(isolate(name)) - len(name)
    room = MAX_SUBJECT_LENGTH - len(translate("mail.subject", title=title, name="")) - marks
    return translate("mail.subject", title=title, name=isolate(shorten(name, max(room, MIN_NAME_LENGTH))))


def isolate(name: str) -> str:
    """Returns a name so that its direction of writing does not turn the text around it."""
    if any(unicodedata.bidirectional(letter) in _DIRECTED for letter in name):
        return f"{_ISOLATE}{name}{_END_OF_ISOLATE}"
    return name


def shorten(text: str, length: int) -> str:
    """Returns at most so many characters, cut after a word if one ends near, and never inside a visible character."""
    if len(text) <= length:
        return text
    grades = grade_breaks(text)
    places = [place for place in range(1, length) if grades[place] > Break.INSIDE_CHARACTER]
    words = [place for place in places if grades[place] >= Break.SPACE and place > length // 2]
    return f"{text[: max(words or places, default=length - 1)].rstrip()}…"
