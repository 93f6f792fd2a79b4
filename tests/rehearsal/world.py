"""The world around a deployed stage, on this machine: AWS, the Internet, OpenAI, WhatsApp, mailboxes."""

import socket
import ssl
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from infrastructure.deploying.aws.account import Account
from infrastructure.local import preflight
from infrastructure.local.environment import plain_environment
from infrastructure.local.mail import outbox
from infrastructure.local.processes import Child, wait_until_ready
from infrastructure.local.programs import Programs
from infrastructure.local.settings import Ports, Settings
from tests.rehearsal.certificate import Certificate, certificate
from tests.rehearsal.internet import Internet, Target

REGION = "eu-central-1"
#: Every name that a rehearsal plays; a star stands for one label.
NAMES = (
    "*.amazonaws.com",
    f"*.{REGION}.amazonaws.com",
    f"*.ecr.{REGION}.amazonaws.com",
    f"*.s3.{REGION}.amazonaws.com",
    f"*.execute-api.{REGION}.amazonaws.com",
    "api.openai.com",
    "127.0.0.1",
)
READY_WITHIN_SECONDS = 60.0


class OwnAccount(Account):
    """The operator's view of the account: under AWS's real names, through the played Internet."""

    def __init__(self, internet: Internet, trusted: Path) -> None:
        super().__init__(boto3.Session("test", "test", region_name=REGION))
        self._cached: dict[str, Any] = {}
        self._verify = str(trusted)
        self._config = Config(
            proxies={"https": internet.proxy},
            connect_timeout=5,
            read_timeout=60,
            retries={"total_max_attempts": 2, "mode": "standard"},
        )

    def client(self, service: str) -> Any:
        """Returns the client of a service, created once."""
        if service not in self._cached:
            self._cached[service] = self._session.client(
                service,  # type: ignore[call-overload]
                verify=self._verify,
                config=self._config,
            )
        return self._cached[service]

    def client_with(self, service: str, credentials: Mapping[str, Any]) -> Any:
        """Returns a client of somebody else: with the credentials that STS gave for a role."""
        session = boto3.Session(
            credentials["AccessKeyId"], credentials["SecretAccessKey"], credentials["SessionToken"], REGION
        )
        signing = Config(signature_version="s3v4", s3={"addressing_style": "virtual"})
        config = self._config.merge(signing)
        return session.client(service, verify=self._verify, config=config)  # type: ignore[call-overload]


@dataclass
class World:
    """AWS, OpenAI and WhatsApp as they are played on this machine, and the network to them."""

    data: Path
    ports: Ports
    certificate: Certificate
    internet: Internet
    #: as runners reach it, through their own network
    runners_internet: Internet
    account: OwnAccount
    #: environment with which a runner's browser takes the simulator for web.whatsapp.com
    browser_settings: dict[str, str] = field(default_factory=dict)

    @property
    def trust(self) -> ssl.SSLContext:
        """Trusts the certificate of this world, and no other."""
        return ssl.create_default_context(cafile=self.certificate.public)

    @property
    def runners_network(self) -> dict[str, str]:
        """The environment of a runner, with which it uses this Internet through the runners' network."""
        trusted = str(self.certificate.public)
        return {"HTTPS_PROXY": self.runners_internet.proxy, "SSL_CERT_FILE": trusted, "AWS_CA_BUNDLE": trusted}

    @property
    def browser_flags(self) -> tuple[str, ...]:
        """The flags with which a person's Chromium finds the deployed stage."""
        return (
            f"--host-resolver-rules=MAP *.amazonaws.com 127.0.0.1:{self.ports.ministack}",
            f"--ignore-certificate-errors-spki-list={self.certificate.spki}",
        )


@contextmanager
def world(data: Path, function_python: Path, say: Callable[[str], None]) -> Iterator[World]:
    """Starts AWS, the Internet and the simulators; ends them all afterwards."""
    settings = Settings(data=data, ports=Ports.free(), runners=1)
    preflight.check(settings)
    with ExitStack() as stack:
        signed = certificate(data, NAMES, datetime.now(UTC))
        openai = {"api.openai.com": Target(settings.ports.openai, speaks_tls=False)}
        runners_port = _free_port()
        internet, of_runners = (
            stack.enter_context(
                Internet({".amazonaws.com": Target(port, speaks_tls=True), **openai}, signed.public, signed.key)
            )
            for port in (settings.ports.ministack, runners_port)
        )
        played = World(data, settings.ports, signed, internet, of_runners, OwnAccount(internet, signed.public))
        stack.callback(_aws(played, function_python, runners_port).kill_tree)
        say(f"AWS is played under its own names; its log is {data / 'logs' / 'aws.log'}")
        programs = Programs(settings)
        stack.callback(programs.stop)
        programs.start_openai()
        programs.start_whatsapp()
        played.browser_settings = dict(programs.browser_settings)
        server = outbox.serve(data / "outbox", None, settings.ports.outbox)
        stack.callback(outbox.stop, server)
        yield played


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def _aws(played: World, function_python: Path, runners_port: int) -> Child:
    temporary = played.data / "functions"
    temporary.mkdir()
    command = [
        str(preflight.MINISTACK_PYTHON),
        *("-m", "tests.rehearsal.cloud"),
        *("--port", str(played.ports.ministack)),
        *("--runners-port", str(runners_port)),
        *("--data", str(played.data)),
        *("--certificate", str(played.certificate.public)),
        *("--key", str(played.certificate.key)),
        *("--proxy", played.internet.proxy),
        *("--python", str(function_python)),
        *("--region", REGION),
    ]
    environment = {**plain_environment(), "TMPDIR": str(temporary)}
    child = Child("aws", command, environment, played.data / "logs" / "aws.log")
    wait_until_ready(child, lambda: _answers(played), READY_WITHIN_SECONDS)
    return child


def _answers(played: World) -> bool:
    try:
        played.account.client("sts").get_caller_identity()
    except (BotoCoreError, ClientError):
        return False
    return True
