"""Dashboard, alarms and saved queries: their metrics exist, alarms say what to do, and queries find logged events."""

import ast
import inspect
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from app import app
from chalicelib import metrics
from chalicelib.log_events import LogEvent
from chalicelib.model.mail_address import MAX_RECIPIENTS
from chalicelib.model.turn_rules.outcomes import GIVEN_UP_AT_MOST_PERCENT
from infrastructure.checkout import REPOSITORY
from infrastructure.packaging import template
from runner.log_events import LogEvent as RunnerLogEvent

HERE = REPOSITORY
PARTS = {
    name: template.load(HERE / "infrastructure" / "cloudformation" / f"{name}.yaml")
    for name in ("resources", "functions", "runners", "watching")
}
WATCHING = PARTS["watching"]["Resources"]
ALARMS = {name: each["Properties"] for name, each in WATCHING.items() if each["Type"] == "AWS::CloudWatch::Alarm"}
QUERIES = {name: each["Properties"] for name, each in WATCHING.items() if each["Type"] == "AWS::Logs::QueryDefinition"}
BODY = WATCHING["Dashboard"]["Properties"]["DashboardBody"]["Fn::Sub"]
DASHBOARD = json.loads(BODY)
CODE = [HERE / "chalice_app" / "app.py", *(HERE / "chalice_app" / "chalicelib").rglob("*.py")]
LEVELS = {"debug", "info", "warning", "error", "exception", "critical", "log"}
#: Alarms for information: people should know, but Answerline is healthy.
FOR_INFORMATION = {
    "NeedsSomeone",
    "GivesUp",
    "RunnersLost",
    "TaskStoppedFails",
    "MailEventFails",
    "NotifyFails",
    "NoticesNotSent",
    "SweepFails",
    "OverviewFails",
}


def widgets(kind: str) -> list[dict[str, Any]]:
    return [widget for widget in DASHBOARD["widgets"] if widget["type"] == kind]


def of_ours(alarm: dict[str, Any]) -> list[dict[str, Any]]:
    """The metrics of ours in an alarm: its own, or those of its expression."""
    named = [part["MetricStat"]["Metric"] for part in alarm.get("Metrics", ()) if "MetricStat" in part] or [alarm]
    return [metric for metric in named if metric["Namespace"] == metrics.NAMESPACE]


def functions() -> dict[str, str]:
    """Logical names of the functions that the application declares, as Chalice makes them, and how they are called."""
    declared = [source.name for source in app.event_sources] + [each.name for each in app.pure_lambda_functions]
    camel = {"".join(word.capitalize() for word in name.split("_")): name.replace("_", "-") for name in declared}
    return {"APIHandler": "doors", **camel}


def calls_of_a_logger(path: Path) -> Iterator[ast.Call]:
    """Every call that logs a line: of ``log``, or of a logger that is got on the spot."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in LEVELS:
            logger = ast.unparse(node.func.value)
            if logger == "log" or logger.startswith("logging.getLogger("):
                yield node


# -- metrics -----------------------------------------------------------------------------------------------------------


def test_the_dashboard_shows_every_metric_and_no_other() -> None:
    shown = {
        metric[1]
        for widget in widgets("metric")
        for metric in widget["properties"]["metrics"]
        if metric[0] == metrics.NAMESPACE
    }
    searched = set(re.findall(r'MetricName="(\w+)"', json.dumps(DASHBOARD).replace('\\"', '"')))
    assert shown | searched == set(metrics.UNITS)


def test_alarms_use_metrics_that_exist_with_the_dimensions_they_are_emitted_with() -> None:
    names = set()
    for alarm in ALARMS.values():
        for metric in of_ours(alarm):
            names.add(metric["MetricName"])
            assert metric["Dimensions"] == [
                {"Name": "stage", "Value": {"Ref": "Stage"}},
                {"Name": "service", "Value": "answerline"},
            ]
    assert names and names <= set(metrics.UNITS)
    for widget in widgets("metric"):
        for metric in widget["properties"]["metrics"]:
            if metric[0] == metrics.NAMESPACE:
                assert metric[2:6] == ["stage", "${Stage}", "service", "answerline"]


def test_each_line_is_an_event_and_each_event_is_logged() -> None:
    """The event becomes a dimension, and each value of a dimension is a metric that costs: its values must be few."""
    events = {ast.unparse(call.args[0]) for path in CODE for call in calls_of_a_logger(path)}
    assert events == {f"LogEvent.{event.name}" for event in LogEvent}
    assert set(metrics.COUNTED) <= set(LogEvent)


@pytest.mark.parametrize("events", [LogEvent, RunnerLogEvent], ids=["control plane", "runner"])
def test_an_event_is_snake_case_and_says_what_it_means(events: type[LogEvent] | type[RunnerLogEvent]) -> None:
    source = inspect.getsource(events)
    for event in events:
        line = f'{event.name} = "{event.value}"'
        assert event.value == event.name.lower()
        assert re.search(rf"^    {line}  #: \w|^    #: \w.*\n    {line}", source, re.MULTILINE), event


# -- alarms ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", sorted(ALARMS))
def test_an_alarm_says_what_it_means_where_to_look_and_what_to_do(name: str) -> None:
    alarm = ALARMS[name]
    called = alarm["AlarmName"]["Fn::Sub"].removeprefix("${AWS::StackName}-")
    description = alarm["AlarmDescription"]
    assert len(description) <= 1024 and len(re.findall(r"[.:?] ", description)) >= 2
    assert "Look at" in description or "look at" in description or "page in the admin says" in description
    assert description.endswith(f"Runbook: docs/runbook.md#{called}")
    for query in re.findall(r'query "([^"]+)"', description):
        assert query in saved()
    assert alarm["AlarmActions"] == [{"Ref": "Alarms"}]
    assert alarm["TreatMissingData"] in ("ignore", "breaching", "notBreaching")


def test_every_alarm_is_shown_and_has_a_name_of_its_own() -> None:
    (widget,) = widgets("alarm")
    assert {re.sub(r"\W|Arn", "", arn) for arn in widget["properties"]["alarms"]} == {*ALARMS, "Healthy"}
    assert len({json.dumps(alarm["AlarmName"]) for alarm in ALARMS.values()}) == len(ALARMS)


def test_answerline_is_healthy_when_only_alarms_for_information_ring() -> None:
    rule = WATCHING["Healthy"]["Properties"]["AlarmRule"]["Fn::Sub"]
    assert set(re.findall(r'ALARM\("\$\{(\w+)\}"\)', rule)) == set(ALARMS) - FOR_INFORMATION
    assert "AlarmActions" not in WATCHING["Healthy"]["Properties"]  # the alarms below it are mailed already


def test_every_function_that_fails_or_is_throttled_rings_an_alarm() -> None:
    rings = {}
    for alarm in ALARMS.values():
        parts = [part["MetricStat"]["Metric"] for part in alarm.get("Metrics", ()) if "MetricStat" in part]
        if parts and parts[0]["Namespace"] == "AWS/Lambda":
            (function,) = {part["Dimensions"][0]["Value"]["Ref"] for part in parts}
            assert {part["MetricName"] for part in parts} == {"Errors", "Throttles"}
            rings[function] = alarm["AlarmName"]["Fn::Sub"].removeprefix("${AWS::StackName}-function-")
    assert rings == functions()


def test_the_alarm_about_turns_that_were_given_up_has_the_rule_of_the_code() -> None:
    alarm = ALARMS["GivenUpOften"]
    assert (alarm["MetricName"], alarm["ComparisonOperator"]) == ("TurnsGivenUpPercent", "GreaterThanThreshold")
    assert alarm["Threshold"] == GIVEN_UP_AT_MOST_PERCENT
    assert f"more than {GIVEN_UP_AT_MOST_PERCENT} %" in alarm["AlarmDescription"]


def test_every_dead_letter_queue_rings_an_alarm() -> None:
    queues = {name for name, each in PARTS["resources"]["Resources"].items() if each["Type"] == "AWS::SQS::Queue"}
    watched = {
        alarm["Dimensions"][0]["Value"]["Fn::GetAtt"][0]
        for alarm in ALARMS.values()
        if alarm.get("Namespace") == "AWS/SQS"
    }
    assert watched == {name for name in queues if name.startswith("Dead")}


def test_missing_metrics_ring_an_alarm_although_there_is_no_data() -> None:
    blind = ALARMS["Blind"]
    assert (blind["TreatMissingData"], blind["Statistic"], blind["Period"]) == ("breaching", "SampleCount", 60)


# -- the dashboard -----------------------------------------------------------------------------------------------------


def test_the_overview_is_on_top_and_no_widget_lies_on_another() -> None:
    first = DASHBOARD["widgets"][0]
    assert (first["type"], first["y"], first["width"]) == ("custom", 0, 24)
    assert first["properties"]["endpoint"] == "${Overview.Arn}"
    taken: set[tuple[int, int]] = set()
    for widget in DASHBOARD["widgets"]:
        columns = range(widget["x"], widget["x"] + widget["width"])
        cells = {(column, row) for column in columns for row in range(widget["y"], widget["y"] + widget["height"])}
        assert not cells & taken and max(columns) < 24, widget["properties"]["title"]
        taken |= cells


def test_every_name_in_the_template_is_declared() -> None:
    whole = template.merged(PARTS.items())
    known = {*whole["Resources"], *whole["Parameters"], *functions()}
    named = set(re.findall(r"\$\{([A-Za-z0-9]+)(?:\.\w+)?\}", json.dumps(PARTS["watching"])))
    assert named and named <= known


# -- saved queries -----------------------------------------------------------------------------------------------------


def saved() -> set[str]:
    return {query["Name"]["Fn::Sub"].partition("/")[2] for query in QUERIES.values()}


def test_the_queries_that_an_engineer_needs_are_saved() -> None:
    assert saved() == {
        "one tenant's story",
        "one turn",
        "errors by kind",
        "slow replies",
        "a runner's last minutes",
        "mails",
        "answers that did not come",
        "news that did not arrive",
        "refused at the doors",
        "what a person must fix",
        "runners and placement",
        "records that cannot be read",
    }


def named_in(query: dict[str, Any]) -> set[str]:
    """Returns the events that a query looks for by name or by the beginning of their names."""
    text = query["QueryString"]
    begun = tuple(re.findall(r"message like /\^(\w+)/", text))
    return {event for event in LogEvent if f'"{event}"' in text or event.startswith(begun)}


def test_each_warning_and_each_refusal_is_found_by_a_query_of_its_kind() -> None:
    """Errors that nothing expects are found by *errors by kind* alone, which names their place in the code."""
    warnings = {
        LogEvent[ast.unparse(call.args[0]).removeprefix("LogEvent.")]
        for path in CODE
        for call in calls_of_a_logger(path)
        if isinstance(call.func, ast.Attribute) and call.func.attr in ("warning", "error")
    }
    refusals = {each for each in LogEvent if each.endswith(("_refused", "_throttled"))}
    unexpected = {"request_failed", "unexpected_error", "function_failed", "reconcile_incomplete", "overview_failed"}
    found = {event for name, query in QUERIES.items() if name != "ErrorsByKindQuery" for event in named_in(query)}
    assert (warnings | refusals) - found == unexpected


@pytest.mark.parametrize("name", sorted(QUERIES))
def test_a_query_shows_fields_that_are_logged(name: str) -> None:
    query = QUERIES[name]["QueryString"]
    steps = [step.strip() for step in re.sub(r"#.*", "", query).split("|")]
    made = {alias for step in steps for alias in re.findall(r"\bas (\w+)", step)}
    words = {
        word
        for step in steps
        if step.startswith(("fields", "stats", "filter"))
        for word in re.findall(r"(?<![@\w.])[a-z_]+\b(?![(\w])", re.sub(r'"[^"]*"|/[^/]*/', "", step))
    }
    logged = {
        *re.findall(r"\"(\w+)\"", "".join(path.read_text() for path in CODE)),
        *re.findall(r"\b(\w+)=", "".join(path.read_text() for path in (HERE / "runner").rglob("*.py"))),
    }
    of_powertools = {"message", "level", "function_name"}
    syntax = {"filter", "fields", "stats", "by", "as", "and", "or", "in", "like", "sort", "limit"}
    assert words - made - syntax - of_powertools <= logged


def test_queries_and_alarms_name_events_that_are_logged() -> None:
    text = json.dumps([*QUERIES.values(), *ALARMS.values()]).replace('\\"', '"')
    listed = " ".join(re.findall(r"(?:message|event\)) in \[([^\]]+)\]", text))
    named = {*re.findall(r'"([^"]+)"', listed), *re.findall(r'"([a-z]+(?:_[a-z]+)+)"', text)}
    assert len(named) > 4 and named <= {*LogEvent, *RunnerLogEvent}
    assert {"mail_sent", "mail_not_sent"} <= set(LogEvent)  # the query for mails looks for this prefix


def test_the_query_for_errors_reads_the_log_of_every_function() -> None:
    logs = {"APIHandler": "DoorsLog", **{name: f"{name}Log" for name in functions() if name != "APIHandler"}}
    groups = {each["Ref"] for each in QUERIES["ErrorsByKindQuery"]["LogGroupNames"]}
    assert groups == set(logs.values())


# -- recipients --------------------------------------------------------------------------------------------------------


def _resolved(value: Any, setting: str) -> Any:
    """Returns a value of the template for these operators' addresses."""
    if isinstance(value, list):
        return [_resolved(each, setting) for each in value]
    if not isinstance(value, dict) or len(value) > 1:
        return value
    ((function, argument),) = value.items()
    match function:
        case "Ref":
            return setting if argument == "OperatorsEmail" else 7
        case "Fn::Sub":
            return argument.replace("${OperatorsEmail}", setting)
        case "Fn::Split":
            return _resolved(argument[1], setting).split(argument[0])
        case "Fn::Select":
            return _resolved(argument[1], setting)[argument[0]]
        case "Fn::Equals":
            return len({*_resolved(argument, setting)}) == 1
        case "Fn::Not":
            return not _resolved(argument[0], setting)
        case "Fn::And":
            return all(_resolved(argument, setting))
        case "Fn::If":
            return _resolved(argument[1 if _holds(argument[0], setting) else 2], setting)
    raise NotImplementedError(function)


def _holds(condition: str, setting: str) -> bool:
    return bool(_resolved(PARTS["watching"]["Conditions"][condition], setting))


@pytest.mark.parametrize("count", range(MAX_RECIPIENTS + 1))
def test_alarms_and_the_budget_are_mailed_to_every_address_that_is_set(count: int) -> None:
    addresses = [f"operator{number}@agency.example" for number in range(count)]
    setting = ",".join(addresses)
    subscriptions = [each for each in WATCHING.values() if each["Type"] == "AWS::SNS::Subscription"]
    assert [
        _resolved(each["Properties"]["Endpoint"], setting)
        for each in subscriptions
        if _holds(each["Condition"], setting)
    ] == addresses
    assert _holds(WATCHING["Budget"]["Condition"], setting) is (count > 0)
    for each in WATCHING["Budget"]["Properties"]["NotificationsWithSubscribers"]:
        mailed = [_resolved(one, setting) for one in each["Subscribers"]]
        found = [_resolved(one["Address"], setting) for one in mailed if isinstance(one, dict)]
        assert found == (addresses or [""])


def test_only_alarms_of_this_account_may_ring() -> None:
    (statement,) = WATCHING["AlarmsPolicy"]["Properties"]["PolicyDocument"]["Statement"]
    assert statement["Principal"] == {"Service": "cloudwatch.amazonaws.com"}
    assert statement["Condition"] == {"StringEquals": {"aws:SourceAccount": {"Ref": "AWS::AccountId"}}}


def test_a_budget_whose_mails_change_can_be_made_beside_the_one_before() -> None:
    assert "BudgetName" not in WATCHING["Budget"]["Properties"]["Budget"]
