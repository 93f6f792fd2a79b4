"""The child processes of the stack except runners: the table, MiniStack, the simulators, the application."""

import http.client
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from urllib.parse import urlsplit

from infrastructure.local import preflight
from infrastructure.local.aws import REGION, Aws
from infrastructure.local.ecs.container_network import ContainerNetwork, prepare_network
from infrastructure.local.environment import plain_environment
from infrastructure.local.processes import Child, wait_until_ready
from infrastructure.local.settings import CannotStart, Settings
from infrastructure.local.table import compaction
from infrastructure.local.table.maintenance import Maintenance
from infrastructure.local.table.program import find_dynoxide

#: How long a program may take until it answers; and a store, until its last state is written.
READY_TIMEOUT_SECONDS = 60.0
#: The time between SIGTERM and SIGKILL for all programs but the stores.
STOP_GRACE_SECONDS = 15.0
#: The wait for one answer, before it is asked again.
ANSWER_TIMEOUT_SECONDS = 2.0
#: The delay before a program is restarted.
RESTART_AFTER_SECONDS = 0.5
#: The programs that keep data; they start first and stop last.
STORES = ("table", "ministack")
#: The programs that are started again when they end: what they acknowledged is on the disk.
RESTARTED = {"functions": "the application", "table": "the table", "ministack": "MiniStack"}

#: The simulator prints the two flags that make a Chromium open it as web.whatsapp.com; the runner's names for them.
_FLAGS = {
    "--host-resolver-rules": "BROWSER_HOST_RULES",
    "--ignore-certificate-errors-spki-list": "BROWSER_CERTIFICATE_SPKI",
}


class Programs:
    """Starts each program, waits until it answers, and stops them in reverse; the stores last."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        ports = settings.ports
        self.aws = Aws.with_new_key(f"http://127.0.0.1:{ports.ministack}", f"http://127.0.0.1:{ports.table}")
        #: in the order of their start
        self._children: dict[str, Child] = {}
        self._starters: dict[str, Callable[[], object]] = {}
        self._maintenance: Maintenance | None = None
        #: the settings by which a runner's browser opens the simulated WhatsApp; empty for the real one
        self.browser_settings: dict[str, str] = {}
        #: the network of runners in containers
        self.network: ContainerNetwork | None = None

    @property
    def openai_url(self) -> str:
        """Returns the simulated OpenAI's URL, without ``/v1``."""
        return f"http://127.0.0.1:{self._settings.ports.openai}"

    @property
    def pids(self) -> dict[str, int]:
        """Returns the pid of each started program, by name."""
        return {name: child.pid for name, child in self._children.items()}

    # -- starting -----------------------------------------------------------------------------------------------

    def start_table(self, report: Callable[[str], None] = print) -> None:
        """Checks the table's file, compacts it if that is due, and starts dynoxide behind its guarded proxy."""
        settings = self._settings
        database = settings.data / "table" / "answerline.db"
        compaction.prepare(database, report)
        command = [
            *(sys.executable, "-m", "infrastructure.local.table.server"),
            *("--port", str(settings.ports.table)),
            *("--dynoxide", str(find_dynoxide(settings.dynoxide))),
            *("--database", str(database)),
        ]
        self._start("table", command, {**plain_environment(), **self.aws.key}, self.aws.table_endpoint)

    def start_maintenance(self, table: str, report: Callable[[str], None]) -> None:
        """Starts the threads that delete what expired and watch the disk."""
        self._maintenance = Maintenance(self.aws.client("dynamodb"), table, self._settings.data, report)
        self._maintenance.start()

    def start_ministack(self, *, former: bool = False) -> None:
        """Starts the AWS emulator, in its own virtual environment; with a former release's state if so asked."""
        settings = self._settings
        command = [
            str(preflight.MINISTACK_PYTHON),
            *("-m", "infrastructure.local.emulator.ministack_server"),
            *("--port", str(settings.ports.ministack)),
            *("--data", str(settings.data / "ministack")),
            *(["--former"] if former else []),
        ]
        environment = {**plain_environment(), **self.aws.key, "MINISTACK_REGION": REGION}
        self._start("ministack", command, environment, f"{self.aws.endpoint}/_ministack/health")

    def join_containers(self) -> None:
        """Prepares the network of runners in containers, if there will be any; the gateway then listens there too."""
        ports = self._settings.ports
        if self._settings.runners and self._settings.runner_image:
            reached = [ports.gateway, *([ports.whatsapp] if self._settings.simulate_whatsapp else [])]
            self.network = prepare_network(preflight.find_engine(), reached)

    def start_openai(self) -> None:
        """Starts the simulator of OpenAI's API."""
        command = [
            *(sys.executable, "-m", "tests.simulators.openai"),
            *("--port", str(self._settings.ports.openai)),
            *self.operators_alone,
        ]
        self._start("openai", command, plain_environment(), f"{self.openai_url}/control")

    def start_whatsapp(self) -> None:
        """Starts the simulator of web.whatsapp.com, with phones."""
        ports = self._settings.ports
        command = [
            sys.executable,
            *("-m", "tests.simulators.whatsapp"),
            *("--port", str(ports.whatsapp)),
            *("--control-port", str(ports.phone)),
            *("--state", str(self._settings.data / "whatsapp.json")),
            *self.operators_alone,
            *self._also_on,
        ]
        child = self._start("whatsapp", command, plain_environment(), f"http://127.0.0.1:{ports.phone}/")
        wait_until_ready(child, lambda: len(_flags(child)) == len(_FLAGS), READY_TIMEOUT_SECONDS)
        self.browser_settings = _flags(child)
        if self.network is not None:
            rules = self.browser_settings["BROWSER_HOST_RULES"]
            self.browser_settings["BROWSER_HOST_RULES"] = self.network.rules(rules)

    @property
    def _also_on(self) -> list[str]:
        """Returns the option by which containers reach a program besides loopback."""
        address = self.network.address if self.network else self._settings.runners_at
        return ["--also-on", address] if address else []

    @property
    def operators_alone(self) -> list[str]:
        """Returns the option by which a simulator shows its page to operators alone, where something else is real."""
        admin = self._settings.guarded_by
        return [] if admin is None else ["--admin", admin]

    def start_application(self, environment: Mapping[str, str], events_queue: str) -> None:
        """Starts the process of the Chalice app: gateway and event dispatcher."""
        settings = self._settings
        command = [
            sys.executable,
            *("-m", "infrastructure.local.lambda_runtime.functions"),
            *("--port", str(settings.ports.gateway)),
            *("--events-queue", events_queue),
            *("--app-directory", str(settings.app_directory)),
            *(["--behind-proxy"] if settings.public_url is not None else []),
            *self._also_on,
        ]
        own = {**plain_environment(), **environment}
        self._start("functions", command, own, f"http://127.0.0.1:{settings.ports.gateway}/")

    def _start(self, name: str, command: Iterable[str], environment: Mapping[str, str], url: str) -> Child:
        arguments = list(command)

        def start() -> Child:
            child = Child(name, arguments, environment, self._settings.data / "logs" / f"{name}.log")
            self._children[name] = child
            wait_until_ready(child, lambda: answers(url), READY_TIMEOUT_SECONDS)
            return child

        self._starters[name] = start
        return start()

    # -- supervising and stopping -------------------------------------------------------------------------------

    def check(self, report: Callable[[str], None]) -> list[str]:
        """Restarts the application or a store if it ended, and bounds the logs; returns the names of those.

        Raises :class:`CannotStart` if another program ended, or if one does not start again.
        """
        restarted = []
        for name, child in list(self._children.items()):
            child.bound_log()
            if child.exit_code is None:
                continue
            if name not in RESTARTED:
                raise CannotStart(f"{name} ended with {child.exit_code}: {child.log_tail(3)}")
            report(f"{RESTARTED[name]} ended with {child.exit_code}; it is restarted")
            time.sleep(RESTART_AFTER_SECONDS)
            self._starters[name]()
            restarted.append(name)
        return restarted

    def stop(self) -> None:
        """Shuts each program down gracefully, the latest first; the stores get time to write."""
        stores = [self._children[name] for name in reversed(STORES) if name in self._children]
        others = [child for child in reversed(self._children.values()) if child not in stores]
        try:
            for child in others:
                child.terminate()
            for child in others:
                child.stop(STOP_GRACE_SECONDS)
        finally:
            for child in others:
                child.kill_tree()
            self._stop_maintenance()
            for store in stores:
                store.stop(READY_TIMEOUT_SECONDS)
            self._children.clear()

    def kill(self) -> None:
        """Sends SIGKILL to all programs and their descendants."""
        for child in self._children.values():
            child.kill_tree()
        self._children.clear()
        self._stop_maintenance()

    def _stop_maintenance(self) -> None:
        if self._maintenance is not None:
            self._maintenance.stop()
            self._maintenance = None


def _flags(child: Child) -> dict[str, str]:
    split = (line.partition("=") for line in child.log.read_text(errors="replace").splitlines())
    return {_FLAGS[name]: value for name, _, value in split if name in _FLAGS}


def answers(url: str) -> bool:
    """Returns whether a program on loopback answers at all: a redirect is an answer, and is not followed."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(str(parts.hostname), parts.port, timeout=ANSWER_TIMEOUT_SECONDS)
    try:
        connection.request("GET", parts.path or "/")
        connection.getresponse()
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
    return True
