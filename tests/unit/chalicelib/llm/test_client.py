"""The client asks OpenAI as specified, and turns whatever comes back into a text or one of three kinds of trouble."""

import hashlib
import json
import logging
import os
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import httpx2
import pytest

from chalicelib.errors import ActionRequired, AnswerlineError, PermanentError, TransientError
from chalicelib.llm.client import AssistantCheck, LlmClient, Reply
from chalicelib.model import Assistant, ChatLine
from infrastructure.checkout import REPOSITORY
from tests.simulators.openai import FAULTS, OpenAISimulator
from wire import ProblemCode

KEY = "sk-proj-tenant-secret-zqxw"
QUESTION = "Where is my private parcel?"
ASSISTANT = Assistant(
    version=1, model="gpt-6-luna", instructions="You are the bakery's helper.", reasoning_effort="none"
)
CHALICE_APP = REPOSITORY / "chalice_app"


@pytest.fixture(scope="module")
def server() -> Iterator[OpenAISimulator]:
    with OpenAISimulator() as simulator:
        yield simulator


@pytest.fixture
def simulator(server: OpenAISimulator) -> OpenAISimulator:
    server.clear()
    server.requests.clear()
    server.persona(KEY, "Anna")
    return server


@pytest.fixture(scope="module")
def shared_llm(server: OpenAISimulator) -> Iterator[LlmClient]:
    llm = LlmClient(server.base_url)
    yield llm
    llm.close()


@pytest.fixture
def llm(shared_llm: LlmClient, simulator: OpenAISimulator) -> LlmClient:
    return shared_llm


def ask(
    llm: LlmClient, key: str = KEY, assistant: Assistant = ASSISTANT, said: tuple[ChatLine, ...] | None = None
) -> Reply:
    history = said or (ChatLine("user", QUESTION),)
    return llm.reply(key, assistant, history, tenant="bakery0001", chat="4917@c.us", turn="turn-0001")


def answering(answer: Callable[[httpx2.Request], httpx2.Response], **options: Any) -> LlmClient:
    """A client whose every call is answered by `answer`."""
    return LlmClient("https://openai.example/v1", transport=httpx2.MockTransport(answer), **options)


def response_body(**changes: Any) -> dict[str, Any]:
    message = {
        "id": "msg_1",
        "type": "message",
        "status": "completed",
        "role": "assistant",
        "content": [{"type": "output_text", "annotations": [], "text": "Hello."}],
    }
    return {
        "id": "resp_1",
        "object": "response",
        "created_at": 1,
        "status": "completed",
        "model": "gpt-6-luna",
        "output": [message],
        "tools": [],
        "tool_choice": "auto",
        "parallel_tool_calls": True,
        **changes,
    }


def nothing_private_in(trouble: BaseException) -> None:
    """No key, no masked key, no message text: neither in the exception nor in what it drags along."""
    shown = [str(trouble), repr(trouble), repr(trouble.args), repr(vars(trouble))]
    shown += traceback.format_exception(trouble, chain=True)
    assert trouble.__cause__ is None
    assert trouble.__context__ is None
    for text in shown:
        assert KEY[-4:] not in text  # OpenAI shows it; no letters of an id
        assert "sk-" not in text.replace("task-", "").replace("ask-", "")
        assert "parcel" not in text


# --- Replies ------------------------------------------------------------------------------------------------


def test_a_reply_is_the_personas_own(llm: LlmClient) -> None:
    reply = ask(llm)
    assert reply.text.startswith(f'[Anna] You said: "{QUESTION}"')
    assert "You are the bakery's helper." in reply.text
    assert reply.input_tokens > 0
    assert reply.output_tokens > 0
    assert reply.text not in repr(reply)


def test_a_request_carries_the_assistant_and_nothing_it_leaves_open(llm: LlmClient, simulator: OpenAISimulator) -> None:
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
        "metadata": {"tenant": "bakery0001", "turn": "turn-0001"},
        "truncation": "auto",
    }


def test_a_request_carries_every_setting_and_tool(llm: LlmClient, simulator: OpenAISimulator) -> None:
    full = replace(
        ASSISTANT,
        max_output_tokens=300,
        reasoning_effort="low",
        verbosity="low",
        temperature=0.0,
        vector_store_ids=("vs_menu", "vs_hours"),
        web_search=True,
    )
    ask(llm, assistant=full)
    body = simulator.requests[-1].body
    assert body["max_output_tokens"] == 300
    assert body["reasoning"] == {"effort": "low"}
    assert body["text"] == {"verbosity": "low"}
    assert body["temperature"] == 0.0
    assert body["tools"] == [
        {"type": "file_search", "vector_store_ids": ["vs_menu", "vs_hours"]},
        {"type": "web_search"},
    ]


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


def test_contacts_are_told_apart_without_being_named(llm: LlmClient, simulator: OpenAISimulator) -> None:
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


# --- What a 200 may hide ------------------------------------------------------------------------------------


def test_commentary_is_not_said(llm: LlmClient, simulator: OpenAISimulator) -> None:
    simulator.fault(KEY, "commentary")
    assert "Let me check" not in ask(llm).text


def test_commentary_is_said_if_there_is_nothing_else(llm: LlmClient, simulator: OpenAISimulator) -> None:
    simulator.fault(KEY, "only_commentary")
    assert ask(llm).text.startswith("[Anna]")


def test_citation_marks_are_not_said(llm: LlmClient, simulator: OpenAISimulator) -> None:
    simulator.say(KEY, "Pizza 【4:0†source】. And \ue200filecite\ue202turn0file0\ue201ice\ue203 【not a mark】.")
    assert ask(llm).text == "Pizza. Andice 【not a mark】."


def test_a_cut_text_is_used_and_says_so(llm: LlmClient, simulator: OpenAISimulator) -> None:
    simulator.fault(KEY, "incomplete_max_output_tokens")
    text = ask(llm).text
    assert text.startswith("[Anna]")
    assert text.endswith(" …")


@pytest.mark.parametrize("fault", ["empty_text", "incomplete_empty"])
def test_a_model_that_wrote_nothing_is_asked_once_more(llm: LlmClient, simulator: OpenAISimulator, fault: str) -> None:
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
def test_a_model_that_writes_nothing_twice_is_given_up(llm: LlmClient, simulator: OpenAISimulator, fault: str) -> None:
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


@pytest.mark.parametrize(
    ("fault", "options", "kind", "word"),
    [
        ("refusal", {}, PermanentError, "refusal"),
        ("incomplete_content_filter", {}, PermanentError, "content_filter"),
        ("status_cancelled", {}, TransientError, None),
        ("status_failed", {"code": "server_error"}, TransientError, None),
        ("status_failed", {"code": "rate_limit_exceeded"}, TransientError, None),
        ("status_failed", {"code": "vector_store_timeout"}, TransientError, None),
        ("status_failed", {"code": "invalid_prompt"}, PermanentError, "invalid_prompt"),
        ("status_failed", {"code": "misalignment_policy_violation"}, PermanentError, "misalignment_policy_violation"),
        ("status_failed", {"code": "data_residency_mismatch"}, ActionRequired, ProblemCode.KEY_FORBIDDEN),
        ("status_failed", {"code": "never_seen_before"}, TransientError, None),
    ],
)
def test_a_200_may_still_be_trouble(
    llm: LlmClient,
    simulator: OpenAISimulator,
    fault: str,
    options: dict[str, Any],
    kind: type[AnswerlineError],
    word: str | None,
) -> None:
    simulator.fault(KEY, fault, message=f"{QUESTION} {KEY}", **options)
    with pytest.raises(kind) as caught:
        ask(llm)
    assert getattr(caught.value, "reason", None) or getattr(caught.value, "problem", None) == word
    nothing_private_in(caught.value)


def test_a_server_that_leaves_fields_out_is_understood() -> None:
    output = [{"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "Hello."}]}]
    llm = answering(lambda request: httpx2.Response(200, json={"id": "x", "model": "llama", "output": output}))
    assert ask(llm) == Reply("Hello.", 0, 0)


# --- Errors -------------------------------------------------------------------------------------------------

ERRORS: list[tuple[str, type[AnswerlineError], object]] = [
    ("invalid_api_key", ActionRequired, ProblemCode.KEY_REVOKED),
    ("missing_scopes", ActionRequired, ProblemCode.KEY_FORBIDDEN),
    ("ip_not_authorized", ActionRequired, ProblemCode.KEY_FORBIDDEN),
    ("unsupported_country", ActionRequired, ProblemCode.KEY_FORBIDDEN),
    ("model_access_denied", ActionRequired, ProblemCode.MODEL_RETIRED),
    ("model_not_found", ActionRequired, ProblemCode.MODEL_RETIRED),
    ("vector_store_not_found", ActionRequired, ProblemCode.ASSISTANT_REFUSED),
    ("unsupported_value", ActionRequired, ProblemCode.ASSISTANT_REFUSED),
    ("unsupported_parameter", ActionRequired, ProblemCode.ASSISTANT_REFUSED),
    ("insufficient_quota", ActionRequired, ProblemCode.OUT_OF_CREDIT),
    ("credit_balance_exhausted", ActionRequired, ProblemCode.OUT_OF_CREDIT),
    ("organization_spend_limit_exceeded", ActionRequired, ProblemCode.OUT_OF_CREDIT),
    ("project_spend_limit_exceeded", ActionRequired, ProblemCode.OUT_OF_CREDIT),
    ("organization_usage_limit_exceeded", ActionRequired, ProblemCode.OUT_OF_CREDIT),
    ("context_length_exceeded", PermanentError, "context_length_exceeded"),
    ("invalid_image", PermanentError, "invalid_image"),
    ("invalid_prompt", PermanentError, "invalid_prompt"),
    ("unprocessable", PermanentError, "rejected"),
    ("conversation_locked", TransientError, None),
    ("conflict", TransientError, None),
    ("rate_limit_requests", TransientError, 1.0),
    ("rate_limit_tokens", TransientError, 1.0),
    ("slow_down", TransientError, 1.0),
    ("server_error", TransientError, None),
    ("server_is_overloaded", TransientError, None),
    ("bad_gateway", TransientError, None),
    ("not_json", TransientError, None),
    ("connection_reset", TransientError, None),
]


def test_every_http_fault_of_the_simulator_has_its_row() -> None:
    assert {name for name, fault in FAULTS.items() if fault.status} <= {name for name, _, _ in ERRORS}


@pytest.mark.parametrize(("fault", "kind", "meaning"), ERRORS)
def test_each_error_is_one_of_three_kinds(
    llm: LlmClient, simulator: OpenAISimulator, fault: str, kind: type[AnswerlineError], meaning: object
) -> None:
    simulator.fault(KEY, fault, times=None)
    with pytest.raises(AnswerlineError) as caught:
        ask(llm)
    trouble = caught.value
    assert type(trouble) is kind
    if isinstance(trouble, ActionRequired):
        assert trouble.problem is meaning
    elif isinstance(trouble, PermanentError):
        assert trouble.reason == meaning
    elif isinstance(trouble, TransientError):
        assert trouble.retry_after_seconds == meaning
    assert len(simulator.requests) == 1, "the SDK must not retry"
    nothing_private_in(trouble)


@pytest.mark.parametrize("fault", [name for name, fault in FAULTS.items() if fault.status])
def test_no_error_repeats_what_openai_wrote(llm: LlmClient, simulator: OpenAISimulator, fault: str) -> None:
    simulator.fault(KEY, fault, message=f"You sent {KEY} and {QUESTION} with sk-proj-***{KEY[-4:]}.")
    with pytest.raises(AnswerlineError) as caught:
        ask(llm)
    nothing_private_in(caught.value)


def test_a_hostile_error_cannot_speak_through_us() -> None:
    def answer(request: httpx2.Request) -> httpx2.Response:
        key = request.headers["authorization"].removeprefix("Bearer ")
        body = {"message": key, "type": key, "code": key, "param": key}
        return httpx2.Response(400, json={"error": body}, headers={"x-request-id": f"req_{key}"})

    with pytest.raises(PermanentError) as caught:
        ask(answering(answer))
    nothing_private_in(caught.value)


def test_an_error_says_what_openais_support_would_ask_for(llm: LlmClient, simulator: OpenAISimulator) -> None:
    simulator.fault(KEY, "invalid_api_key")
    with pytest.raises(ActionRequired, match=r"enter it here\. \(HTTP 401, invalid_api_key, req_[0-9a-f]{32}\)$"):
        ask(llm)


def test_an_error_names_what_is_missing(llm: LlmClient, simulator: OpenAISimulator) -> None:
    simulator.fault(KEY, "missing_scopes")
    with pytest.raises(ActionRequired, match=r"permission api\.responses\.write at OpenAI"):
        ask(llm)
    with pytest.raises(ActionRequired, match=r"vector store vs_missing1"):
        ask(llm, assistant=replace(ASSISTANT, vector_store_ids=("vs_menu", "vs_missing1")))
    with pytest.raises(ActionRequired, match=r"setting temperature with the model gpt-6-astra"):
        ask(llm, assistant=replace(ASSISTANT, model="gpt-6-astra", reasoning_effort=None, temperature=0.3))
    with pytest.raises(ActionRequired, match=r"the model gpt-4, or"):
        ask(llm, assistant=replace(ASSISTANT, model="gpt-4"))


def test_a_money_code_is_known_by_its_type_too() -> None:
    error = {"message": "…", "type": "insufficient_quota", "code": "a_new_money_code", "param": None}
    with pytest.raises(ActionRequired) as caught:
        ask(answering(lambda request: httpx2.Response(429, json={"error": error})))
    assert caught.value.problem is ProblemCode.OUT_OF_CREDIT


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after": "7.5"}, 7.5),
        ({"retry-after": "300"}, 300.0),
        ({"retry-after-ms": "250", "retry-after": "1"}, 0.25),
        ({"retry-after": "Sun, 22 Nov 2026 10:00:30 GMT", "date": "Sun, 22 Nov 2026 10:00:00 GMT"}, 30.0),
        ({"retry-after": "Sun, 22 Nov 2026 09:00:00 GMT", "date": "Sun, 22 Nov 2026 10:00:00 GMT"}, 0.0),
        ({"retry-after": "Sun, 22 Nov 2026 10:00:30 GMT"}, None),
        ({"retry-after": "soon", "date": "now"}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "inf"}, None),
        ({"retry-after": "-5"}, None),
        ({}, None),
    ],
)
def test_openai_may_say_when_to_come_back(headers: dict[str, str], seconds: float | None) -> None:
    error = {"message": "…", "type": "requests", "code": "rate_limit_exceeded", "param": None}
    with pytest.raises(TransientError) as caught:
        ask(answering(lambda request: httpx2.Response(429, json={"error": error}, headers=headers)))
    assert caught.value.retry_after_seconds == seconds


@pytest.mark.parametrize("key", ["", " ", "sk-a b", "sk-a\n", "sk-ü", "sk-a\x00", "sk-“quoted”"])
def test_a_key_that_cannot_be_sent_is_never_sent(llm: LlmClient, simulator: OpenAISimulator, key: str) -> None:
    with pytest.raises(ActionRequired) as caught:
        ask(llm, key)
    assert caught.value.problem is ProblemCode.KEY_REVOKED
    assert not simulator.requests


def test_a_redirect_does_not_take_the_key_along() -> None:
    asked: list[str] = []

    def answer(request: httpx2.Request) -> httpx2.Response:
        asked.append(request.url.host)
        return httpx2.Response(307, headers={"location": "https://elsewhere.example/v1/responses"})

    with pytest.raises(TransientError):
        ask(answering(answer))
    assert asked == ["openai.example"]


# --- Deadlines ----------------------------------------------------------------------------------------------


def test_a_silent_server_is_left_in_time(simulator: OpenAISimulator) -> None:
    llm = LlmClient(simulator.base_url, reply_timeout=timedelta(seconds=7))  # of which 1 is for reading
    simulator.fault(KEY, "hang")
    started = time.monotonic()
    with pytest.raises(TransientError, match="in time") as caught:
        ask(llm)
    assert time.monotonic() - started < 3
    nothing_private_in(caught.value)
    llm.close()


def test_a_body_that_trickles_is_left_at_the_deadline() -> None:
    now = [0.0]

    class Trickle(httpx2.SyncByteStream):
        def __iter__(self) -> Iterator[bytes]:
            for _ in range(1_000):
                now[0] += 1
                yield b" "

    llm = answering(
        lambda request: httpx2.Response(200, headers={"content-type": "application/json"}, stream=Trickle()),
        monotonic=lambda: now[0],
    )
    with pytest.raises(TransientError):
        ask(llm)
    assert 90 <= now[0] <= 92


def test_the_waits_of_a_call_add_up_to_its_deadline() -> None:
    seen: list[dict[str, float]] = []

    def answer(request: httpx2.Request) -> httpx2.Response:
        seen.append(dict(request.extensions["timeout"]))
        return httpx2.Response(200, json=response_body())

    llm = answering(answer, monotonic=lambda: 0.0)
    ask(llm)
    llm.check(KEY, ASSISTANT)
    # connecting is two waits: TCP and TLS
    assert [sum(waits.values()) + waits["connect"] for waits in seen] == pytest.approx([90, 15])


# --- Nothing of the environment, nothing in the logs ----------------------------------------------------------


def test_no_openai_variable_changes_what_is_sent(simulator: OpenAISimulator, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {
        "OPENAI_API_KEY": "sk-environment",
        "OPENAI_ADMIN_KEY": "sk-admin-environment",
        "OPENAI_ORG_ID": "org-environment",
        "OPENAI_PROJECT_ID": "proj-environment",
        "OPENAI_BASE_URL": "http://127.0.0.1:9/v1",
        "OPENAI_CUSTOM_HEADERS": "X-Poison: yes\nAuthorization: Bearer sk-poison\nOpenAI-Organization: org-poison",
        "OPENAI_WEBHOOK_SECRET": "whsec-environment",
    }.items():
        monkeypatch.setenv(name, value)
    llm = LlmClient(simulator.base_url)
    assert ask(llm).text.startswith("[Anna]")
    assert llm.check(KEY, ASSISTANT).ok
    for recorded in simulator.requests:
        assert recorded.persona == "Anna"
        assert not any("organization" in name or "project" in name or "poison" in name for name in recorded.headers)
        assert "environment" not in json.dumps(recorded.headers)
        assert "poison" not in json.dumps(recorded.headers)
    with pytest.raises(ActionRequired):
        ask(llm, "")  # never falls back to anybody else's key
    llm.close()


def test_importing_the_client_does_not_import_openai_and_openai_log_stays_off() -> None:
    script = f"""
import sys
import chalicelib.llm.client as llm
from chalicelib.errors import AnswerlineError
from chalicelib.model import Assistant, ChatLine
ours = llm.LlmClient("http://127.0.0.1:9/v1")
assert not {{"openai", "httpx2"}} & set(sys.modules), "imported too early"
try:
    ours.reply({KEY!r}, Assistant(1, "m", "i"), [ChatLine("user", {QUESTION!r})], tenant="t", chat="c", turn="u")
except AnswerlineError as trouble:
    print(type(trouble).__name__)
assert "openai" in sys.modules
"""
    paths = os.pathsep.join([str(CHALICE_APP), str(CHALICE_APP / "vendor")])
    ran = subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, "PYTHONPATH": paths, "OPENAI_LOG": "debug"},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (ran.returncode, ran.stdout.strip()) == (0, "TransientError"), ran.stderr
    assert ran.stderr == ""


def test_neither_keys_nor_texts_reach_the_log(simulator: OpenAISimulator, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    logging.getLogger("openai").setLevel(logging.DEBUG)
    llm = LlmClient(simulator.base_url)
    ask(llm)
    for fault in ("invalid_api_key", "server_error", "connection_reset"):
        simulator.fault(KEY, fault)
        with pytest.raises(AnswerlineError):
            ask(llm)
    logged = [record for record in caplog.records if record.name.startswith(("openai", "httpx2", "httpcore2"))]
    assert not [record for record in logged if record.levelno < logging.WARNING], "the SDK's own log must stay off"
    assert not any(word in record.getMessage() for record in caplog.records for word in ("parcel", KEY[-4:], "sk-"))
    assert KEY not in repr(llm) + repr(vars(llm))
    llm.close()


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
    assert "instructions" not in request.body


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
def test_a_check_says_exactly_what_is_wrong(
    llm: LlmClient, key: str, problem: ProblemCode | None, transient: bool, sentence: str
) -> None:
    result = llm.check(key, ASSISTANT)
    assert not result.ok
    assert (result.problem, result.transient) == (problem, transient)
    assert sentence in result.sentence


def test_a_check_knows_a_retired_model_and_a_refused_setting(llm: LlmClient) -> None:
    assert llm.check(KEY, replace(ASSISTANT, model="gpt-4-turbo")).problem is ProblemCode.MODEL_RETIRED
    assert llm.check(KEY, replace(ASSISTANT, model="gpt-6-astra")).problem is ProblemCode.ASSISTANT_REFUSED
    lost = replace(ASSISTANT, vector_store_ids=("vs_missing",))
    assert llm.check(KEY, lost).problem is ProblemCode.ASSISTANT_REFUSED


def test_a_check_of_an_unreachable_server_says_so() -> None:
    result = LlmClient("http://127.0.0.1:9/v1").check(KEY, ASSISTANT)
    assert result == AssistantCheck(
        "OpenAI could not be reached: check this server's network, or try again in a minute.", transient=True
    )


def test_a_check_never_raises(llm: LlmClient, simulator: OpenAISimulator) -> None:
    for fault in FAULTS:
        simulator.fault(KEY, fault, seconds=0, delay_ms=0)
        assert llm.check(KEY, ASSISTANT).sentence, fault
