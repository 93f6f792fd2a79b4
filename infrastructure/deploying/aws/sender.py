"""SES: may this account write as this address, and to whom?"""

from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError

from infrastructure.checks import Finding, bad, ok, unknown
from infrastructure.deploying.settings import address_of

#: Below this, an agency's busy day would meet the limit.
MAILS_PER_DAY = 200


@dataclass(frozen=True, slots=True)
class Sender:
    """An address, the identity that may speak for it, and how that stands."""

    address: str
    #: the address itself or its domain; None if SES knows neither
    identity: str | None
    verified: bool = False
    #: what the domain's name server must say, for a domain that is not verified yet
    dkim_tokens: tuple[str, ...] = ()

    @property
    def domain(self) -> str:
        """The part after the @."""
        return self.address.rpartition("@")[2]

    def to_make(self, held: str) -> str:
        """The identity that the stack shall hold: the one it holds, else the domain if SES knows none, else none."""
        return self.domain if held == self.domain or self.identity is None else ""


def find(sesv2: Any, mail_from: str) -> Sender:
    """What SES knows of this address: a verified identity before one that is not."""
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


def look_at_identity(sender: Sender, *, deployed: bool = False) -> Finding:
    """Whether mails may leave under this address."""
    if sender.verified:
        return ok(f"SES may send as {sender.address} ({sender.identity})")
    if sender.identity is None:
        if deployed:
            return bad(f"SES does not know {sender.address}", "deploy again: the stack makes the identity")
        return unknown(
            f"SES does not know {sender.address} yet: this stack makes {sender.domain}",
            "afterwards publish the DNS records that are printed",
        )
    return bad(f"SES has not verified {sender.identity}: no mail leaves", _how_to_verify(sender), stops=False)


def look_at_account(sesv2: Any) -> list[Finding]:
    """Whether SES lets this account write to strangers, and how much."""
    account = sesv2.get_account()
    found = []
    if not account.get("SendingEnabled", True):
        found.append(bad("SES has paused this account's sending", "see why in the SES console", stops=False))
    if account.get("ProductionAccessEnabled"):
        found.append(ok("SES sends to everybody (production access)"))
    else:
        mend = "ask for production access in the SES console; until then only verified addresses get mail"
        found.append(bad("SES is in the sandbox", mend, stops=False))
    quota = account.get("SendQuota", {})
    at_most, sent = quota.get("Max24HourSend", -1), quota.get("SentLast24Hours", 0)
    what = f"SES: {sent:.0f} of {'any number of' if at_most < 0 else f'{at_most:.0f}'} mails sent in 24 h"
    if at_most >= 0 and (at_most < MAILS_PER_DAY or sent > at_most * 0.8):
        found.append(bad(what, "ask for a higher sending quota in the SES console", stops=False))
    else:
        found.append(ok(what))
    return found


def records(sender: Sender) -> list[str]:
    """The DNS records that prove the domain to SES, a line each."""
    return [f"{token}._domainkey.{sender.identity}  CNAME  {token}.dkim.amazonses.com" for token in sender.dkim_tokens]


def _how_to_verify(sender: Sender) -> str:
    if not sender.dkim_tokens:
        return "open the mail that SES sent to this address and click its link"
    return "publish these DNS records: " + "; ".join(records(sender))
