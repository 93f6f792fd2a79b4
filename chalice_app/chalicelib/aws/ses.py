"""SES: sends the mails to owners and operators, as text and HTML, in the recipient's language."""

import logging
import unicodedata
from collections.abc import Mapping, Sequence
from email.errors import HeaderParseError
from email.header import Header
from email.message import EmailMessage
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final

from botocore.exceptions import BotoCoreError, ClientError

from chalicelib.errors import ActionRequired, PermanentError, TransientError
from chalicelib.log_events import LogEvent
from chalicelib.model import INVITE_UNOPENED_FOR, Tenant
from chalicelib.model.mail_address import UNFIT_FOR_HEADERS, parse_sender
from chalicelib.model.notices.digest import DigestLine, OpenMatter
from chalicelib.model.notices.kinds import NoticeKind
from chalicelib.model.notices.notice import NoticeLine, Subject
from chalicelib.model.public_address import unfit_reason
from chalicelib.rendering.languages import DEFAULT_LANGUAGE, LANGUAGES, format_instant, translator
from chalicelib.rendering.notice_sentences import entry_of_matter, entry_of_notice, title_of_notices
from chalicelib.rendering.subjects import isolate, subject_of
from chalicelib.rendering.templating import render_mail
from wire import ProblemCode

if TYPE_CHECKING:
    from email.headerregistry import Address

    from mypy_boto3_sesv2 import SESV2Client

log = logging.getLogger(__name__)

#: RFC 5321: a path has at most 256 octets with its brackets.
MAX_ADDRESS_LENGTH: Final = 254
#: A number is told by its last digits: its owner knows the others.
SHOWN_DIGITS: Final = 4
#: The operators' mail names so many lines that need them, and so many that work again.
MAX_LINES: Final = 25
#: Error codes of SES when it is busy or throttles us: the same mail may be sent later.
TRANSIENT: Final = frozenset(
    {"TooManyRequestsException", "LimitExceededException", "ThrottlingException", "Throttling", "RequestTimeout"}
)
#: Error codes of SES that a person must fix, in SES or at the address, and what to look at; of others the code is said.
NEEDS_ACTION: Final[Mapping[str, str]] = {
    "MessageRejected": "SES refused this mail. Is the owner's address right, and are both addresses allowed?",
    "MailFromDomainNotVerifiedException": "The sender's domain is not verified in SES.",
    "AccountSuspendedException": "SES has suspended this account's sending.",
    "SendingPausedException": "Sending is paused in SES, for the account or for its configuration set.",
    "NotFoundException": "SES does not know the configuration set, or the sender.",
}
#: Problems that only the operators can fix: the owner's mail asks the owner for nothing.
OPERATORS_FIX: Final = frozenset(
    {
        ProblemCode.KEY_REVOKED,
        ProblemCode.KEY_FORBIDDEN,
        ProblemCode.KEY_UNREADABLE,
        ProblemCode.OUT_OF_CREDIT,
        ProblemCode.MODEL_RETIRED,
        ProblemCode.ASSISTANT_REFUSED,
        ProblemCode.BUDGET_REACHED,
    }
)
#: The titles of the news and of its all-clear; the news has the title of the owner's page.
TITLES: Final[Mapping[NoticeKind, tuple[str, str]]] = {
    NoticeKind.DISCONNECTED: ("phase.logged_out.title", "mail.over.logged_out"),
    NoticeKind.PASSKEY: ("phase.passkey_required.title", "mail.over.passkey"),
    NoticeKind.CONFLICT: ("phase.conflict.title", "mail.over.line"),
    NoticeKind.BLOCKED: ("phase.blocked.title", "mail.over.blocked"),
    NoticeKind.RESTRICTED: ("problem.restricted.title", "mail.over.restricted"),
    NoticeKind.PAGE_TAKEN_OVER: ("mail.page_taken_over.title", "mail.over.line"),
}
OTHER_TITLES: Final = ("mail.problem.title", "mail.over.line")
TITLES_OF_ASSISTANT: Final = ("mail.silent.title", "mail.over.assistant")


class MailKind(StrEnum):
    """The kind of a mail: the folder of its templates, and the tag that SES reports with each event."""

    INVITE = "invite"  #: asks the owner to connect
    LOGGED_OUT = "logged_out"  #: the phone ended the connection
    PROBLEM = "problem"  #: a problem that the owner can fix
    SILENT = "silent"  #: a problem of the assistant, which only the operators can fix
    PAGE_TAKEN_OVER = "page_taken_over"  #: another browser continues on the owner's page
    NUMBER_LINKED = "number_linked"  #: which account was linked
    ALL_CLEAR = "all_clear"  #: the line works again
    ATTENTION = "attention"  #: news of lines, for the operators
    DIGEST = "digest"  #: once a day what is open, for the operators
    TRIAL = "trial"  #: a test of the setup, for the operator who asked for it


class Mailer:
    """Renders mails and sends them with SES; the caller limits the rate.

    Args:
        client: a boto3 SES v2 client.
        sender: an address, or ``Name <address>``.
        configuration_set: SES reports bounces to it; None on one machine.
        allow_local_links: True only if the reader uses this very machine.
    """

    def __init__(
        self,
        client: "SESV2Client",
        sender: str,
        configuration_set: str | None = None,
        allow_local_links: bool = False,
    ) -> None:
        self._client = client
        parsed = parse_sender(sender)
        self._sender = parsed if parsed.name else parsed._replace(name="Answerline")
        self._configuration_set = configuration_set
        self._allow_local_links = allow_local_links

    def invite(self, tenant: Tenant, link: str) -> str:
        """Mails the owner the link to connect; returns SES's message id.

        Raises:
            TransientError: SES is busy or out of reach.
            ActionRequired: the address bounces or SES's own settings refuse it.
            PermanentError: this very mail can never be sent, for the form of its address or name, or for its link.
        """
        hours = int(INVITE_UNOPENED_FOR.total_seconds()) // 3600
        return self._send(MailKind.INVITE, tenant, "mail.invite.title", link, hours=hours)

    def notify_owner(self, tenant: Tenant, kind: NoticeKind, subject: Subject, since: int, link: str) -> str:
        """Mails the owner news of the own line, a reminder of it, or an all-clear; raises as ``invite`` does.

        Args:
            since: when it became so.
        """
        operators_fix = kind.problem in OPERATORS_FIX
        title, over = TITLES_OF_ASSISTANT if operators_fix else TITLES.get(kind, OTHER_TITLES)
        if subject is Subject.ALL_CLEAR:
            return self._send(MailKind.ALL_CLEAR, tenant, over, link)
        if kind is NoticeKind.PAGE_TAKEN_OVER:
            return self._send(MailKind.PAGE_TAKEN_OVER, tenant, title, link)
        reminder = subject is Subject.REMINDER
        if kind is NoticeKind.DISCONNECTED:
            when = format_instant(since, tenant.language, tenant.time_zone)
            return self._send(MailKind.LOGGED_OUT, tenant, title, link, reminder=reminder, when=when)
        mail = MailKind.SILENT if operators_fix else MailKind.PROBLEM
        return self._send(mail, tenant, title, link, reminder=reminder, problem=kind.problem)

    def number_linked(self, tenant: Tenant, number: str, link: str) -> str:
        """Mails the owner by what digits the number ends that was linked; raises as ``invite`` does."""
        digits = number[-SHOWN_DIGITS:]
        return self._send(MailKind.NUMBER_LINKED, tenant, "mail.number_linked.title", link, digits=digits)

    def notify_operators(self, operator: str, lines: Sequence[NoticeLine], overview: str) -> str:
        """Mails one operator news of one or more lines, in English; raises as ``invite`` does.

        Args:
            overview: the address of the list of tenants; a mail about one line leads to that line.
        """
        news = [line for line in lines if line.subject is not Subject.ALL_CLEAR]
        over = [line for line in lines if line.subject is Subject.ALL_CLEAR]
        named = lines[0].name if len({line.link for line in lines}) == 1 else ""
        return self._deliver(
            MailKind.ATTENTION,
            lines[0].link if named else overview,
            operator,
            DEFAULT_LANGUAGE,
            about="operators",
            title=title_of_notices(news, over),
            name=named,
            news=list(map(entry_of_notice, news[:MAX_LINES])),
            over=list(map(entry_of_notice, over[:MAX_LINES])),
            more=max(0, len(news) - MAX_LINES) + max(0, len(over) - MAX_LINES),
        )

    def send_digest(self, operator: str, lines: Sequence[DigestLine], overview: str) -> str:
        """Mails one operator what is open, in English; raises as ``invite`` does.

        Args:
            overview: the address of the list of tenants.
        """
        matters = {
            matter: [entry_of_matter(line, overview) for line in lines if line.matter is matter][:MAX_LINES]
            for matter in OpenMatter
        }
        return self._deliver(
            MailKind.DIGEST,
            overview,
            operator,
            DEFAULT_LANGUAGE,
            about="operators",
            title=translator(DEFAULT_LANGUAGE)("admin.digest.title", count=len(lines)),
            matters={matter: found for matter, found in matters.items() if found},
            more=len(lines) - sum(map(len, matters.values())),
        )

    def trial(self, operator: str, link: str, token_sha256: str) -> str:
        """Sends an operator a test mail, in English; raises as ``invite`` does.

        Args:
            token_sha256: stands for the mail in SES's events, where others name the tenant.
        """
        title = translator(DEFAULT_LANGUAGE)("admin.trial.title")
        return self._deliver(MailKind.TRIAL, link, operator, DEFAULT_LANGUAGE, about=token_sha256, title=title)

    def _send(
        self, kind: MailKind, tenant: Tenant, title_key: str, link: str, *, reminder: bool = False, **values: object
    ) -> str:
        translate = translator(tenant.language)
        title = translate(title_key)
        if reminder:
            title = translate("mail.reminder.title", title=title)
        return self._deliver(
            kind,
            link,
            tenant.owner_email,
            tenant.language,
            about=tenant.id,
            title=title,
            name=tenant.name,
            reminder=reminder,
            **values,
        )

    def _deliver(
        self,
        kind: MailKind,
        link: str,
        to: str,
        language: str,
        *,
        about: str,
        title: str,
        name: str = "",
        **values: object,
    ) -> str:
        _require_public(link, self._allow_local_links)
        recipient = _address(to)
        language = language if language in LANGUAGES else DEFAULT_LANGUAGE
        subject = subject_of(title, name, language)
        shown = {"title": title, "name": isolate(name), "sender": self._sender.name, "link": link, **values}
        message = self._message(kind, recipient, subject, language, shown)
        request: dict[str, Any] = {
            "FromEmailAddress": self._sender.header,
            "Destination": {"ToAddresses": [recipient.addr_spec]},
            "Content": {"Raw": {"Data": message.as_bytes()}},
            # `notifications/bounces.py` reads these tags.
            "EmailTags": [{"Name": "kind", "Value": kind.value}, {"Name": "tenant", "Value": about}],
        }
        if self._configuration_set is not None:
            request["ConfigurationSetName"] = self._configuration_set
        try:
            answer = self._client.send_email(**request)
        except ClientError as error:
            raise _classify(error) from None
        except BotoCoreError:
            raise TransientError("The mail service is out of reach; this will be tried again.") from None
        log.info(LogEvent.MAIL_SENT, extra={"tenant": about, "kind": kind.value, "mail": answer["MessageId"]})
        return str(answer["MessageId"])

    def _message(
        self, kind: MailKind, recipient: "Address", subject: str, language: str, values: Mapping[str, object]
    ) -> EmailMessage:
        from email.policy import SMTP  # brings the whole grammar of addresses, which only a mail needs

        context = {"translate": translator(language), "language": language, **values}
        text, html = (render_mail(f"{kind}/{part}", **context) for part in ("text.txt", "html.html"))
        message = EmailMessage(policy=SMTP)
        message["From"] = _address(self._sender.address, self._sender.name)
        message["To"] = recipient
        # EmailMessage's own folding loses spaces between encoded words (Python 3.11); Header's does not.
        message.set_raw("Subject", Header(_one_line(subject), "utf-8", header_name="Subject").encode())
        message["Auto-Submitted"] = "auto-generated"
        message.set_content(text, cte="quoted-printable")
        message.add_alternative(html, subtype="html", cte="quoted-printable")
        message["Content-Language"] = language
        return message


def _one_line(text: str) -> str:
    """Returns a header's value. Raises PermanentError for a value that could begin another header."""
    if any(unicodedata.category(letter) in UNFIT_FOR_HEADERS for letter in text):
        raise PermanentError(
            "mail_header", "A name or address in this mail contains a line break or control character."
        )
    return text


def _address(address: str, name: str = "") -> "Address":
    """Parses an address. Raises PermanentError also for one beyond ASCII, which SES does not accept."""
    from email.headerregistry import Address

    if not address.isascii() or len(address) > MAX_ADDRESS_LENGTH or address != _one_line(address).strip():
        raise PermanentError("mail_address", "This is not an e-mail address that mail can be sent to.")
    try:
        parsed = Address(_one_line(name), addr_spec=address)
    except (ValueError, IndexError, HeaderParseError):
        raise PermanentError("mail_address", "This is not an e-mail address that mail can be sent to.") from None
    if not parsed.username or "." not in parsed.domain:
        raise PermanentError("mail_address", "This is not an e-mail address that mail can be sent to.")
    return parsed


def _require_public(link: str, allow_local: bool) -> None:
    """Raises PermanentError for a link that its reader cannot open, or must not."""
    if unfit_reason(_one_line(link), allow_local=allow_local) is not None:
        raise PermanentError("mail_link", "The public address of this installation cannot be reached from outside.")


def _classify(error: ClientError) -> TransientError | ActionRequired:
    """Returns our error for an error of SES.

    None is permanent, also not one that we do not know: it may be about our deployment (a role without a permission),
    and the same mail is taken once that is fixed.
    """
    code = error.response.get("Error", {}).get("Code", "")
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    if code in TRANSIENT or status >= 500 or status == 429:
        return TransientError("The mail service is busy; this will be tried again.")
    unknown = f"SES refused this mail ({code}). Check its settings, and what this installation may do there."
    return ActionRequired(ProblemCode.MAIL_BOUNCED, NEEDS_ACTION.get(code, unknown))
