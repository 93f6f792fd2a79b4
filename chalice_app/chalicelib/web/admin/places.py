"""Places that the forms of tenants offer: time zones and countries, by the tz database."""

from collections.abc import Mapping
from functools import cache
from importlib import resources
from typing import Final
from zoneinfo import available_timezones

from chalicelib.model.messages.phone_numbers import countries

#: The areas of the tz database that name places.
CONTINENTS: Final = frozenset(
    {"Africa", "America", "Antarctica", "Arctic", "Asia", "Atlantic", "Australia", "Europe", "Indian", "Pacific"}
)
#: The places that have a calling code, and that ISO 3166 does not list.
NAMED_BESIDE_ISO: Final = {"AC": "Ascension Island", "TA": "Tristan da Cunha", "XK": "Kosovo"}


def list_time_zones() -> list[str]:
    """Returns the time zones that the form suggests: those of places."""
    return sorted(name for name in available_timezones() if name.split("/")[0] in CONTINENTS)


@cache
def list_countries() -> Mapping[str, str]:
    """Returns each country that has phones, as ``Germany (+49)``, by ISO 3166 alpha-2, in the order of their names."""
    named = _names()
    labels = {code: f"{named[code]} (+{calling_code})" for code, calling_code in countries().items()}
    return dict(sorted(labels.items(), key=lambda country: country[1]))


def _names() -> dict[str, str]:
    """Returns the English names of countries (tz database, ``iso3166.tab``), and of what has phones beside them."""
    table = resources.files("tzdata.zoneinfo").joinpath("iso3166.tab").read_text("utf-8")
    lines = (line.partition("\t") for line in table.splitlines() if not line.startswith("#"))
    return NAMED_BESIDE_ISO | {code: name for code, _, name in lines}
