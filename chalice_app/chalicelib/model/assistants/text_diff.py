"""The difference of two texts as people read it: whole lines, and in a changed line the words that changed."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from enum import StrEnum
from typing import Final

#: So many unchanged lines stand around a change; more are left out.
CONTEXT_LINES: Final = 2
#: Comparing takes up to the product of both lengths: beyond this, what differs counts as changed as a whole.
MAX_COMPARED: Final = 250_000
#: Lines that have less than this share of their words in common are two lines, not one that changed.
ALIKE: Final = 0.4
#: A word, the white space between two, or a sign that is no part of a word.
WORD: Final = r"\w+|\s+|[^\w\s]"


class LineKind(StrEnum):
    """The part of a line in a difference."""

    SAME = "same"  #: in both texts
    ADDED = "added"  #: only in the new text
    REMOVED = "removed"  #: only in the old text
    LEFT_OUT = "left out"  #: stands for unchanged lines; their number is in ``count``


@dataclass(frozen=True, slots=True)
class DiffLine:
    """A line of a difference: its pieces, each with whether it changed within the line."""

    kind: LineKind
    pieces: tuple[tuple[str, bool], ...] = ()
    count: int = 0

    @property
    def text(self) -> str:
        """The whole line."""
        return "".join(text for text, _ in self.pieces)


def compare_texts(old: str, new: str) -> tuple[DiffLine, ...]:
    """Returns the lines that differ, with a few around them; empty for equal texts."""
    if old == new:
        return ()
    before, after = old.split("\n"), new.split("\n")
    lines: list[DiffLine] = []
    for tag, start, end, from_, to in _opcodes(before, after):
        if tag == "equal":
            lines += (_line(LineKind.SAME, text) for text in before[start:end])
        else:
            lines += _changed(before[start:end], after[from_:to])
    return tuple(_shorten(lines))


def _opcodes(before: Sequence[str], after: Sequence[str]) -> Iterator[tuple[str, int, int, int, int]]:
    """Yields what difflib's get_opcodes returns, in bounded time: equal beginnings and ends are not compared."""
    head = _common(before, after)
    tail = _common(before[head:][::-1], after[head:][::-1])
    middle, other = before[head : len(before) - tail], after[head : len(after) - tail]
    if head:
        yield "equal", 0, head, 0, head
    if len(middle) * len(other) > MAX_COMPARED:
        yield "replace", head, head + len(middle), head, head + len(other)
    else:
        for tag, start, end, from_, to in SequenceMatcher(None, middle, other, autojunk=False).get_opcodes():
            yield tag, start + head, end + head, from_ + head, to + head
    if tail:
        yield "equal", len(before) - tail, len(before), len(after) - tail, len(after)


def _common(before: Sequence[str], after: Sequence[str]) -> int:
    """Returns how many of the first elements are equal."""
    pairs = zip(before, after, strict=False)
    return next((place for place, (one, other) in enumerate(pairs) if one != other), min(len(before), len(after)))


def _changed(before: Sequence[str], after: Sequence[str]) -> Iterator[DiffLine]:
    """Yields removed and added lines; where as many came as went, each beside the one that it replaces."""
    if len(before) != len(after):
        yield from (_line(LineKind.REMOVED, text) for text in before)
        yield from (_line(LineKind.ADDED, text) for text in after)
        return
    for old, new in zip(before, after, strict=True):
        removed, added = _compare_words(old, new)
        yield DiffLine(LineKind.REMOVED, removed)
        yield DiffLine(LineKind.ADDED, added)


def _compare_words(old: str, new: str) -> tuple[tuple[tuple[str, bool], ...], tuple[tuple[str, bool], ...]]:
    """Returns the pieces of both lines; without any marked if the lines have little in common."""
    before, after = re.findall(WORD, old), re.findall(WORD, new)
    removed: list[tuple[str, bool]] = []
    added: list[tuple[str, bool]] = []
    same = 0
    for tag, start, end, from_, to in _opcodes(before, after):
        changed = tag != "equal"
        same += 0 if changed else end - start
        removed += [("".join(before[start:end]), changed)] if end > start else []
        added += [("".join(after[from_:to]), changed)] if to > from_ else []
    if same < ALIKE * max(len(before), len(after)):
        return ((old, False),), ((new, False),)
    return tuple(removed), tuple(added)


def _line(kind: LineKind, text: str) -> DiffLine:
    return DiffLine(kind, ((text, False),))


def _shorten(lines: Sequence[DiffLine]) -> Iterator[DiffLine]:
    """Yields the lines without those that are far from a change."""
    changes = [place for place, line in enumerate(lines) if line.kind is not LineKind.SAME]
    near = {place + step for place in changes for step in range(-CONTEXT_LINES, CONTEXT_LINES + 1)}
    left_out = 0
    for place, line in enumerate(lines):
        if place not in near:
            left_out += 1
            continue
        if left_out:
            yield DiffLine(LineKind.LEFT_OUT, count=left_out)
            left_out = 0
        yield line
    if left_out:
        yield DiffLine(LineKind.LEFT_OUT, count=left_out)
