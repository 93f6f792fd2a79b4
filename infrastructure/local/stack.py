"""Everything on one machine, started in order and stopped in reverse: what `make up` and the tests both run."""

import contextlib
import json
import os
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from infrastructure.local import operators, preflight, recovery, resources
from infrastructure.local.ecs.runners import Containers, Processes, Runners
from infrastructure.local.ecs.service import Service, publish
from infrastructure.local.ecs.supervisor import STOP_GRACE_SECONDS, Supervisor
from infrastructure.local.emulator.checkpoints import Checkpoints
from infrastructure.local.environment import local_environment, runner_variables
from infrastructure.local.lambda_runtime.events import mail_bounced_event
from infrastructure.local.mail import outbox, spool
from infrastructure.local.mail.relay import Relay, smtp
from infrastructure.local.mail.spool import Mail
from infrastructure.local.operators import Operator
from infrastructure.local.programs import Programs
from infrastructure.local.resources import Created
from infrastructure.local.settings import HOST, Ports, Settings

Say = Callable[[str], None]


class LocalStack:
    """The one-machine stack; a context manager. ``with LocalStack(Settings(…)) as stack: …``

    What it guarantees after ``start`` returned: every part answered once. What it does not: that a runner has
    registered; see the sessions' phases for that. The thread that starts it must outlive it.
    """

    def __init__(self, settings: Settings, say: Say = print) -> None:
        self.settings = settings
        self.started = False
        self.outbox_directory = settings.data / "ministack" / "outbox"
        self._say = say
        self._programs = Programs(settings)
        self._clients: dict[str, Any] = {}
        self._lock: int | None = None
        self._relay: Relay | None = None
        self._outbox_server: Any = None
        self._supervisor: Supervisor | None = None
        self._created: Created | None = None
        self._operator: Operator | None = None

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
        """The simulated OpenAI, without ``/v1``; its control API is ``/control``."""
        return self._programs.openai_url

    @property
    def endpoint(self) -> str:
        """Where MiniStack listens."""
        return self._programs.endpoint

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
                allow_local_links=self.settings.only_here,
                operators_email=self.settings.operator_email,
            ),
            **self.settings.app_settings,
        }

    @property
    def pids(self) -> dict[str, int]:
        """Every process of this stack but this one, by name; runners are ``runner-1`` and so on."""
        return {**self._programs.pids, **(self._supervisor.pids if self._supervisor else {})}

    def client(self, service: str) -> Any:
        """A boto3 client of this stack's MiniStack."""
        if service not in self._clients:
            self._clients[service] = resources.client(service, self.endpoint)
        return self._clients[service]

    def mails(self) -> list[Mail]:
        """Every mail that was sent, newest first."""
        return spool.read(self.outbox_directory)

    # -- starting -----------------------------------------------------------------------------------------------

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Start every part and wait for it; raise ``CannotStart`` with one sentence, leaving nothing behind."""
        preflight.check(self.settings)
        self._lock = preflight.lock_data_directory(self.settings.data)
        try:
            self._aws()
            if self.settings.simulate_openai:
                self._programs.openai()
                self._line("OpenAI", f"simulated at {self.openai_url}")
            if self.settings.simulate_whatsapp:
                self._programs.whatsapp()
                self._line("WhatsApp", f"simulated; its phones are at {self.phone_url}")
            self._programs.application(self.environment, self.created.events_queue)
            self._line("application", f"{self.base_url} (public: {self.settings.base_url})")
            self._mail()
            self._runners()
        except BaseException:
            self.stop(grace=2.0)
            raise
        self._remember()
        self.started = True

    def _aws(self) -> None:
        settings = self.settings
        data = settings.data / "ministack"
        # An older checkpoint, too, lacks the writes acknowledged after it.
        clean = Checkpoints(data / "generations").stopped_cleanly() and settings.checkpoint is None
        self._programs.ministack()
        self._line("MiniStack", f"AWS at {self.endpoint}, kept in {data}")
        if not clean:
            found = recovery.repair(self.client("dynamodb"), settings.stack, time.time_ns() // 1_000_000)
            self._line(
                "recovery",
                f"the last stop was not clean: {found.sessions} sessions moved to new epochs, "
                f"{found.runners} runners declared dead, the last 10 minutes are read again",
            )
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

    def _mail(self) -> None:
        if self.settings.smtp_url is not None:
            self._relay = Relay(self.outbox_directory, smtp(self.settings.smtp_url), self._say, self._mail_bounced)
            self._relay.start()
        self._outbox_server = outbox.serve(self.outbox_directory, self._relay, self.settings.ports.outbox)
        self._line("outbox", self.outbox_url)

    def _mail_bounced(self, mail: Mail, code: int) -> None:
        tags = {**mail.tags, "ses:configuration-set": self.created.mail_configuration_set}
        event = mail_bounced_event(mail.identifier, mail.recipients, tags, code, time.time())
        publish(self.client("sqs"), self.created, event)

    def _runners(self) -> None:
        if not self.settings.runners:
            return
        service = Service(self.client("ecs"), self.client("sqs"), self.created)
        self._supervisor = Supervisor(
            desired=service.desired,
            directory=self.settings.data / "runners",
            logs=self.settings.data / "logs",
            runners=self._how_runners_start(service),
            started=service.started,
            stopped=service.stopped,
            protected=service.protected,
            say=self._say,
        )
        self._supervisor.start()
        where = f", in containers of {self.settings.runner_image}" if self.settings.runner_image else ""
        each = f"{self.settings.runner_capacity} sessions each"
        self._line("supervisor", f"{service.desired()} runner(s), {each}{where}")

    def _how_runners_start(self, service: Service) -> Runners:
        chosen = self.settings
        settings = {
            "CAPACITY": str(chosen.runner_capacity),
            **self._programs.browser_settings,
            **({"CHROMIUM": chosen.chromium} if chosen.chromium and not chosen.runner_image else {}),
            **chosen.runner_settings,
        }
        name = self.created.runner_token_parameter
        token = self.client("ssm").get_parameter(Name=name, WithDecryption=True)["Parameter"]["Value"]

        def told(task: str) -> dict[str, str]:
            return runner_variables(
                control_url=self.base_url, bootstrap_token=token, task=service.task(task), settings=settings
            )

        if chosen.runner_image:
            return Containers(preflight.engine(), chosen.runner_image, told, capacity=chosen.runner_capacity)
        return Processes(told)

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
        """Start the application again if it ended; raise ``CannotStart`` if another part did."""
        self._programs.look(self._say)

    def kill(self) -> None:
        """What `kill -9` of everything does: for tests. Nothing is written, nobody is told."""
        if self._supervisor is not None:
            self._supervisor.kill()
        self._programs.kill()
        self._close()

    def stop(self, grace: float = STOP_GRACE_SECONDS) -> None:
        """Runners first, while the application still answers; MiniStack last, which writes everything down."""
        try:
            if self._supervisor is not None:
                self._supervisor.stop(grace)
        finally:
            if self._supervisor is not None:
                self._supervisor.kill()
            self._programs.stop()
            self._close()

    def _close(self) -> None:
        if self._relay is not None:
            self._relay.stop()
        if self._outbox_server is not None:
            outbox.stop(self._outbox_server)
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
