"""Only SES: the few mails that an owner gets, as text and HTML, in the owner's language."""

import logging
import unicodedata
from collections.abc import Mapping
from email.errors import HeaderParseError
from email.header import Header
from email.message import EmailMessage
from email.utils import parseaddr
from typing import TYPE_CHECKING, Any, Final

from botocore.exceptions import BotoCoreError, ClientError

from chalicelib.errors import ActionRequired, PermanentError, TransientError
from chalicelib.log_events import LogEvent
from chalicelib.model import INVITE_UNOPENED_FOR, Problem, Tenant
from chalicelib.model.public_address import why_unfit
from chalicelib.rendering.languages import DEFAULT_LANGUAGE, LANGUAGES, translator
from chalicelib.rendering.templating import render_mail
from wire import ProblemCode

if TYPE_CHECKING:
    from email.headerregistry import Address

    from mypy_boto3_sesv2 import SESV2Client

log = logging.getLogger(__name__)

#: RFC 5321: a path has at most 256 octets with its brackets.
ADDRESS_AT_MOST: Final = 254
#: A longer subject is cut by every mail program.
SUBJECT_AT_MOST: Final = 150
#: What SES says when it is busy, or when we were too fast: the same mail may be sent later.
PASSING: Final = frozenset(
    {"TooManyRequestsException", "LimitExceededException", "ThrottlingException", "Throttling", "RequestTimeout"}
)
#: What a person has to mend in SES or at the address; a mail sent again meets the same answer.
TO_MEND: Final[Mapping[str, str]] = {
    "MessageRejected": "SES refused this mail. Is the owner's address right, and are both addresses allowed?",
    "MailFromDomainNotVerifiedException": "The sender's domain is not verified in SES.",
    "AccountSuspendedException": "SES has suspended this account's sending.",
    "SendingPausedException": "Sending is paused in SES, for the account or for its configuration set.",
    "NotFoundException": "SES does not know the configuration set, or the sender.",
}
#: Problems that an owner can only wait out: their mail says so, and asks for nothing.
OF_THE_ASSISTANT: Final = frozenset(
    {
        ProblemCode.KEY_REVOKED,
        ProblemCode.KEY_FORBIDDEN,
        ProblemCode.OUT_OF_CREDIT,
        ProblemCode.MODEL_RETIRED,
        ProblemCode.ASSISTANT_REFUSED,
        ProblemCode.BUDGET_REACHED,
    }
)
#: Control characters, line and paragraph separators, half surrogates.
UNFIT_FOR_HEADERS: Final = frozenset({"Cc", "Zl", "Zp", "Cs"})


class Mailer:
    """Writes mails and hands them to SES; counting how many a tenant gets is the caller's.

    Args:
        client: a boto3 SES v2 client.
        sender: an address, or ``Name <address>``.
        configuration_set: where SES reports bounces; none on one machine.
        allow_local_links: True only where the reader sits at this very machine.
    """

    def __init__(
        self,
        client: "SESV2Client",
        sender: str,
        configuration_set: str | None = None,
        allow_local_links: bool = False,
    ) -> None:
        self._client = client
        name, address = parseaddr(sender)
        self._sender = _address(address, name or "Answerline")
        self._configuration_set = configuration_set
        self._allow_local_links = allow_local_links

    def invite(self, tenant: Tenant, link: str) -> str:
        """Asks the owner to connect; returns SES's message id.

        Raises:
            TransientError: SES is busy or out of reach.
            ActionRequired: the address bounces or SES's own settings refuse it.
            PermanentError: this mail can never be sent, for example because its link leads to a private host.
        """
        return self._send("invite", tenant, link, hours=int(INVITE_UNOPENED_FOR.total_seconds()) // 3600)

    def logged_out(self, tenant: Tenant, link: str) -> str:
        """Tells the owner that the phone ended the connection; raises as ``invite`` does."""
        return self._send("logged_out", tenant, link)

    def problem(self, tenant: Tenant, problem: Problem, link: str) -> str:
        """Tells the owner what keeps the line from working; raises as ``invite`` does."""
        kind = "silent" if problem.code in OF_THE_ASSISTANT else "problem"
        return self._send(kind, tenant, link, problem=problem.code)

    def attention(self, operator: str, tenant: Tenant, problem: Problem, link: str) -> str:
        """Tells the operators what a tenant needs of them, in English; raises as ``invite`` does."""
        return self._send("attention", tenant, link, to=operator, language=DEFAULT_LANGUAGE, problem=problem.code)

    def _send(self, kind: str, tenant: Tenant, link: str, *, to: str = "", language: str = "", **values: object) -> str:
        _demand_public(link, self._allow_local_links)
        recipient = _address(to or tenant.owner_email)
        message = self._message(kind, tenant, recipient, link, language or tenant.language, values)
        request: dict[str, Any] = {
            "FromEmailAddress": _unfolded(message["From"].fold(policy=message.policy)),
            "Destination": {"ToAddresses": [recipient.addr_spec]},
            "Content": {"Raw": {"Data": message.as_bytes()}},
            # By these `mail_events.py` knows what it hears of.
            "EmailTags": [{"Name": "kind", "Value": kind}, {"Name": "tenant", "Value": tenant.id}],
        }
        if self._configuration_set is not None:
            request["ConfigurationSetName"] = self._configuration_set
        try:
            answer = self._client.send_email(**request)
        except ClientError as error:
            raise _translated(error) from None
        except BotoCoreError:
            raise TransientError("The mail service is out of reach; this will be tried again.") from None
        log.info(LogEvent.MAIL_SENT, extra={"tenant": tenant.id, "kind": kind, "mail": answer["MessageId"]})
        return str(answer["MessageId"])

    def _message(
        self, kind: str, tenant: Tenant, recipient: "Address", link: str, wanted: str, values: Mapping[str, object]
    ) -> EmailMessage:
        from email.policy import SMTP  # brings the whole grammar of addresses, which only a mail needs

        language = wanted if wanted in LANGUAGES else DEFAULT_LANGUAGE
        context = {"translate": translator(language), "language": language, "name": tenant.name, "link": link, **values}
        subject, text, html = (
            render_mail(f"{kind}/{part}", **context) for part in ("subject.txt", "text.txt", "html.html")
        )
        message = EmailMessage(policy=SMTP)
        message["From"] = self._sender
        message["To"] = recipient
        # EmailMessage's own folding loses spaces between encoded words (Python 3.11); Header's does not.
        one_line = _one_line(subject.strip())[:SUBJECT_AT_MOST]
        message.set_raw("Subject", Header(one_line, "utf-8", header_name="Subject").encode())
        message["Auto-Submitted"] = "auto-generated"
        message.set_content(text, cte="quoted-printable")
        message.add_alternative(html, subtype="html", cte="quoted-printable")
        message["Content-Language"] = language
        return message


def _one_line(text: str) -> str:
    """A header's value; one that could begin another header is refused."""
    if any(unicodedata.category(letter) in UNFIT_FOR_HEADERS for letter in text):
        raise PermanentError(
            "mail_header", "A name or address in this mail contains a line break or control character."
        )
    return text


def _unfolded(header: str) -> str:
    """The value alone, on one line: a long name is folded for a mail, and SES refuses a request with a line break."""
    return header.partition(":")[2].replace("\r\n", "").strip()


def _address(address: str, name: str = "") -> "Address":
    """The parsed address. SES takes ASCII only, so an address beyond it is refused rather than mangled."""
    from email.headerregistry import Address

    if not address.isascii() or len(address) > ADDRESS_AT_MOST or address != _one_line(address).strip():
        raise PermanentError("mail_address", "This is not an e-mail address that mail can be sent to.")
    try:
        parsed = Address(_one_line(name), addr_spec=address)
    except (ValueError, IndexError, HeaderParseError):
        raise PermanentError("mail_address", "This is not an e-mail address that mail can be sent to.") from None
    if not parsed.username or "." not in parsed.domain:
        raise PermanentError("mail_address", "This is not an e-mail address that mail can be sent to.")
    return parsed


def _demand_public(link: str, allow_local: bool) -> None:
    """Raises PermanentError for a link that its reader could not open, or should not."""
    if why_unfit(_one_line(link), allow_local=allow_local) is not None:
        raise PermanentError("mail_link", "The public address of this installation cannot be reached from outside.")


def _translated(error: ClientError) -> TransientError | ActionRequired | PermanentError:
    code = error.response.get("Error", {}).get("Code", "")
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    if code in PASSING or status >= 500 or status == 429:
        return TransientError("The mail service is busy; this will be tried again.")
    if code in TO_MEND:
        return ActionRequired(ProblemCode.MAIL_BOUNCED, TO_MEND[code])
    return PermanentError("mail_refused", f"The mail service refused this mail ({code}).")
