"""Limits of pairing codes: each one makes the phone of a number ring, and the number may be a stranger's."""

from datetime import timedelta
from typing import Final

from chalicelib.errors import TooMany
from chalicelib.tokens import sha256
from chalicelib.web.landing_visitor import Visitor
from chalicelib.wiring import Services

#: The orders of codes that one link gets in any hour; WhatsApp itself refuses more than a few. Each order gets a few
#: codes (``runner/browser/pairing_order.py``).
ORDERS_PER_LINK, LINK_WINDOW = 5, timedelta(hours=1)
#: The orders in any day for a number that is not the line's own, over all links of the installation.
ORDERS_PER_FOREIGN_NUMBER, NUMBER_WINDOW = 3, timedelta(days=1)
#: The key of the counters of numbers: no tenant's id has this form.
NUMBERS: Final = "pairing-numbers"


def limit_codes(services: Services, visitor: Visitor, number: str) -> None:
    """Counts an order of pairing codes for this number. Raises TooMany.

    Args:
        number: digits, with the country code.
    """
    now = services.clock()
    link = f"pairing-codes-{visitor.invite.token_sha256[:16]}"
    if not services.counters.take(visitor.tenant.id, link, limit=ORDERS_PER_LINK, within=LINK_WINDOW, now=now):
        raise TooMany
    session = services.sessions.get(visitor.tenant.id)
    if number in (session.number, session.last_number):
        return
    limit, within = ORDERS_PER_FOREIGN_NUMBER, NUMBER_WINDOW
    if not services.counters.take(NUMBERS, sha256(number)[:32], limit=limit, within=within, now=now):
        raise TooMany
