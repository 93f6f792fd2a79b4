"""The one-machine stack: starts every process in order and stops them in reverse, for `make up` and the tests."""

import contextlib
import json
import os
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any, Self

from infrastructure.local import operators, preflight, recovery, resources
from infrastructure.local.aws import Aws
from infrastructure.local.ecs.attached import AttachedRunners
from infrastructure.local.ecs.launcher import launcher
from infrastructure.local.ecs.service import Service, publish
from infrastructure.local.ecs.supervisor import STOP_GRACE_SECONDS, Supervisor
from infrastructure.local.environment import current_commit, local_environment
from infrastructure.local.former_release import FormerRelease
from infrastructure.local.lambda_runtime.events import mail_bounced_event
from infrastructure.local.mail import outbox, spool
from infrastructure.local.mail.operators_mail import operators_mail
from infrastructure.local.mail.relay import Relay, smtp
from infrastructure.local.mail.spool import Mail
from infrastructure.local.operators import Operator
from infrastructure.local.programs import Programs
from infrastructure.local.resources import Created
from infrastructure.local.service.advice import setup_advice
from infrastructure.local.settings import HOST, Ports, Settings

Report = Callable[[str], None]


class LocalStack:
    """The one-machine stack; a context manager. ``with LocalStack(Settings(…)) as stack: …``

    Guaranteed after ``start``: every part has answered once. NOT guaranteed: that a runner has registered; see the
    sessions' phases for that. The thread that starts the stack must outlive it.
    """

    def __init__(self, settings: Settings, report: Report = print) -> None:
        self.settings = settings
        self.started = False
        self.outbox_directory = settings.data / "ministack" / "outbox"
        self._report = report
        self._programs = Programs(settings)
        self._clients: dict[str, Any] = {}
        self._lock: int | None = None
        self._relay: Relay | None = None
        self._outbox_server: Any = None
        self._supervisor: Supervisor | None = None
        self._attached: AttachedRunners | None = None
        self._created: Created | None = None
        self._operator: Operator | None = None
        self._marked = False

    # -- addresses ----------------------------------------------------------------------------------------------

    @property
    def base_url(self) -> str:
        """Returns the application's URL on this machine, with its stage and without a trailing slash."""
        return self.settings.local_url

    @property
    def admin_url(self) -> str:
        """Returns the URL at which the operator signs in."""
        return f"{self.base_url}/admin"

    @property
    def outbox_url(self) -> str:
        """Returns the URL of the outbox page."""
        return f"http://{HOST}:{self.settings.ports.outbox}"

    @property
    def phone_url(self) -> str:
        """Returns the URL of the simulated phones; also the simulator's control API."""
        return f"http://{HOST}:{self.settings.ports.phone}"

    @property
    def openai_url(self) -> str:
        """Returns the simulated OpenAI's URL, without ``/v1``; its control API is ``/control``."""
        return self._programs.openai_url

    @property
    def aws(self) -> Aws:
        """Returns the endpoints and the access key of this start."""
        return self._programs.aws

    @property
    def created(self) -> Created:
        """Returns the names of the AWS resources; only after the start."""
        assert self._created is not None, "not started"
        return self._created

    @property
    def operator(self) -> Operator:
        """Returns the first operator; only after the start."""
        assert self._operator is not None, "not started"
        return self._operator

    @property
    def environment(self) -> dict[str, str]:
        """Returns the application's environment; tests build their own `Services` from it."""
        return {
            **local_environment(
                self.created,
                aws=self.aws,
                mail_from=self.settings.mail_from,
                openai_base_url=f"{self.openai_url}/v1" if self.settings.simulate_openai else None,
                openai_servers=self.settings.openai_servers,
                runner_capacity=self.settings.runner_capacity,
                runners_at_least=self.settings.runners,
                allow_local_links=self.settings.links_are_local,
                setup_advice=setup_advice(self.settings),
                operators_email=self.settings.notices.operators_email or self.settings.operator_email,
                quiet_hours=self.settings.notices.quiet_hours,
            ),
            **self.settings.app_settings,
        }

    @property
    def pids(self) -> dict[str, int]:
        """Returns the pid of each child process, by name; runners are ``runner-1`` and so on."""
        return {**self._programs.pids, **(self._supervisor.pids if self._supervisor else {})}

    def client(self, service: str) -> Any:
        """Returns a cached boto3 client of this stack."""
        if service not in self._clients:
            self._clients[service] = self.aws.client(service)
        return self._clients[service]

    def mails(self) -> list[Mail]:
        """Lists every sent mail, newest first."""
        return spool.read(self.outbox_directory)

    # -- starting -----------------------------------------------------------------------------------------------

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Starts every part and waits for it; after a failure, stops all and raises ``CannotStart``."""
        preflight.check(self.settings)
        self._lock = preflight.lock_data_directory(self.settings.data)
        try:
            self._start_aws()
            self._programs.join_containers()
            if self.settings.simulate_openai:
                self._programs.start_openai()
                self._report_part("OpenAI", f"simulated at {self.openai_url}")
            if self.settings.simulate_whatsapp:
                self._programs.start_whatsapp()
                self._report_part("WhatsApp", f"simulated; its phones are at {self.phone_url}")
            self._programs.start_application(self.environment, self.created.events_queue)
            self._report_part("application", f"{self.base_url} (public: {self.settings.base_url})")
            self._start_mail()
            self._start_runners()
        except BaseException:
            self.stop(grace_seconds=2.0)
            raise
        self._write_stack_file()
        self.started = True

    def _start_aws(self) -> None:
        settings = self.settings
        FormerRelease(settings, self._programs, self._ensure_resources, self._report).take_over()
        self._programs.start_table(self._report)
        self._report_part("table", f"DynamoDB at {self.aws.table_endpoint}, kept in {settings.data / 'table'}")
        self._programs.start_ministack()
        self._report_part("MiniStack", f"the rest of AWS at {self.aws.endpoint}, kept in {settings.data / 'ministack'}")
        now_ms = time.time_ns() // 1_000_000
        if repaired := recovery.begin(settings.data, self.client("dynamodb"), settings.stack, now_ms):
            self._report_part("recovery", str(repaired))
        self._marked = True
        self._ensure_resources()
        self._operator = operators.ensure(
            self.client("cognito-idp"), self.created.user_pool, settings.operator_email, settings.data / "operator.json"
        )
        self._programs.start_maintenance(self.created.table, self._report)
        self._report_part("resources", "table, bucket, queues, key, operators, mail, parameters, runner service")

    def _ensure_resources(self) -> None:
        chosen = self.settings
        self._created = resources.ensure(
            self.aws,
            chosen.stack,
            base_url=chosen.base_url,
            mail_from=chosen.mail_from,
            runners=chosen.runners,
            token=chosen.runner_token,
            webhook=chosen.notices.webhook,
        )

    def _start_mail(self) -> None:
        if self.settings.smtp_url is not None:
            self._relay = Relay(self.outbox_directory, smtp(self.settings.smtp_url), self._report, self._publish_bounce)
            self._relay.start()
        port, admin = self.settings.ports.outbox, self.settings.guarded_by
        self._outbox_server = outbox.serve(self.outbox_directory, self._relay, port, admin)
        self._report_part("outbox", self.outbox_url)

    def _publish_bounce(self, mail: Mail, code: int) -> None:
        tags = {**mail.tags, "ses:configuration-set": self.created.mail_configuration_set}
        event = mail_bounced_event(mail.identifier, mail.recipients, tags, code, time.time())
        publish(self.client("sqs"), self.created, event)

    def _start_runners(self) -> None:
        if not self.settings.runners:
            return
        service = Service(self.client("ecs"), self.client("sqs"), self.created)
        if self.settings.runners_at is not None:
            self._attached = AttachedRunners(service, self.settings.data / "attached.json")
            self._attached.report_running()
            self._attached.serve(self.settings.runners_at)
            self._report_part("runners", f"are started elsewhere; their tasks are at {self.settings.runners_at}")
            return
        name = self.created.runner_token_parameter
        token = self.client("ssm").get_parameter(Name=name, WithDecryption=True)["Parameter"]["Value"]
        self._supervisor = Supervisor(
            desired_count=service.desired_count,
            directory=self.settings.data / "runners",
            logs=self.settings.data / "logs",
            runners=launcher(self.settings, self._programs, token, service.task_arn),
            report_started=service.report_started,
            report_stopped=service.report_stopped,
            protected_tasks=service.protected_tasks,
            report=self._report,
        )
        self._supervisor.start()
        where = f", in containers of {self.settings.runner_image}" if self.settings.runner_image else ""
        each = f"{self.settings.runner_capacity} sessions each"
        self._report_part("supervisor", f"{service.desired_count()} runner(s), {each}{where}")

    def _report_part(self, name: str, text: str) -> None:
        self._report(f"{name:<12} {text}")

    def _write_stack_file(self) -> None:
        """Writes pids, ports, URLs and the access key to `stack.json`, for the doctor, the tests and the operator."""
        content = {
            "pid": os.getpid(),
            "commit": current_commit(),
            "pids": self.pids,
            "ports": asdict(self.settings.ports),
            "admin": self.admin_url,
            "outbox": self.outbox_url,
            "phone": self.phone_url,
            "operators_mail": operators_mail(self.settings),
            "aws": asdict(self.aws),
        }
        (self.settings.data / "stack.json").write_text(json.dumps(content, indent=1))

    # -- running and stopping -----------------------------------------------------------------------------------

    def check(self) -> None:
        """Restarts the application or a store if it ended; raises ``CannotStart`` if another part ended."""
        if "ministack" in self._programs.check(self._report):
            self._ensure_resources()  # its queues were in its memory, and the tasks
            for started in (self._supervisor, self._attached):
                if started is not None:
                    started.report_running()

    def kill(self) -> None:
        """Kills every process, as `kill -9` does: for tests. Writes and reports nothing."""
        if self._supervisor is not None:
            self._supervisor.kill()
        self._programs.kill()
        self._close()

    def stop(self, grace_seconds: float = STOP_GRACE_SECONDS) -> None:
        """Stops the runners first, while the application still answers; the stores last, after their final writes."""
        try:
            if self._supervisor is not None:
                self._supervisor.stop(grace_seconds)
        finally:
            if self._supervisor is not None:
                self._supervisor.kill()
            self._programs.stop()
            if self._marked:
                recovery.clear_marker(self.settings.data)
            self._close()

    def _close(self) -> None:
        if self._relay is not None:
            self._relay.stop()
        if self._outbox_server is not None:
            outbox.stop(self._outbox_server)
        if self._attached is not None:
            self._attached.stop()
        self._supervisor = self._outbox_server = self._relay = self._attached = None
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
    report: Report = print,
    **others: Any,
) -> LocalStack:
    """Returns a stack for tests; by default with free ports and without runners."""
    settings = Settings(
        data=data,
        ports=ports or Ports.free(),
        runners=runners,
        simulate_whatsapp="whatsapp" in simulators,
        simulate_openai="openai" in simulators,
        **others,
    )
    return LocalStack(settings, report)
