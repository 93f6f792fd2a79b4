"""The commands of systemd: `systemctl`, each with one sentence if it fails."""

import subprocess

from infrastructure.local.service.installed import NAME
from infrastructure.local.service.unit import START_WITHIN_SECONDS, STOP_WITHIN_SECONDS
from infrastructure.local.settings import CannotStart


def require_running() -> None:
    """Raises CannotStart where systemd does not run this machine, as in most containers."""
    if _call("is-system-running").stdout.strip() in ("offline", ""):
        raise CannotStart("systemd does not run this machine, and a service needs it. `make up` works without it.")


def reload() -> None:
    """Lets systemd read the units again."""
    _systemctl("daemon-reload")


def enable() -> None:
    """Lets the service start at boot."""
    _systemctl("enable", "--quiet", NAME)


def disable() -> None:
    """Stops the service, and lets it start at boot no more."""
    _systemctl("disable", "--quiet", "--now", NAME)


def start() -> None:
    """Starts the service and waits until everything has answered once."""
    _systemctl("start", NAME)


def stop() -> None:
    """Stops the service and waits until its runners have drained and its stores are closed."""
    _systemctl("stop", NAME)


def restart() -> None:
    """Stops the service and starts it again."""
    _systemctl("restart", NAME)


def is_active() -> bool:
    """Returns whether the service runs."""
    return _call("is-active", "--quiet", NAME).returncode == 0


def _systemctl(*arguments: str) -> None:
    done = _call(*arguments)
    if done.returncode:
        reason = (done.stderr or done.stdout).strip().partition("\n")[0] or f"it ended with {done.returncode}"
        raise CannotStart(
            f"`systemctl {' '.join(arguments)}` failed ({reason}); `journalctl -u {NAME} -n 30` may say why."
        )


def _call(*arguments: str) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(
            ["systemctl", *arguments],
            capture_output=True,
            text=True,
            timeout=START_WITHIN_SECONDS + STOP_WITHIN_SECONDS,
            check=False,
        )
    except OSError:
        raise CannotStart("There is no systemctl: a service needs systemd. `make up` works without it.") from None
    except subprocess.TimeoutExpired:
        raise CannotStart(
            f"`systemctl {' '.join(arguments)}` did not end: `systemctl status {NAME}` says why."
        ) from None
