"""Places where a text may be cut in two, and how good each is: rules of Unicode and of typography for all scripts."""

import re
import unicodedata
from collections.abc import Iterable
from enum import IntEnum
from typing import Final


class Break(IntEnum):
    """Grade of a place for the end of a part; the worse ones are only taken where nothing better is near."""

    #: Inside one visible character: an accent, a family of emoji, a flag, a keycap, a Hangul or Indic syllable.
    INSIDE_CHARACTER = 0
    #: Before closing or after opening punctuation, or where a space must not break.
    AT_PUNCTUATION = 1
    #: Inside code, a link, an address, or between the mark of a list or quote and its text.
    INSIDE_WHOLE = 2
    INSIDE_WORD = 3
    #: Between characters of scripts that are written without spaces.
    BETWEEN_IDEOGRAPHS = 4
    SPACE = 5
    SENTENCE = 6
    LINE = 7
    PARAGRAPH = 8


#: Ends of sentences after which a space follows; in ASCII they are also decimal points and parts of addresses.
_SPACED_ENDS: Final = frozenset(".!?…;")
#: Ends of sentences of all other scripts (Unicode's Sentence_Terminal), with or without a space.
_ENDS: Final = frozenset("。｡．！？‼⁇⁈⁉؟۔؝؞।॥։՜՞።፧፨។៕᠃᠉။༎܀܁܂߹᥄᥅᪨᪩᭚᭛᭞᭟᱾᱿꓿꘎꘏꛳꛷꡶꡷꣎꣏꤯꧈꧉꩝꩞꩟꫰꫱꯫﹒﹖﹗")
#: May stand between the end of a sentence and the cut.
_CLOSERS: Final = frozenset("\"'”’»›)]*_~」』）】》〉〕］｝")
_CLOSING_SIGNS: Final = frozenset(".,:;!?%‰°…‥·、。，．：；？！～〜ー・｡､･؟،؛।॥։።፣፤፥፦፧៖។៕။၊")
#: Small kana, the long vowel and marks of repetition: none begins a line.
_NO_BEGINNING: Final = frozenset("ぁぃぅぇぉっゃゅょゎゕゖァィゥェォッャュョヮヵヶーゝゞヽヾ々〻")
_NO_BREAK_SPACES: Final = frozenset("\u00a0\u202f\u2007\u2060\ufeff")
_ZERO_WIDTH_SPACE: Final = "\u200b"
_MARKS: Final = frozenset("*_~`")
_MARK_OF_LINE: Final = re.compile(r"^(?:> ?)*[ ]*(?:[-+•] |\d{1,9}[.)] )?", re.MULTILINE)
_JOINER: Final = "\u200d"
_VIRAMA: Final = 9
#: Letters that are spoken with the next or the former one, though Unicode calls them letters.
_PREPENDED: Final = frozenset(
    "\u0600\u0601\u0602\u0603\u0604\u0605\u06dd\u070f\u0890\u0891\u08e2\u0d4e\U000110bd\U000110cd\U000111c2\U000111c3"
    "\U0001193f\U00011941\U00011a3a\U00011a84\U00011a85\U00011a86\U00011a87\U00011a88\U00011a89\U00011d46\U00011f02"
)
_APPENDED: Final = frozenset("\u0e33\u0eb3\uff9e\uff9f")


def grade_breaks(text: str, wholes: Iterable[tuple[int, int]] = ()) -> bytearray:
    """Returns a `Break` for each position of the text: how good it is to end a part before the character there.

    Args:
        text: what is cut.
        wholes: ranges (start, end) that should not be cut, in any order.
    """
    grades = bytearray(len(text) + 1)
    next_visible = _next_visible(text)
    flags = 0
    for position in range(1, len(text)):
        before, after = text[position - 1], text[position]
        flags = flags + 1 if _is_regional(before) else 0
        if _is_one_character(before, after, flags):
            continue
        if _is_kept_by_punctuation(text, position, next_visible[position]):
            grades[position] = Break.AT_PUNCTUATION
        else:
            grades[position] = _grade(text, position, before, after)
    for start, end in _ranges(text, wholes):
        for position in range(start + 1, min(end, len(text))):
            grades[position] = min(grades[position], Break.INSIDE_WHOLE)
    return grades


def _ranges(text: str, wholes: Iterable[tuple[int, int]]) -> Iterable[tuple[int, int]]:
    yield from wholes
    for found in _MARK_OF_LINE.finditer(text):
        begins, ends = found.span()
        if ends > begins:
            yield begins, ends + 1


def _next_visible(text: str) -> list[str]:
    """Returns, for each position, the first character from there on that is no space."""
    following = [""]
    for letter in reversed(text):
        following.append(following[-1] if letter.isspace() else letter)
    return following[::-1]


def _is_one_character(before: str, after: str, flags: int) -> bool:
    """Returns True between two signs that are seen as one (Unicode's extended grapheme clusters)."""
    if after < "\u0300" and before < "\u0300":
        return False
    if before == _ZERO_WIDTH_SPACE or after == _ZERO_WIDTH_SPACE:
        return False
    kind = unicodedata.category(after)
    if kind[0] == "M" or kind == "Cf" or after in _APPENDED or 0x1F3FB <= ord(after) <= 0x1F3FF:
        return True
    if after.isspace() or before.isspace():
        return False
    if before == _JOINER or before in _PREPENDED:
        return True
    if unicodedata.combining(before) == _VIRAMA:
        return True
    return (flags % 2 == 1 and _is_regional(after)) or _is_syllable(before, after)


def _is_regional(letter: str) -> bool:
    return 0x1F1E6 <= ord(letter) <= 0x1F1FF


def _is_syllable(before: str, after: str) -> bool:
    """Returns True between the letters of one Hangul syllable."""
    if "\u1100" <= before <= "\u115f" or "\ua960" <= before <= "\ua97c":
        return "\u1100" <= after <= "\u11a7" or "\uac00" <= after <= "\ud7a3" or "\ua960" <= after <= "\ua97c"
    return "\u1160" <= after <= "\u11ff" or "\ud7b0" <= after <= "\ud7fb"


def _is_kept_by_punctuation(text: str, position: int, visible: str) -> bool:
    """Returns True if the next part would begin with what closes, or this one would end with what opens."""
    before, after = text[position - 1], text[position]
    if before in _NO_BREAK_SPACES or after in _NO_BREAK_SPACES:
        return True
    if not visible or _closes(visible) or visible in _NO_BEGINNING:
        return True
    if not after.isspace() and not before.isspace() and (after in _MARKS or after in "\"'" or before in _MARKS):
        return True
    return unicodedata.category(before) in ("Ps", "Pi") or before in "¿¡"


def _closes(letter: str) -> bool:
    return letter in _CLOSING_SIGNS or letter in _ENDS or unicodedata.category(letter) in ("Pe", "Pf")


def _grade(text: str, position: int, before: str, after: str) -> Break:
    if after == "\n":
        return Break.PARAGRAPH if text.startswith("\n\n", position) else Break.LINE
    if before.isspace():
        return Break.INSIDE_WHOLE  # the place before the space is the better one
    if _ends_sentence(text, position, spaced=after.isspace()):
        return Break.SENTENCE
    if after.isspace() or before == _ZERO_WIDTH_SPACE:
        return Break.SPACE
    if _is_ideograph(before) or _is_ideograph(after):
        return Break.BETWEEN_IDEOGRAPHS
    return Break.INSIDE_WORD


def _ends_sentence(text: str, position: int, *, spaced: bool) -> bool:
    last = position - 1
    while last > 0 and position - last < 8 and text[last] in _CLOSERS:
        last -= 1
    if text[last] in _ENDS or (spaced and text[last] in _SPACED_ENDS):
        return True
    return spaced and "\u0e00" <= text[last] <= "\u0eff"  # Thai and Lao end a sentence with a space


def _is_ideograph(letter: str) -> bool:
    return unicodedata.east_asian_width(letter) in "WF" and not "\uac00" <= letter <= "\ud7a3"
