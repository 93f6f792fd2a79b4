"""The record of the setup: the first time of a step counts, and only the last test mail speaks of itself."""

import pytest

from chalicelib.store.setup import Setup, TrialMail
from tests.unit.support.racing_table import RacingTable

NOW = 1_000_000
FIRST, SECOND = "a" * 64, "b" * 64


@pytest.fixture
def setup(racing: RacingTable) -> Setup:
    return Setup(racing)


def claim(setup: Setup, token_sha256: str, sent_at: int = NOW) -> bool:
    return setup.claim_mail(TrialMail("olga@agency.example", sent_at, token_sha256), not_since=sent_at - 1)


def test_nothing_is_recorded_before_the_first_step(setup: Setup) -> None:
    record = setup.get()
    assert (record.seen_address, record.mail, record.closed) == ("", None, False)


def test_the_last_address_counts(setup: Setup) -> None:
    for address in ("https://old.example", "https://new.example", "https://new.example"):
        setup.record_address(address)
    assert setup.get().seen_address == "https://new.example"


@pytest.mark.parametrize("step", ["finish", "dismiss"])
def test_the_first_time_counts(setup: Setup, step: str) -> None:
    getattr(setup, step)(NOW)
    getattr(setup, step)(NOW + 1)
    record = setup.get()
    assert record.closed
    assert {record.finished_at, record.dismissed_at} == {NOW, None}


def test_a_link_without_a_test_mail_does_not_arrive(setup: Setup) -> None:
    assert setup.record_arrival(FIRST, NOW) is False


def test_a_link_that_is_opened_twice_arrived_the_first_time(setup: Setup) -> None:
    claim(setup, FIRST)
    assert [setup.record_arrival(FIRST, NOW + after) for after in (1, 2)] == [True, True]
    mail = setup.get().mail
    assert mail is not None
    assert mail.arrived_at == NOW + 1


def test_a_mail_that_arrived_after_all_has_no_error(setup: Setup) -> None:
    claim(setup, FIRST)
    setup.record_arrival(FIRST, NOW + 1)
    setup.record_mail_error(FIRST, "It bounced.")
    mail = setup.get().mail
    assert mail is not None
    assert mail.error == ""


def test_only_the_last_test_mail_counts(setup: Setup) -> None:
    claim(setup, FIRST)
    claim(setup, SECOND, NOW + 10)
    setup.record_mail_error(FIRST, "It bounced.")
    assert setup.record_arrival(FIRST, NOW + 11) is False
    mail = setup.get().mail
    assert mail is not None
    assert (mail.token_sha256, mail.error, mail.arrived_at) == (SECOND, "", None)
    setup.record_mail_error(SECOND, "The mailbox is full.")
    mail = setup.get().mail
    assert mail is not None
    assert mail.error == "The mailbox is full."
