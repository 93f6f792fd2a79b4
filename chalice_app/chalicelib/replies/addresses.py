"""Addresses in a text: where one begins and ends, and how a link shows its title and its address."""

import re
from typing import Final
from urllib.parse import unquote

#: Quotation marks and the punctuation of Chinese and Japanese end an address, though no space follows it.
_ENDS: Final = r"\s<>\"`“”„«»…。｡，、！？；：（）「」『』【】《》〈〉\ufdd0-\ufdef"
_DOMAIN: Final = r"(?:[^\W_][\w-]{0,62}+\.){1,9}"
#: A web address with or without scheme, `mailto:` and its kin, or a mail address. No alternative is tried for
#: more than the longest name, and none gives anything back: the time is proportional to the text.
ADDRESS: Final = rf"""
    (?:
      (?: (?<![A-Za-z0-9]) (?: [A-Za-z][A-Za-z0-9+.-]{{1,20}}:// | [Ww]{{3}}\. )
      | (?<![A-Za-z0-9]) (?:mailto|tel|sms|geo|whatsapp) : (?=\S)
      | (?<![\w.@-]) {_DOMAIN} [^\W\d_]{{2,24}} (?: :\d{{1,5}} )? [/?\#]
      | (?<=[*_~]) {_DOMAIN} [^\W\d_]{{2,24}} (?: :\d{{1,5}} )? [/?\#]
      ) (?: [^{_ENDS}\]] | \](?!\() )*+
    | (?<![A-Za-z0-9.+%-]) [^\W_][\w.+%-]{{0,63}}+ @ {_DOMAIN} [\w-]{{2,63}}
    )
"""
#: What ends a sentence around an address, and is no part of it.
_TRAILING: Final = ".,:;!?'’"
_PAIRS: Final = {")": "(", "]": "[", "}": "{"}
#: Addresses that only work inside OpenAI or within a page that the contact does not have.
_NOWHERE: Final = ("sandbox:", "#", "attachment:")
#: Links with these are programs or files, never meant for a contact; the parser leaves them as they are written.
_REFUSED: Final = re.compile(r"\s*(?:javascript|vbscript|file|data):", re.IGNORECASE)
_PLAIN_SCHEME: Final = re.compile(r"^(?:(?:https?://)?(?:www\.)?|mailto:|tel:|sms:)", re.IGNORECASE)


def end_of_address(text: str, start: int, end: int, opened: dict[str, int]) -> int:
    """Returns where the address really ends that begins at `start` and was found to reach to `end`.

    Punctuation of the sentence around it and brackets that it does not open are not part of it, nor are the marks that
    close emphasis around it.

    Args:
        text: the whole text.
        start: the first character of the address.
        end: the position after the last one.
        opened: how many marks of each kind (`*`, `_`, `~`) are open where the address begins.
    """
    if opened.get("*", 0) >= 2 and (closing := text.find("**", start, end)) > start:
        end = closing
    counts = {sign: text.count(sign, start, end) for sign in ("(", ")", "[", "]", "{", "}")}
    marks = dict(opened)
    while end > start + 1:
        last = text[end - 1]
        if last in _TRAILING:
            pass
        elif last in _PAIRS and counts[last] > counts[_PAIRS[last]]:
            counts[last] -= 1
        elif marks.get(last, 0) > 0:
            marks[last] -= 1
        else:
            break
        end -= 1
    return end


def is_refused(address: str) -> bool:
    """Returns True for a link that leads to a program or a file."""
    return _REFUSED.match(address) is not None


def link_suffix(title: str, address: str) -> tuple[bool, str]:
    """Returns whether a link shows its title, and what follows it: `title (address)`, or only one of them.

    A title that is the address itself, also without its scheme, `www.` or trailing slash, is shown once: as the
    address, which the contact can tap. An address that leads nowhere for the contact is left out.
    """
    bare = re.sub(r"^(?:mailto|tel|sms):", "", address, flags=re.IGNORECASE)
    if not title.strip():
        return False, "" if bare.startswith(_NOWHERE) else bare
    if not bare or bare.startswith(_NOWHERE):
        return True, ""
    if bare != address and _digits_or_letters(title) == _digits_or_letters(bare):
        return True, ""
    if _compared(title) == _compared(address):
        return False, bare
    return True, f" ({bare})"


def _compared(address: str) -> str:
    return unquote(_PLAIN_SCHEME.sub("", address.strip())).rstrip("/").casefold()


def _digits_or_letters(text: str) -> str:
    return "".join(letter for letter in text if letter not in " -/().").casefold()
