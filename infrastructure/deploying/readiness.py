"""Is the new version there? Asked from outside, as people would."""

import json
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any, Final

ANSWER_WITHIN_SECONDS: Final = 10.0
ARRIVED_WITHIN_SECONDS: Final = 900.0
LOOK_EVERY_SECONDS: Final = 10.0


@dataclass(frozen=True, slots=True)
class Health:
    """What `/health` said; ``trouble`` instead, when it said nothing useful."""

    told: dict[str, Any]
    trouble: str = ""
    #: the other side's clock minus ours
    ahead_seconds: float | None = None

    @property
    def commit(self) -> str:
        """Of the control plane."""
        return str(self.told.get("commit", ""))

    @property
    def runners(self) -> list[str]:
        """The commits of the runners that are alive."""
        return [str(commit) for commit in self.told.get("runners", [])]


def ask(base_url: str) -> Health:
    """One question, with a deadline; never raises for what the other side does."""
    asked = time.time()
    try:
        request = urllib.request.Request(f"{base_url}/health", headers={"User-Agent": "answerline"})  # noqa: S310 - ours
        with urllib.request.urlopen(request, timeout=ANSWER_WITHIN_SECONDS) as answer:  # noqa: S310
            body, date = answer.read(65_536), answer.headers.get("Date")
    except urllib.error.HTTPError as error:
        return Health({}, f"HTTP {error.code}: {_problem(error.read(65_536))}")
    except (OSError, ValueError) as error:
        return Health({}, str(getattr(error, "reason", error)))
    try:
        told = json.loads(body)
    except ValueError:
        return Health({}, "something else answers there: no JSON")
    if not isinstance(told, dict):
        return Health({}, "something else answers there: no JSON object")
    return Health(told, "", _ahead(date, (asked + time.time()) / 2))


def wait(
    base_url: str,
    commit: str,
    *,
    runners: bool,
    look: Callable[[str], Health] = ask,
    clock: Callable[[], float] = time.monotonic,
    pause: Callable[[float], None] = time.sleep,
) -> tuple[Health, bool]:
    """The last answer, and whether control plane and (if any should run) a runner of this commit were seen."""
    until = clock() + ARRIVED_WITHIN_SECONDS
    while True:
        health = look(base_url)
        if health.commit == commit and (not runners or commit in health.runners):
            return health, True
        if clock() >= until:
            return health, False
        pause(LOOK_EVERY_SECONDS)


def _problem(body: bytes) -> str:
    try:
        told = json.loads(body)
        return str(told.get("problem") or told.get("message") or "")[:300]
    except (ValueError, AttributeError):
        return ""


def _ahead(date: str | None, now: float) -> float | None:
    try:
        return parsedate_to_datetime(date).timestamp() - now if date else None
    except ValueError:
        return None
