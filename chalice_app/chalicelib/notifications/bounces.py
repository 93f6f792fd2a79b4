"""Handles bounces, complaints and refusals that SES reports (through EventBridge) after it took a mail.

The owner whose address fails gets no mail about it, which would not arrive: the tenant shows the problem, and the
operators have mail. Of an operator's own address the other operators hear, and the webhook. Each event may come twice,
late, or for an address that is no longer the owner's.
"""

import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from email.utils import parseaddr
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from chalicelib.aws.ses import MailKind
from chalicelib.errors import NotFound
from chalicelib.log_context import bind
from chalicelib.log_events import LogEvent
from chalicelib.model import Event, EventKind, Problem, Tenant, milliseconds
from chalicelib.model.notices.kinds import NoticeKind
from chalicelib.model.notices.notice import News, NewsState
from chalicelib.notifications import notice_jobs
from chalicelib.notifications.channels import channel_of
from wire import ProblemCode

if TYPE_CHECKING:
    from chalicelib.wiring import Services

log = logging.getLogger(__name__)

#: The events of EventBridge that are handled.
DETAIL_TYPES: Final = (
    "Email Bounced",
    "Email Complaint Received",
    "Email Rejected",
    "Email Rendering Failed",
    "Email Delivery Delayed",
)
#: The tags that `aws/ses.py` gives a mail, and the one that SES adds.
TENANT, KIND, CONFIGURATION_SET = "tenant", "kind", "ses:configuration-set"
#: EventBridge retries for a day; a problem that a person fixed meanwhile must not be set again by a duplicate.
DEDUPLICATED_FOR: Final = timedelta(days=3)
#: Bounces that SES itself makes, of an address that bounced or complained before.
SUPPRESSED: Final = frozenset({"Suppressed", "OnAccountSuppressionList"})


class EventOutcome(StrEnum):
    """The outcome of handling an event."""

    MARKED = "marked"  #: the tenant has a problem, and the operators were notified
    RECORDED = "recorded"  #: a line in the tenant's timeline, or in the log
    FORMER_ADDRESS = "former_address"  #: the owner has another address by now
    OPERATORS = "operators"  #: the operators' own mail did not arrive
    DUPLICATE = "duplicate"  #: the event was handled before
    IGNORED = "ignored"  #: of another stage, of an unknown tenant, or of an unknown form


class DeliveryStatus(StrEnum):
    """The delivery status of a mail after an event."""

    DELAYED = "delayed"  #: SES still tries; the mail may arrive
    FAILED = "failed"  #: this mail did not arrive; the address may still be right
    REFUSED = "refused"  #: mail to this address does not arrive until a person fixes the cause


@dataclass(frozen=True, slots=True)
class Delivery:
    """The delivery status of a mail, with a sentence for the operators unless it is delayed."""

    status: DeliveryStatus
    sentence: str = ""
    #: the tenant's problem; only if the mail is refused
    code: ProblemCode | None = None


class _SesModel(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", populate_by_name=True, defer_build=True)


class Recipient(_SesModel):
    """The recipient of a mail that bounced."""

    address: str = Field("", alias="emailAddress")
    #: as ``5.1.1``
    status: str | None = None


class Bounce(_SesModel):
    """The reason of a bounce."""

    type: str = Field(alias="bounceType")
    subtype: str = Field("", alias="bounceSubType")
    recipients: tuple[Recipient, ...] = Field((), alias="bouncedRecipients")


class Complaint(_SesModel):
    """The recipients who reported a mail as spam."""

    recipients: tuple[Recipient, ...] = Field((), alias="complainedRecipients")


class Reject(_SesModel):
    """The reason why SES refused a mail."""

    reason: str = ""


class Mail(_SesModel):
    """The mail of an event, with the tags that it was sent with."""

    id: str = Field(alias="messageId", min_length=1, max_length=200)
    destination: tuple[str, ...] = ()
    tags: Mapping[str, tuple[str, ...]] = Field(default_factory=dict)

    def tag(self, name: str) -> str:
        """Returns the value of a tag; empty without one."""
        return next(iter(self.tags.get(name, ())), "")


class Detail(_SesModel):
    """The mail and what happened to it."""

    mail: Mail
    bounce: Bounce | None = None
    complaint: Complaint | None = None
    reject: Reject | None = None
    #: of a template; we use none
    failure: Mapping[str, Any] | None = None

    @property
    def addresses(self) -> frozenset[str]:
        """The addresses that the event is about."""
        report = self.bounce or self.complaint
        reported = [each.address for each in report.recipients] if report is not None else []
        return frozenset(parseaddr(each)[1].casefold() for each in reported or self.mail.destination)


class MailEvent(_SesModel):
    """An event of SES as EventBridge delivers it."""

    detail_type: str = Field(alias="detail-type")
    detail: Detail


def handle(services: "Services", event: Mapping[str, Any]) -> EventOutcome:
    """Handles one event as EventBridge delivers it; an event of unknown form is logged and not retried."""
    try:
        parsed = MailEvent.model_validate(event)
    except ValidationError as error:
        log.error(LogEvent.MAIL_EVENT_INVALID, extra={"fields": [".".join(map(str, e["loc"])) for e in error.errors()]})
        return EventOutcome.IGNORED
    mail = parsed.detail.mail
    bind(mail=mail.id)
    if services.mail_configuration_set not in mail.tags.get(CONFIGURATION_SET, (services.mail_configuration_set,)):
        return EventOutcome.IGNORED  # another stage of the same account: its events come over the same bus
    if mail.tag(KIND) == MailKind.TRIAL:
        return _handle_of_trial(services, parsed.detail)
    if mail.tag(KIND) in (MailKind.ATTENTION, MailKind.DIGEST):
        return _handle_of_operators(services, parsed)
    try:
        tenant = services.tenants.get(mail.tag(TENANT))
    except NotFound:
        log.warning(LogEvent.MAIL_EVENT_OF_UNKNOWN_TENANT, extra={"kind": mail.tag(KIND)})
        return EventOutcome.IGNORED
    bind(tenant=tenant.id)
    return _handle_of_tenant(services, tenant, parsed)


def _handle_of_operators(services: "Services", event: MailEvent) -> EventOutcome:
    """Stores news of each operator whose mail did not arrive: the other operators and the webhook hear of it."""
    fields = {"kind": event.detail.mail.tag(KIND), "event": event.detail_type}
    if classify(event.detail).status is DeliveryStatus.DELAYED:
        log.info(LogEvent.MAIL_DELAYED, extra=fields)
        return EventOutcome.OPERATORS
    log.error(LogEvent.MAIL_TO_OPERATORS_BOUNCED, extra=fields)
    now, key = services.clock(), f"mail-event#{event.detail.mail.id}#{event.detail_type}"
    for address in services.operators_emails:
        channel = channel_of(address)
        if address.casefold() not in event.detail.addresses or services.counters.total(channel, key, "heard"):
            continue
        news = News(channel, NoticeKind.OPERATORS_MAIL, NewsState.OPEN, now)
        services.notices.make([news])
        notice_jobs.request_sending(services, [news])
        services.counters.count(channel, key, "heard", 1, expires_at=now + milliseconds(DEDUPLICATED_FOR))
    return EventOutcome.OPERATORS


def _handle_of_trial(services: "Services", detail: Detail) -> EventOutcome:
    """Records why an operator's test mail did not arrive: the page of the setup shows it."""
    delivery = classify(detail)
    if delivery.status is not DeliveryStatus.DELAYED:
        sentence = delivery.sentence.replace("The owner's mail server", "Your mail server")
        services.setup.record_mail_error(detail.mail.tag(TENANT), sentence)
    return EventOutcome.OPERATORS


def _handle_of_tenant(services: "Services", tenant: Tenant, event: MailEvent) -> EventOutcome:
    mail, now = event.detail.mail, services.clock()
    delivery = classify(event.detail)
    fields = {"kind": mail.tag(KIND), "event": event.detail_type, "code": delivery.code or ""}
    if delivery.status is DeliveryStatus.DELAYED:
        log.info(LogEvent.MAIL_DELAYED, extra=fields)
        return EventOutcome.RECORDED
    if tenant.owner_email.casefold() not in event.detail.addresses:
        log.info(LogEvent.MAIL_BOUNCED_AT_FORMER_ADDRESS, extra=fields)
        return EventOutcome.FORMER_ADDRESS
    key = f"mail-event#{mail.id}#{event.detail_type}"
    if services.counters.total(tenant.id, key, "heard"):
        return EventOutcome.DUPLICATE
    if delivery.code is not None:
        log.warning(LogEvent.MAIL_BOUNCED, extra=fields)
        problem = Problem(delivery.code, now, delivery.sentence)
        if services.tenants.set_mail_problem(tenant.id, problem):
            notice_jobs.request_of_problem(services, tenant.id, problem.code)
    else:
        log.warning(LogEvent.MAIL_NOT_DELIVERED, extra=fields)
        services.timeline.record(Event(tenant.id, services.clock(), EventKind.MAIL_FAILED, delivery.sentence))
    services.counters.count(tenant.id, key, "heard", 1, expires_at=now + milliseconds(DEDUPLICATED_FOR))
    return EventOutcome.RECORDED if delivery.code is None else EventOutcome.MARKED


def classify(detail: Detail) -> Delivery:
    """Returns the delivery status that an event reports. Pure."""
    if detail.complaint is not None:
        why = "SES sends nothing more to it until somebody takes it off the account's suppression list."
        sentence = f"This address reported our mail as spam. {why}"
        return _refused(sentence, ProblemCode.MAIL_COMPLAINED)
    if detail.reject is not None:
        reason = _sanitized(detail.reject.reason) or "no reason"
        return _refused(f"SES refused the mail for what is in it ({reason}).")
    if detail.bounce is not None:
        return _classify_bounce(detail.bounce)
    if detail.failure is not None:
        return Delivery(DeliveryStatus.FAILED, "SES could not write this mail.")
    return Delivery(DeliveryStatus.DELAYED)


def _classify_bounce(bounce: Bounce) -> Delivery:
    subtype = _sanitized(bounce.subtype) or _sanitized(bounce.type)
    if bounce.type != "Permanent":
        sentence = f"The owner's mail server did not take the mail, in several tries ({subtype})."
        return Delivery(DeliveryStatus.FAILED, sentence)
    if bounce.subtype in SUPPRESSED:
        why = "Once it works again, take it off the account's suppression list in SES."
        return _refused(f"Mail to this address failed before. {why}")
    status = next((_sanitized(each.status or "") for each in bounce.recipients if each.status), "") or subtype
    return _refused(f"The owner's mail server refuses this address ({status}).")


def _refused(sentence: str, code: ProblemCode = ProblemCode.MAIL_BOUNCED) -> Delivery:
    return Delivery(DeliveryStatus.REFUSED, sentence, code)


def _sanitized(text: str) -> str:
    """Returns a code or a few words of a mail server, without anything that could be an address or a text."""
    return re.sub(r"[^A-Za-z0-9. -]", "", text)[:40]
