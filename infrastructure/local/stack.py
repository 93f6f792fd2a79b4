"""Everything on one machine, started in order and stopped in reverse: what `make up` and the tests both run."""

import contextlib
import json
import os
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import waitress

from infrastructure.local import mail_spool, operators, preflight, recovery, resources
from infrastructure.local.environment import local_environment, plain_environment, runner_environment
from infrastructure.local.events import task_stopped_event
from infrastructure.local.generations import Generations
from infrastructure.local.mail_spool import Mail
from infrastructure.local.operators import Operator
from infrastructure.local.outbox import Outbox
from infrastructure.local.processes import Child, wait_until_ready
from infrastructure.local.relay import Relay, smtp
from infrastructure.local.resources import Created
from infrastructure.local.settings import HOST, CannotStart, Ports, Settings
from infrastructure.local.supervisor import STOP_GRACE_SECONDS, Supervisor

READY_WITHIN_SECONDS = 60.0
STOP_WITHIN_SECONDS = 15.0
LOOK_EVERY_SECONDS = 0.5

Say = Callable[[str], None]


class LocalStack:
    """The one-machine stack; a context manager. ``with LocalStack(Settings(…)) as stack: …``

    What it guarantees after ``start`` returned: every part answered once. What it does not: that a runner has
    registered; see the sessions' phases for that.
    """

    def __init__(self, settings: Settings, say: Say = print) -> None:
        self.settings = settings
        self.endpoint = f"http://127.0.0.1:{settings.ports.ministack}"
        self.outbox_directory = settings.data / "ministack" / "outbox"
        self._say = say
        self._logs = settings.data / "logs"
        self._lock: int | None = None
        #: in the order of their start
        self._children: dict[str, Child] = {}
        self._relay: Relay | None = None
        self._outbox_server: Any = None
        self._supervisor: Supervisor | None = None
        self._created: Created | None = None
        self._operator: Operator | None = None
        self._chromium_flags: dict[str, str] = {}

    # -- where things are ---------------------------------------------------------------------------------------

    @property
    def base_url(self) -> str:
        """The application on this machine, with its stage and no slash at the end."""
        return self.settings.own_url

    @property
    def admin_url(self) -> str:
        """Where the operator signs in."""
        return f"{self.base_url}/admin"

    @property
    def outbox_url(self) -> str:
        """Where sent mails are read."""
        return f"http://{HOST}:{self.settings.ports.outbox}"

    @property
    def phone_url(self) -> str:
        """Where a person plays the phone; also the simulator's control API."""
        return f"http://{HOST}:{self.settings.ports.phone}"

    @property
    def openai_url(self) -> str:
        """The simulated OpenAI, without ``/v1``."""
        return f"http://127.0.0.1:{self.settings.ports.openai}"

    @property
    def created(self) -> Created:
        """The names of the AWS resources."""
        assert self._created is not None, "not started"
        return self._created

    @property
    def operator(self) -> Operator:
        """Who signs in first."""
        assert self._operator is not None, "not started"
        return self._operator

    @property
    def environment(self) -> dict[str, str]:
        """The application's environment: tests build their own `Services` from it."""
        return {
            **local_environment(
                self.created,
                endpoint=self.endpoint,
                mail_from=self.settings.mail_from,
                openai_base_url=f"{self.openai_url}/v1" if self.settings.simulate_openai else None,
                runner_capacity=self.settings.runner_capacity,
                runners_at_least=self.settings.runners,
                allow_local_links=self.settings.public_url is None,
            ),
            **self.settings.app_settings,
        }

    @property
    def pids(self) -> dict[str, int]:
        """Every process of this stack, by name; runners are ``runner-1`` and so on."""
        runners = self._supervisor.pids if self._supervisor else {}
        return {**{name: child.pid for name, child in self._children.items()}, **runners}

    def client(self, service: str) -> Any:
        """A boto3 client of this stack's MiniStack."""
        return resources.client(service, self.endpoint)

    def mails(self) -> list[Mail]:
        """Every mail that was sent, newest first."""
        return mail_spool.read(self.outbox_directory)

    # -- starting -----------------------------------------------------------------------------------------------

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Start every part and wait for it; raise :class:`CannotStart` with one sentence, leaving nothing behind."""
        preflight.check(self.settings)
        self._lock = preflight.only_one(self.settings.data)
        try:
            clean = self._ministack()
            if not clean:
                self._repair()
            self._resources()
            if self.settings.simulate_openai:
                self._openai()
            if self.settings.simulate_whatsapp:
                self._whatsapp()
            self._functions()
            self._outbox()
            self._runners()
        except BaseException:
            self.stop(grace=2.0)
            raise
        self._remember()

    def _ministack(self) -> bool:
        """Start MiniStack; whether everything that was ever acknowledged is there."""
        data = self.settings.data / "ministack"
        clean = Generations(data / "generations").stopped_cleanly()
        ports = self.settings.ports
        command = [
            str(preflight.MINISTACK_PYTHON),
            "-m",
            "infrastructure.local.ministack_server",
            *("--port", str(ports.ministack)),
            *("--data", str(data)),
        ]
        if self.settings.generation is not None:
            command += ["--generation", str(self.settings.generation)]
            clean = False
        environment = {**plain_environment(), "MINISTACK_REGION": resources.REGION}
        self._child("ministack", command, environment, f"{self.endpoint}/_ministack/health")
        self._line("MiniStack", f"AWS at {self.endpoint}, kept in {data}")
        return clean

    def _repair(self) -> None:
        dynamodb = self.client("dynamodb")
        repaired = recovery.repair(dynamodb, self.settings.stack, time.time_ns() // 1_000_000)
        self._line(
            "recovery",
            f"the last stop was not clean: {repaired.sessions} sessions moved to new epochs, "
            f"{repaired.runners} runners declared dead, the last 10 minutes are read again",
        )

    def _resources(self) -> None:
        settings = self.settings
        self._created = resources.ensure(
            self.endpoint,
            settings.stack,
            base_url=settings.base_url,
            mail_from=settings.mail_from,
            runners=settings.runners,
        )
        self._operator = operators.ensure(
            self.client("cognito-idp"), self.created.user_pool, settings.operator_email, settings.data / "operator.json"
        )
        self._line("resources", "table, bucket, queues, key, operators, mail, parameters, runner service")

    def _openai(self) -> None:
        command = [sys.executable, "-m", "tests.simulators.openai", "--port", str(self.settings.ports.openai)]
        self._child("openai", command, plain_environment(), f"{self.openai_url}/control")
        self._line("OpenAI", f"simulated at {self.openai_url}")

    def _whatsapp(self) -> None:
        ports = self.settings.ports
        command = [
            sys.executable,
            "-m",
            "tests.simulators.whatsapp",
            *("--port", str(ports.whatsapp)),
            *("--control-port", str(ports.phone)),
            *("--state", str(self.settings.data / "whatsapp.json")),
        ]
        child = self._child("whatsapp", command, plain_environment(), f"http://127.0.0.1:{ports.phone}/")
        wait_until_ready(child, lambda: len(self._flags(child)) == 2, READY_WITHIN_SECONDS)
        self._chromium_flags = self._flags(child)
        self._line("WhatsApp", f"simulated; its phones are at {self.phone_url}")

    @staticmethod
    def _flags(child: Child) -> dict[str, str]:
        """The simulator prints the two flags with which a Chromium takes it for web.whatsapp.com."""
        names = {
            "--host-resolver-rules": "BROWSER_HOST_RULES",
            "--ignore-certificate-errors-spki-list": "BROWSER_CERTIFICATE_SPKI",
        }
        split = (line.partition("=") for line in child.log.read_text(errors="replace").splitlines())
        return {names[name]: value for name, _, value in split if name in names}

    def _functions(self) -> None:
        settings = self.settings
        command = [
            sys.executable,
            "-m",
            "infrastructure.local.functions",
            *("--port", str(settings.ports.gateway)),
            *("--endpoint", self.endpoint),
            *("--events-queue", self.created.events_queue),
            *("--app-directory", str(settings.app_directory)),
            *(["--behind-proxy"] if settings.public_url is not None else []),
        ]
        environment = {**plain_environment(), **self.environment}
        self._child("functions", command, environment, f"http://127.0.0.1:{settings.ports.gateway}/")
        self._line("application", f"{self.base_url} (public: {settings.base_url})")

    def _outbox(self) -> None:
        if self.settings.smtp_url is not None:
            self._relay = Relay(self.outbox_directory, smtp(self.settings.smtp_url), self._say)
            self._relay.start()
        self._outbox_server = waitress.create_server(
            Outbox(self.outbox_directory, self._relay),
            host="127.0.0.1",
            port=self.settings.ports.outbox,
            threads=4,
            ident=None,
            asyncore_use_poll=True,
        )
        threading.Thread(target=self._outbox_server.run, name="outbox", daemon=True).start()
        self._line("outbox", self.outbox_url)

    def _runners(self) -> None:
        fleet = _fleet(self.client("ecs"), self.created)
        token = self.client("ssm").get_parameter(Name=self.created.runner_token_parameter, WithDecryption=True)
        settings = {"CAPACITY": str(self.settings.runner_capacity), **self._chromium_flags}
        if self.settings.chromium is not None:
            settings["CHROMIUM"] = self.settings.chromium
        settings.update(self.settings.runner_settings)

        def environment(directory: Path, task: str) -> dict[str, str]:
            return runner_environment(
                control_url=self.base_url,
                bootstrap_token=token["Parameter"]["Value"],
                data_directory=directory,
                task=self._task(task),
                settings=settings,
            )

        self._supervisor = Supervisor(
            desired=fleet,
            directory=self.settings.data / "runners",
            logs=self._logs,
            environment=environment,
            stopped=self._stopped,
            say=self._say,
        )
        if self.settings.runners:
            self._supervisor.start()
            self._line("supervisor", f"{fleet()} runner(s), up to {self.settings.runner_capacity} sessions each")

    def _task(self, name: str) -> str:
        return f"arn:aws:ecs:{resources.REGION}:{resources.ACCOUNT}:task/{self.created.cluster}/{name}"

    def _stopped(self, name: str, reason: str) -> None:
        """Tell the application, as ECS does over the event bus, so that nobody waits for a lease."""
        sqs = self.client("sqs")
        event = task_stopped_event(
            self._task(name), self.created.cluster, self.created.service, reason, now=time.time()
        )
        url = sqs.get_queue_url(QueueName=self.created.events_queue)["QueueUrl"]
        sqs.send_message(QueueUrl=url, MessageBody=json.dumps(event))

    def _child(self, name: str, command: Iterable[str], environment: dict[str, str], url: str) -> Child:
        child = Child(name, list(command), environment, self._logs / f"{name}.log")
        self._children[name] = child
        wait_until_ready(child, lambda: _answers(url), READY_WITHIN_SECONDS)
        return child

    def _line(self, name: str, text: str) -> None:
        self._say(f"{name:<12} {text}")

    def _remember(self) -> None:
        """Where everything is, for tests and for people who look."""
        known = {
            "pid": os.getpid(),
            "pids": self.pids,
            "ports": asdict(self.settings.ports),
            "admin": self.admin_url,
            "outbox": self.outbox_url,
            "phone": self.phone_url,
        }
        (self.settings.data / "stack.json").write_text(json.dumps(known, indent=1))

    # -- running and stopping -----------------------------------------------------------------------------------

    def look(self) -> None:
        """Start the application again if it ended; raise :class:`CannotStart` if another part did."""
        for name, child in list(self._children.items()):
            if child.exit_code is None:
                continue
            if name != "functions":
                raise CannotStart(f"{name} ended with {child.exit_code}: {child.last_words(3)}")
            self._say(f"the application ended with {child.exit_code}; starting it again")
            time.sleep(LOOK_EVERY_SECONDS)
            self._functions()

    def kill(self) -> None:
        """What `kill -9` of everything does: for tests. Nothing is written, nobody is told."""
        if self._supervisor is not None and self.settings.runners:
            self._supervisor.kill()
        for child in self._children.values():
            child.kill_tree()
        self._close()

    def stop(self, grace: float = STOP_GRACE_SECONDS) -> None:
        """Runners first, while the application still answers; MiniStack last, which writes everything down."""
        last = self._children.get("ministack")
        try:
            if self._supervisor is not None and self.settings.runners:
                self._supervisor.stop(grace)
            for child in reversed(self._children.values()):
                if child is not last:
                    child.stop(STOP_WITHIN_SECONDS)
        finally:
            if self._supervisor is not None and self.settings.runners:
                self._supervisor.kill()
            for child in reversed(self._children.values()):
                if child is not last:
                    child.kill_tree()
            if last is not None:
                last.stop(READY_WITHIN_SECONDS)
            self._close()

    def _close(self) -> None:
        if self._relay is not None:
            self._relay.stop()
        if self._outbox_server is not None:
            self._outbox_server.close()
        self._children.clear()
        self._supervisor = self._outbox_server = self._relay = None
        with contextlib.suppress(OSError):
            (self.settings.data / "stack.json").unlink()
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None


def local_stack(
    data: Path,
    *,
    ports: Ports | None = None,
    runners: int = 0,
    simulators: Iterable[str] = ("whatsapp", "openai"),
    say: Say = print,
    **more: Any,
) -> LocalStack:
    """A stack for tests: free ports unless given, no runner unless asked for."""
    settings = Settings(
        data=data,
        ports=ports or Ports.free(),
        runners=runners,
        simulate_whatsapp="whatsapp" in simulators,
        simulate_openai="openai" in simulators,
        **more,
    )
    return LocalStack(settings, say)


def _fleet(ecs: Any, created: Created) -> Callable[[], int]:
    """The desired count; the same two calls as `chalicelib/fleet.py`, which this process does not import."""

    def desired() -> int:
        services = ecs.describe_services(cluster=created.cluster, services=[created.service])["services"]
        return int(services[0]["desiredCount"])

    return desired


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2):  # noqa: S310 - our own loopback addresses
            return True
    except urllib.error.HTTPError:
        return True
    except OSError:
        return False
