"""Lists of phones: what is read, what stays, and which entry is wrong."""

import pytest

from chalicelib.web.admin.phone_lists import WrongEntries, parse_phone_list, show_phone_list
from chalicelib.web.admin.places import list_countries
from tests.unit.support.admin_browser import Admin


@pytest.mark.parametrize(
    ("text", "entries"),
    [
        ("", ()),
        (" \r\n,;\n", ()),
        ("+49 170 1234567\r\n0049 170 1234567; 491701234567", ("491701234567",)),
        ("+49 170 1234567\u2028+44 (0)20 7183 8750", ("491701234567", "442071838750")),
        ("+49 170 1234567، +44 7700 900123", ("491701234567", "447700900123")),
        ("4711@lid\n\u202a+49 170 1234567\u202c", ("4711@lid", "491701234567")),
        ("491701234567@c.us", ("491701234567",)),
        ("0170 1234567", ("491701234567",)),
    ],
)
def test_entries_are_read_in_order_and_once(text: str, entries: tuple[str, ...]) -> None:
    assert parse_phone_list(text, "DE", ()) == entries


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("+49 170 1234567\n\n+44 7700 900123\ncall me", "Entry 3: this is not one phone number"),
        ("0170 1234567", "Entry 1: the country code is missing"),
        ("+49 170 1234567, +1 555 0122", "Entry 2: this number is too short."),
        ("a\nb\nc\nd\ne", "2 more entries are wrong."),
        ("47@lid, @lid", "Entry 2"),
        ("1-2@g.us", "Entry 1"),
    ],
)
def test_the_wrong_entries_are_named(text: str, sentence: str) -> None:
    with pytest.raises(WrongEntries) as wrong:
        parse_phone_list(text, "", ())
    assert sentence in str(wrong.value)


def test_too_many_are_refused() -> None:
    with pytest.raises(WrongEntries):
        parse_phone_list("\n".join(f"{number}@lid" for number in range(501)), "", ())


def test_what_is_stored_is_shown_so_that_it_is_read_as_the_same_in_every_country() -> None:
    stored = ("15550122", "4402071838750", "2025550123", "4711@lid", "491701234567")
    shown = show_phone_list(stored)
    assert shown.splitlines()[0] == "+15550122"
    for country in ("", "DE", "US", "BR"):
        assert parse_phone_list(shown, country, stored) == stored


def test_the_form_reads_phones_as_they_are_dialled_in_the_country_of_the_tenant(olga: Admin) -> None:
    tenant = olga.create()
    refused = olga.edit(tenant, ignored_phones="+49 170 1234567\n0171 7654321")
    assert refused.error("ignored_phones").startswith("Entry 2: the country code is missing")
    assert olga.edit(tenant, ignored_phones="+49 170 1234567\n0171 7654321", country="DE").status == 303
    stored = olga.services.tenants.get(tenant)
    assert (stored.country, stored.policies.ignored_phones) == ("DE", ("491701234567", "491717654321"))
    form = olga.browser.get(f"/admin/tenants/{tenant}/edit")
    assert form.chosen("country") == "DE" and form.value("ignored_phones") == "+491701234567\n+491717654321"
    assert olga.edit(tenant, country="XX").error("country")
    created = olga.services.tenants.get(olga.create(country="MX"))
    assert created.country == "MX"


def test_countries_are_offered_by_name() -> None:
    offered = list_countries()
    assert offered["DE"] == "Germany (+49)" and offered["US"] == "United States (+1)"
    assert [*offered.values()] == sorted(offered.values())
    assert not [code for code, label in offered.items() if label.startswith(f"{code} (")], "each has a name"
