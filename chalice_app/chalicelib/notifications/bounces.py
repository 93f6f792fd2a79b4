"""What SES tells of our mails once it has taken them: bounced, marked as spam, refused (through EventBridge).

The owner whose address does not work is told nothing, for it would not arrive: the tenant shows it, and the operators
have mail. Each event may come twice, late, or for an address that is no longer the owner's.
"""

import logging
import re
from collections.abc import Mapping
from datetime import timedelta
from email.utils import parseaddr
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from chalicelib.errors import NotFound
from chalicelib.log_context import bind
from chalicelib.log_events import LogEvent
from chalicelib.model import Event, EventKind, Problem, Tenant, milliseconds
from chalicelib.notifications import notices
from wire import ProblemCode

if TYPE_CHECKING:
    from chalicelib.wiring import Services

log = logging.getLogger(__name__)

#: What EventBridge calls those that are heard.
DETAIL_TYPES: Final = (
    "Email Bounced",
    "Email Complaint Received",
    "Email Rejected",
    "Email Rendering Failed",
    "Email Delivery Delayed",
)
#: The tags that `mailer.py` gives a mail, and the one that SES adds.
TENANT, KIND, CONFIGURATION_SET = "tenant", "kind", "ses:configuration-set"
#: A mail of this kind went to the operators themselves.
TO_OPERATORS: Final = "attention"
#: EventBridge tries for a day; a person may mend it meanwhile, and must not see it come back.
REMEMBERED_FOR: Final = timedelta(days=3)
#: Bounces that SES itself makes, of an address that bounced or complained before.
SUPPRESSED: Final = frozenset({"Suppressed", "OnAccountSuppressionList"})


class Fate(StrEnum):
    """What became of an event."""

    MARKED = "marked"  #: the tenant shows it, and the operators were told
    NOTED = "noted"  #: a line in the tenant's timeline, or in the log
    FORMER_ADDRESS = "former_address"  #: the owner has another address by now
    OPERATORS = "operators"  #: the operators' own mail did not arrive
    AGAIN = "again"  #: it was heard before
    NOT_OURS = "not_ours"  #: of another stage, of a tenant nobody knows, or not understood


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", populate_by_name=True)


class Recipient(_Part):
    address: str = Field("", alias="emailAddress")
    #: as ``5.1.1``
    status: str | None = None


class Bounce(_Part):
    type: str = Field(alias="bounceType")
    subtype: str = Field("", alias="bounceSubType")
    recipients: tuple[Recipient, ...] = Field((), alias="bouncedRecipients")


class Complaint(_Part):
    recipients: tuple[Recipient, ...] = Field((), alias="complainedRecipients")


class Reject(_Part):
    reason: str = ""


class Mail(_Part):
    id: str = Field(alias="messageId", min_length=1, max_length=200)
    destination: tuple[str, ...] = ()
    tags: Mapping[str, tuple[str, ...]] = Field(default_factory=dict)

    def tag(self, name: str) -> str:
        return next(iter(self.tags.get(name, ())), "")


class Detail(_Part):
    mail: Mail
    bounce: Bounce | None = None
    complaint: Complaint | None = None
    reject: Reject | None = None
    #: of a template; we use none
    failure: Mapping[str, Any] | None = None

    @property
    def addresses(self) -> frozenset[str]:
        """Whom it is about."""
        of = self.bounce or self.complaint
        told = [each.address for each in of.recipients] if of is not None else []
        return frozenset(parseaddr(each)[1].casefold() for each in told or self.mail.destination)


class MailEvent(_Part):
    detail_type: str = Field(alias="detail-type")
    detail: Detail


def hear(services: "Services", event: Mapping[str, Any]) -> Fate:
    """One event as EventBridge gives it; what is not understood is a line in the log, and is not tried again."""
    try:
        heard = MailEvent.model_validate(event)
    except ValidationError as error:
        log.error(LogEvent.MAIL_EVENT_INVALID, extra={"fields": [".".join(map(str, e["loc"])) for e in error.errors()]})
        return Fate.NOT_OURS
    mail = heard.detail.mail
    bind(mail=mail.id)
    if services.mail_configuration_set not in mail.tags.get(CONFIGURATION_SET, (services.mail_configuration_set,)):
        return Fate.NOT_OURS  # another stage of the same account: its events come over the same bus
    try:
        tenant = services.tenants.get(mail.tag(TENANT))
    except NotFound:
        log.warning(LogEvent.MAIL_EVENT_OF_UNKNOWN_TENANT, extra={"kind": mail.tag(KIND)})
        return Fate.NOT_OURS
    bind(tenant=tenant.id)
    return _of_tenant(services, tenant, heard)


def _of_tenant(services: "Services", tenant: Tenant, heard: MailEvent) -> Fate:
    mail, now = heard.detail.mail, services.clock()
    problem, sentence = judged(heard.detail, now)
    told = {"kind": mail.tag(KIND), "event": heard.detail_type, "code": problem.code if problem else ""}
    if mail.tag(KIND) == TO_OPERATORS:
        log.error(LogEvent.MAIL_TO_OPERATORS_BOUNCED, extra=told)
        return Fate.OPERATORS
    if problem is None and not sentence:
        log.info(LogEvent.MAIL_DELAYED, extra=told)
        return Fate.NOTED
    if tenant.owner_email.casefold() not in heard.detail.addresses:
        log.info(LogEvent.MAIL_BOUNCED_AT_FORMER_ADDRESS, extra=told)
        return Fate.FORMER_ADDRESS
    key = f"mail-event#{mail.id}#{heard.detail_type}"
    if services.tenants.counted(tenant.id, key, "heard"):
        return Fate.AGAIN
    fate = _marked(services, tenant, problem, told) if problem else _noted(services, tenant, sentence, told)
    services.tenants.count(tenant.id, key, "heard", 1, expires_at=now + milliseconds(REMEMBERED_FOR))
    return fate


def _marked(services: "Services", tenant: Tenant, problem: Problem, told: Mapping[str, str]) -> Fate:
    log.warning(LogEvent.MAIL_BOUNCED, extra=dict(told))
    services.tenants.set_mail_problem(tenant.id, problem)
    notices.notify_of_problem(services, tenant, problem)
    return Fate.MARKED


def _noted(services: "Services", tenant: Tenant, sentence: str, told: Mapping[str, str]) -> Fate:
    log.warning(LogEvent.MAIL_NOT_DELIVERED, extra=dict(told))
    services.tenants.record(Event(tenant.id, services.clock(), EventKind.MAIL_FAILED, sentence))
    return Fate.NOTED


def judged(detail: Detail, now: int) -> tuple[Problem | None, str]:
    """What a person must mend, or else a sentence for the timeline; neither for a mail that may still arrive. Pure."""
    if detail.complaint is not None:
        why = "SES sends nothing more to it until somebody takes it off the account's suppression list."
        return Problem(ProblemCode.MAIL_COMPLAINED, now, f"This address reported our mail as spam. {why}"), ""
    if detail.reject is not None:
        reason = _word(detail.reject.reason) or "no reason"
        return Problem(ProblemCode.MAIL_BOUNCED, now, f"SES refused the mail for what is in it ({reason})."), ""
    if detail.bounce is None:
        return None, "" if detail.failure is None else "SES could not write this mail."
    subtype = _word(detail.bounce.subtype) or _word(detail.bounce.type)
    if detail.bounce.type != "Permanent":
        return None, f"The owner's mail server did not take the mail, in several tries ({subtype})."
    if detail.bounce.subtype in SUPPRESSED:
        why = "Once it works again, take it off the account's suppression list in SES."
        return Problem(ProblemCode.MAIL_BOUNCED, now, f"Mail to this address failed before. {why}"), ""
    status = next((_word(each.status or "") for each in detail.bounce.recipients if each.status), "") or subtype
    return Problem(ProblemCode.MAIL_BOUNCED, now, f"The owner's mail server refuses this address ({status})."), ""


def _word(text: str) -> str:
    """A code or a few words of somebody else's, without anything that could be an address or a text."""
    return re.sub(r"[^A-Za-z0-9. -]", "", text)[:40]
