"""SES: the identity that mails are sent as, and the account's limits."""

from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError

from chalicelib.model.mail_address import parse_sender
from infrastructure.checks import CheckResult, bad, ok, unknown

#: A lower daily quota is reached on an agency's busy day.
MAILS_PER_DAY = 200


@dataclass(frozen=True, slots=True)
class Sender:
    """An address, with the state of the identity that may send as it."""

    address: str
    #: the address itself or its domain; None if SES knows neither
    identity: str | None
    verified: bool = False
    #: the DNS records that a domain needs which is not verified yet
    dkim_tokens: tuple[str, ...] = ()

    @property
    def domain(self) -> str:
        """The part after the @."""
        return self.address.rpartition("@")[2]

    def identity_to_create(self, held: str) -> str:
        """Returns the identity that the stack shall hold: its own, else the domain if SES knows none, else none.

        Args:
            held: the identity that the stack holds today; empty if none.
        """
        return self.domain if held == self.domain or self.identity is None else ""


def find(sesv2: Any, mail_from: str) -> Sender:
    """Reads what SES knows of this address: a verified identity before an unverified one."""
    address = address_of(mail_from)
    known: Sender | None = None
    for identity in (address, address.rpartition("@")[2]):
        try:
            answer = sesv2.get_email_identity(EmailIdentity=identity)
        except ClientError as error:
            if error.response.get("Error", {}).get("Code") != "NotFoundException":
                raise
            continue
        tokens = tuple(answer.get("DkimAttributes", {}).get("Tokens", ()))
        sender = Sender(address, identity, bool(answer.get("VerifiedForSendingStatus")), tokens)
        if sender.verified:
            return sender
        known = known or sender
    return known or Sender(address, None)


def address_of(mail_from: str) -> str:
    """Returns the address alone, of ``Name <address>`` or an address. Raises ValueError."""
    return parse_sender(mail_from).address


def check_identity(sender: Sender, *, deployed: bool = False) -> CheckResult:
    """Checks whether SES sends mails as this address."""
    if sender.verified:
        return ok(f"SES may send as {sender.address} ({sender.identity})")
    if sender.identity is None:
        if deployed:
            return bad(f"SES does not know {sender.address}", "deploy again: the stack creates the identity")
        return unknown(
            f"SES does not know {sender.address} yet: this stack creates {sender.domain}",
            "afterwards publish the DNS records that are printed",
        )
    return bad(f"SES has not verified {sender.identity}: no mail is sent", _how_to_verify(sender), blocks=False)


def check_account(sesv2: Any) -> list[CheckResult]:
    """Checks whether SES lets this account write to everybody, and how much."""
    account = sesv2.get_account()
    results = []
    if not account.get("SendingEnabled", True):
        results.append(bad("SES has paused this account's sending", "see why in the SES console", blocks=False))
    if account.get("ProductionAccessEnabled"):
        results.append(ok("SES sends to everybody (production access)"))
    else:
        fix = "ask for production access in the SES console; until then only verified addresses get mail"
        results.append(bad("SES is in the sandbox", fix, blocks=False))
    quota = account.get("SendQuota", {})
    limit, sent = quota.get("Max24HourSend", -1), quota.get("SentLast24Hours", 0)
    subject = f"SES: {sent:.0f} of {'any number of' if limit < 0 else f'{limit:.0f}'} mails sent in 24 h"
    if limit >= 0 and (limit < MAILS_PER_DAY or sent > limit * 0.8):
        results.append(bad(subject, "ask for a higher sending quota in the SES console", blocks=False))
    else:
        results.append(ok(subject))
    return results


def dns_records(sender: Sender) -> list[str]:
    """Lists the DNS records that prove the domain to SES, a line each."""
    return [f"{token}._domainkey.{sender.identity}  CNAME  {token}.dkim.amazonses.com" for token in sender.dkim_tokens]


def _how_to_verify(sender: Sender) -> str:
    if not sender.dkim_tokens:
        return "open the mail that SES sent to this address and click its link"
    return "publish these DNS records: " + "; ".join(dns_records(sender))
