"""The table of tenants in the CloudWatch console: a dashboard's custom widget.

CloudWatch calls it with the rights of the person who opened the dashboard, and shows the HTML without scripts.
"""

import logging
from collections.abc import Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

from chalicelib.errors import AnswerlineError
from chalicelib.log_context import trace
from chalicelib.log_events import LogEvent
from chalicelib.model.line_health import HealthReport, Line, LineHealth
from chalicelib.model.times import month_of
from chalicelib.reconcilers import health_report
from chalicelib.rendering.languages import DEFAULT_LANGUAGE, translator
from chalicelib.rendering.templating import render_page
from chalicelib.rendering.tones import shown_state
from chalicelib.web.messages import format_age, format_duration, problem_name

if TYPE_CHECKING:
    from chalicelib.wiring import Services

log = logging.getLogger(__name__)

#: A table of a thousand tenants helps no reader; the worst come first.
MAX_ROWS: Final = 200

#: The description that CloudWatch shows in the editor of the dashboard.
DESCRIPTION: Final = """\
## Answerline: every tenant at a glance

One row per tenant, the ones that need a person first: its WhatsApp line, since when, last message and reply, what waits
for an answer, this month's tokens, the problem in one sentence, and a link to its page in the admin.

### Parameters (YAML, both optional)

``` yaml
only: trouble   # leaves out every line that is fine
rows: 50        # the limit of rows (200 by default)
```

A person who opens the dashboard needs `lambda:InvokeFunction` on this function.
"""

OVERDUE: Final = "An answer is overdue. The saved query “one tenant’s story” says what became of it."

#: The colour of a line's mark and words: on white, on CloudWatch's dark.
COLOURS: Final[Mapping[LineHealth, tuple[str, str]]] = {
    LineHealth.DISCONNECTED: ("#d91515", "#ff7a7a"),
    LineHealth.NOT_RUNNING: ("#d91515", "#ff7a7a"),
    LineHealth.NEEDS_ACTION: ("#b35900", "#ffb454"),
    LineHealth.SLOW: ("#b35900", "#ffb454"),
    LineHealth.PENDING: ("#0972d3", "#6cb2ff"),
    LineHealth.HEALTHY: ("#037f0c", "#4fd15c"),
    LineHealth.IDLE: ("#687078", "#95a5b8"),
}
#: The other colours: text, quiet text, lines between rows, links.
INK: Final[Mapping[str, tuple[str, str]]] = {
    "text": ("#16191f", "#e3e8ee"),
    "quiet": ("#5f6b7a", "#95a5b8"),
    "line": ("#e3e5e8", "#414d5c"),
    "link": ("#0972d3", "#6cb2ff"),
}


def render_widget(services: "Services", event: Mapping[str, Any], function: str) -> str:
    """Returns HTML for the dashboard, or Markdown when CloudWatch asks for a description.

    Args:
        event: the widget's parameters, and ``widgetContext``.
        function: the ARN of this function, which the button in the widget calls.
    """
    if event.get("describe"):
        return DESCRIPTION
    try:
        return _render_overview(services, event, function)
    except AnswerlineError as error:
        log.warning(LogEvent.OVERVIEW_FAILED, extra={"error": error.code})
        sentence = error.message
    except Exception as error:
        kind = type(error).__name__
        log.error(LogEvent.OVERVIEW_FAILED, extra={"error": kind, "trace": trace(error)})
        sentence = f"Something went wrong on our side ({kind}); the log of this function says where. It is asked again."
    return render_page("console/error.html", sentence=sentence, ink=_ink(_is_dark(event)))


def _render_overview(services: "Services", event: Mapping[str, Any], function: str) -> str:
    now = services.clock()
    report = health_report.read(services)
    only_trouble = event.get("only") == "trouble"
    lines = [line for line in report.lines if line.health.needs_attention or not only_trouble]
    shown = lines[: _row_limit(event)]
    dark = _is_dark(event)
    return render_page(
        "console/overview.html",
        headline=headline(report),
        lines=shown,
        left_out=len(lines) - len(shown),
        only_trouble=only_trouble,
        function=function,
        tokens=services.counters.totals([line.tenant.id for line in shown], "tokens", month_of(now)),
        admin=services.base_url() + "/admin",
        since=lambda instant: "" if not instant else format_duration(timedelta(milliseconds=now - instant)),
        format_age=lambda instant: format_age(instant, now),
        format_duration=format_duration,
        phase_label=phase_label,
        explain=lambda line: explain(line, now),
        problem_name=problem_name,
        colour=lambda health: COLOURS[health][dark],
        ink=_ink(dark),
    )


def headline(report: HealthReport) -> str:
    """Returns the totals in one line: ``12 should run, 12 online``."""
    totals = [f"{report.should_run} should run", f"{report.online} online"]
    needing = sum(line.health is LineHealth.NEEDS_ACTION for line in report.lines)
    unscanned = sum(line.should_run and not line.online and line.session.up for line in report.lines)
    for count, words in (
        (report.logged_out, "disconnected"),
        (report.not_running, "not running for more than 5 min"),
        (needing, "need a person" if needing != 1 else "needs a person"),
        (unscanned, "waiting for the owner’s scan"),
        (report.without_room, "waiting for room on a runner"),
        (report.runners_silent, "runners not heard" if report.runners_silent != 1 else "runner not heard"),
        (report.not_saved, "not saved for more than 1 h"),
        (report.disks_full, "runners with a full disk" if report.disks_full != 1 else "runner with a full disk"),
        (round(report.outcomes.percent_given_up) * report.outcomes.are_bad, "% of the last replies given up"),
    ):
        if count:
            totals.append(f"{count} {words}")
    return ", ".join(totals)


def phase_label(line: Line) -> str:
    """Returns the state of a line in two or three words."""
    if line.paused:
        return "Paused"
    return translator(DEFAULT_LANGUAGE)(f"phase.{shown_state(line.session)}.label")


def explain(line: Line, now: int) -> str:
    """Returns the problem that a person must fix, else why the line does not answer or its login is not saved."""
    translate = translator(DEFAULT_LANGUAGE)
    if line.problem is not None:
        return translate(f"admin.problem.{line.problem.code}.sentence")
    if line.health in (LineHealth.DISCONNECTED, LineHealth.NOT_RUNNING, LineHealth.NEEDS_ACTION):
        return translate(f"admin.phase.{shown_state(line.session)}.sentence")
    if line.health is LineHealth.SLOW:
        return OVERDUE
    return line.saved.sentence(now) if line.saved is not None and line.saved.needs_attention else ""


def _row_limit(event: Mapping[str, Any]) -> int:
    """Returns the number of rows that the widget's parameters ask for, if it can be read."""
    try:
        return max(1, min(MAX_ROWS, int(event.get("rows", MAX_ROWS))))
    except (TypeError, ValueError):
        return MAX_ROWS


def _is_dark(event: Mapping[str, Any]) -> bool:
    context = event.get("widgetContext")
    return isinstance(context, Mapping) and context.get("theme") == "dark"


def _ink(dark: bool) -> dict[str, str]:
    return {name: pair[dark] for name, pair in INK.items()}
