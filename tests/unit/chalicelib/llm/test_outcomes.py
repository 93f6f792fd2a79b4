"""Each response of OpenAI becomes a text or one of three kinds of error, which quotes no secret."""

from dataclasses import replace
from typing import Any

import httpx2
import pytest

from chalicelib.errors import ActionRequired, AnswerlineError, PermanentError, TransientError
from chalicelib.llm.client import LlmClient, Reply
from tests.simulators.openai import FAULTS, OpenAISimulator
from tests.unit.support.openai_calls import ASSISTANT, KEY, QUESTION, answering, ask, nothing_private_in
from wire import ProblemCode

# --- What a 200 may hide ------------------------------------------------------------------------------------


def test_commentary_is_left_out(llm: LlmClient, simulator: OpenAISimulator) -> None:
    simulator.fault(KEY, "commentary")
    assert "Let me check" not in ask(llm).text


def test_commentary_is_used_if_there_is_no_other_text(llm: LlmClient, simulator: OpenAISimulator) -> None:
    simulator.fault(KEY, "only_commentary")
    assert ask(llm).text.startswith("[Anna]")


def test_citation_marks_are_left_out(llm: LlmClient, simulator: OpenAISimulator) -> None:
    simulator.say(KEY, "Pizza 【4:0†source】. And \ue200filecite\ue202turn0file0\ue201ice\ue203 【not a mark】.")
    assert ask(llm).text == "Pizza. Andice 【not a mark】."


def test_a_cut_text_is_used_and_marked(llm: LlmClient, simulator: OpenAISimulator) -> None:
    simulator.fault(KEY, "incomplete_max_output_tokens")
    text = ask(llm).text
    assert text.startswith("[Anna]")
    assert text.endswith(" …")


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
def test_a_200_may_still_be_an_error(
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
    ("account_deactivated", ActionRequired, ProblemCode.KEY_REVOKED),
    ("access_terminated", ActionRequired, ProblemCode.KEY_REVOKED),
    ("no_organization", ActionRequired, ProblemCode.KEY_REVOKED),
    ("project_archived", ActionRequired, ProblemCode.KEY_REVOKED),
    ("incorrect_hostname", ActionRequired, ProblemCode.KEY_FORBIDDEN),
    ("geography_not_enabled", ActionRequired, ProblemCode.KEY_FORBIDDEN),
    ("data_residency_mismatch", ActionRequired, ProblemCode.KEY_FORBIDDEN),
    ("residency_unknown", ActionRequired, ProblemCode.KEY_FORBIDDEN),
    ("unsupported_country", ActionRequired, ProblemCode.KEY_FORBIDDEN),
    ("model_access_denied", ActionRequired, ProblemCode.MODEL_RETIRED),
    ("model_not_found", ActionRequired, ProblemCode.MODEL_RETIRED),
    ("requested_model_unknown", ActionRequired, ProblemCode.MODEL_RETIRED),
    ("model_retired", ActionRequired, ProblemCode.MODEL_RETIRED),
    ("model_deprecated", ActionRequired, ProblemCode.MODEL_RETIRED),
    ("organization_not_verified", ActionRequired, ProblemCode.KEY_FORBIDDEN),
    ("organization_verification_required", ActionRequired, ProblemCode.KEY_FORBIDDEN),
    ("vector_store_not_found", ActionRequired, ProblemCode.ASSISTANT_REFUSED),
    ("unsupported_value", ActionRequired, ProblemCode.ASSISTANT_REFUSED),
    ("unsupported_parameter", ActionRequired, ProblemCode.ASSISTANT_REFUSED),
    ("temperature_not_supported", ActionRequired, ProblemCode.ASSISTANT_REFUSED),
    ("service_tier_not_allowed", ActionRequired, ProblemCode.ASSISTANT_REFUSED),
    ("parameter_refused", ActionRequired, ProblemCode.ASSISTANT_REFUSED),
    ("body_not_parsed", TransientError, None),
    ("insufficient_quota", ActionRequired, ProblemCode.OUT_OF_CREDIT),
    ("credit_balance_exhausted", ActionRequired, ProblemCode.OUT_OF_CREDIT),
    ("organization_spend_limit_exceeded", ActionRequired, ProblemCode.OUT_OF_CREDIT),
    ("project_spend_limit_exceeded", ActionRequired, ProblemCode.OUT_OF_CREDIT),
    ("organization_usage_limit_exceeded", ActionRequired, ProblemCode.OUT_OF_CREDIT),
    ("billing_not_active", ActionRequired, ProblemCode.OUT_OF_CREDIT),
    ("billing_hard_limit_reached", ActionRequired, ProblemCode.OUT_OF_CREDIT),
    ("context_length_exceeded", PermanentError, "context_length_exceeded"),
    ("invalid_image", PermanentError, "invalid_image"),
    ("invalid_prompt", PermanentError, "invalid_prompt"),
    ("content_policy", PermanentError, "content_policy_violation"),
    ("refused", ActionRequired, ProblemCode.ASSISTANT_REFUSED),
    ("unprocessable", ActionRequired, ProblemCode.ASSISTANT_REFUSED),
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
    error = caught.value
    assert type(error) is kind
    if isinstance(error, ActionRequired):
        assert error.problem is meaning
    elif isinstance(error, PermanentError):
        assert error.reason == meaning
    elif isinstance(error, TransientError):
        assert error.retry_after_seconds == meaning
    assert len(simulator.requests) == 1, "the SDK must not retry"
    nothing_private_in(error)


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

    with pytest.raises(ActionRequired) as caught:
        ask(answering(answer))
    nothing_private_in(caught.value)


def test_an_error_has_the_facts_that_openais_support_asks_for(llm: LlmClient, simulator: OpenAISimulator) -> None:
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


def test_a_billing_code_is_recognised_by_its_type_too() -> None:
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
