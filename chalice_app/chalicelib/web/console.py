"""The table of tenants in the CloudWatch console: a dashboard's custom widget.

CloudWatch calls it with the rights of whoever looks at the dashboard, and shows the HTML it returns without scripts.
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
from chalicelib.web.messages import ago, problem_name

if TYPE_CHECKING:
    from chalicelib.wiring import Services

log = logging.getLogger(__name__)

#: A page of a thousand tenants helps nobody; the worst come first.
ROWS_AT_MOST: Final = 200

#: What CloudWatch shows in the editor of the dashboard when it asks.
DESCRIBED: Final = """\
## Answerline: every tenant at a glance

One row per tenant, the ones that need a person first: its WhatsApp line, since when, last message and reply, what waits
for an answer, this month's tokens, the problem in one sentence, and a link to its page in the admin.

### Parameters (YAML, both optional)

``` yaml
only: trouble   # leaves out every line that is fine
rows: 50        # at most so many rows (200 if not said)
```

Whoever looks at the dashboard needs `lambda:InvokeFunction` on this function.
"""

OVERDUE: Final = "An answer is overdue. The saved query “one tenant’s story” says what became of it."

#: rank → the colour of its mark and words: on white, on CloudWatch's dark
COLOURS: Final[Mapping[LineHealth, tuple[str, str]]] = {
    LineHealth.NOT_RUNNING: ("#d91515", "#ff7a7a"),
    LineHealth.NEEDS_ACTION: ("#b35900", "#ffb454"),
    LineHealth.SLOW: ("#b35900", "#ffb454"),
    LineHealth.PENDING: ("#0972d3", "#6cb2ff"),
    LineHealth.HEALTHY: ("#037f0c", "#4fd15c"),
    LineHealth.IDLE: ("#687078", "#95a5b8"),
}
#: everything else: text, quiet text, lines between rows, links
INK: Final[Mapping[str, tuple[str, str]]] = {
    "text": ("#16191f", "#e3e8ee"),
    "quiet": ("#5f6b7a", "#95a5b8"),
    "line": ("#e3e5e8", "#414d5c"),
    "link": ("#0972d3", "#6cb2ff"),
}


def widget(services: "Services", event: Mapping[str, Any], function: str) -> str:
    """What CloudWatch shows: HTML, or Markdown when it asks what this is.

    Args:
        event: the widget's parameters, and ``widgetContext``.
        function: this function's ARN, which the button in the widget calls.
    """
    if event.get("describe"):
        return DESCRIBED
    try:
        return _shown(services, event, function)
    except AnswerlineError as trouble:
        log.warning(LogEvent.OVERVIEW_FAILED, extra={"error": trouble.code})
        sentence = trouble.message
    except Exception as error:
        kind = type(error).__name__
        log.error(LogEvent.OVERVIEW_FAILED, extra={"error": kind, "trace": trace(error)})
        sentence = f"Something went wrong on our side ({kind}); the log of this function says where. It is asked again."
    return render_page("console/error.html", sentence=sentence, ink=_ink(_dark(event)))


def _shown(services: "Services", event: Mapping[str, Any], function: str) -> str:
    now = services.clock()
    stands = health_report.read(services)
    only_trouble = event.get("only") == "trouble"
    lines = [line for line in stands.lines if line.health.needs_attention or not only_trouble]
    shown = lines[: _rows(event)]
    dark = _dark(event)
    return render_page(
        "console/overview.html",
        health_report=stands,
        headline=headline(stands),
        lines=shown,
        left_out=len(lines) - len(shown),
        only_trouble=only_trouble,
        function=function,
        tokens=services.tenants.counted_for([line.tenant.id for line in shown], "tokens", month_of(now)),
        admin=services.base_url() + "/admin",
        since=lambda instant: "" if not instant else lasting(timedelta(milliseconds=now - instant)),
        ago=lambda instant: ago(instant, now),
        lasting=lasting,
        phase=phase,
        sentence=sentence,
        problem_name=problem_name,
        colour=lambda health: COLOURS[health][dark],
        ink=_ink(dark),
    )


def headline(stands: HealthReport) -> str:
    """How it stands, in one line: ``12 should run, 12 online``."""
    told = [f"{stands.should_run} should run", f"{stands.online} online"]
    needing = sum(line.health is LineHealth.NEEDS_ACTION for line in stands.lines)
    showing = sum(line.should_run and not line.online and line.session.up for line in stands.lines)
    for count, words in (
        (stands.not_running, "not running for more than 5 min"),
        (needing, "need a person" if needing != 1 else "needs a person"),
        (showing, "waiting for the owner’s scan"),
        (stands.without_room, "waiting for room on a runner"),
        (stands.runners_not_heard, "runners not heard" if stands.runners_not_heard != 1 else "runner not heard"),
    ):
        if count:
            told.append(f"{count} {words}")
    return ", ".join(told)


def phase(line: Line) -> str:
    """Where its session stands, in two or three words."""
    translate = translator(DEFAULT_LANGUAGE)
    if line.paused:
        return "Paused"
    return translate(f"phase.{line.session.phase}.label")


def sentence(line: Line) -> str:
    """What a person must mend; without that, why it does not answer; empty if it does."""
    translate = translator(DEFAULT_LANGUAGE)
    if line.problem is not None:
        return translate(f"admin.problem.{line.problem.code}.sentence")
    if line.health in (LineHealth.NOT_RUNNING, LineHealth.NEEDS_ACTION):
        return translate(f"admin.phase.{line.session.phase}.sentence")
    return OVERDUE if line.health is LineHealth.SLOW else ""


def lasting(time: timedelta) -> str:
    """``3 min``, ``2 h``, ``5 days``."""
    seconds = max(0, round(time.total_seconds()))
    for size, one, several in ((86_400, "day", "days"), (3_600, "h", "h"), (60, "min", "min")):
        if seconds >= size:
            count = seconds // size
            return f"{count}\u00a0{one if count == 1 else several}"
    return f"{seconds}\u00a0s"


def _rows(event: Mapping[str, Any]) -> int:
    """As many as the widget's parameters ask for, if that can be read."""
    try:
        return max(1, min(ROWS_AT_MOST, int(event.get("rows", ROWS_AT_MOST))))
    except (TypeError, ValueError):
        return ROWS_AT_MOST


def _dark(event: Mapping[str, Any]) -> bool:
    context = event.get("widgetContext")
    return isinstance(context, Mapping) and context.get("theme") == "dark"


def _ink(dark: bool) -> dict[str, str]:
    return {name: pair[dark] for name, pair in INK.items()}
