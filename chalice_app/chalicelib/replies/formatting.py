"""Turns the Markdown a model writes into messages as WhatsApp formats them, each short enough to read."""

import re
import unicodedata
from typing import Final

#: One message; WhatsApp itself folds longer ones away behind "read more".
CHARACTERS_PER_PART: Final = 3_500
MAX_PARTS: Final = 5
_LINE_ENDS: Final = re.compile("\r\n|[\r\u2028\u2029]")
_LEADING_TABS: Final = re.compile(r"^\t+", re.MULTILINE)
_BLANK_LINES: Final = re.compile(r"\n(?:[ ]*\n){2,}")


def for_whatsapp(text: str, *, characters: int = CHARACTERS_PER_PART, parts: int = MAX_PARTS) -> tuple[str, ...]:
    """Returns the messages to send for a model's text, in order; none for a text that shows nothing.

    Bold, italics, strikethrough, lists, quotes and code become WhatsApp's own; headings become bold, links
    "title (address)", table rows lines, formulas plain signs; control characters are removed. A text of more than
    `parts` messages is cut and ends with "…". Emphasis that spans the end of a part is not reopened in the next.
    No text raises an error, and the time is bounded.

    Args:
        text: Markdown, or plain text, of any length.
        characters: the most Unicode code points of one part; at least 20.
        parts: the most parts; at least 1.

    Raises:
        ValueError: `characters` or `parts` is too small.
    """
    if characters < 20 or parts < 1:
        raise ValueError("a part needs 20 characters, and there must be one part")
    from chalicelib.replies.markdown import format_blocks  # many patterns, which only a reply needs
    from chalicelib.replies.parts import split

    # More than this could not be sent anyway, and any length costs time.
    longest = 2 * characters * parts
    formatted = format_blocks(_BLANK_LINES.sub("\n\n", printable(text[:longest])))
    return split(formatted, characters, parts, goes_on=len(text) > longest)


def printable(text: str) -> str:
    """Returns `text` without control characters, with newlines as line ends, and with "?" for half surrogates."""
    text = _LEADING_TABS.sub(lambda tabs: "    " * len(tabs[0]), _LINE_ENDS.sub("\n", text))
    kept = (" " if letter == "\t" else letter for letter in text if letter in "\n\t" or _is_printable(letter))
    return "".join(kept).encode("utf-8", "replace").decode("utf-8")


def _is_printable(letter: str) -> bool:
    """Returns False for control characters, and for the noncharacters that mark places while a text is formatted."""
    return unicodedata.category(letter) != "Cc" and not "\ufdd0" <= letter <= "\ufdef"
