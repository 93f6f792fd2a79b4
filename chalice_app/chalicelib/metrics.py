"""Which metrics there are, and which of them change by what stands, and by each line that is logged.

What happens is counted where it is logged: whoever sees a step in a graph finds its lines by the same words.
"""

import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final, Literal

from chalicelib.log_events import LogEvent
from chalicelib.model.line_health import HealthReport

NAMESPACE: Final = "Answerline"
Unit = Literal["Count", "Seconds", "Milliseconds"]

#: Every metric there is.
UNITS: Final[Mapping[str, Unit]] = {
    # how it stands, each minute
    "TenantsShouldRun": "Count",
    "TenantsOnline": "Count",
    "TenantsNotRunning": "Count",
    "OldestUnansweredSeconds": "Seconds",
    "QrLate": "Count",
    "SessionsWithoutRoom": "Count",
    "RunnersWanted": "Count",
    "Runners": "Count",
    "RunnersNotHeard": "Count",
    # what happens, when it does
    "Replies": "Count",
    "ReplyLatencyMs": "Milliseconds",
    "DeliveryLatencyMs": "Milliseconds",
    "TokensIn": "Count",
    "TokensOut": "Count",
    "TriesAgain": "Count",
    "AsksSomeone": "Count",
    "GivesUp": "Count",
    "RunnerRestarts": "Count",
    "MailBounced": "Count",
    "ErrorsByKind": "Count",
}

#: The line that is logged → what it adds: one, or what it carries under this name.
COUNTED: Final[Mapping[str, Mapping[str, str | None]]] = {
    LogEvent.MODEL_ANSWERED: {"TokensIn": "input_tokens", "TokensOut": "output_tokens"},
    LogEvent.REPLY_STORED: {"Replies": None, "ReplyLatencyMs": "latency_ms"},
    LogEvent.REPLY_DELIVERED: {"DeliveryLatencyMs": "latency_ms"},
    LogEvent.TURN_POSTPONED: {"TriesAgain": None},
    LogEvent.ASSISTANT_NEEDS_ACTION: {"AsksSomeone": None},
    LogEvent.TURN_GIVEN_UP: {"GivesUp": None},
    LogEvent.RUNNER_LOST: {"RunnerRestarts": None},
    LogEvent.MAIL_BOUNCED: {"MailBounced": None},
}
#: A warning or an error that is not of our own words has no end of kinds.
KIND_AT_MOST: Final = 60


@dataclass(frozen=True, slots=True)
class Measured:
    """One value of one metric; ``kind`` is a dimension of its own."""

    name: str
    value: float
    kind: str = ""

    @property
    def unit(self) -> Unit:
        return UNITS[self.name]


def of_health_report(report: HealthReport) -> tuple[Measured, ...]:
    """How it stands this minute."""
    return (
        Measured("TenantsShouldRun", report.should_run),
        Measured("TenantsOnline", report.online),
        Measured("TenantsNotRunning", report.not_running),
        Measured("OldestUnansweredSeconds", round(report.oldest_unanswered.total_seconds(), 1)),
        Measured("QrLate", report.codes_late),
        Measured("SessionsWithoutRoom", report.without_room),
        Measured("Runners", report.runners),
        Measured("RunnersNotHeard", report.runners_not_heard),
    )


def of_fleet(wanted: int) -> tuple[Measured, ...]:
    """How many runners ECS is asked for: those that are heard should be as many."""
    return (Measured("RunnersWanted", wanted),)


def of_line(record: logging.LogRecord) -> Iterator[Measured]:
    """What this line counts."""
    for name, carried in COUNTED.get(str(record.msg), {}).items():
        yield Measured(name, 1 if carried is None else float(getattr(record, carried)))
    if record.levelno >= logging.WARNING:
        yield Measured("ErrorsByKind", 1, kind=str(getattr(record, "error", None) or record.msg)[:KIND_AT_MOST])
