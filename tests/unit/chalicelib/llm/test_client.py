"""The client asks OpenAI as specified, once more for a missing text, and checks keys and settings."""

import hashlib
import json
from dataclasses import replace

import httpx2
import pytest

from chalicelib.errors import ActionRequired, PermanentError, TransientError
from chalicelib.llm.client import AssistantCheck, LlmClient
from chalicelib.model import Assistant, ChatLine
from tests.simulators.openai import FAULTS, OpenAISimulator
from tests.unit.support.openai_calls import ASSISTANT, KEY, QUESTION, answering, ask, response_body
from wire import ProblemCode

# --- Replies ------------------------------------------------------------------------------------------------


def test_a_reply_is_the_personas_own(llm: LlmClient) -> None:
    reply = ask(llm)
    assert reply.text.startswith(f'[Anna] You said: "{QUESTION}"')
    assert "You are the bakery's helper." in reply.text
    assert reply.input_tokens > 0
    assert reply.output_tokens > 0
    assert reply.text not in repr(reply)


def test_a_request_carries_the_assistant_and_no_setting_it_leaves_open(
    llm: LlmClient, simulator: OpenAISimulator
) -> None:
    plain = Assistant(version=1, model="gpt-6-luna", instructions="Be kind.")
    ask(llm, assistant=plain)
    assert simulator.requests[-1].body == {
        "model": "gpt-6-luna",
        "instructions": "Be kind.",
        "store": False,
        "max_output_tokens": 1000,
        "input": [{"type": "message", "role": "user", "content": QUESTION}],
        "safety_identifier": hashlib.sha256(b"bakery0001|4917@c.us").hexdigest(),
        "prompt_cache_key": "bakery0001",
        "reasoning": {"effort": "none"},
        "truncation": "auto",
    }


def test_a_request_carries_every_setting_and_tool(llm: LlmClient, simulator: OpenAISimulator) -> None:
    full = replace(
        ASSISTANT,
        max_output_tokens=300,
        reasoning_effort="none",
        verbosity="low",
        temperature=0.0,
        vector_store_ids=("vs_menu", "vs_hours"),
        web_search=True,
    )
    ask(llm, assistant=full)
    body = simulator.requests[-1].body
    assert body["max_output_tokens"] == 300
    assert body["reasoning"] == {"effort": "none"}
    assert body["text"] == {"verbosity": "low"}
    assert body["temperature"] == 0.0
    assert body["tools"] == [
        {"type": "file_search", "vector_store_ids": ["vs_menu", "vs_hours"]},
        {"type": "web_search", "user_location": {"type": "approximate"}},
    ]
    assert body["max_tool_calls"] == 5


def test_the_whole_history_goes_along_in_order(llm: LlmClient, simulator: OpenAISimulator) -> None:
    said = (
        ChatLine("user", "Hello"),
        ChatLine("assistant", "Hi!"),
        ChatLine("user", "Open?"),
        ChatLine("user", "Half \ud83d sign"),
    )
    reply = ask(llm, said=said)
    assert [(item["role"], item["content"]) for item in simulator.requests[-1].body["input"]] == [
        ("user", "Hello"),
        ("assistant", "Hi!"),
        ("user", "Open?"),
        ("user", "Half ? sign"),
    ]
    assert reply.text.startswith('[Anna] You said: "Half ? sign" Before that: "Open?".')


def test_contacts_are_distinguished_without_being_named(llm: LlmClient, simulator: OpenAISimulator) -> None:
    for tenant, chat in (("bakery0001", "4917@c.us"), ("bakery0001", "4918@c.us"), ("butcher001", "4917@c.us")):
        llm.reply(KEY, ASSISTANT, (ChatLine("user", "Hi"),), tenant=tenant, chat=chat, turn="turn-0001")
    assert len({request.body["safety_identifier"] for request in simulator.requests}) == 3
    assert "4917" not in json.dumps([request.body for request in simulator.requests])


def test_each_tenant_is_answered_with_its_own_key(llm: LlmClient, simulator: OpenAISimulator) -> None:
    simulator.persona("sk-other-key-0815", "Bella")
    assert [ask(llm, key).text[:7] for key in (KEY, "sk-other-key-0815", KEY)] == ["[Anna] ", "[Bella]", "[Anna] "]


def test_all_tenants_share_one_pool_and_one_client(simulator: OpenAISimulator) -> None:
    ports: set[str] = set()

    def answer(request: httpx2.Request) -> httpx2.Response:
        ports.add(str(request.headers["authorization"]))
        return httpx2.Response(200, json=response_body())

    llm = answering(answer)
    ask(llm)
    first = llm._client
    ask(llm, "sk-other")
    assert first is not None
    assert llm._client is first
    assert llm._client_for("sk-a", 90)._client is llm._client_for("sk-b", 15)._client is first._client
    assert ports == {f"Bearer {KEY}", "Bearer sk-other"}
    assert first.max_retries == 0


def test_the_client_can_be_closed_and_used_again(simulator: OpenAISimulator) -> None:
    llm = LlmClient(simulator.base_url)
    ask(llm)
    llm.close()
    ask(llm)
    llm.close()


# --- attempts -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fault", ["empty_text", "incomplete_empty"])
def test_a_model_without_a_text_is_asked_once_more(llm: LlmClient, simulator: OpenAISimulator, fault: str) -> None:
    simulator.fault(KEY, fault)
    reply = ask(llm)
    assert reply.text.startswith("[Anna]")
    first, second = (request.body["max_output_tokens"] for request in simulator.requests)
    assert second == (first if fault == "empty_text" else 4 * first)


def test_the_tokens_of_both_attempts_count(llm: LlmClient, simulator: OpenAISimulator) -> None:
    once = ask(llm)
    simulator.fault(KEY, "incomplete_empty")
    twice = ask(llm)
    assert twice.input_tokens == 2 * once.input_tokens
    assert twice.output_tokens == once.output_tokens + 1000


@pytest.mark.parametrize("fault", ["empty_text", "incomplete_empty"])
def test_a_model_without_a_text_twice_is_given_up(llm: LlmClient, simulator: OpenAISimulator, fault: str) -> None:
    simulator.fault(KEY, fault, times=None)
    with pytest.raises(PermanentError) as caught:
        ask(llm)
    assert caught.value.reason == "empty"
    assert len(simulator.requests) == 2


def test_there_is_no_second_attempt_without_time() -> None:
    clock = iter([0.0, 0.0, 0.0, 0.0, 85.0, 85.0, 85.0])
    llm = answering(lambda request: httpx2.Response(200, json=response_body(output=[])), monotonic=lambda: next(clock))
    with pytest.raises(TransientError, match="no time"):
        ask(llm)


@pytest.mark.parametrize("key", ["", " ", "sk-a b", "sk-a\n", "sk-ü", "sk-a\x00", "sk-“quoted”"])
def test_a_key_that_cannot_be_sent_is_never_sent(llm: LlmClient, simulator: OpenAISimulator, key: str) -> None:
    with pytest.raises(ActionRequired) as caught:
        ask(llm, key)
    assert caught.value.problem is ProblemCode.KEY_REVOKED
    assert not simulator.requests


# --- Checks -------------------------------------------------------------------------------------------------


def test_a_check_of_what_works_is_one_tiny_call(llm: LlmClient, simulator: OpenAISimulator) -> None:
    result = llm.check(KEY, replace(ASSISTANT, web_search=True, max_output_tokens=4000))
    assert result.ok
    assert result == AssistantCheck("The key works, and gpt-6-luna answers.")
    (request,) = simulator.requests
    assert request.path == "/v1/responses"
    assert request.body["max_output_tokens"] == 16
    assert request.body["tool_choice"] == "none"
    assert request.body["store"] is False


def test_a_check_does_not_mind_a_model_that_only_thinks(llm: LlmClient) -> None:
    assert llm.check(KEY, replace(ASSISTANT, reasoning_effort="high")).ok


@pytest.mark.parametrize(
    ("key", "problem", "transient", "sentence"),
    [
        ("sk-wrong", ProblemCode.KEY_REVOKED, False, "make a new one"),
        ("sk-scopes", ProblemCode.KEY_FORBIDDEN, False, "api.responses.write"),
        ("sk-banned", ProblemCode.KEY_FORBIDDEN, False, "country"),
        ("sk-broke", ProblemCode.OUT_OF_CREDIT, False, "add credit"),
        ("sk-noaccess", ProblemCode.MODEL_RETIRED, False, "choose another model"),
        ("", ProblemCode.KEY_REVOKED, False, "copy it again"),
        ("sk-limited", None, True, "try again"),
        ("sk-down", None, True, "OpenAI is in trouble"),
        ("sk-reset", None, True, "could not be reached"),
    ],
)
def test_a_check_names_exactly_the_problem(
    llm: LlmClient, key: str, problem: ProblemCode | None, transient: bool, sentence: str
) -> None:
    result = llm.check(key, ASSISTANT)
    assert not result.ok
    assert (result.problem, result.transient) == (problem, transient)
    assert sentence in result.sentence


def test_a_check_knows_a_retired_model_and_a_refused_setting(llm: LlmClient) -> None:
    assert llm.check(KEY, replace(ASSISTANT, model="gpt-4-turbo")).problem is ProblemCode.MODEL_RETIRED
    hot = replace(ASSISTANT, model="gpt-6-astra", reasoning_effort="low", temperature=0.5)
    assert llm.check(KEY, hot).problem is ProblemCode.ASSISTANT_REFUSED
    lost = replace(ASSISTANT, vector_store_ids=("vs_missing",))
    assert llm.check(KEY, lost).problem is ProblemCode.ASSISTANT_REFUSED


def test_a_check_of_an_unreachable_server_is_transient() -> None:
    result = LlmClient("http://127.0.0.1:9/v1").check(KEY, ASSISTANT)
    assert result == AssistantCheck(
        "OpenAI could not be reached: check this server's network, or try again in a minute.", transient=True
    )


def test_a_check_never_raises(llm: LlmClient, simulator: OpenAISimulator) -> None:
    for fault in FAULTS:
        simulator.fault(KEY, fault, seconds=0, delay_ms=0)
        assert llm.check(KEY, ASSISTANT).sentence, fault
