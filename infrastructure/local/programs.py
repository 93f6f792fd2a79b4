"""The child processes of the stack, apart from runners: MiniStack, the simulators, the application."""

import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable, Mapping

from infrastructure.local import preflight, resources
from infrastructure.local.environment import plain_environment
from infrastructure.local.processes import Child, wait_until_ready
from infrastructure.local.settings import CannotStart, Settings

READY_WITHIN_SECONDS = 60.0
STOP_WITHIN_SECONDS = 15.0
RESTART_AFTER_SECONDS = 0.5

#: The simulator prints the two flags with which a Chromium takes it for web.whatsapp.com; the runner's names for them.
_FLAGS = {
    "--host-resolver-rules": "BROWSER_HOST_RULES",
    "--ignore-certificate-errors-spki-list": "BROWSER_CERTIFICATE_SPKI",
}


class Programs:
    """Starts each, waits until it answers, and stops them in reverse: MiniStack last, which writes everything down."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        #: in the order of their start
        self._children: dict[str, Child] = {}
        self._start_application_again: Callable[[], None] = lambda: None
        #: what makes a runner's browser see the simulated WhatsApp; empty when it is the real one
        self.browser_settings: dict[str, str] = {}

    @property
    def endpoint(self) -> str:
        """Where MiniStack listens."""
        return f"http://127.0.0.1:{self._settings.ports.ministack}"

    @property
    def openai_url(self) -> str:
        """Where the simulated OpenAI listens, without ``/v1``."""
        return f"http://127.0.0.1:{self._settings.ports.openai}"

    @property
    def pids(self) -> dict[str, int]:
        """Those that were started, by name."""
        return {name: child.pid for name, child in self._children.items()}

    # -- starting -----------------------------------------------------------------------------------------------

    def ministack(self) -> None:
        """AWS, in its own virtual environment."""
        settings = self._settings
        command = [
            str(preflight.MINISTACK_PYTHON),
            *("-m", "infrastructure.local.emulator.ministack_server"),
            *("--port", str(settings.ports.ministack)),
            *("--data", str(settings.data / "ministack")),
            *([] if settings.checkpoint is None else ["--checkpoint", str(settings.checkpoint)]),
        ]
        environment = {**plain_environment(), "MINISTACK_REGION": resources.REGION}
        self._start("ministack", command, environment, f"{self.endpoint}/_ministack/health")

    def openai(self) -> None:
        """A stand-in that speaks OpenAI's wire."""
        command = [sys.executable, "-m", "tests.simulators.openai", "--port", str(self._settings.ports.openai)]
        self._start("openai", command, plain_environment(), f"{self.openai_url}/control")

    def whatsapp(self) -> None:
        """A stand-in for web.whatsapp.com, with phones."""
        ports = self._settings.ports
        command = [
            sys.executable,
            *("-m", "tests.simulators.whatsapp"),
            *("--port", str(ports.whatsapp)),
            *("--control-port", str(ports.phone)),
            *("--state", str(self._settings.data / "whatsapp.json")),
        ]
        child = self._start("whatsapp", command, plain_environment(), f"http://127.0.0.1:{ports.phone}/")
        wait_until_ready(child, lambda: len(_flags(child)) == len(_FLAGS), READY_WITHIN_SECONDS)
        self.browser_settings = _flags(child)

    def application(self, environment: Mapping[str, str], events_queue: str) -> None:
        """The Chalice app behind gateway and pump."""
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
        self._start_application_again = lambda: self.application(environment, events_queue)
        self._start("functions", command, own, f"http://127.0.0.1:{settings.ports.gateway}/")

    def _start(self, name: str, command: Iterable[str], environment: Mapping[str, str], url: str) -> Child:
        child = Child(name, list(command), environment, self._settings.data / "logs" / f"{name}.log")
        self._children[name] = child
        wait_until_ready(child, lambda: _answers(url), READY_WITHIN_SECONDS)
        return child

    # -- watching and stopping ----------------------------------------------------------------------------------

    def look(self, say: Callable[[str], None]) -> None:
        """Start the application again if it ended; raise :class:`CannotStart` if another one did."""
        for name, child in list(self._children.items()):
            if child.exit_code is None:
                continue
            if name != "functions":
                raise CannotStart(f"{name} ended with {child.exit_code}: {child.log_tail(3)}")
            say(f"the application ended with {child.exit_code}; starting it again")
            time.sleep(RESTART_AFTER_SECONDS)
            self._start_application_again()

    def stop(self) -> None:
        """Ask each to end, the latest first; nothing but MiniStack is left alone for long."""
        ministack = self._children.get("ministack")
        others = [child for child in reversed(self._children.values()) if child is not ministack]
        try:
            for child in others:
                child.terminate()
            for child in others:
                child.stop(STOP_WITHIN_SECONDS)
        finally:
            for child in others:
                child.kill_tree()
            if ministack is not None:
                ministack.stop(READY_WITHIN_SECONDS)
            self._children.clear()

    def kill(self) -> None:
        """SIGKILL to all of them."""
        for child in self._children.values():
            child.kill_tree()
        self._children.clear()


def _flags(child: Child) -> dict[str, str]:
    split = (line.partition("=") for line in child.log.read_text(errors="replace").splitlines())
    return {_FLAGS[name]: value for name, _, value in split if name in _FLAGS}


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2):  # noqa: S310 - our own loopback addresses
            return True
    except urllib.error.HTTPError:
        return True
    except OSError:
        return False
