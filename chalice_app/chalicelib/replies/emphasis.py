"""Pairs of emphasis marks: which `*`, `_` and `~` of a paragraph belong together, in every script.

CommonMark's own rule needs spaces around words, and leaves `**` beside Chinese or before punctuation on the screen.
Here two marks (`**`, `__`, `~~`) pair wherever they touch a word; single ones only at the borders of words, because
`*` is also a footnote, a multiplication and a file name's joker.
"""

import re
import unicodedata
from dataclasses import dataclass, field
from typing import Final

#: How many openers of a kind a closer looks back at: bounds the time for any text.
_LOOK_BACK: Final = 16
#: ASCII punctuation that ends something; other scripts' is found by its Unicode category.
_CLOSING_ASCII: Final = frozenset(".,:;!?)]}\"'-")
_OPENING_ASCII: Final = frozenset("([{\"'*_~|")
#: Between two pairs of stars inside words, these say that both are powers: `foo**2 + bar**2`.
_OPERATOR: Final = re.compile(r"[+=/×÷·<>^(),]|\s-\s")
#: What stands after the stars of a power; and punctuation alone in bold, as in `Price**:** 5`.
_EXPONENT: Final = re.compile(r"(?:\d{1,9}|[A-Za-z])(?!\w)")
_ALONE: Final = re.compile(r"[^\s\w*]{1,3}\*\*")
#: A label whose closing marks stand after its space, as in `**Price: **10 €`.
_LABEL_END: Final = frozenset(":.!?：。！？")


@dataclass(slots=True)
class Pair:
    """Emphasis between two runs: one or two marks of a kind on each side."""

    mark: str
    marks: int


@dataclass(slots=True)
class Run:
    """Marks of one kind in a row: what they may open and close, and what they did."""

    mark: str
    start: int
    end: int
    #: Pairs of marks, and the odd one, that are not used yet.
    doubles: int
    single: bool
    opens_double: bool
    closes_double: bool
    opens_single: bool
    closes_single: bool
    #: Opens or closes though a space is on the wrong side, as in `** Price: **10 €`.
    loosely_opens: bool
    loosely_closes: bool
    #: A letter or digit of ASCII on both sides.
    inside_word: bool
    #: The pairs of which this run is one side, the innermost first.
    opened: list[Pair] = field(default_factory=list)
    closed: list[Pair] = field(default_factory=list)

    @property
    def left(self) -> str:
        """The marks that belong to no pair."""
        return self.mark * (2 * self.doubles + self.single)


def read_run(text: str, start: int, end: int) -> Run:
    """Returns the run of equal marks from `start` to `end`, judged by what stands on its two sides."""
    mark = text[start]
    before, after = text[start - 1 : start], text[end : end + 1]
    spaced_before, spaced_after = not before or before.isspace(), not after or after.isspace()
    word_before, word_after = _is_ascii_word(before), _is_ascii_word(after)
    first, last = spaced_before or _is_opening(before), spaced_after or _is_closing(after)
    run = Run(
        mark=mark,
        start=start,
        end=end,
        doubles=(end - start) // 2,
        single=(end - start) % 2 == 1 and mark != "~",
        opens_double=not spaced_after and (first or not _is_closing_only(after) or _ALONE.match(text, end) is not None),
        closes_double=not spaced_before,
        opens_single=not spaced_after and first and not _is_closing_only(after),
        closes_single=not spaced_before and last and not _is_opening_only(before),
        loosely_opens=False,
        loosely_closes=False,
        inside_word=word_before and word_after,
    )
    if mark == "_":  # my__name stays: an identifier's underscores are its own
        run.opens_double &= not word_before
        run.closes_double &= not word_after
    elif mark == "*" and (_is_power(text, start, end) or "/" == before == after):  # 2**3, src/**/x
        run.opens_double = run.closes_double = False
    elif mark == "*" and run.doubles == 1 and not run.single:
        _judge_loose(run, text, spaced_before, spaced_after)
    return run


def _judge_loose(run: Run, text: str, spaced_before: bool, spaced_after: bool) -> None:
    """Lets `**Label: **text` close after its space, and `** Label **` open before one at the start of a line."""
    head = _head(text, run.start)
    if spaced_after and (not head or head.endswith("\n")) and text[run.end : run.end + 1] == " ":
        rest = text[run.end : run.end + 200].partition("\n")[0]
        run.opens_double = run.loosely_opens = "**" in rest
    elif spaced_before and head and (spaced_after or head[-1] in _LABEL_END):
        run.closes_double = run.loosely_closes = True


def pair_up(text: str, runs: list[Run]) -> None:
    """Finds the pairs among the runs of one paragraph, in time proportional to their number."""
    waiting: dict[str, list[Run]] = {"*": [], "_": [], "~": []}
    for run in runs:
        while run.doubles or run.single:
            opener, marks = _opener_for(text, run, waiting[run.mark])
            if opener is None:
                break
            pair = Pair(run.mark, marks)
            opener.opened.append(pair)
            run.closed.append(pair)
            for each in (opener, run):
                each.doubles -= marks == 2
                each.single &= marks != 1
            for stack in waiting.values():  # what was opened inside and not closed is no mark
                while stack and (stack[-1].start > opener.start):
                    stack.pop()
            if not (opener.doubles or opener.single):
                waiting[run.mark].pop()
        if (run.doubles and run.opens_double) or (run.single and run.opens_single):
            waiting[run.mark].append(run)


def _opener_for(text: str, closer: Run, stack: list[Run]) -> tuple[Run | None, int]:
    """Returns the nearest run that `closer` closes, and how many of its marks."""
    for opener in reversed(stack[-_LOOK_BACK:]):
        double = opener.doubles and closer.doubles and opener.opens_double and closer.closes_double
        single = opener.single and closer.single and opener.opens_single and closer.closes_single
        if double and not _is_excluded(text, opener, closer):
            return opener, 2
        if single and not double and _has_words(text[opener.end : min(closer.start, opener.end + 40)]):
            return opener, 1
    return None, 0


def _has_words(text: str) -> bool:
    return any(letter.isalnum() or letter > "\u2000" for letter in text)


def _is_excluded(text: str, opener: Run, closer: Run) -> bool:
    if closer.loosely_closes and not opener.loosely_opens and _head(text, closer.start)[-1:] not in _LABEL_END:
        return True
    if (opener.loosely_opens or closer.loosely_closes) and text.find("\n", opener.end, closer.start) >= 0:
        return True
    if text[opener.end] == "/" and text.find(" ", opener.end, closer.start) >= 0:  # **/docs and **/tests
        return True
    if opener.mark != "*" or not (opener.inside_word and closer.inside_word):
        return False
    powers = text[opener.end].isdigit() and text[closer.end].isdigit()
    return powers or _OPERATOR.search(text, opener.end, min(closer.start, opener.end + 200)) is not None


def _head(text: str, end: int) -> str:
    """Returns what stands before `end`, without spaces: enough to see its last character."""
    return text[max(0, end - 40) : end].rstrip(" ")


def _is_power(text: str, start: int, end: int) -> bool:
    """Returns True for `2**3`, `x**2`, `2**n` and `(a + b)**2`."""
    if end - start != 2 or not text[end : end + 1].isalnum() or not text[end].isascii():
        return False
    before, earlier = text[start - 1 : start], text[start - 2 : start - 1] if start > 1 else ""
    number = text[end].isdigit()
    if before.isascii() and before.isdigit() and number:
        return True
    exponent = _EXPONENT.match(text, end)
    if exponent is None or _closes_a_word(text, end):  # a longer word, or marks that close after it: 5**kg**, 5**m**
        return False
    if before.isascii() and before.isdigit():
        return True
    variable = _is_ascii_word(before) and not earlier.isalnum()
    return number and (variable or before in (")", "]"))


def _closes_a_word(text: str, start: int) -> bool:
    """Returns True if the next two stars of the line stand at the end of a word, as closing marks do."""
    stars = text.find("**", start, start + 80)
    if stars < 0 or text[stars - 1].isspace() or text.find("\n", start, stars) >= 0:
        return False
    return not _is_ascii_word(text[stars + 2 : stars + 3])


def _is_ascii_word(letter: str) -> bool:
    return letter.isascii() and letter.isalnum()


def is_word(letter: str) -> bool:
    """Returns True for a letter, a digit, an accent or `_`: WhatsApp shows no emphasis that begins or ends at one."""
    return bool(letter) and (letter.isalnum() or letter == "_" or unicodedata.category(letter)[0] == "M")


def _is_opening(letter: str) -> bool:
    if letter.isascii():
        return letter in _OPENING_ASCII
    return unicodedata.category(letter) in ("Ps", "Pi", "Pf", "So") or letter in "¿¡\ufe0f" or _is_wide(letter)


def _is_closing(letter: str) -> bool:
    if letter.isascii():
        return letter in _CLOSING_ASCII or letter in "*_~|"
    return unicodedata.category(letter) in ("Pe", "Pf", "Pi", "Pd", "Po", "So") and letter not in "¿¡"


def _is_closing_only(letter: str) -> bool:
    """Returns True for punctuation that no emphasised word begins with."""
    if letter.isascii():
        return letter in ".,:;!?)]}"
    return unicodedata.category(letter) in ("Pe", "Po") and letter not in "¿¡"


def _is_opening_only(letter: str) -> bool:
    return letter in ("(", "[", "{") or (not letter.isascii() and unicodedata.category(letter) == "Ps")


def _is_wide(letter: str) -> bool:
    """Chinese and Japanese set no space after their punctuation."""
    return letter >= "\u2e80" and unicodedata.category(letter)[0] == "P"
