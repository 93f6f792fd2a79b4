"""Hands spooled mails to a real mail server, each once, and remembers which are done."""

import smtplib
import ssl
import threading
from collections.abc import Callable
from pathlib import Path
from urllib.parse import unquote, urlsplit

from infrastructure.local import mail_spool
from infrastructure.local.mail_spool import Mail

LOOK_EVERY_SECONDS = 2.0
CONNECT_WITHIN_SECONDS = 20.0
LONGEST_PAUSE_SECONDS = 300.0

Deliver = Callable[[Mail], None]

#: A file for each mail that the mail server took.
RELAYED = "relayed"


class Relay:
    """A thread that delivers what is new; trouble is a state that the outbox shows, and it is tried again."""

    def __init__(self, outbox: Path, deliver: Deliver, say: Callable[[str], None] = print) -> None:
        self._outbox = outbox
        self._deliver = deliver
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
            for mail in mail_spool.read(self._outbox):
                self._mark(mail)
        self._thread.start()

    def stop(self) -> None:
        """Deliver nothing more."""
        self._stopped.set()
        self._thread.join(CONNECT_WITHIN_SECONDS)

    def relayed(self, mail: Mail) -> bool:
        """Whether the mail server took it."""
        return relayed(self._outbox, mail)

    def deliver_new(self) -> None:
        """Deliver oldest first; the first failure ends the round."""
        for mail in reversed(mail_spool.read(self._outbox)):
            if self._stopped.is_set() or self.relayed(mail):
                continue
            try:
                self._deliver(mail)
            except (OSError, smtplib.SMTPException) as error:
                if not self.trouble:
                    self._say(f"the mail server refuses ({error}); mails wait in the outbox and are tried again")
                self.trouble = str(error)
                return
            self._mark(mail)
            self.trouble = ""

    def _mark(self, mail: Mail) -> None:
        (self._done / mail.identifier.partition("@")[0]).touch()

    def _run(self) -> None:
        pause = LOOK_EVERY_SECONDS
        while not self._stopped.wait(pause):
            self.deliver_new()
            pause = min(LONGEST_PAUSE_SECONDS, pause * 2) if self.trouble else LOOK_EVERY_SECONDS


def relays(outbox: Path) -> bool:
    """Whether mails of this outbox go on to a mail server."""
    return (outbox / RELAYED).is_dir()


def relayed(outbox: Path, mail: Mail) -> bool:
    """Whether the mail server took it."""
    return (outbox / RELAYED / mail.identifier.partition("@")[0]).exists()


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
