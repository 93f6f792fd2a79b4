"""Phone numbers as people write them, and whether two of them are the same phone. Pure.

The numbering plans are those of libphonenumber (https://github.com/google/libphonenumber), by ``phonenumberslite``.
"""

import re
import unicodedata
from collections.abc import Iterable, Mapping
from enum import StrEnum
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import phonenumbers

#: ITU-T E.164: the digits of a number with its country code.
MAX_DIGITS: Final = 15
#: What stands between the digits of a number as people write it.
SEPARATORS: Final = re.compile(r"[\s().\[\]/~_\u2010-\u2015\u2212\u30fc-]+")
#: One phone under two numbers, the longer one first: WhatsApp goes on using the form under which it was registered.
#: Brazil's ninth digit came between 2012 and 2016 before mobile numbers, which begin with 6 to 9; Mexico dropped the 1
#: after its country code in 2020; Argentina has a 9 there for mobile numbers only when called from abroad; Benin put 01
#: before each number in 2024.
TWIN_FORMS: Final = (
    (re.compile(r"55([1-9][1-9])9([6-9][0-9]{7})"), r"55\1\2"),
    (re.compile(r"521([0-9]{10})"), r"52\1"),
    (re.compile(r"549([0-9]{10})"), r"54\1"),
    (re.compile(r"22901([0-9]{8})"), r"229\1"),
)


class PhoneProblem(StrEnum):
    """The reason why a text is not a phone number."""

    NOT_A_NUMBER = "not a number"  #: it has letters or signs that no number has, or no digits
    NO_COUNTRY_CODE = "no country code"  #: it is written as dialled in a country, and none is known
    UNKNOWN_COUNTRY_CODE = "unknown country code"  #: no country has the code that it begins with
    TOO_SHORT = "too short"  #: its country has no number as short as this
    TOO_LONG = "too long"  #: its country has no number as long as this
    WRONG_LENGTH = "wrong length"  #: its country has shorter and longer numbers, but none of this length


def parse_phone(written: str, country: str = "") -> str | PhoneProblem:
    """Returns the digits of a number with its country code, or what is wrong with it.

    Args:
        written: with a plus sign or 00, as dialled in ``country``, or the bare digits with the country code; with any
            spaces, dashes, brackets, digits of other scripts and invisible marks.
        country: ISO 3166 alpha-2, or empty: then the number needs its country code.
    """
    number = _plain(written)
    if not re.fullmatch(r"\+?[0-9]+", number):
        return PhoneProblem.NOT_A_NUMBER
    if number.startswith(("+", "00")):
        return _parse("+" + number.removeprefix("+").removeprefix("00"))
    calling_code = countries().get(country)
    if calling_code is not None:
        if number.startswith(calling_code) and _is_valid("+" + number):
            return _parse("+" + number)
        if number.startswith("0") or _is_valid(number, country) or _is_former(number, country):
            return _parse(number, country)
    return PhoneProblem.NO_COUNTRY_CODE if number.startswith("0") else _parse("+" + number)


def same_phone(one: str, other: str) -> bool:
    """True if both digits with country code are one phone."""
    return _canonical(one) == _canonical(other)


def is_listed(phone: str, listed: Iterable[str]) -> bool:
    """True if one of these numbers is this phone."""
    canonical = _canonical(phone)
    return any(_canonical(each) == canonical for each in listed)


@cache
def countries() -> Mapping[str, str]:
    """Returns the calling code of each country, by ISO 3166 alpha-2, sorted."""
    import phonenumbers

    by_code = phonenumbers.COUNTRY_CODE_TO_REGION_CODE.items()
    found = {country: str(code) for code, here in by_code for country in here}
    return {country: found[country] for country in sorted(phonenumbers.SUPPORTED_REGIONS)}


@lru_cache(maxsize=4_096)
def _canonical(digits: str) -> str:
    """Returns one of the numbers that a phone has, the same for each of them."""
    for twin, shorter in TWIN_FORMS:
        if twin.fullmatch(digits):
            return twin.sub(shorter, digits)
    return digits


def _plain(written: str) -> str:
    """Returns the ASCII digits and the plus sign of a number, without what is between them and without marks."""
    text = unicodedata.normalize("NFKC", written)
    text = "".join(letter for letter in text if unicodedata.category(letter) not in ("Cf", "Mn", "Me"))
    text = "".join(str(unicodedata.decimal(letter, letter)) for letter in text)
    text = text.strip().removeprefix("tel:")
    return SEPARATORS.sub("", text)


def _parse(number: str, country: str | None = None) -> str | PhoneProblem:
    """Parses a number that begins with a plus sign, or one as dialled in the country."""
    import phonenumbers

    try:
        parsed = phonenumbers.parse(number, country)
    except phonenumbers.NumberParseException as error:
        return {
            phonenumbers.NumberParseException.INVALID_COUNTRY_CODE: PhoneProblem.UNKNOWN_COUNTRY_CODE,
            phonenumbers.NumberParseException.TOO_LONG: PhoneProblem.TOO_LONG,
        }.get(error.error_type, PhoneProblem.TOO_SHORT)
    digits = phonenumbers.format_number(parsed, phonenumbers.PhoneNumberFormat.E164).removeprefix("+")
    if len(digits) > MAX_DIGITS:
        return PhoneProblem.TOO_LONG
    shorter = phonenumbers.parse("+" + _canonical(digits))
    match phonenumbers.is_possible_number_with_reason(shorter):
        case phonenumbers.ValidationResult.IS_POSSIBLE if not _is_a_piece(shorter):
            return digits
        case phonenumbers.ValidationResult.TOO_LONG:
            return PhoneProblem.TOO_LONG
        case phonenumbers.ValidationResult.INVALID_LENGTH:
            return PhoneProblem.WRONG_LENGTH
    return PhoneProblem.TOO_SHORT


def _is_a_piece(number: "phonenumbers.PhoneNumber") -> bool:
    """True for a number that is in no plan and shorter than each mobile number of its country.

    Germany and others have landlines of few digits, so that nearly each piece of a number has a possible length.
    """
    import phonenumbers

    length = phonenumbers.is_possible_number_for_type_with_reason(number, phonenumbers.PhoneNumberType.MOBILE)
    return length == phonenumbers.ValidationResult.TOO_SHORT and not phonenumbers.is_valid_number(number)


def _is_valid(number: str, country: str | None = None) -> bool:
    import phonenumbers

    try:
        return phonenumbers.is_valid_number(phonenumbers.parse(number, country))
    except phonenumbers.NumberParseException:
        return False


def _is_former(number: str, country: str) -> bool:
    """True for a mobile number of Brazil as dialled there before the ninth digit."""
    is_mobile = country == "BR" and re.fullmatch(r"[1-9][1-9][6-9][0-9]{7}", number) is not None
    return is_mobile and not _is_valid("+" + number)
