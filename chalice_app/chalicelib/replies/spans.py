"""Writes the tokens of a paragraph, with emphasis only where WhatsApp shows it.

WhatsApp shows `*bold*` if no letter or digit touches the marks from outside, and no space from inside, and never over
the end of a line. Elsewhere the words stand alone, without marks.
"""

from dataclasses import dataclass, field
from typing import Final

from chalicelib.replies.emphasis import Run, is_word

#: Around what no part may be cut in: code, links, addresses. Noncharacters, which Unicode keeps for a program's own
#: use; no text has them here.
WHOLE: Final = "\ufdd0"
WHOLE_END: Final = "\ufdd1"


@dataclass(slots=True)
class Span:
    """Emphasis from one token to another."""

    mark: str
    shown: bool = True


@dataclass(slots=True)
class Token:
    """Text that is written after the spans that close there and before those that open there."""

    text: str
    run: Run | None = None
    #: Of a link by a tag.
    address: str = ""
    #: The innermost first.
    closes: list[Span] = field(default_factory=list)
    #: The outermost first.
    opens: list[Span] = field(default_factory=list)
    #: Signs around what may not be cut, before and after the text.
    before: str = ""
    after: str = ""


def write(tokens: list[Token], inside: str = "") -> str:
    """Returns the text of all tokens; `inside` is the mark of emphasis that is put around all of it."""
    _hide_where_not_shown(tokens)
    writer = _Writer(inside)
    for token in tokens:
        for span in token.closes:
            writer.close(span)
        writer.write(token)
        for span in token.opens:
            writer.open(span)
    return "".join(writer.written)


def _hide_where_not_shown(tokens: list[Token]) -> None:
    """Decides for each span by the letters on both sides of each of its marks."""
    following = _first_letters(tokens)
    before = ""
    for position, token in enumerate(tokens):
        if token.closes:
            outside = token.text[:1] or following[position + 1]
            for span in token.closes:
                span.shown &= before.isspace() or not is_word(outside)
        before = token.text[-1:] or before
        if token.opens:
            shown = following[position + 1].isspace() or not is_word(before)
            for span in token.opens:
                span.shown = shown


def _first_letters(tokens: list[Token]) -> list[str]:
    """Returns, for each position, the first letter that is written from there on."""
    letters = [""]
    for token in reversed(tokens):
        letters.append(token.text[:1] or letters[-1])
    return letters[::-1]


class _Writer:
    """Writes text with marks of each kind at most once around it, ended and begun again at the end of a line."""

    def __init__(self, inside: str) -> None:
        self.written: list[str] = []
        self.depth = {"*": 0, "_": 0, "~": 0}
        if inside:
            self.depth[inside] = 1
        #: Marks that are written once a word follows, and those that are.
        self.waiting: list[str] = []
        self.active: list[str] = []

    def open(self, span: Span) -> None:
        """Begins emphasis, if it is shown and not yet there."""
        if span.shown:
            self.depth[span.mark] += 1
            if self.depth[span.mark] == 1:
                self.waiting.append(span.mark)

    def close(self, span: Span) -> None:
        """Ends emphasis."""
        if span.shown:
            self.depth[span.mark] -= 1
            if self.depth[span.mark] == 0:
                self._end(span.mark)

    def _end(self, mark: str) -> None:
        if mark in self.waiting:
            self.waiting.remove(mark)
        elif mark in self.active:
            self.active.remove(mark)
            space = self.written.pop() if self.written and self.written[-1].isspace() else ""
            self._add(mark)
            self._add(space)

    def write(self, token: Token) -> None:
        """Writes the text of one token, line by line."""
        self._add(token.before)
        for number, line in enumerate(token.text.split("\n")):
            if number:
                self._break_line()
            words = line.strip()
            if not words:
                self._add(line)
                continue
            left, right = line[: len(line) - len(line.lstrip())], line[len(line.rstrip()) :]
            for piece in (left, *self.waiting, words, right):
                self._add(piece)
            self.active += self.waiting
            self.waiting = []
        self._add(token.after)

    def _add(self, piece: str) -> None:
        if piece:
            self.written.append(piece)

    def _break_line(self) -> None:
        again = list(self.active)
        for mark in reversed(again):
            self._end(mark)
        self.waiting = again + self.waiting
        self.written.append("\n")
