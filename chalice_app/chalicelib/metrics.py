"""The metrics in CloudWatch: their units, and how the health report and each line of the log change them.

Events are counted where they are logged: a step in a graph and its lines in the log have the same LogEvent.
"""

import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final, Literal

from chalicelib.log_events import LogEvent
from chalicelib.model.line_health import HealthReport

NAMESPACE: Final = "Answerline"
Unit = Literal["Count", "Percent", "Seconds", "Milliseconds"]

#: Every metric there is.
UNITS: Final[Mapping[str, Unit]] = {
    # the state, each minute
    "TenantsShouldRun": "Count",
    "TenantsOnline": "Count",
    "TenantsNotRunning": "Count",
    "TenantsNeedAction": "Count",
    "TenantsLoggedOut": "Count",
    "OldestUnansweredSeconds": "Seconds",
    "QrLate": "Count",
    "TenantsWaitingForPasskey": "Count",
    "SessionsWithoutRoom": "Count",
    "TenantsNotSaved": "Count",
    "TurnsGivenUpPercent": "Percent",
    "RunnersWanted": "Count",
    "Runners": "Count",
    "RunnersNotHeard": "Count",
    # events
    "Replies": "Count",
    "ReplyLatencyMs": "Milliseconds",
    "DeliveryLatencyMs": "Milliseconds",
    "TokensIn": "Count",
    "TokensOut": "Count",
    "TriesAgain": "Count",
    "AsksSomeone": "Count",
    "GivesUp": "Count",
    "Unanswered": "Count",
    "RunnerRestarts": "Count",
    "MailBounced": "Count",
    "NoticesNotSent": "Count",
    "ErrorsByKind": "Count",
}

#: The logged event → the metrics it adds to: one, or the number in this field of the line.
COUNTED: Final[Mapping[str, Mapping[str, str | None]]] = {
    LogEvent.MODEL_ANSWERED: {"TokensIn": "input_tokens", "TokensOut": "output_tokens"},
    LogEvent.REPLY_STORED: {"Replies": None, "ReplyLatencyMs": "latency_ms"},
    LogEvent.REPLY_DELIVERED: {"DeliveryLatencyMs": "latency_ms"},
    LogEvent.TURN_POSTPONED: {"TriesAgain": None},
    LogEvent.ASSISTANT_NEEDS_ACTION: {"AsksSomeone": None},
    LogEvent.SESSION_NEEDS_ACTION: {"AsksSomeone": None},
    LogEvent.TURN_GIVEN_UP: {"GivesUp": None},
    LogEvent.MESSAGES_UNANSWERED: {"Unanswered": "count"},
    LogEvent.RUNNER_LOST: {"RunnerRestarts": None},
    LogEvent.MAIL_BOUNCED: {"MailBounced": None},
    LogEvent.NOTICE_NOT_SENT: {"NoticesNotSent": None},
}
#: The longest value of the dimension ``kind``, in characters: the text of a library's error has no bound.
MAX_KIND_LENGTH: Final = 60


@dataclass(frozen=True, slots=True)
class Measurement:
    """The value of a metric at one moment; ``kind`` is a dimension of its own."""

    name: str
    value: float
    kind: str = ""

    @property
    def unit(self) -> Unit:
        return UNITS[self.name]


def of_health_report(report: HealthReport) -> tuple[Measurement, ...]:
    """Returns the metrics of the health report."""
    return (
        Measurement("TenantsShouldRun", report.should_run),
        Measurement("TenantsOnline", report.online),
        Measurement("TenantsNotRunning", report.not_running),
        Measurement("TenantsNeedAction", report.need_action),
        Measurement("TenantsLoggedOut", report.logged_out),
        Measurement("OldestUnansweredSeconds", round(report.oldest_unanswered.total_seconds(), 1)),
        Measurement("QrLate", report.codes_late),
        Measurement("TenantsWaitingForPasskey", report.waiting_for_passkey),
        Measurement("SessionsWithoutRoom", report.without_room),
        Measurement("TenantsNotSaved", report.not_saved),
        Measurement("TurnsGivenUpPercent", report.outcomes.percent_given_up),
        Measurement("Runners", report.runners),
        Measurement("RunnersNotHeard", report.runners_silent),
    )


def of_fleet(desired: int) -> tuple[Measurement, ...]:
    """Returns the metric of the desired count of runners: as many should send heartbeats."""
    return (Measurement("RunnersWanted", desired),)


def of_log_record(record: logging.LogRecord) -> Iterator[Measurement]:
    """Yields the metrics that this line of the log adds to."""
    for name, carried in COUNTED.get(str(record.msg), {}).items():
        yield Measurement(name, 1 if carried is None else float(getattr(record, carried)))
    if record.levelno >= logging.WARNING:
        yield Measurement("ErrorsByKind", 1, kind=str(getattr(record, "error", None) or record.msg)[:MAX_KIND_LENGTH])
