"""What can be chosen about the one-machine stack, and the sentences for choices that cannot work."""

import argparse
import os
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from infrastructure.checkout import REPOSITORY
from infrastructure.local.lambda_runtime.events import STAGE

FIRST_PORT = 4700
#: Browsers take `Secure` cookies over plain HTTP only from this machine, under either name.
HOST = "localhost"


class CannotStart(Exception):
    """One sentence that says what to do."""


@dataclass(frozen=True)
class Ports:
    """Where everything listens, all on loopback."""

    gateway: int
    outbox: int
    phone: int
    whatsapp: int
    openai: int
    ministack: int

    @classmethod
    def from_first(cls, first: int) -> "Ports":
        """Six ports in a row."""
        return cls(*range(first, first + 6))

    @classmethod
    def free(cls) -> "Ports":
        """Six ports that nobody uses at this moment."""
        sockets = [socket.socket() for _ in range(6)]
        try:
            for each in sockets:
                each.bind(("127.0.0.1", 0))
            return cls(*(each.getsockname()[1] for each in sockets))
        finally:
            for each in sockets:
                each.close()


@dataclass(frozen=True)
class Settings:
    """Everything `make up` can be told."""

    data: Path = REPOSITORY / "data"
    ports: Ports = field(default_factory=lambda: Ports.from_first(FIRST_PORT))
    #: Runners on the very first start; afterwards the application decides.
    runners: int = 1
    runner_capacity: int = 5
    simulate_whatsapp: bool = True
    simulate_openai: bool = True
    #: Where people reach this machine, without the stage; ``None``: only from this machine.
    public_url: str | None = None
    smtp_url: str | None = None
    mail_from: str = "Answerline <answerline@answerline.test>"
    operator_email: str = "operator@answerline.test"
    #: The older checkpoint of MiniStack's state to continue from; ``None``: the newest.
    checkpoint: int | None = None
    stack: str = "answerline-local"
    app_directory: Path = REPOSITORY / "chalice_app"
    chromium: str | None = None
    #: Runners are containers of this image; ``None``: processes.
    runner_image: str | None = None
    #: More of the runners' environment, for tests.
    runner_settings: Mapping[str, str] = field(default_factory=dict)
    #: More of the application's environment, for tests.
    app_settings: Mapping[str, str] = field(default_factory=dict)

    @property
    def own_url(self) -> str:
        """The application as this machine reaches it."""
        return f"http://{HOST}:{self.ports.gateway}/{STAGE}"

    @property
    def base_url(self) -> str:
        """The application as links name it."""
        if self.public_url is None:
            return self.own_url
        trimmed = self.public_url.rstrip("/")
        return trimmed if urlsplit(trimmed).path else f"{trimmed}/{STAGE}"

    @property
    def only_here(self) -> bool:
        """Links lead to this very machine."""
        return self.public_url is None or urlsplit(self.public_url).scheme == "http"

    def missing(self) -> list[str]:
        """What real use lacks, in plain words; the stack starts all the same."""
        sentences = []
        if not self.simulate_whatsapp and self.public_url is None:
            sentences.append(
                f"BASE_URL is not given: links in mails lead to {self.own_url}, which works only on this machine."
            )
        if not self.simulate_whatsapp and self.smtp_url is None:
            sentences.append("SMTP_URL is not given: mails stay in the outbox and reach nobody.")
        if self.smtp_url is not None and self.mail_from == Settings.mail_from:
            sentences.append(
                f"MAIL_FROM is not given: mails come from {self.mail_from}, which most mail servers refuse."
            )
        return sentences


def parse(arguments: Sequence[str], environment: Mapping[str, str] = os.environ) -> Settings:
    """Settings from the command line, else from the environment (`make up NAME=value`)."""
    parser = argparse.ArgumentParser(prog="python -m infrastructure.local", description="Answerline on one machine.")
    add = parser.add_argument
    given = environment.get
    add("--data", type=Path, default=Path(given("DATA") or REPOSITORY / "data"), help="where everything is kept")
    add("--ports", default=given("PORTS") or str(FIRST_PORT), help="the first of six ports in a row, or `auto`")
    add("--runners", type=int, default=int(given("RUNNERS") or 1), help="runners on the very first start")
    add("--runner-capacity", type=int, default=int(given("RUNNER_CAPACITY") or 5), help="sessions per runner")
    add("--whatsapp", default=given("WHATSAPP") or "simulated", help="`simulated` or `real`")
    add("--openai", default=given("OPENAI") or "simulated", help="`simulated` or `real`")
    add("--base-url", default=given("BASE_URL") or None, help="where people reach this machine, https://…")
    add("--smtp-url", default=given("SMTP_URL") or None, help="smtps://user:password@host:465 or smtp://…:587")
    add("--mail-from", default=given("MAIL_FROM") or Settings.mail_from, help="the sender of all mails")
    add("--operator-email", default=given("OPERATOR_EMAIL") or Settings.operator_email, help="who signs in first")
    add("--runner-image", default=given("RUNNER_IMAGE") or None, help="run runners in containers of this image")
    add(
        "--generation",
        dest="checkpoint",
        type=int,
        default=int(given("GENERATION") or 0) or None,
        help="continue from an older state",
    )
    chosen = parser.parse_args(arguments)
    for name in ("whatsapp", "openai"):
        if getattr(chosen, name) not in ("simulated", "real"):
            raise CannotStart(f"{name.upper()}={getattr(chosen, name)} means nothing here: say `simulated` or `real`.")
    return Settings(
        data=chosen.data.resolve(),
        ports=_ports(chosen.ports),
        runners=chosen.runners,
        runner_capacity=chosen.runner_capacity,
        simulate_whatsapp=chosen.whatsapp == "simulated",
        simulate_openai=chosen.openai == "simulated",
        public_url=_public(chosen.base_url),
        smtp_url=_smtp(chosen.smtp_url),
        mail_from=chosen.mail_from,
        operator_email=chosen.operator_email,
        checkpoint=chosen.checkpoint,
        runner_image=chosen.runner_image,
        chromium=given("CHROMIUM") or None,
    )


def _ports(text: str) -> Ports:
    if text == "auto":
        return Ports.free()
    if not text.isdigit() or not 1024 <= int(text) <= 65_530:
        raise CannotStart(f"PORTS={text} is not a first port between 1024 and 65530, nor `auto`.")
    return Ports.from_first(int(text))


def _public(url: str | None) -> str | None:
    if url is None:
        return None
    parts = urlsplit(url)
    if parts.scheme not in ("https", "http") or not parts.hostname:
        raise CannotStart(f"BASE_URL={url} is not an address like https://line.example.com.")
    if parts.scheme == "http" and parts.hostname not in (HOST, "127.0.0.1"):
        raise CannotStart(f"BASE_URL={url} must start with https://: the pages' cookies are not sent without it.")
    return url


def _smtp(url: str | None) -> str | None:
    if url is not None and (urlsplit(url).scheme not in ("smtp", "smtps") or not urlsplit(url).hostname):
        raise CannotStart("SMTP_URL is not an address like smtps://user:password@mail.example.com:465.")
    return url
