"""The simulator's errors reach OpenAI's own SDK as the SDK's own exceptions."""

from typing import cast

import httpx2
import openai
import pytest
from openai import AsyncOpenAI

from tests.contract.openai.sdk import KEY, MODEL, client_for
from tests.simulators.openai import FAULTS, OpenAISimulator


@pytest.mark.parametrize(
    ("fault", "error", "code", "type"),
    [
        ("invalid_api_key", openai.AuthenticationError, "invalid_api_key", "invalid_request_error"),
        ("missing_scopes", openai.AuthenticationError, "missing_scope", "invalid_request_error"),
        ("ip_not_authorized", openai.AuthenticationError, "ip_not_authorized", "invalid_request_error"),
        (
            "unsupported_country",
            openai.PermissionDeniedError,
            "unsupported_country_region_territory",
            "request_forbidden",
        ),
        ("model_access_denied", openai.PermissionDeniedError, "model_not_found", "invalid_request_error"),
        ("model_not_found", openai.NotFoundError, "model_not_found", "invalid_request_error"),
        ("vector_store_not_found", openai.NotFoundError, None, "invalid_request_error"),
        ("conversation_locked", openai.BadRequestError, "conversation_locked", "invalid_request_error"),
        ("context_length_exceeded", openai.BadRequestError, "context_length_exceeded", "invalid_request_error"),
        ("unsupported_value", openai.BadRequestError, "unsupported_value", "invalid_request_error"),
        ("unsupported_parameter", openai.BadRequestError, "unsupported_parameter", "invalid_request_error"),
        ("invalid_image", openai.BadRequestError, "invalid_image", "invalid_request_error"),
        ("invalid_prompt", openai.BadRequestError, "invalid_prompt", "invalid_request_error"),
        ("conflict", openai.ConflictError, None, "invalid_request_error"),
        ("unprocessable", openai.UnprocessableEntityError, None, "invalid_request_error"),
        ("insufficient_quota", openai.RateLimitError, "insufficient_quota", "insufficient_quota"),
        ("credit_balance_exhausted", openai.RateLimitError, "credit_balance_exhausted", "insufficient_quota"),
        (
            "organization_spend_limit_exceeded",
            openai.RateLimitError,
            "organization_spend_limit_exceeded",
            "insufficient_quota",
        ),
        (
            "project_spend_limit_exceeded",
            openai.RateLimitError,
            "project_spend_limit_exceeded",
            "insufficient_quota",
        ),
        (
            "organization_usage_limit_exceeded",
            openai.RateLimitError,
            "organization_usage_limit_exceeded",
            "insufficient_quota",
        ),
        ("rate_limit_requests", openai.RateLimitError, "rate_limit_exceeded", "requests"),
        ("rate_limit_tokens", openai.RateLimitError, "rate_limit_exceeded", "tokens"),
        ("slow_down", openai.RateLimitError, "slow_down", "rate_limit_error"),
        ("server_error", openai.InternalServerError, None, "server_error"),
        (
            "server_is_overloaded",
            openai.InternalServerError,
            "server_is_overloaded",
            "service_unavailable_error",
        ),
    ],
)
async def test_each_error_is_the_sdks_own(
    simulator: OpenAISimulator,
    client: AsyncOpenAI,
    fault: str,
    error: type[openai.APIStatusError],
    code: str | None,
    type: str,
) -> None:
    simulator.fault(KEY, fault)
    with pytest.raises(openai.APIStatusError) as caught:
        await client.responses.create(model=MODEL, input="Hi")
    assert caught.type is error
    assert (caught.value.code, caught.value.type) == (code, type)
    assert set(cast(dict[str, object], caught.value.body)) == {"message", "type", "param", "code"}
    assert caught.value.request_id
    assert caught.value.status_code == FAULTS[fault].status
    await client.responses.create(model=MODEL, input="Hi again")  # once is once


async def test_the_key_in_a_401_is_masked(simulator: OpenAISimulator) -> None:
    async with client_for(simulator, "not-a-real-key-authorized") as client:
        with pytest.raises(openai.AuthenticationError) as caught:
            await client.responses.create(model=MODEL, input="Hi")
    assert "Incorrect API key provided: not-a-re***ized. You can find" in caught.value.message


@pytest.mark.parametrize("wanted", ["1", "7.5", "300"])
async def test_a_rate_limit_says_when_to_come_back(
    simulator: OpenAISimulator, client: AsyncOpenAI, wanted: str
) -> None:
    simulator.fault(KEY, "rate_limit_requests", retry_after=wanted)
    with pytest.raises(openai.RateLimitError) as caught:
        await client.responses.create(model=MODEL, input="Hi")
    assert caught.value.response.headers["retry-after"] == wanted


@pytest.mark.parametrize(
    ("key", "error"),
    [
        ("sk-wrong-key", openai.AuthenticationError),
        ("sk-proj-wrong", openai.AuthenticationError),
        ("sk-scopes", openai.AuthenticationError),
        ("sk-banned1", openai.PermissionDeniedError),
        ("sk-noaccess", openai.PermissionDeniedError),
        ("sk-broke", openai.RateLimitError),
        ("sk-limited", openai.RateLimitError),
        ("sk-down", openai.InternalServerError),
        ("sk-broken", openai.InternalServerError),
        ("sk-reset", openai.APIConnectionError),
        ("pk-not-ours", openai.AuthenticationError),
    ],
)
async def test_special_keys_fail_without_a_script(
    simulator: OpenAISimulator, key: str, error: type[openai.APIError]
) -> None:
    async with client_for(simulator, key) as client:
        with pytest.raises(error):
            await client.responses.create(model=MODEL, input="Hi")


async def test_no_credit_shows_only_where_money_is_spent(simulator: OpenAISimulator) -> None:
    async with client_for(simulator, "sk-broke") as client:
        await client.responses.input_tokens.count(model=MODEL, input="ping")
        await client.models.retrieve(MODEL)


async def test_a_hanging_call_runs_into_the_timeout(simulator: OpenAISimulator) -> None:
    async with client_for(simulator, timeout=0.1) as client:
        simulator.fault(KEY, "hang")
        with pytest.raises(openai.APITimeoutError):
            await client.responses.create(model=MODEL, input="Hi")


async def test_a_connection_can_break_or_speak_html(simulator: OpenAISimulator, client: AsyncOpenAI) -> None:
    simulator.fault(KEY, "connection_reset")
    with pytest.raises(openai.APIConnectionError):
        await client.responses.create(model=MODEL, input="Hi")
    simulator.fault(KEY, "bad_gateway")
    with pytest.raises(openai.InternalServerError):
        await client.responses.create(model=MODEL, input="Hi")


@pytest.mark.parametrize(
    ("fault", "status", "reason", "text"),
    [
        ("status_failed", "failed", None, ""),
        ("status_cancelled", "cancelled", None, ""),
        ("incomplete_max_output_tokens", "incomplete", "max_output_tokens", "[Anna] You "),
        ("incomplete_content_filter", "incomplete", "content_filter", "[Anna"),
        ("incomplete_empty", "incomplete", "max_output_tokens", ""),
        ("empty_text", "completed", None, ""),
        ("refusal", "completed", None, ""),
        ("commentary", "completed", None, "Let me check that for you…[Anna]"),
        ("only_commentary", "completed", None, "[Anna] You said"),
    ],
)
async def test_two_hundred_can_still_be_trouble(
    simulator: OpenAISimulator,
    client: AsyncOpenAI,
    fault: str,
    status: str,
    reason: str | None,
    text: str,
) -> None:
    simulator.fault(KEY, fault)
    response = await client.responses.create(model=MODEL, input="Hi")
    assert response.status == status
    assert (response.incomplete_details and response.incomplete_details.reason) == reason
    assert response.output_text.startswith(text) if text else response.output_text == ""


async def test_a_failed_response_names_its_error(simulator: OpenAISimulator, client: AsyncOpenAI) -> None:
    simulator.fault(KEY, "status_failed", code="rate_limit_exceeded")
    response = await client.responses.create(model=MODEL, input="Hi")
    assert response.error is not None
    assert response.error.code == "rate_limit_exceeded"


async def test_faults_can_be_scripted_over_http(simulator: OpenAISimulator, client: AsyncOpenAI) -> None:
    async with httpx2.AsyncClient(base_url=simulator.origin) as http:
        added = await http.post("/control/faults", json={"key": KEY, "fault": "server_error", "times": None})
        assert added.status_code == 204
        for _ in range(3):
            with pytest.raises(openai.InternalServerError):
                await client.responses.create(model=MODEL, input="Hi")
        assert KEY not in (await http.get("/control/faults")).text
        await http.delete("/control/faults", params={"key": KEY})
        await http.post("/control/faults", json={"key": "*", "fault": "say", "text": "Scripted."})
        assert (await client.responses.create(model=MODEL, input="Hi")).output_text == "Scripted."
        unknown = await http.post("/control/faults", json={"key": KEY, "fault": "nonsense"})
        assert unknown.status_code == 400
        await http.post("/control/personas", json={"key": KEY, "name": "Bella"})
        assert "[Bella]" in (await client.responses.create(model=MODEL, input="Hi")).output_text
        assert (await http.get("/control/health")).json()["status"] == "ok"
        assert "sk-wrong…" in (await http.get("/control")).text


async def test_a_fault_can_wait_for_one_path(simulator: OpenAISimulator, client: AsyncOpenAI) -> None:
    simulator.fault(KEY, "server_error", path="/v1/responses")
    await client.models.retrieve(MODEL)
    with pytest.raises(openai.InternalServerError):
        await client.responses.create(model=MODEL, input="Hi")
