"""Health check of a stage from outside: waits until the control plane and a runner answer with the new version."""

import json
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Collection
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any, Final

ANSWER_WITHIN_SECONDS: Final = 10.0
READY_WITHIN_SECONDS: Final = 900.0
POLL_EVERY_SECONDS: Final = 10.0


@dataclass(frozen=True, slots=True)
class Health:
    """The answer of `/health`; ``error`` instead, if there is no useful one."""

    answer: dict[str, Any]
    error: str = ""
    #: the server's clock minus ours
    ahead_seconds: float | None = None

    @property
    def commit(self) -> str:
        """The control plane's commit."""
        return str(self.answer.get("commit", ""))


def check_health(base_url: str) -> Health:
    """Asks a stage for its health, once and with a deadline; never raises for an error of the other side."""
    asked_at = time.time()
    try:
        request = urllib.request.Request(f"{base_url}/health", headers={"User-Agent": "answerline"})  # noqa: S310 - ours
        with urllib.request.urlopen(request, timeout=ANSWER_WITHIN_SECONDS) as response:  # noqa: S310
            body, date = response.read(65_536), response.headers.get("Date")
    except urllib.error.HTTPError as error:
        return Health({}, f"HTTP {error.code}: {_problem(error.read(65_536))}")
    except (OSError, ValueError) as error:
        return Health({}, str(getattr(error, "reason", error)))
    try:
        answer = json.loads(body)
    except ValueError:
        return Health({}, "something else answers there: no JSON")
    if not isinstance(answer, dict):
        return Health({}, "something else answers there: no JSON object")
    return Health(answer, "", _ahead_seconds(date, (asked_at + time.time()) / 2))


def wait_until_ready(
    base_url: str,
    commit: str,
    *,
    runners: Callable[[], Collection[str]] | None,
    check: Callable[[str], Health] = check_health,
    clock: Callable[[], float] = time.monotonic,
    pause: Callable[[float], None] = time.sleep,
) -> tuple[Health, bool]:
    """Polls until the stage answers with this commit; returns the last answer, and whether it is ready.

    Args:
        base_url: the stage's public address.
        commit: the deployed version.
        runners: lists the commits of the runners that are alive, one of which must be this one; None where none run.
        check: asks for the health.
        clock: monotonic seconds.
        pause: sleeps for so many seconds.
    """
    deadline = clock() + READY_WITHIN_SECONDS
    while True:
        health = check(base_url)
        if health.commit == commit and (runners is None or commit in runners()):
            return health, True
        if clock() >= deadline:
            return health, False
        pause(POLL_EVERY_SECONDS)


def _problem(body: bytes) -> str:
    try:
        answer = json.loads(body)
        return str(answer.get("problem") or answer.get("message") or "")[:300]
    except (ValueError, AttributeError):
        return ""


def _ahead_seconds(date: str | None, now: float) -> float | None:
    try:
        return parsedate_to_datetime(date).timestamp() - now if date else None
    except ValueError:
        return None
