"""Settings of the one-machine stack, and the messages for settings that cannot work."""

import argparse
import ipaddress
import os
import re
import socket
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from infrastructure.checkout import REPOSITORY
from infrastructure.local.backup import BackupFailed
from infrastructure.local.backup.places import parse_address
from infrastructure.local.backup.schedule import DEFAULT_AT, parse_time
from infrastructure.local.credentials import CredentialUnreadable, with_credentials
from infrastructure.local.lambda_runtime.events import STAGE
from infrastructure.local.mail.notice_settings import NoticeSettings, parse_notices

#: The first of seven ports in a row, unless PORTS is given.
FIRST_PORT = 4700
#: Browsers accept `Secure` cookies over plain HTTP only from this host (and 127.0.0.1).
HOST = "localhost"
MIN_TOKEN_LENGTH = 32


_HOST_NAME = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?:\.[a-z0-9_-]{1,63})*\.?", re.ASCII)


class CannotStart(Exception):
    """The stack cannot start; the message is one sentence with the operator's next step."""


@dataclass(frozen=True)
class Ports:
    """The ports of all listeners, on loopback."""

    gateway: int
    outbox: int
    phone: int
    whatsapp: int
    openai: int
    ministack: int
    table: int

    @classmethod
    def from_first(cls, first: int) -> "Ports":
        """Returns seven ports in a row."""
        return cls(*range(first, first + 7))

    @classmethod
    def free(cls) -> "Ports":
        """Returns seven ports that are free at this moment."""
        sockets = [socket.socket() for _ in range(7)]
        try:
            for each in sockets:
                each.bind(("127.0.0.1", 0))
            return cls(*(each.getsockname()[1] for each in sockets))
        finally:
            for each in sockets:
                each.close()


@dataclass(frozen=True)
class Settings:
    """The settings of `make up`."""

    data: Path = REPOSITORY / "data"
    ports: Ports = field(default_factory=lambda: Ports.from_first(FIRST_PORT))
    #: The runners of the very first start; afterwards the application sets the desired count.
    runners: int = 1
    runner_capacity: int = 10
    #: replies that a line begins in a minute, over all of its chats; 0: no limit
    line_replies_per_minute: int = 20
    simulate_whatsapp: bool = True
    simulate_openai: bool = True
    #: Addresses of servers with OpenAI's Responses API that a tenant may use instead, separated by spaces.
    openai_servers: str = ""
    #: The public URL of this machine, without the stage; ``None``: links work only on this machine.
    public_url: str | None = None
    smtp_url: str | None = None
    mail_from: str = "Answerline <answerline@answerline.test>"
    #: The first operator, who can sign in from the first start on.
    operator_email: str = "operator@answerline.test"
    notices: NoticeSettings = field(default_factory=NoticeSettings)
    #: The place of the backups, outside of this machine; ``None``: none are taken.
    backup_to: str | None = None
    #: The time of the nightly backup, by this machine's clock.
    backup_at: str = DEFAULT_AT
    stack: str = "answerline-local"
    app_directory: Path = REPOSITORY / "chalice_app"
    chromium: str | None = None
    #: The program that keeps the table; ``None``: npm's package, or the one on the path.
    dynoxide: str | None = None
    #: The heap of one page's scripts in MB; empty: the runner's default.
    browser_heap_mb: str = ""
    #: The container image of the runners; ``None``: runners are processes.
    runner_image: str | None = None
    #: This machine's address for runners that something else starts, such as compose; ``None``: it starts them itself.
    runners_at: str | None = None
    #: The bootstrap token of those runners; ``None``: a random one.
    runner_token: str | None = field(default=None, repr=False)
    #: What a runner is as a process; tests have others.
    runner_command: tuple[str, ...] = (sys.executable, "-m", "runner")
    #: Additional environment variables of the runners, for tests.
    runner_settings: Mapping[str, str] = field(default_factory=dict)
    #: Additional environment variables of the application, for tests.
    app_settings: Mapping[str, str] = field(default_factory=dict)

    @property
    def local_url(self) -> str:
        """Returns the application's URL on this machine."""
        return f"http://{HOST}:{self.ports.gateway}/{STAGE}"

    @property
    def guarded_by(self) -> str | None:
        """Returns the admin whose operators alone see mails and simulators; ``None`` while all is simulated."""
        return None if self.simulate_whatsapp and self.simulate_openai else f"{self.local_url}/admin"

    @property
    def base_url(self) -> str:
        """Returns the application's URL in links."""
        if self.public_url is None:
            return self.local_url
        return f"{self.public_url}/{STAGE}"

    @property
    def links_are_local(self) -> bool:
        """Returns whether links lead to this machine or its own network: only readers there can open them."""
        from chalicelib.model.public_address import unfit_reason  # a child of the stack has not got it on its path

        return self.public_url is None or unfit_reason(self.public_url) is not None

    def warnings(self) -> list[str]:
        """Returns a sentence for each setting that production use lacks; the stack starts anyway."""
        sentences = []
        if not self.simulate_whatsapp and self.public_url is None:
            sentences.append(
                f"BASE_URL is not given: links in mails lead to {self.local_url}, which works only on this machine."
            )
        if self.public_url is not None and self.links_are_local and not self.simulate_whatsapp:
            sentences.append(
                f"BASE_URL={self.public_url} is a name of this machine or its network: owners elsewhere cannot open it."
            )
        if not self.simulate_whatsapp and self.smtp_url is None:
            sentences.append("SMTP_URL is not given: mails stay in the outbox and reach nobody.")
        if self.smtp_url is not None and self.mail_from == Settings.mail_from:
            sentences.append(
                f"MAIL_FROM is not given: mails come from {self.mail_from}, which most mail servers refuse."
            )
        return sentences


def parse(arguments: Sequence[str], environment: Mapping[str, str] = os.environ) -> Settings:
    """Parses the command line; defaults come from the environment (`make up NAME=value`) and systemd's credentials."""
    try:
        environment = with_credentials(environment)
    except CredentialUnreadable as error:
        raise CannotStart(str(error)) from None
    parser = argparse.ArgumentParser(prog="python -m infrastructure.local", description="Answerline on one machine.")
    add = parser.add_argument
    given = environment.get
    add("--data", type=Path, default=Path(given("DATA") or REPOSITORY / "data"), help="the data directory")
    add("--ports", default=given("PORTS") or str(FIRST_PORT), help="the first of seven ports in a row, or `auto`")
    add("--runners", type=int, default=int(given("RUNNERS") or 1), help="runners on the very first start")
    add("--runner-capacity", type=int, default=int(given("RUNNER_CAPACITY") or 10), help="sessions per runner")
    add(
        "--line-replies-per-minute",
        type=int,
        default=int(given("LINE_REPLIES_PER_MINUTE") or Settings.line_replies_per_minute),
        help="replies that a line begins in a minute, over all of its chats; 0: no limit",
    )
    add("--whatsapp", default=given("WHATSAPP") or "simulated", help="`simulated` or `real`")
    add("--openai", default=given("OPENAI") or "simulated", help="`simulated` or `real`")
    add("--openai-servers", default=given("OPENAI_SERVERS") or "", help="compatible servers: https://…/v1 https://…/v1")
    add("--base-url", default=given("BASE_URL") or None, help="the public URL of this machine, https://…")
    add("--smtp-url", default=given("SMTP_URL") or None, help="smtps://user:password@host:465 or smtp://…:587")
    add("--mail-from", default=given("MAIL_FROM") or Settings.mail_from, help="the sender of all mails")
    add(
        "--operator-email",
        default=given("OPERATOR_EMAIL") or Settings.operator_email,
        help="the first operator, and after commas others who get the operators' mail",
    )
    add("--quiet-hours", default=given("QUIET_HOURS") or "", help="22:00-07:00 Europe/Berlin: mail that can wait waits")
    add("--backup-to", default=given("BACKUP_TO") or None, help="a folder, sftp://user@host/path, s3://bucket/prefix")
    add("--backup-at", default=given("BACKUP_AT") or DEFAULT_AT, help="the time of the nightly backup, 03:15")
    add("--runner-image", default=given("RUNNER_IMAGE") or None, help="run runners in containers of this image")
    add("--runners-at", default=given("RUNNERS_AT") or None, help="our address for runners that something else starts")
    chosen = parser.parse_args(arguments)
    for name in ("whatsapp", "openai"):
        if getattr(chosen, name) not in ("simulated", "real"):
            raise CannotStart(f"{name.upper()}={getattr(chosen, name)} means nothing here: use `simulated` or `real`.")
    notices = _notices(chosen.operator_email, chosen.quiet_hours, given("OPERATORS_WEBHOOK") or "")
    return Settings(
        data=chosen.data.resolve(),
        ports=_ports(chosen.ports),
        runners=chosen.runners,
        runner_capacity=chosen.runner_capacity,
        line_replies_per_minute=chosen.line_replies_per_minute,
        simulate_whatsapp=chosen.whatsapp == "simulated",
        simulate_openai=chosen.openai == "simulated",
        openai_servers=_servers(chosen.openai_servers),
        public_url=_public(chosen.base_url),
        smtp_url=_smtp(chosen.smtp_url),
        mail_from=_sender(chosen.mail_from),
        operator_email=notices.operators_email.partition(",")[0],
        notices=notices,
        backup_to=_backup(chosen.backup_to, parse_address),
        backup_at=_backup(chosen.backup_at, parse_time) or DEFAULT_AT,
        runner_image=chosen.runner_image,
        runners_at=chosen.runners_at,
        runner_token=_token(given("RUNNER_BOOTSTRAP_TOKEN") or None, chosen.runners_at),
        chromium=given("CHROMIUM") or None,
        dynoxide=given("DYNOXIDE") or None,
        browser_heap_mb=given("BROWSER_HEAP_MB") or "",
    )


def _ports(text: str) -> Ports:
    if text == "auto":
        return Ports.free()
    if not text.isdigit() or not 1024 <= int(text) <= 65_529:
        raise CannotStart(f"PORTS={text} is not a first port between 1024 and 65529, nor `auto`.")
    return Ports.from_first(int(text))


def _token(token: str | None, runners_at: str | None) -> str | None:
    if runners_at and not (token and len(token) >= MIN_TOKEN_LENGTH and token.isascii() and token.isprintable()):
        raise CannotStart(
            "RUNNER_BOOTSTRAP_TOKEN is not given, or is too short: runners that are started elsewhere need the same as"
            " here, at least 32 random letters and digits (`openssl rand -hex 32`)."
        )
    return token if runners_at else None


def _sender(mail_from: str) -> str:
    from chalicelib.model.mail_address import parse_sender  # a child of the stack has not got it on its path

    try:
        return parse_sender(mail_from).setting
    except ValueError as error:
        raise CannotStart(
            f"MAIL_FROM={mail_from}: {error}. Give an address, or `Your agency <line@example.com>`."
        ) from None


def _notices(operators: str, quiet_hours: str, webhook: str) -> NoticeSettings:
    try:
        return parse_notices(operators, quiet_hours, webhook)
    except ValueError as error:
        raise CannotStart(str(error)) from None


def _public(url: str | None) -> str | None:
    from chalicelib.model.public_address import unfit_path  # a child of the stack has not got it on its path

    if url is None:
        return None
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname or "", parts.port
    except ValueError:  # brackets that do not match, or a port that is none
        raise CannotStart(f"BASE_URL={url} is not an address like https://line.example.com.") from None
    if parts.username is not None:
        raise CannotStart("BASE_URL has a user or a password in it: give only the address, https://line.example.com.")
    if parts.scheme not in ("https", "http") or not _is_host(host):
        raise CannotStart(f"BASE_URL={url} is not an address like https://line.example.com.")
    if parts.scheme == "http" and host not in (HOST, "127.0.0.1"):
        raise CannotStart(f"BASE_URL={url} must start with https://: the pages' cookies are not sent without it.")
    if reason := unfit_path(url):
        raise CannotStart(f"BASE_URL={url}: {reason}")
    return f"{parts.scheme}://{parts.netloc}"


def _is_host(host: str) -> bool:
    """Returns whether this is a host name of ASCII letters, or an IP address."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return bool(_HOST_NAME.fullmatch(host))
    return True


def _backup(text: str | None, check: Callable[[str], object]) -> str | None:
    try:
        if text is not None:
            check(text)
    except BackupFailed as error:
        raise CannotStart(str(error)) from None
    return text


def _servers(text: str) -> str:
    from chalicelib.model.openai_servers import parse_servers

    for address in parse_servers(text):
        parts = urlsplit(address)
        if (
            parts.scheme not in ("https", "http")
            or not parts.hostname
            or parts.username
            or parts.query
            or parts.fragment
        ):
            raise CannotStart(f"OPENAI_SERVERS: {address} is not an address like https://llm.example.com/v1.")
        if parts.scheme == "http" and parts.hostname not in (HOST, "127.0.0.1"):
            raise CannotStart(f"OPENAI_SERVERS: {address} must start with https://: keys and messages go there.")
    return text


def _smtp(url: str | None) -> str | None:
    if url is not None and (urlsplit(url).scheme not in ("smtp", "smtps") or not urlsplit(url).hostname):
        raise CannotStart("SMTP_URL is not an address like smtps://user:password@mail.example.com:465.")
    return url
