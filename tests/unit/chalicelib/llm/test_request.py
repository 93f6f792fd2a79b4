"""A check sends what a reply sends; a compatible server gets less; a request becomes shorter from its old end."""

import json
from collections.abc import Iterator
from dataclasses import replace
from itertools import product
from typing import Any

import httpx2
import pytest

from chalicelib.errors import ActionRequired
from chalicelib.llm.attempt import Attempt
from chalicelib.llm.client import LlmClient
from chalicelib.llm.outcomes import Failure
from chalicelib.llm.request import estimate_cost, shorten
from chalicelib.model import Assistant, ChatLine
from chalicelib.model.assistant import AnswerLength
from tests.unit.support.openai_calls import ASSISTANT, KEY, ask, response_body
from wire import ProblemCode

#: The outcome of a call that is only to be seen.
STOP = Failure(ActionRequired(ProblemCode.ASSISTANT_REFUSED))
OTHER = "https://llm.example.com/v1"


class Recorder:
    """A network that answers every call, and keeps where it went and what it carried."""

    def __init__(self) -> None:
        self.hosts: list[str] = []
        self.bodies: list[dict[str, Any]] = []

    def __call__(self, request: httpx2.Request) -> httpx2.Response:
        self.hosts.append(request.url.host)
        self.bodies.append(json.loads(request.content))
        return httpx2.Response(200, json=response_body())


def every_assistant() -> Iterator[Assistant]:
    choices = product(
        ("gpt-6-luna", "gpt-4o", "gpt-5-mini", "gpt-6-astra"),
        (0, 1, 16, 1_000, 128_000),
        (None, "none", "minimal", "low", "high"),
        (None, "low"),
        (None, 0.0, 1.0),
        ((), ("vs_menu",)),
        (False, True),
        (None, "eu", OTHER),
    )
    for model, limit, effort, verbosity, temperature, stores, search, server in choices:
        yield Assistant(
            1,
            model,
            "Be kind.",
            max_output_tokens=limit,
            reasoning_effort=effort,
            verbosity=verbosity,
            temperature=temperature,
            vector_store_ids=stores,
            web_search=search,
            server=server,
        )


def test_a_check_sends_exactly_what_a_reply_sends_with_each_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[dict[str, Any]] = []
    llm = LlmClient(servers=(OTHER,))

    def record(key: str, attempt: Attempt, *rest: object) -> Failure:
        sent.append(dict(attempt.body))
        return STOP

    monkeypatch.setattr(llm, "_call", record)
    for assistant in every_assistant():
        sent.clear()
        llm.check(KEY, assistant)
        with pytest.raises(ActionRequired):
            ask(llm, assistant=assistant)
        checked, replied = sent
        always = {"max_output_tokens"} if not assistant.max_output_tokens else set()
        assert checked.keys() == replied.keys() | always
        differing = {name for name in replied if checked[name] != replied[name]}
        assert differing <= {"input", "max_output_tokens", "tool_choice", "safety_identifier", "prompt_cache_key"}
        assert checked.get("tool_choice") == ("none" if "tools" in replied else None)
        assert "metadata" not in replied


def test_each_region_is_asked_at_its_own_host() -> None:
    network = Recorder()
    llm = LlmClient(transport=httpx2.MockTransport(network), servers=(OTHER,))
    for server in (None, "global", "eu", "us", OTHER):
        ask(llm, assistant=replace(ASSISTANT, server=server))
    openai = "api.openai.com"
    assert network.hosts == [openai, openai, f"eu.{openai}", f"us.{openai}", "llm.example.com"]


def test_an_address_that_stands_for_openai_stands_for_each_of_its_regions() -> None:
    network = Recorder()
    llm = LlmClient("http://simulated.example/v1", transport=httpx2.MockTransport(network))
    for server in (None, "eu", "us"):
        ask(llm, assistant=replace(ASSISTANT, server=server))
    assert {*network.hosts} == {"simulated.example"}


@pytest.mark.parametrize("server", [OTHER, "http://169.254.169.254/v1", "https://eu.api.openai.com.evil.example/v1"])
def test_a_server_that_the_operator_does_not_list_is_never_called(server: str) -> None:
    network = Recorder()
    llm = LlmClient(transport=httpx2.MockTransport(network))
    with pytest.raises(ActionRequired, match="OPENAI_SERVERS") as caught:
        ask(llm, assistant=replace(ASSISTANT, server=server))
    assert caught.value.problem is ProblemCode.ASSISTANT_REFUSED
    assert llm.check(KEY, replace(ASSISTANT, server=server)).problem is ProblemCode.ASSISTANT_REFUSED
    assert not network.hosts


def test_a_compatible_server_gets_nothing_that_only_openai_has() -> None:
    network = Recorder()
    llm = LlmClient(transport=httpx2.MockTransport(network), servers=(OTHER, "https://in.api.openai.com/v1"))
    full = replace(ASSISTANT, reasoning_effort=None, vector_store_ids=("vs_menu",), web_search=True)
    ask(llm, assistant=replace(full, server=OTHER))
    ask(llm, assistant=replace(full, server="https://in.api.openai.com/v1"))
    compatible, openai = network.bodies
    assert compatible.keys() == {"model", "instructions", "store", "input", "max_output_tokens"}
    assert openai.keys() - compatible.keys() == {
        *("reasoning", "truncation", "safety_identifier", "prompt_cache_key", "tools", "tool_choice", "max_tool_calls"),
    }


def test_a_search_is_limited_to_the_domains_of_the_assistant() -> None:
    network = Recorder()
    llm = LlmClient(transport=httpx2.MockTransport(network))
    ask(llm, assistant=replace(ASSISTANT, web_search=True, web_domains=("bakery.example", "menu.example")))
    ask(llm, assistant=replace(ASSISTANT, web_domains=("bakery.example",)))
    searching, plain = network.bodies
    assert searching["tools"][0]["filters"] == {"allowed_domains": ["bakery.example", "menu.example"]}
    assert plain.keys().isdisjoint({"tools", "max_tool_calls"}), "domains alone search nothing"


def test_settings_about_words_follow_the_instructions() -> None:
    network = Recorder()
    llm = LlmClient(transport=httpx2.MockTransport(network))
    ask(llm, assistant=replace(ASSISTANT, languages=("German",), answer_length=AnswerLength.SHORT))
    told = network.bodies[0]["instructions"]
    assert told.startswith(ASSISTANT.instructions) and "two or three short sentences" in told and "German" in told


LONG = tuple(ChatLine(role, f"{number:02}" * 10) for number in range(20) for role in ("user", "assistant"))
WAITING = (ChatLine("user", "one"), ChatLine("user", "two"))


@pytest.mark.parametrize(("share", "kept"), [(1.0, 40), (0.5, 20), (0.25, 10), (0.0, 0)])
def test_the_oldest_lines_are_left_out_and_waiting_messages_stay(share: float, kept: int) -> None:
    shorter = shorten((*LONG, *WAITING), share)
    assert shorter == (*LONG[len(LONG) - kept :], *WAITING)


def test_messages_that_are_marked_as_waiting_stay_although_one_was_never_answered() -> None:
    lines = (ChatLine("user", "never answered"), ChatLine("user", "one", waiting=True), ChatLine("user", "two"))
    assert shorten(lines, 0.0) == lines[1:]
    assert shorten(lines[:1], 0.0) == lines[:1]


def test_one_long_line_does_not_keep_the_others() -> None:
    lines = (ChatLine("assistant", "x" * 1_000), ChatLine("assistant", "y" * 10), ChatLine("user", "Hi"))
    assert shorten(lines, 0.5) == lines[1:]


def test_a_call_without_an_answer_costs_what_it_sent_and_all_that_it_allowed() -> None:
    request = {"instructions": "four" * 10, "input": [{"content": "four" * 5}]}
    assert estimate_cost({**request, "max_output_tokens": 500}) == (15, 500)
    assert estimate_cost(request) == (15, 1_000)
