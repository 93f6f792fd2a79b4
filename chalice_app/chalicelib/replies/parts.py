"""A long text becomes the parts of a reply, each short enough to read, and cut where a reader pauses."""

import re
from collections.abc import Iterator
from typing import Final

from chalicelib.model.messages.words import is_blank
from chalicelib.replies.breaks import Break, grade_breaks
from chalicelib.replies.markdown import FENCE
from chalicelib.replies.spans import WHOLE, WHOLE_END

#: The end of a last part that is not the whole text.
CUT_SHORT: Final = " …"
#: A part ends at a paragraph, line or sentence only in its second half, so that parts stay few.
SHORTEST_SHARE: Final = 0.5
_QUOTE_MARK: Final = re.compile(r"(?:> ){1,4}")
_FENCE_LINE: Final = re.compile(rf"^[ ]*{FENCE}[ ]*$", re.MULTILINE)
#: From the best to the worst of those that leave words whole.
_BETWEEN_WORDS: Final = (Break.PARAGRAPH, Break.LINE, Break.SENTENCE, Break.SPACE, Break.BETWEEN_IDEOGRAPHS)
_SIGNS: Final = re.compile(f"[{WHOLE}{WHOLE_END}]")


def split(text: str, characters: int, parts: int, *, goes_on: bool = False) -> tuple[str, ...]:
    """Returns the parts of a formatted text: none blank, and none without anything to see.

    Code and quotes that go on in the next part are begun there anew.

    Args:
        text: a formatted text, with the signs of `chalicelib.replies.spans` around what may not be cut.
        characters: the most Unicode code points of one part; at least 20.
        parts: the most parts; the last one ends with `CUT_SHORT` if something is left out.
        goes_on: True if the text is only the beginning of a longer one.
    """
    text, wholes = _without_signs(text)
    if len(text) <= characters and not goes_on:
        return () if is_blank(text) else (text,)
    return _Splitter(text, grade_breaks(text, [*wholes, *_fences(text)]), characters).split(parts, goes_on=goes_on)


def _without_signs(marked: str) -> tuple[str, list[tuple[int, int]]]:
    """Returns the text itself, and the ranges in it that may not be cut."""
    marked = marked.strip()
    wholes: list[tuple[int, int]] = []
    pieces: list[str] = []
    open_at: list[int] = []
    length = position = 0
    for sign in _SIGNS.finditer(marked):
        pieces.append(marked[position : sign.start()])
        length += len(pieces[-1])
        position = sign.end()
        if sign[0] == WHOLE:
            open_at.append(length)
        elif open_at and (start := open_at.pop()) is not None and not open_at:
            wholes.append((start, length))
    return "".join([*pieces, marked[position:]]), wholes


def _fences(text: str) -> Iterator[tuple[int, int]]:
    """Yields the ranges that keep a fence together with the code beside it."""
    for number, fence in enumerate(_FENCE_LINE.finditer(text)):
        yield (max(0, fence.start() - 2), fence.end()) if number % 2 else (fence.start(), fence.end() + 2)


class _Splitter:
    """Cuts one text from its beginning to its end."""

    def __init__(self, text: str, grades: bytearray, characters: int) -> None:
        self.text = text
        self.grades = grades
        self.characters = characters
        self.position = 0

    def split(self, parts: int, *, goes_on: bool) -> tuple[str, ...]:
        """Returns the parts in order."""
        found: list[str] = []
        reopened = ""
        while self.position < len(self.text) and len(found) < parts:
            piece, reopened = self._next(reopened, is_last=len(found) == parts - 1, goes_on=goes_on)
            if not is_blank(piece):
                found.append(piece)
        return tuple(found)

    def _next(self, reopened: str, *, is_last: bool, goes_on: bool) -> tuple[str, str]:
        """Returns the next part, and what the one after it begins with."""
        suffix = CUT_SHORT if goes_on else ""
        rest = len(self.text) - self.position
        if len(reopened) + rest + len(suffix) <= self.characters:
            piece = reopened + self.text[self.position :].rstrip() + suffix
            self.position = len(self.text)
            return piece, ""
        suffix = CUT_SHORT if is_last else ""
        end = self._end_of_part(self.characters - len(reopened) - len(f"\n{FENCE}") - len(suffix))
        piece = reopened + self.text[self.position : end].rstrip()
        in_code = sum(line.strip() == FENCE for line in piece.split("\n")) % 2 == 1
        if in_code:
            piece += f"\n{FENCE}"
        self.position = end
        while self.position < len(self.text) and _is_skipped(self.text[self.position], in_code=in_code):
            self.position += 1
        return piece + suffix, f"{FENCE}\n" if in_code else self._open_quote(end)

    def _end_of_part(self, room: int) -> int:
        """Returns where to cut: after a paragraph, line or sentence, else a word, else between any two characters."""
        first, half, last = self.position + 1, self.position + max(1, int(room * SHORTEST_SHARE)), self.position + room
        choices: list[tuple[int, tuple[Break, ...]]] = [
            (half, (grade,)) for grade in (Break.PARAGRAPH, Break.LINE, Break.SENTENCE)
        ]
        choices += [(half, _BETWEEN_WORDS), (first, _BETWEEN_WORDS)]
        choices += [(first, (grade,)) for grade in (Break.INSIDE_WORD, Break.INSIDE_WHOLE, Break.AT_PUNCTUATION)]
        for least, grades in choices:
            end = max(self.grades.rfind(grade, least, last + 1) for grade in grades)
            if end > 0:
                return end
        return last

    def _open_quote(self, end: int) -> str:
        """Returns the mark of the quote in whose line the position is, if any."""
        if self.text.startswith("\n", end):
            return ""
        mark = _QUOTE_MARK.match(self.text, self.text.rfind("\n", 0, end) + 1, end)
        return mark[0] if mark else ""


def _is_skipped(letter: str, *, in_code: bool) -> bool:
    return letter == "\n" if in_code else letter.isspace()
