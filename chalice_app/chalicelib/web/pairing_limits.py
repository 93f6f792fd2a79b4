"""Limits of pairing codes: each one makes the phone of a number ring, and the number may be a stranger's."""

from datetime import timedelta
from typing import Final

from chalicelib.errors import TooMany
from chalicelib.tokens import sha256
from chalicelib.web.landing_visitor import Visitor
from chalicelib.wiring import Services

#: The codes that one link gets; WhatsApp itself refuses more than a few.
CODES_PER_LINK, LINK_WINDOW = 5, timedelta(hours=1)
#: The codes that a number gets which is not the line's own, over all links of the installation.
CODES_PER_FOREIGN_NUMBER, NUMBER_WINDOW = 3, timedelta(days=1)
#: The key of the counters of numbers: no tenant's id has this form.
NUMBERS: Final = "pairing-numbers"


def limit_codes(services: Services, visitor: Visitor, number: str) -> None:
    """Counts a pairing code for this number. Raises TooMany.

    Args:
        number: digits, with the country code.
    """
    now = services.clock()
    link = f"pairing-codes-{visitor.invite.token_sha256[:16]}"
    if services.counters.count_in_window(visitor.tenant.id, link, LINK_WINDOW, now) > CODES_PER_LINK:
        raise TooMany
    session = services.sessions.get(visitor.tenant.id)
    if number in (session.number, session.last_number):
        return
    if services.counters.count_in_window(NUMBERS, sha256(number)[:32], NUMBER_WINDOW, now) > CODES_PER_FOREIGN_NUMBER:
        raise TooMany
