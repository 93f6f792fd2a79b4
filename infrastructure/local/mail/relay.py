"""Mail relay: delivers each spooled mail once to an SMTP server, retries failures and records permanent rejections."""

import smtplib
import ssl
import threading
from collections.abc import Callable
from pathlib import Path
from urllib.parse import unquote, urlsplit

from infrastructure.local.mail import spool
from infrastructure.local.mail.spool import Mail

#: The interval at which the relay polls the spool.
POLL_EVERY_SECONDS = 2.0
#: The limit for each step of an SMTP conversation.
SMTP_TIMEOUT_SECONDS = 20.0
#: The upper bound of the exponential backoff.
MAX_BACKOFF_SECONDS = 300.0

Deliver = Callable[[Mail], None]
#: the mail and the server's code
ReportBounce = Callable[[Mail, int], None]

#: The directory with a file for each finished mail: empty, or with the code of the permanent rejection.
RELAYED = "relayed"
#: A status that rejects the sender or its configuration, not the address (RFC 3463): the next mail would fail, too.
SENDER_REJECTED = b"5.7."


class Relay:
    """A thread that delivers new mails; it retries after an error, which the outbox shows."""

    def __init__(
        self,
        outbox: Path,
        deliver: Deliver,
        report: Callable[[str], None] = print,
        report_bounce: ReportBounce = lambda mail, code: None,
    ) -> None:
        """``report_bounce`` notifies the application, as SES would, that an address does not work."""
        self._outbox = outbox
        self._deliver = deliver
        self._report_bounce = report_bounce
        self._report = report
        self._finished = outbox / RELAYED
        #: The error of the last attempt; empty after a success.
        self.last_error = ""
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="relay", daemon=True)

    def start(self) -> None:
        """Starts the thread. Mails from before the first start with a mail server are never sent."""
        if not self._finished.exists():
            self._finished.mkdir(parents=True)
            for mail in spool.read(self._outbox):
                self._mark(mail)
        self._thread.start()

    def stop(self) -> None:
        """Stops the thread."""
        self._stopped.set()
        self._thread.join(SMTP_TIMEOUT_SECONDS)

    def is_finished(self, mail: Mail) -> bool:
        """Returns whether the mail server accepted the mail or rejected it permanently."""
        return is_finished(self._outbox, mail)

    def deliver_new(self) -> None:
        """Delivers new mails, oldest first, until the first failure."""
        for mail in reversed(spool.read(self._outbox)):
            if self._stopped.is_set() or self.is_finished(mail):
                continue
            code = 0
            try:
                self._deliver(mail)
            except (OSError, smtplib.SMTPException) as error:
                code = permanent_rejection(error)
                if not code:
                    self._record_error(str(error))
                    return
                try:
                    self._report_bounce(mail, code)
                except Exception as failure:
                    self._record_error(f"a bounce cannot be reported: {failure}")
                    return
            self._mark(mail, code)
            self.last_error = ""

    def _record_error(self, error: str) -> None:
        if not self.last_error:
            self._report(f"the mail server refuses ({error}); mails wait in the outbox and are retried")
        self.last_error = error

    def _mark(self, mail: Mail, code: int = 0) -> None:
        (self._finished / mail.identifier.partition("@")[0]).write_text(str(code or ""))

    def _run(self) -> None:
        delay_seconds = POLL_EVERY_SECONDS
        while not self._stopped.wait(delay_seconds):
            self.deliver_new()
            delay_seconds = min(MAX_BACKOFF_SECONDS, delay_seconds * 2) if self.last_error else POLL_EVERY_SECONDS


def has_relay(outbox: Path) -> bool:
    """Returns whether the mails of this outbox are relayed to a mail server."""
    return (outbox / RELAYED).is_dir()


def is_finished(outbox: Path, mail: Mail) -> bool:
    """Returns whether the mail server accepted the mail or rejected it permanently."""
    return (outbox / RELAYED / mail.identifier.partition("@")[0]).exists()


def rejection_code(outbox: Path, mail: Mail) -> str:
    """Returns the code of the permanent rejection; empty if the mail was not rejected."""
    file = outbox / RELAYED / mail.identifier.partition("@")[0]
    return file.read_text() if file.exists() else ""


def permanent_rejection(error: Exception) -> int:
    """Returns the server's code if it rejected every recipient permanently; 0 if a retry may succeed."""
    answers: list[tuple[int, bytes | str]] = []
    if isinstance(error, smtplib.SMTPRecipientsRefused):
        answers = list(error.recipients.values())
    elif isinstance(error, smtplib.SMTPDataError):
        answers = [(error.smtp_code, error.smtp_error)]
    replies = [(code, text if isinstance(text, bytes) else text.encode()) for code, text in answers]
    permanent = [code for code, text in replies if 500 <= code < 600 and not text.startswith(SENDER_REJECTED)]
    return max(permanent) if permanent and len(permanent) == len(replies) else 0


def smtp(url: str) -> Deliver:
    """Returns the delivery over ``smtps://user:password@host:465``, or ``smtp://…:587`` with STARTTLS if offered."""
    parts = urlsplit(url)
    host = parts.hostname or "localhost"

    def deliver(mail: Mail) -> None:
        context = ssl.create_default_context()
        if parts.scheme == "smtps":
            server: smtplib.SMTP = smtplib.SMTP_SSL(
                host, parts.port or 465, timeout=SMTP_TIMEOUT_SECONDS, context=context
            )
        else:
            server = smtplib.SMTP(host, parts.port or 587, timeout=SMTP_TIMEOUT_SECONDS)
        with server:
            server.ehlo()
            if parts.scheme == "smtp" and server.has_extn("starttls"):
                server.starttls(context=context)
                server.ehlo()
            if parts.username:
                server.login(unquote(parts.username), unquote(parts.password or ""))
            server.sendmail(mail.envelope_sender, list(mail.recipients), mail.raw)

    return deliver
