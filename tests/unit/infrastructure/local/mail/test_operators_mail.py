"""What a running stack says of its operators' mail."""

from typing import Any

import pytest

from infrastructure.local.mail.notice_settings import NoticeSettings
from infrastructure.local.mail.operators_mail import operators_mail
from infrastructure.local.settings import Settings

REAL: dict[str, Any] = {"simulate_whatsapp": False, "simulate_openai": False}
TWO = NoticeSettings(operators_email="a@agency.example,b@agency.example")
SMTP = "smtps://user:secret@mail.agency.example:465"


@pytest.mark.parametrize(
    ("settings", "addresses", "leaves"),
    [
        (Settings(), 1, True),  # all is simulated: the outbox is where mails are read
        (Settings(**REAL), 0, False),
        (Settings(**REAL, smtp_url=SMTP), 0, True),
        (Settings(**REAL, operator_email="a@agency.example"), 1, False),
        (Settings(**REAL, operator_email="a@agency.example", smtp_url=SMTP), 1, True),
        (Settings(**REAL, operator_email="a@agency.example", notices=TWO, smtp_url=SMTP), 2, True),
        (Settings(simulate_whatsapp=False), 0, False),
        (Settings(simulate_openai=False), 0, False),
    ],
)
def test_an_address_that_is_preset_and_mail_that_stays_here_reach_nobody(
    settings: Settings, addresses: int, leaves: bool
) -> None:
    assert operators_mail(settings) == {"addresses": addresses, "leaves": leaves}
