"""The log of a function: metrics in CloudWatch's format, lines of JSON with the ids they are about, and no secret."""

import json
import logging
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
from botocore.exceptions import ClientError

import app
from chalicelib import log_context, metrics
from chalicelib.errors import ActionRequired, PermanentError, TransientError
from chalicelib.model.turn_rules.outcomes import TurnOutcomes
from infrastructure.local.lambda_runtime.events import (
    LambdaContext,
    task_stopped_event,
)
from tests.unit.support.lambda_stage import CHAT, KEY, PHONE, SECRETS, TEXT, Line, Stage, T
from wire import ProblemCode


def values(printed: list[Line]) -> dict[str, tuple[float, str]]:
    """Returns value and unit of each metric; errors by their kind."""
    found: dict[str, tuple[float, str]] = {}
    for line in printed:
        (declared,) = line["_aws"]["CloudWatchMetrics"]
        assert declared["Namespace"] == "Answerline"
        kind = {"kind"} if "kind" in line else set()
        assert [set(each) for each in declared["Dimensions"]] == [{"stage", "service"} | kind]
        assert (line["stage"], line["service"]) == ("unit", "answerline")
        for metric in declared["Metrics"]:
            name = metric["Name"] + (f": {line['kind']}" if kind else "")
            assert name not in found, "counted twice"
            (value,) = line[metric["Name"]]
            found[name] = value, metric["Unit"]
    return found


# -- metrics -----------------------------------------------------------------------------------------------------------


def test_each_minute_emits_the_health_report_in_one_line(stage: Stage) -> None:
    stage.come_online()
    stage.services.runners.register("runnerbbbb", "0" * 64, 5, stage.clock() - 61_000)
    stage.lines()
    stage.reconcile()
    printed = stage.metrics()
    assert len(printed) == 2
    assert values(printed) == {
        "TenantsShouldRun": (1, "Count"),
        "TenantsOnline": (1, "Count"),
        "TenantsNotRunning": (0, "Count"),
        "TenantsNeedAction": (0, "Count"),
        "TenantsLoggedOut": (0, "Count"),
        "OldestUnansweredSeconds": (0, "Seconds"),
        "QrLate": (0, "Count"),
        "TenantsWaitingForPasskey": (0, "Count"),
        "SessionsWithoutRoom": (0, "Count"),
        "TenantsNotSaved": (0, "Count"),
        "TurnsGivenUpPercent": (0, "Percent"),
        "Runners": (1, "Count"),
        "RunnersNotHeard": (1, "Count"),
        "RunnersWanted": (stage.services.fleet.service().desired, "Count"),
    }


def test_a_minute_that_failed_emits_the_health_report_nevertheless(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> Iterator[str]:
        raise ClientError({"Error": {"Code": "AccessDenied", "Message": PHONE}}, "Query")
        yield ""  # type: ignore[unreachable]

    monkeypatch.setattr(stage.services.reaping, "freed_of_silent", fail)
    with pytest.raises(app.FunctionFailed):
        stage.reconcile()
    found = values(stage.metrics())
    assert PHONE not in json.dumps(stage.told)
    assert any("Query AccessDenied" in str(line.get("trace")) for line in stage.told)
    assert "TenantsShouldRun" in found
    assert {"ErrorsByKind: reconcile_incomplete", "ErrorsByKind: ExceptionGroup"} <= set(found)


def test_a_reply_is_counted_with_its_tokens_and_how_long_it_took(stage: Stage) -> None:
    stage.come_online()
    stage.write("M1")
    stage.lines()
    stage.think()
    assert values(stage.metrics()) == {
        "TokensIn": (10, "Count"),
        "TokensOut": (5, "Count"),
        "Replies": (1, "Count"),
        "ReplyLatencyMs": (3_000, "Milliseconds"),
    }
    stage.deliver()
    assert values(stage.metrics()) == {"DeliveryLatencyMs": (4_000, "Milliseconds")}


@pytest.mark.parametrize(
    ("trouble", "counted"),
    [
        (TransientError("OpenAI is busy."), {"TriesAgain", "ErrorsByKind: turn_postponed"}),
        (
            ActionRequired(ProblemCode.KEY_REVOKED, "The key was revoked."),
            {"AsksSomeone", "ErrorsByKind: assistant_needs_action"},
        ),
        (PermanentError("refusal"), {"GivesUp", "ErrorsByKind: turn_given_up", "Unanswered"}),
    ],
)
def test_the_reason_without_a_reply_is_counted_by_its_kind(stage: Stage, trouble: Exception, counted: set[str]) -> None:
    stage.come_online()
    stage.write("M1")
    stage.llm.next = [trouble]
    stage.lines()
    stage.think()
    assert values(stage.metrics()) == dict.fromkeys(counted, (1, "Count"))


def test_a_refusal_that_is_answered_with_the_tenants_own_words_counts_as_both(stage: Stage) -> None:
    found = stage.services.tenants.get(T)
    policies = replace(found.policies, give_up_text="Somebody will call you.")
    stage.services.tenants.edit(T, {"policies": policies}, expected_revision=1, now=0, by="o")
    stage.come_online()
    stage.write("M1")
    stage.llm.next = [PermanentError("refusal")]
    stage.lines()
    stage.think()
    assert {"GivesUp", "Replies"} <= set(values(stage.metrics()))
    assert stage.services.ended_turns.lately(stage.clock()) == TurnOutcomes(ended=0, given_up=1)
    stage.deliver()
    assert stage.services.ended_turns.lately(stage.clock()) == TurnOutcomes(ended=1, given_up=1)


def test_each_minute_emits_the_share_of_turns_that_were_given_up(stage: Stage) -> None:
    stage.come_online()
    for number in range(3):
        stage.write(f"M{number}")
        stage.llm.next = [PermanentError("refusal")]
        stage.think()
    for _ in range(7):
        stage.services.ended_turns.count(T, stage.clock(), ended=True)
    assert stage.services.ended_turns.lately(stage.clock()) == TurnOutcomes(ended=10, given_up=3)
    stage.lines()
    stage.reconcile()
    assert values(stage.metrics())["TurnsGivenUpPercent"] == (30, "Percent")


def test_a_runner_that_was_lost_is_counted_and_one_that_was_drained_is_not(stage: Stage) -> None:
    for name, task in (("runneraaaa", "task-a"), ("runnerbbbb", "task-b")):
        runner = stage.services.runners.register(name, "0" * 64, 5, stage.clock(), task=task)
        if task == "task-b":
            stage.services.runners.renew_lease(runner, stage.clock(), capacity=5, draining=True, probes={})
    stage.lines()
    for task, counted in (("task-a", {"RunnerRestarts", "ErrorsByKind: runner_lost"}), ("task-b", set())):
        event = task_stopped_event(task, "cluster", "service", "Essential container exited", 0)
        app.task_stopped(event, LambdaContext("task_stopped", 60))
        assert set(values(stage.metrics())) == counted


def test_a_sync_that_changes_nothing_prints_nothing(stage: Stage) -> None:
    """Each runner syncs every three seconds, and each line of a log costs."""
    stage.come_online()
    stage.sync()
    stage._new()
    stage.clock.pass_seconds(3)
    stage.sync()
    assert stage._new() == []


def test_every_metric_has_a_unit_that_cloudwatch_knows_and_every_counted_one_exists() -> None:
    assert set(metrics.UNITS.values()) <= {"Count", "Percent", "Seconds", "Milliseconds"}
    assert {name for counted in metrics.COUNTED.values() for name in counted} <= set(metrics.UNITS)


def test_a_kind_of_error_is_cut() -> None:
    record = logging.LogRecord("chalicelib", logging.ERROR, "", 1, "x" * 500, None, None)
    (measured,) = metrics.of_log_record(record)
    assert (measured.name, len(measured.kind)) == ("ErrorsByKind", metrics.MAX_KIND_LENGTH)


# -- lines -------------------------------------------------------------------------------------------------------------


def test_lines_hold_ids_and_never_texts_numbers_codes_or_keys(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    stage.come_online()
    stage.lines()
    stage.write("M1")
    stage.think()
    stage.deliver()
    outcomes: list[Exception] = [
        TransientError("OpenAI is busy."),
        PermanentError("refusal"),
        ValueError(f"{TEXT} {KEY}"),
    ]
    for number, trouble in enumerate(outcomes):
        stage.write(f"N{number}")
        stage.llm.next = [trouble]
        if isinstance(trouble, ValueError):
            with pytest.raises(app.FunctionFailed):
                stage.think()
        else:
            stage.think()
        stage.clock.pass_seconds(600)
        stage.sync()
    stage.llm.next = [ActionRequired(ProblemCode.KEY_REVOKED, f"Incorrect API key {KEY}")]
    stage.think()
    stage.reconcile()
    monkeypatch.setattr(stage.services.chats, "find", fail_with(f"{CHAT} wrote {TEXT}"))
    assert stage.post("/runner/messages", **_batch(stage))["status"] == 500
    monkeypatch.undo()
    told = stage.lines()
    whole = json.dumps(stage.told, ensure_ascii=False)
    for secret in (*SECRETS, stage.token.partition(".")[2]):
        assert secret not in whole, secret
    messages = {line["message"] for line in told}
    assert {"reply_stored", "reply_delivered", "turn_postponed", "function_failed", "unexpected_error"} <= messages
    for line in told:
        assert {"level", "timestamp", "service", "message"} <= set(line)
        assert line["request"], line


def fail_with(words: str) -> Callable[..., Any]:
    def fail(*arguments: Any, **named: Any) -> Any:
        raise RuntimeError(words)

    return fail


def _batch(stage: Stage) -> Line:
    message = {"id": "Z", "chat": CHAT, "from_me": False, "sent_at_ms": stage.clock(), "kind": "text", "text": TEXT}
    return {"tenant": T, "epoch": stage.services.sessions.get(T).epoch, "messages": [message]}


def test_a_line_names_the_tenant_the_turn_and_the_runner_it_is_about(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage.come_online()
    runner = stage.token.partition(".")[0]
    stage.write("M1")
    stage.lines()
    stage.think()
    answered, stored = stage.lines()
    turn = stored["turn"]
    assert (answered["message"], answered["tenant"], answered["turn"]) == ("model_answered", T, turn)
    stage.deliver()
    (delivered,) = stage.lines()
    assert (delivered["tenant"], delivered["turn"], delivered["runner"]) == (T, turn, runner)
    monkeypatch.setattr(stage.services.chats, "find", fail_with("what"))
    stage.post("/runner/messages", **_batch(stage))
    (unexpected,) = stage.lines()
    assert (unexpected["tenant"], unexpected["runner"], unexpected["error"]) == (T, runner, "RuntimeError")
    assert any("in hand_in" in place for place in unexpected["trace"])


def test_the_ids_of_one_call_are_unbound_with_it(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    stage.come_online()
    stage.write("M1")
    stage.lines()
    stage.think()
    monkeypatch.setattr(stage.services.tenants, "list_all", fail_with("what"))
    with pytest.raises(app.FunctionFailed):
        stage.reconcile()
    failed = [line for line in stage.lines() if line["message"] == "function_failed"]
    assert len(failed) == 1 and "tenant" not in failed[0] and "turn" not in failed[0]


def test_ids_that_are_bound_outside_of_any_call_are_not_kept() -> None:
    record = logging.LogRecord("chalicelib", logging.INFO, "", 1, "x", None, None)
    log_context.bind(tenant="tenantbbbb")
    assert log_context.ContextFilter().filter(record) and not hasattr(record, "tenant")
    with log_context.bound_context(tenant=T):
        log_context.bind(turn="turn", runner=None)
        assert log_context.ContextFilter().filter(record)
    assert (vars(record)["tenant"], vars(record)["turn"], hasattr(record, "runner")) == (T, "turn", False)


def test_an_exception_that_ends_a_function_is_a_line_and_lambda_sees_only_its_type(stage: Stage) -> None:
    stage.come_online()
    stage.write("M1")
    stage.llm.next = [ValueError(TEXT)]
    stage.lines()
    with pytest.raises(app.FunctionFailed) as raised:
        stage.think()
    assert str(raised.value) == "ValueError"
    (failed,) = stage.lines()
    assert (failed["message"], failed["error"], failed["tenant"]) == ("function_failed", "ValueError", T)
    assert failed["turn"] and failed["function_name"] == "think"
    assert raised.value.__suppress_context__  # Lambda prints the exception that it sees, and its cause


def test_the_trace_of_an_exception_holds_all_causes_and_no_text_of_others() -> None:
    try:
        try:
            raise KeyError(PHONE)
        except KeyError as error:
            inner = TransientError("The database is busy; this will be tried again.")
            inner.add_note("while reconciling: tenantaaaa")
            raise ExceptionGroup("several", [inner, ValueError(TEXT)]) from error
    except ExceptionGroup as group:
        told = log_context.trace(group)
    whole = "".join(told)
    assert PHONE not in whole and TEXT not in whole
    assert "The database is busy" in whole and "while reconciling: tenantaaaa" in whole
    for kind in ("ExceptionGroup", "TransientError", "ValueError", "KeyError"):
        assert any(kind in line.splitlines()[0] for line in told)


def test_the_widget_is_rendered_by_its_own_function(stage: Stage) -> None:
    stage.come_online()
    html = app.overview_widget({"widgetContext": {"theme": "dark"}}, LambdaContext("overview", 29))
    assert "1 should run, 1 online" in html and "function:overview" in html


def test_a_line_that_cannot_be_counted_stops_nothing(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logging, "raiseExceptions", False)
    logging.getLogger("chalicelib.replies.model_call").info("reply_stored")
    (line,) = stage._new()
    assert line["message"] == "reply_stored"
