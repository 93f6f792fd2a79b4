"""The sender of mails: its identity in SES, and the account's limits."""

from typing import Any

import pytest

from infrastructure.checks import State, any_bad
from infrastructure.deploying.aws import (
    sender,
)
from infrastructure.deploying.aws.account import Account
from infrastructure.deploying.aws.sender import Sender


def test_a_verified_domain_covers_its_addresses(account: Account) -> None:
    ses = account.client("sesv2")
    ses.create_email_identity(EmailIdentity="agency.example")
    found = sender.find(ses, "Your agency <line@agency.example>")
    assert (found.address, found.identity) == ("line@agency.example", "agency.example")
    assert found.identity_to_create("") == ""  # an identity outside of the stack is not created again


def test_the_stack_creates_an_unknown_domain_and_keeps_its_own(account: Account) -> None:
    ses = account.client("sesv2")
    found = sender.find(ses, "line@agency.example")
    assert (found.identity, found.identity_to_create("")) == (None, "agency.example")
    ses.create_email_identity(EmailIdentity="agency.example")  # as the stack does
    found = sender.find(ses, "line@agency.example")
    assert found.identity_to_create("") == ""
    assert found.identity_to_create("agency.example") == "agency.example"
    assert found.identity_to_create("other.example") == ""


@pytest.mark.parametrize(
    ("found", "deployed", "state", "says"),
    [
        (Sender("a@b.example", "b.example", True), False, State.OK, "may send as a@b.example"),
        (Sender("a@b.example", None), False, State.UNKNOWN, "this stack creates b.example"),
        (Sender("a@b.example", None), True, State.BAD, "deploy again"),
        (Sender("a@b.example", "b.example", False, ("t1",)), False, State.BAD, "t1._domainkey.b.example  CNAME"),
        (Sender("a@b.example", "a@b.example"), False, State.BAD, "click its link"),
    ],
)
def test_the_state_of_a_sender_has_its_fix(found: Sender, deployed: bool, state: State, says: str) -> None:
    result = sender.check_identity(found, deployed=deployed)
    assert result.state is state
    assert says in str(result)


def test_an_unverified_domain_does_not_block_a_deployment_because_its_records_may_come_later() -> None:
    assert not sender.check_identity(Sender("a@b.example", "b.example")).blocks


class Ses:
    """moto has no GetAccount."""

    def __init__(self, **account: Any) -> None:
        self._account = account

    def get_account(self) -> dict[str, Any]:
        return self._account


@pytest.mark.parametrize(
    ("account", "says"),
    [
        ({"ProductionAccessEnabled": False, "SendQuota": {"Max24HourSend": 50_000}}, "sandbox"),
        ({"ProductionAccessEnabled": True, "SendQuota": {"Max24HourSend": 100.0}}, "0 of 100 mails"),
        ({"ProductionAccessEnabled": True, "SendQuota": {"Max24HourSend": 1000, "SentLast24Hours": 900}}, "900 of"),
        ({"ProductionAccessEnabled": True, "SendingEnabled": False}, "paused"),
    ],
)
def test_a_limited_account_is_bad_but_blocks_no_deployment(account: dict[str, Any], says: str) -> None:
    found = [result for result in sender.check_account(Ses(**account)) if result.state is State.BAD]
    assert [says in result.subject for result in found] == [True]
    assert not found[0].blocks


def test_an_account_with_production_access_needs_no_fix() -> None:
    quota = {"Max24HourSend": 50_000.0, "SentLast24Hours": 10.0}
    assert not any_bad(sender.check_account(Ses(ProductionAccessEnabled=True, SendQuota=quota)))
