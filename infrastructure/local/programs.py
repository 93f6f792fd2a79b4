"""The child processes of the stack except runners: MiniStack, the simulators, the application."""

import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable, Mapping

from infrastructure.local import preflight, resources
from infrastructure.local.environment import plain_environment
from infrastructure.local.processes import Child, wait_until_ready
from infrastructure.local.settings import CannotStart, Settings

#: How long a program may take until it answers; and MiniStack, until its last checkpoint is written.
READY_TIMEOUT_SECONDS = 60.0
#: The time between SIGTERM and SIGKILL for all programs but MiniStack.
STOP_GRACE_SECONDS = 15.0
#: The delay before the application is restarted.
RESTART_AFTER_SECONDS = 0.5

#: The simulator prints the two flags that make a Chromium open it as web.whatsapp.com; the runner's names for them.
_FLAGS = {
    "--host-resolver-rules": "BROWSER_HOST_RULES",
    "--ignore-certificate-errors-spki-list": "BROWSER_CERTIFICATE_SPKI",
}


class Programs:
    """Starts each program, waits until it answers, and stops them in reverse; MiniStack last."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        #: in the order of their start
        self._children: dict[str, Child] = {}
        self._restart_application: Callable[[], None] = lambda: None
        #: the settings by which a runner's browser opens the simulated WhatsApp; empty for the real one
        self.browser_settings: dict[str, str] = {}

    @property
    def endpoint(self) -> str:
        """Returns MiniStack's URL."""
        return f"http://127.0.0.1:{self._settings.ports.ministack}"

    @property
    def openai_url(self) -> str:
        """Returns the simulated OpenAI's URL, without ``/v1``."""
        return f"http://127.0.0.1:{self._settings.ports.openai}"

    @property
    def pids(self) -> dict[str, int]:
        """Returns the pid of each started program, by name."""
        return {name: child.pid for name, child in self._children.items()}

    # -- starting -----------------------------------------------------------------------------------------------

    def start_ministack(self) -> None:
        """Starts the AWS emulator, in its own virtual environment."""
        settings = self._settings
        command = [
            str(preflight.MINISTACK_PYTHON),
            *("-m", "infrastructure.local.emulator.ministack_server"),
            *("--port", str(settings.ports.ministack)),
            *("--data", str(settings.data / "ministack")),
            *([] if settings.checkpoint is None else ["--checkpoint", str(settings.checkpoint)]),
        ]
        environment = {**plain_environment(), **resources.CREDENTIALS, "MINISTACK_REGION": resources.REGION}
        self._start("ministack", command, environment, f"{self.endpoint}/_ministack/health")

    def start_openai(self) -> None:
        """Starts the simulator of OpenAI's API."""
        command = [sys.executable, "-m", "tests.simulators.openai", "--port", str(self._settings.ports.openai)]
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
        ]
        child = self._start("whatsapp", command, plain_environment(), f"http://127.0.0.1:{ports.phone}/")
        wait_until_ready(child, lambda: len(_flags(child)) == len(_FLAGS), READY_TIMEOUT_SECONDS)
        self.browser_settings = _flags(child)

    def start_application(self, environment: Mapping[str, str], events_queue: str) -> None:
        """Starts the process of the Chalice app: gateway and event dispatcher."""
        settings = self._settings
        command = [
            sys.executable,
            *("-m", "infrastructure.local.lambda_runtime.functions"),
            *("--port", str(settings.ports.gateway)),
            *("--endpoint", self.endpoint),
            *("--events-queue", events_queue),
            *("--app-directory", str(settings.app_directory)),
            *(["--behind-proxy"] if settings.public_url is not None else []),
        ]
        own = {**plain_environment(), **environment}
        self._restart_application = lambda: self.start_application(environment, events_queue)
        self._start("functions", command, own, f"http://127.0.0.1:{settings.ports.gateway}/")

    def _start(self, name: str, command: Iterable[str], environment: Mapping[str, str], url: str) -> Child:
        child = Child(name, list(command), environment, self._settings.data / "logs" / f"{name}.log")
        self._children[name] = child
        wait_until_ready(child, lambda: _answers(url), READY_TIMEOUT_SECONDS)
        return child

    # -- supervising and stopping -------------------------------------------------------------------------------

    def check(self, report: Callable[[str], None]) -> None:
        """Restarts the application if it ended, and bounds the logs; :class:`CannotStart` if another program ended."""
        for name, child in list(self._children.items()):
            child.bound_log()
            if child.exit_code is None:
                continue
            if name != "functions":
                raise CannotStart(f"{name} ended with {child.exit_code}: {child.log_tail(3)}")
            report(f"the application ended with {child.exit_code}; it is restarted")
            time.sleep(RESTART_AFTER_SECONDS)
            self._restart_application()

    def stop(self) -> None:
        """Shuts each program down gracefully, the latest first; MiniStack gets time for its last checkpoint."""
        ministack = self._children.get("ministack")
        others = [child for child in reversed(self._children.values()) if child is not ministack]
        try:
            for child in others:
                child.terminate()
            for child in others:
                child.stop(STOP_GRACE_SECONDS)
        finally:
            for child in others:
                child.kill_tree()
            if ministack is not None:
                ministack.stop(READY_TIMEOUT_SECONDS)
            self._children.clear()

    def kill(self) -> None:
        """Sends SIGKILL to all programs and their descendants."""
        for child in self._children.values():
            child.kill_tree()
        self._children.clear()


def _flags(child: Child) -> dict[str, str]:
    split = (line.partition("=") for line in child.log.read_text(errors="replace").splitlines())
    return {_FLAGS[name]: value for name, _, value in split if name in _FLAGS}


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2):  # noqa: S310 - loopback addresses of this stack
            return True
    except urllib.error.HTTPError:
        return True
    except OSError:
        return False
