"""Lists of phones as operators paste them: one entry a line, and which of them is wrong."""

import re
from collections.abc import Collection, Mapping
from typing import Final

from chalicelib.model.messages.phone_numbers import PhoneProblem, parse_phone

MAX_ENTRIES: Final = 500
#: Of so many wrong entries the sentence names each.
MAX_NAMED: Final = 3
#: Between two entries: line ends of all kinds, commas and semicolons, also those of other scripts.
BETWEEN_ENTRIES: Final = re.compile("[\n\r\v\f\x85\u2028\u2029,;\u060c\u061b\u3001\uff0c\uff1b]+")
#: A contact without a number is listed by its chat, as the tenant's page shows it.
CHAT_WITHOUT_NUMBER: Final = re.compile(r"([0-9]{1,64})@lid")
CHAT_WITH_NUMBER: Final = re.compile(r"([0-9]{5,15})@(?:c\.us|s\.whatsapp\.net)")

SENTENCES: Final[Mapping[PhoneProblem, str]] = {
    PhoneProblem.NOT_A_NUMBER: "this is not one phone number, such as +44 7700 900123, and no chat, such as 4711@lid",
    PhoneProblem.NO_COUNTRY_CODE: "the country code is missing; write it, or choose the client’s country above",
    PhoneProblem.UNKNOWN_COUNTRY_CODE: "no country has this code; a number looks like +44 7700 900123",
    PhoneProblem.TOO_SHORT: "this number is too short",
    PhoneProblem.TOO_LONG: "this number is too long",
    PhoneProblem.WRONG_LENGTH: "this number lacks a digit, or has one too many",
}


class WrongEntries(ValueError):
    """Some entries of a list are wrong; the text is the sentence that the form shows."""


def parse_phone_list(text: str, country: str, stored: Collection[str]) -> tuple[str, ...]:
    """Returns the entries of a list: digits of phones with their country code, and ids of chats without a number.

    Raises WrongEntries.

    Args:
        country: ISO 3166 alpha-2 of the tenant, or empty.
        stored: the entries of the former list: they stay, whatever is thought of their numbers today.
    """
    entries = [entry.strip() for entry in BETWEEN_ENTRIES.split(text)]
    parsed = [_parse(entry, country, stored) for entry in entries if entry]
    wrong = [(number, entry) for number, entry in enumerate(parsed, start=1) if isinstance(entry, PhoneProblem)]
    if wrong:
        named = " ".join(f"Entry {number}: {SENTENCES[problem]}." for number, problem in wrong[:MAX_NAMED])
        rest = len(wrong) - MAX_NAMED
        raise WrongEntries(f"{named} {rest} more entries are wrong." if rest > 0 else named)
    found = tuple(dict.fromkeys(entry for entry in parsed if not isinstance(entry, PhoneProblem)))
    if len(found) > MAX_ENTRIES:
        raise WrongEntries(f"Enter at most {MAX_ENTRIES} numbers.")
    return found


def show_phone_list(entries: Collection[str]) -> str:
    """Returns the stored entries as the form shows them: phones with a plus sign, whatever the country is."""
    return "\n".join(entry if "@" in entry else f"+{entry}" for entry in entries)


def _parse(entry: str, country: str, stored: Collection[str]) -> str | PhoneProblem:
    if entry.removeprefix("+") in stored or CHAT_WITHOUT_NUMBER.fullmatch(entry):
        return entry.removeprefix("+")
    chat = CHAT_WITH_NUMBER.fullmatch(entry)
    return parse_phone("+" + chat[1] if chat else entry, country)
