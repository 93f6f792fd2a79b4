"""Phone numbers are read as people write them, and one phone under two numbers is one phone."""

import pytest

from chalicelib.model.messages.phone_numbers import PhoneProblem, countries, is_listed, parse_phone, same_phone

UNIVERSAL = [
    ("+49 170 1234567", "491701234567"),
    ("0049 170 1234567", "491701234567"),
    ("49 170 1234567", "491701234567"),
    ("49 (0) 170.123.4567", "491701234567"),
    ("+44 (0)20 7183 8750", "442071838750"),
    ("+33 (0)6 12 34 56 78", "33612345678"),
    ("+39 (0)6 123456", "3906123456"),  # Italy's zero belongs to the number
    ("+55 (0) 11 98765-4321", "5511987654321"),
    ("+7 (8) 912 345 67 89", "79123456789"),
    ("+36 (06) 30 123 4567", "36301234567"),
    ("+52 1 55 1234 5678", "5215512345678"),
    ("+54 9 11 2345-6789", "5491123456789"),
    ("+1 (555) 010–0199", "15550100199"),
    ("tel:+49-170-1234567", "491701234567"),
    ("+49\u00a0170\u20111234567", "491701234567"),
    ("\u202a+49 170 1234567\u202c", "491701234567"),
    ("\u200e\u2066+49\u200b170\u20601234567\u2069\ufeff", "491701234567"),
    ("٤٩١٧٠١٢٣٤٥٦٧", "491701234567"),
    ("＋４９ 170 1234567", "491701234567"),
    ("+४९ १७० १२३४५६७", "491701234567"),
]
WRONG = [
    ("", PhoneProblem.NOT_A_NUMBER),
    ("+", PhoneProblem.NOT_A_NUMBER),
    ("call me", PhoneProblem.NOT_A_NUMBER),
    ("+491701\0", PhoneProblem.NOT_A_NUMBER),
    ("+49 17O 1234567", PhoneProblem.NOT_A_NUMBER),
    ("++491701234567", PhoneProblem.NOT_A_NUMBER),
    ("+49 170 1234567 +49 171 1234567", PhoneProblem.NOT_A_NUMBER),
    ("+49 170 1234567 ext. 5", PhoneProblem.NOT_A_NUMBER),
    ("0170 1234567", PhoneProblem.NO_COUNTRY_CODE),
    ("+999 123456789", PhoneProblem.UNKNOWN_COUNTRY_CODE),
    ("+1 555 0122", PhoneProblem.TOO_SHORT),
    ("+49", PhoneProblem.TOO_SHORT),
    ("4917", PhoneProblem.TOO_SHORT),
    ("+49 171 44", PhoneProblem.TOO_SHORT),  # as long as some landlines there
    ("+44 20 7123", PhoneProblem.TOO_SHORT),
    ("+44 7700 900123 4", PhoneProblem.TOO_LONG),
    ("+49170123456789012", PhoneProblem.TOO_LONG),
    ("+49 170 12345678901234567", PhoneProblem.TOO_LONG),
]
NATIONAL = [
    ("0170 1234567", "DE", "491701234567"),
    ("(0170) 123-4567", "DE", "491701234567"),
    ("491701234567", "DE", "491701234567"),
    ("+44 7700 900123", "DE", "447700900123"),
    ("07700 900123", "GB", "447700900123"),
    ("06 12 34 56 78", "FR", "33612345678"),
    ("612 345 678", "ES", "34612345678"),
    ("11 98765-4321", "BR", "5511987654321"),
    ("(11) 8765-4321", "BR", "551187654321"),  # as dialled before the ninth digit
    ("0 15 11 98765-4321", "BR", "5511987654321"),  # by the carrier 15
    ("011 15-2345-6789", "AR", "5491123456789"),
    ("55 1234 5678", "MX", "525512345678"),
    ("8 912 345-67-89", "RU", "79123456789"),
    ("(202) 555-0123", "US", "12025550123"),
    ("442071838750", "US", "442071838750"),
    ("12345", "DE", PhoneProblem.TOO_SHORT),
    ("0171-44", "DE", PhoneProblem.TOO_SHORT),
    ("030 123456", "DE", "4930123456"),
    ("0170 1234567", "nowhere", PhoneProblem.NO_COUNTRY_CODE),
]


@pytest.mark.parametrize(("written", "digits"), [*UNIVERSAL, *WRONG])
def test_a_number_is_read_as_people_write_it(written: str, digits: str | PhoneProblem) -> None:
    assert parse_phone(written) == digits


@pytest.mark.parametrize(("written", "country", "digits"), NATIONAL)
def test_a_number_is_read_as_it_is_dialled_in_a_country(written: str, country: str, digits: str | PhoneProblem) -> None:
    assert parse_phone(written, country) == digits


@pytest.mark.parametrize(("written", "digits"), UNIVERSAL)
def test_a_country_does_not_change_a_number_with_its_country_code(written: str, digits: str) -> None:
    if written.startswith("+"):
        assert {parse_phone(written, country) for country in ("DE", "US", "BR", "IN", "")} == {digits}


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("5511987654321", "551187654321", True),
        ("5521998765432", "552198765432", True),
        ("5511943456789", "551143456789", False),  # a landline is not the mobile phone with a 9 before it
        ("5215512345678", "525512345678", True),
        ("5491123456789", "541123456789", True),
        ("22901971234567", "229971234567", False),
        ("2290197123456", "22997123456", True),
        ("491701234567", "491701234567", True),
        ("491701234567", "49170123456", False),
        ("5511987654321", "5511887654321", False),
    ],
)
def test_one_phone_under_two_numbers(one: str, other: str, same: bool) -> None:
    assert same_phone(one, other) is same_phone(other, one) is same
    assert is_listed(one, ("10", other)) is same


def test_a_country_is_named_by_two_letters() -> None:
    assert countries()["DE"] == "49" and len(countries()) > 200
