"""Searches of the web are counted beside the tokens, and stop at the limit of a month, while answers go on."""

from dataclasses import replace
from typing import Any, cast

import pytest

from chalicelib.assistants.usage import MonthlyUsage, usage_of, within_search_limit
from chalicelib.errors import PermanentError
from chalicelib.llm.client import LlmClient, Reply
from chalicelib.model import Assistant
from chalicelib.model.turn_decisions import ReplyOutcome
from chalicelib.wiring import Services
from tests.simulators.openai import OpenAISimulator
from tests.unit.conftest import Clock
from tests.unit.support.online_line import T, check, hand_in, llm, message
from tests.unit.support.openai_calls import ASSISTANT, KEY, ask

SEARCHING = Assistant(2, "gpt-6-luna", "Be kind.", web_search=True, web_searches_per_month=3)


def used(line: Services) -> MonthlyUsage:
    return usage_of(line, line.tenants.get(T))


@pytest.fixture
def searching(line: Services, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> list[Assistant]:
    """The assistants that the model was asked with; each reply searched twice."""
    tenant = line.tenants.get(T)
    line.tenants.edit(T, {}, expected_revision=tenant.revision, now=clock(), by="olga", assistant=SEARCHING)
    asked: list[Assistant] = []

    def reply(key: str, assistant: Assistant, *lines: object, **names: str) -> Reply:
        asked.append(assistant)
        return Reply("We do.", 100, 10, 2 if assistant.web_search else 0)

    monkeypatch.setattr(cast(Any, line.llm), "reply", reply)
    return asked


def test_a_line_goes_on_answering_without_searching_once_its_searches_are_used_up(
    line: Services, clock: Clock, searching: list[Assistant]
) -> None:
    for number in range(4):
        hand_in(line, message(clock, f"M{number}", chat=f"471{number}@lid"))
        clock.pass_seconds(2)
        assert check(line, f"471{number}@lid") is ReplyOutcome.RANG
    assert [each.web_search for each in searching] == [True, True, False, False]
    assert used(line) == MonthlyUsage(4 * 110, 4)
    clock.pass_seconds(31 * 86_400)
    assert used(line) == MonthlyUsage(0, 0)
    assert within_search_limit(line, line.tenants.get(T), SEARCHING) == SEARCHING


@pytest.mark.parametrize(
    "changes", [{"web_searches_per_month": 0}, {"web_search": False}, {"web_searches_per_month": 4}]
)
def test_without_a_limit_without_a_search_and_below_it_nothing_is_changed(
    line: Services, clock: Clock, changes: dict[str, Any]
) -> None:
    line.counters.count(T, "web_searches", "2026-09", 3, expires_at=clock() + 10**9)
    assistant = replace(SEARCHING, **changes)
    assert within_search_limit(line, line.tenants.get(T), assistant) == assistant


def test_searches_of_a_call_that_came_to_nothing_are_counted(line: Services, clock: Clock) -> None:
    error = PermanentError("empty")
    error.tokens, error.web_searches = (20, 5), 3
    llm(line).next = [error]
    hand_in(line, message(clock, "M1"))
    clock.pass_seconds(2)
    check(line)
    assert used(line) == MonthlyUsage(25, 3)


def test_every_attempt_of_a_reply_counts() -> None:
    searching = replace(ASSISTANT, web_search=True, web_domains=("bakery.example",))
    with OpenAISimulator() as simulator:
        client = LlmClient(simulator.base_url)
        reply = ask(client, assistant=searching)
        assert reply.web_searches == 1, "the page that was opened is not billed"
        assert "https://bakery.example/" in reply.text and reply.input_tokens > 2_000
        simulator.fault(KEY, "empty_text", times=2)
        with pytest.raises(PermanentError) as caught:
            ask(client, assistant=searching)
        assert caught.value.web_searches == 2
        assert client.check(KEY, searching).ok
        assert simulator.requests[-1].body["tool_choice"] == "none", "a check searches nothing"
        client.close()
