"""Hands spooled mails to a real mail server, each once, and remembers which are done, taken or refused for good."""

import smtplib
import ssl
import threading
from collections.abc import Callable
from pathlib import Path
from urllib.parse import unquote, urlsplit

from infrastructure.local.mail import spool
from infrastructure.local.mail.spool import Mail

LOOK_EVERY_SECONDS = 2.0
CONNECT_WITHIN_SECONDS = 20.0
LONGEST_PAUSE_SECONDS = 300.0

Deliver = Callable[[Mail], None]
#: the mail, and the server's code
Bounced = Callable[[Mail, int], None]

#: A file for each mail that is done: empty, or with the code by which the mail server refused it for good.
RELAYED = "relayed"
#: These refuse us and not the address (RFC 3463): the next mail would meet the same answer.
OURS_TO_MEND = b"5.7."


class Relay:
    """A thread that delivers what is new; trouble is a state that the outbox shows, and it is tried again."""

    def __init__(
        self,
        outbox: Path,
        deliver: Deliver,
        say: Callable[[str], None] = print,
        bounced: Bounced = lambda mail, code: None,
    ) -> None:
        """``bounced`` tells the application, as SES would, that an address does not work."""
        self._outbox = outbox
        self._deliver = deliver
        self._bounced = bounced
        self._say = say
        self._done = outbox / RELAYED
        #: Why the last attempt failed; empty when it did not.
        self.trouble = ""
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="relay", daemon=True)

    def start(self) -> None:
        """Begin to deliver. Mails from before the very first start with a mail server are not sent late."""
        if not self._done.exists():
            self._done.mkdir(parents=True)
            for mail in spool.read(self._outbox):
                self._mark(mail)
        self._thread.start()

    def stop(self) -> None:
        """Deliver nothing more."""
        self._stopped.set()
        self._thread.join(CONNECT_WITHIN_SECONDS)

    def relayed(self, mail: Mail) -> bool:
        """Whether the mail server took it, or never will."""
        return relayed(self._outbox, mail)

    def deliver_new(self) -> None:
        """Deliver oldest first; the first failure ends the round."""
        for mail in reversed(spool.read(self._outbox)):
            if self._stopped.is_set() or self.relayed(mail):
                continue
            code = 0
            try:
                self._deliver(mail)
            except (OSError, smtplib.SMTPException) as error:
                code = refused_for_good(error)
                if not code:
                    self._wait(str(error))
                    return
                try:
                    self._bounced(mail, code)
                except Exception as trouble:
                    self._wait(f"a refused mail cannot be told: {trouble}")
                    return
            self._mark(mail, code)
            self.trouble = ""

    def _wait(self, trouble: str) -> None:
        if not self.trouble:
            self._say(f"the mail server refuses ({trouble}); mails wait in the outbox and are tried again")
        self.trouble = trouble

    def _mark(self, mail: Mail, code: int = 0) -> None:
        (self._done / mail.identifier.partition("@")[0]).write_text(str(code or ""))

    def _run(self) -> None:
        pause = LOOK_EVERY_SECONDS
        while not self._stopped.wait(pause):
            self.deliver_new()
            pause = min(LONGEST_PAUSE_SECONDS, pause * 2) if self.trouble else LOOK_EVERY_SECONDS


def relays(outbox: Path) -> bool:
    """Whether mails of this outbox go on to a mail server."""
    return (outbox / RELAYED).is_dir()


def relayed(outbox: Path, mail: Mail) -> bool:
    """Whether the mail server took it, or never will."""
    return (outbox / RELAYED / mail.identifier.partition("@")[0]).exists()


def refused(outbox: Path, mail: Mail) -> str:
    """The code by which the mail server refused it for good; empty if it did not."""
    file = outbox / RELAYED / mail.identifier.partition("@")[0]
    return file.read_text() if file.exists() else ""


def refused_for_good(error: Exception) -> int:
    """The server's code if nobody at any of the addresses will ever get this mail; 0 if it may be tried again."""
    answers: list[tuple[int, bytes | str]] = []
    if isinstance(error, smtplib.SMTPRecipientsRefused):
        answers = list(error.recipients.values())
    elif isinstance(error, smtplib.SMTPDataError):
        answers = [(error.smtp_code, error.smtp_error)]
    said = [(code, text if isinstance(text, bytes) else text.encode()) for code, text in answers]
    final = [code for code, text in said if 500 <= code < 600 and not text.startswith(OURS_TO_MEND)]
    return max(final) if final and len(final) == len(said) else 0


def smtp(url: str) -> Deliver:
    """Delivers over ``smtps://user:password@host:465``, or ``smtp://…:587`` with STARTTLS where it is offered."""
    parts = urlsplit(url)
    host = parts.hostname or "localhost"

    def deliver(mail: Mail) -> None:
        context = ssl.create_default_context()
        if parts.scheme == "smtps":
            server: smtplib.SMTP = smtplib.SMTP_SSL(
                host, parts.port or 465, timeout=CONNECT_WITHIN_SECONDS, context=context
            )
        else:
            server = smtplib.SMTP(host, parts.port or 587, timeout=CONNECT_WITHIN_SECONDS)
        with server:
            server.ehlo()
            if parts.scheme == "smtp" and server.has_extn("starttls"):
                server.starttls(context=context)
                server.ehlo()
            if parts.username:
                server.login(unquote(parts.username), unquote(parts.password or ""))
            server.sendmail(mail.envelope_sender, list(mail.recipients), mail.raw)

    return deliver
