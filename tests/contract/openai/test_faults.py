"""Every fault of the simulator does what it says, and every one has a key."""

import html
import json
from collections.abc import Iterator
from typing import Any

import httpx2
import pytest

from tests.contract.openai.sdk import KEY
from tests.simulators.openai import FAULTS, OpenAISimulator
from tests.simulators.openai.faults import special_fault

ASKED = {"model": "gpt-6-luna", "input": "Hi", "reasoning": {"effort": "none"}}


@pytest.fixture(scope="module")
def server() -> Iterator[OpenAISimulator]:
    with OpenAISimulator() as simulator:
        yield simulator


@pytest.fixture
def simulator(server: OpenAISimulator) -> OpenAISimulator:
    server.clear()
    return server


def ask(simulator: OpenAISimulator, key: str = KEY, **body: Any) -> httpx2.Response:
    with httpx2.Client(base_url=simulator.base_url, timeout=5) as http:
        return http.post("/responses", headers={"Authorization": f"Bearer {key}"}, json={**ASKED, **body})


def error_of(answer: httpx2.Response) -> dict[str, Any]:
    error: dict[str, Any] = answer.json()["error"]
    return error


@pytest.mark.parametrize("name", [name for name, fault in FAULTS.items() if fault.status])
def test_an_http_error_has_the_body_of_its_row(simulator: OpenAISimulator, name: str) -> None:
    fault = FAULTS[name]
    simulator.fault(KEY, name)
    answer = ask(simulator)
    error = error_of(answer)
    assert (answer.status_code, error["type"], error["param"], error["code"]) == (
        fault.status,
        fault.type,
        fault.param,
        fault.code,
    )
    assert set(error) == {"message", "type", "param", "code"}
    assert not any(mark in error["message"] for mark in ("{key}", "{model}", "{region}"))
    assert ask(simulator).status_code == 200  # once is once


@pytest.mark.parametrize("status", [400, 401, 429])
def test_an_ended_access_shows_in_the_type_whatever_the_status_is(simulator: OpenAISimulator, status: int) -> None:
    simulator.fault(KEY, "access_terminated", status=status)
    answer = ask(simulator)
    error = error_of(answer)
    assert (answer.status_code, error["type"], error["code"]) == (status, "access_terminated", None)


def test_any_error_can_be_scripted(simulator: OpenAISimulator) -> None:
    wanted: dict[str, Any] = {"message": "No.", "type": "odd_error", "param": "store", "code": "odd"}
    simulator.fault(KEY, "refused", status=418, **wanted)
    answer = ask(simulator)
    assert (answer.status_code, error_of(answer)) == (418, wanted)
    simulator.fault(KEY, "rate_limit_requests", retry_after=None)
    assert "retry-after" not in ask(simulator).headers
    simulator.fault(KEY, "insufficient_quota", status=403, code=None)
    answer = ask(simulator)
    assert (answer.status_code, error_of(answer)["code"]) == (403, None)


@pytest.mark.parametrize(
    ("region", "host"), [("eu", "eu.api.openai.com"), ("us", "us.api.openai.com"), ("", "api.openai.com")]
)
def test_a_wrong_host_names_the_right_one(simulator: OpenAISimulator, region: str, host: str) -> None:
    simulator.fault(KEY, "incorrect_hostname", region=region)
    answer = ask(simulator)
    assert error_of(answer)["message"].endswith(f"Please make your request to {host}")
    assert answer.json()["status"] == 401


def test_a_request_is_too_large_until_it_is_shorter(simulator: OpenAISimulator) -> None:
    simulator.fault(KEY, "request_too_large", times=None, limit=3000)
    long = [{"role": "user", "content": "word " * 200} for _ in range(20)]
    answer = ask(simulator, input=long, max_output_tokens=1000)
    assert answer.status_code == 429
    error = error_of(answer)
    assert (error["type"], error["code"]) == ("tokens", "rate_limit_exceeded")
    assert (
        "Request too large for gpt-6-luna in organization org-simulated on tokens per min (TPM): Limit 3000, Re"
        in (error["message"])
    )
    assert ask(simulator, input=long[:3], max_output_tokens=1000).status_code == 200
    assert ask(simulator, input=long, max_output_tokens=1000).status_code == 429


def test_foreign_scripts_need_more_tokens(simulator: OpenAISimulator) -> None:
    simulator.fault(KEY, "request_too_large", times=None)
    assert ask(simulator, input="a" * 92_000).status_code == 200
    assert ask(simulator, input="я" * 92_000).status_code == 429


@pytest.mark.parametrize("status", [400, 403, 404, 413, 421, 499, 520, 521, 522, 523, 524, 525, 526])
def test_cloudflare_answers_with_a_page(simulator: OpenAISimulator, status: int) -> None:
    simulator.fault(KEY, "cloudflare_page", status=status)
    answer = ask(simulator)
    assert (answer.status_code, answer.headers["content-type"].split(";")[0]) == (status, "text/html")
    assert "<title>" in answer.text


@pytest.mark.parametrize(
    ("fault", "status", "text"),
    [
        ("bad_gateway", 502, "502 Bad Gateway"),
        ("plain_text", 429, "error code: 1015"),
        ("empty_body", 400, ""),
        ("foreign_json", 400, '"detail"'),
        ("not_json", 200, "{ this is not json"),
        ("truncated_body", 200, '"type": "mess'),
        ("not_a_number", 200, "NaN"),
        ("error_in_200", 200, '"error"'),
        ("deep_json", 200, "[[[["),
        ("redirect", 308, ""),
    ],
)
def test_a_body_can_be_somebody_elses(simulator: OpenAISimulator, fault: str, status: int, text: str) -> None:
    simulator.fault(KEY, fault)
    answer = ask(simulator)
    assert answer.status_code == status
    assert text in answer.text


@pytest.mark.parametrize("fault", ["connection_reset", "broken_off", "bad_gzip"])
def test_a_connection_can_break(simulator: OpenAISimulator, fault: str) -> None:
    simulator.fault(KEY, fault)
    with pytest.raises(httpx2.RequestError):
        ask(simulator)


def test_a_body_can_trickle(simulator: OpenAISimulator) -> None:
    simulator.fault(KEY, "trickle", seconds=0.6)
    assert ask(simulator).json() == {}


# -- answers -----------------------------------------------------------------------------------------------------------


def test_only_gpt_6_marks_its_phase(simulator: OpenAISimulator) -> None:
    assert ask(simulator).json()["output"][-1]["phase"] == "final_answer"
    assert "phase" not in ask(simulator, model="gpt-5.2").json()["output"][-1]


def test_thinking_at_medium_takes_hundreds_of_tokens_and_then_the_room(simulator: OpenAISimulator) -> None:
    short = ask(simulator, reasoning={"effort": "medium"}, max_output_tokens=1000).json()
    assert short["status"] == "completed"
    assert 800 <= short["usage"]["output_tokens_details"]["reasoning_tokens"] < 900
    question = "Which of your cakes can I order for Saturday, and do you deliver them to the old town in the morning?"
    stump = ask(simulator, input=question, reasoning={"effort": "medium"}, max_output_tokens=1010).json()
    assert (stump["status"], stump["incomplete_details"]) == ("incomplete", {"reason": "max_output_tokens"})
    assert 0 < len(stump["output"][-1]["content"][0]["text"]) < 40
    nothing = ask(simulator, input=question, max_output_tokens=1000, reasoning={"effort": "high"}).json()
    assert [item["type"] for item in nothing["output"]] == ["reasoning"]
    assert nothing["usage"]["output_tokens"] == 1000
    assert ask(simulator, input=question, max_output_tokens=1000).json()["status"] == "completed"


def test_thinking_can_leave_a_stump(simulator: OpenAISimulator) -> None:
    simulator.fault(KEY, "incomplete_thinking", text="Our opening hours are Monday to Friday from nine to six. " * 9)
    answer = ask(simulator, max_output_tokens=1000).json()
    assert answer["output"][-1]["content"][0]["text"].startswith("Our opening hours")
    usage = answer["usage"]
    assert usage["output_tokens"] == 1000
    assert usage["output_tokens_details"]["reasoning_tokens"] == 950


def test_a_refusal_can_stand_in_the_commentary(simulator: OpenAISimulator) -> None:
    simulator.fault(KEY, "refusal_in_commentary")
    comment, final = ask(simulator).json()["output"]
    assert (comment["phase"], comment["content"][0]["type"]) == ("commentary", "refusal")
    assert (final["phase"], final["content"][0]["type"]) == ("final_answer", "output_text")


def test_compatible_servers_write_bare_strings_and_unknown_items(simulator: OpenAISimulator) -> None:
    simulator.fault(KEY, "bare_strings")
    assert isinstance(ask(simulator).json()["output"][-1]["content"][0], str)
    simulator.fault(KEY, "unknown_items")
    assert [item["type"] for item in ask(simulator).json()["output"]] == ["novelty", "message"]


def test_a_cancelled_stream_only_ends(simulator: OpenAISimulator) -> None:
    simulator.fault(KEY, "status_cancelled")
    assert "response.cancelled" not in ask(simulator, stream=True).text


def test_a_developers_message_at_the_end_is_not_what_the_user_said(simulator: OpenAISimulator) -> None:
    said = [{"role": "user", "content": "Hi"}, {"role": "developer", "content": "It is Monday."}]
    assert 'You said: "Hi"' in ask(simulator, input=said).json()["output"][-1]["content"][0]["text"]


# -- keys --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", FAULTS)
def test_every_fault_has_a_key(name: str) -> None:
    for key in (f"sk-fault-{name.replace('_', '-')}-1234", f"sk-proj-fault-{name}"):
        found = special_fault(key)
        assert found is not None
        assert found[0] is FAULTS[name]


def test_an_unknown_fault_in_a_key_plays_none(simulator: OpenAISimulator) -> None:
    assert ask(simulator, "sk-fault-nonsense-1234").status_code == 200


def test_the_page_explains_keys_faults_and_models(simulator: OpenAISimulator) -> None:
    page = httpx2.get(f"{simulator.origin}/")
    assert page.headers["content-type"].startswith("text/html")
    for word in ("sk-broke…", "sk-fault-request-too-large…", "gpt-6.2-astra", FAULTS["incorrect_hostname"].happens):
        assert word in html.unescape(page.text)
    described = json.loads(httpx2.get(f"{simulator.origin}/control").text)
    assert set(described["faults"]) == set(FAULTS)
