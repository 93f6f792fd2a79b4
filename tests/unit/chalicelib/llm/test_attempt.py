"""A refused request is changed before a person must change something: its history, its effort, its room."""

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import httpx2
import pytest

from chalicelib.errors import ActionRequired, PermanentError, TimedOut, TransientError
from chalicelib.llm.client import LlmClient
from chalicelib.model import Assistant, ChatLine
from chalicelib.model.assistant import EFFORTS, NO_EFFORT, effort_of, replacement_effort, with_effort
from tests.simulators.openai import OpenAISimulator
from tests.unit.support.openai_calls import ASSISTANT, KEY, answering, ask, response_body
from wire import ProblemCode

AUTOMATIC = replace(ASSISTANT, reasoning_effort=None)
CHAT = (*(ChatLine(role, "x" * 100) for _ in range(20) for role in ("user", "assistant")), ChatLine("user", "Open?"))
TOO_LARGE = (
    "Request too large for gpt-6-luna in organization org-1 on tokens per min (TPM): Limit 30000, Requested 36278. The "
    "input or output tokens must be reduced in order to run successfully."
)


class Network:
    """A server that refuses what ``refuse`` refuses, with OpenAI's error object; it keeps what it was asked."""

    def __init__(self, refuse: Callable[[dict[str, Any]], tuple[int, dict[str, Any]] | None]) -> None:
        self.bodies: list[dict[str, Any]] = []
        self.refuse = refuse
        self.found: list[tuple[str, str]] = []
        self.llm = LlmClient(
            "https://openai.example/v1",
            transport=httpx2.MockTransport(self.answer),
            effort_found=lambda tenant, assistant, effort: self.found.append((tenant, effort)),
        )

    def answer(self, request: httpx2.Request) -> httpx2.Response:
        self.bodies.append(json.loads(request.content))
        refused = self.refuse(self.bodies[-1])
        if refused is None:
            return httpx2.Response(200, json=response_body())
        return httpx2.Response(refused[0], json={"error": refused[1]})

    @property
    def efforts(self) -> list[str]:
        return [body.get("reasoning", {}).get("effort", NO_EFFORT) for body in self.bodies]


def taking(*efforts: str, listed: bool = True) -> Network:
    """A model that takes these efforts, and says so or not; without any it has no such parameter."""

    def refuse(body: dict[str, Any]) -> tuple[int, dict[str, Any]] | None:
        effort = body.get("reasoning", {}).get("effort")
        if effort is None or effort in efforts:
            return None
        message = f"Unsupported value: '{effort}' is not supported with the '{body['model']}' model."
        if efforts and listed:
            message += " Supported values are: " + ", ".join(f"'{each}'" for each in efforts) + "."
        code = "unsupported_value" if efforts else "unsupported_parameter"
        return 400, {"message": message, "type": "invalid_request_error", "param": "reasoning.effort", "code": code}

    return Network(refuse)


def shorter_than(messages: int, status: int, **error: Any) -> Network:
    body = {"type": "invalid_request_error", "param": None, "code": None, **error}
    return Network(lambda request: (status, body) if len(request["input"]) > messages else None)


# --- effort -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("model", "effort"),
    [
        ("gpt-6-luna", "none"),
        ("gpt-6.1-terra", "none"),
        ("gpt-5.2-2025-12-11", "none"),
        ("gpt-5-mini", "minimal"),
        ("gpt-5", "minimal"),
        ("o3", "low"),
        ("gpt-6-astra", "low"),
        ("gpt-6.1-sol", "low"),
        ("gpt-4o", NO_EFFORT),
        ("gpt-4.1-mini-2025-04-14", NO_EFFORT),
        ("ft:gpt-4o-mini:bakery::9aB", NO_EFFORT),
        ("never-heard-of", "none"),
    ],
)
def test_the_least_effort_is_sent_unless_the_model_has_none(model: str, effort: str) -> None:
    assert effort_of(replace(AUTOMATIC, model=model)) == effort


def test_an_effort_is_never_sent_to_a_model_without_one_even_if_it_was_chosen() -> None:
    assert effort_of(Assistant(1, "gpt-4o", "Be kind.", reasoning_effort="high")) == NO_EFFORT


@pytest.mark.parametrize("listed", [True, False])
def test_a_reply_finds_an_effort_that_the_model_takes_and_hands_it_on(listed: bool) -> None:
    network = taking("low", "medium", "high", listed=listed)
    assert ask(network.llm, assistant=replace(AUTOMATIC, model="gpt-9")).text == "Hello."
    assert network.efforts == (["none", "low"] if listed else ["none", "minimal", "low"])
    assert network.found == [("bakery0001", "low")]


def test_a_model_without_the_parameter_gets_none() -> None:
    network = taking()
    assert ask(network.llm, assistant=replace(AUTOMATIC, model="gpt-9")).text == "Hello."
    assert network.efforts == ["none", NO_EFFORT]
    assert network.found == [("bakery0001", NO_EFFORT)]


def test_a_model_that_takes_no_effort_that_we_know_is_asked_without_one() -> None:
    network = taking("galactic", listed=False)
    assert ask(network.llm, assistant=AUTOMATIC).text == "Hello."
    assert network.efforts == ["none", "minimal", "low", "medium", NO_EFFORT]


def test_an_effort_that_was_found_is_sent_at_once() -> None:
    network = taking("low", "high")
    ask(network.llm, assistant=with_effort(AUTOMATIC, "low"))
    assert (network.efforts, network.found) == (["low"], [])


def test_an_effort_that_an_operator_chose_is_not_changed_by_a_reply() -> None:
    network = taking("low", "medium")
    with pytest.raises(ActionRequired, match=r"reasoning\.effort") as caught:
        ask(network.llm, assistant=replace(ASSISTANT, reasoning_effort="minimal"))
    assert caught.value.problem is ProblemCode.ASSISTANT_REFUSED
    assert network.efforts == ["minimal"]


@pytest.mark.parametrize(
    ("chosen", "taken", "found"),
    [
        (None, ("low", "high"), "low"),
        ("minimal", ("low", "high"), "low"),
        ("high", ("none", "low"), "low"),
        ("none", ("none",), None),
        (None, (), NO_EFFORT),
    ],
)
def test_a_check_replaces_an_effort_by_the_nearest_that_is_taken(
    chosen: str | None, taken: tuple[str, ...], found: str | None
) -> None:
    network = taking(*taken)
    checked = network.llm.check(KEY, replace(ASSISTANT, reasoning_effort=chosen))
    assert checked.ok
    assert checked.effort == found


def test_an_effort_that_was_found_is_kept_apart_from_the_operators_choice() -> None:
    assert with_effort(AUTOMATIC, "low") == replace(AUTOMATIC, found_effort="low")
    assert with_effort(ASSISTANT, "low") == replace(ASSISTANT, reasoning_effort="low")
    assert effort_of(with_effort(ASSISTANT, NO_EFFORT)) == NO_EFFORT


def test_each_model_of_openai_is_answered_with_the_least_effort(llm: LlmClient, simulator: OpenAISimulator) -> None:
    for model in ("gpt-6-luna", "gpt-6.2-sol", "gpt-5.5-pro", "gpt-5-pro", "gpt-5", "o3", "gpt-4o", "gpt-4.1-mini"):
        simulator.requests.clear()
        assert ask(llm, assistant=replace(AUTOMATIC, model=model, max_output_tokens=16_000)).text
        assert len(simulator.requests) == 1, model


def test_every_refused_effort_leads_to_one_that_was_not_tried() -> None:
    for refused in EFFORTS:
        tried = [refused]
        while (effort := replacement_effort(tried[-1], (), tried)) != NO_EFFORT:
            assert effort not in tried
            tried.append(effort)


# --- size -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (429, {"message": TOO_LARGE, "type": "tokens", "code": "rate_limit_exceeded"}),
        (413, {"message": "Request too large for model `x`: tokens per minute: Limit 6000, Requested 7000"}),
        (
            429,
            {
                "message": "Rate limit reached on tokens per min: Limit 30,000, Used 0, Requested 36,278.",
                "type": "tokens",
            },
        ),
        (400, {"message": "Too long.", "param": "input", "code": "context_length_exceeded"}),
        (
            400,
            {"message": "This model's maximum context length is 4096 tokens.", "type": "BadRequestError", "code": 400},
        ),
    ],
)
def test_a_request_that_is_too_large_is_sent_again_with_fewer_lines(status: int, error: dict[str, Any]) -> None:
    network = shorter_than(12, status, **error)
    assert ask(network.llm, said=CHAT).text == "Hello."
    assert [len(body["input"]) for body in network.bodies] == [41, 21, 11]
    assert {body["input"][-1]["content"] for body in network.bodies} == {"Open?"}


def test_an_account_whose_limit_is_too_small_for_one_message_needs_a_person() -> None:
    network = shorter_than(0, 429, message=TOO_LARGE, type="tokens", code="rate_limit_exceeded")
    with pytest.raises(ActionRequired, match=r"limit of 30000 .* usage tier") as caught:
        ask(network.llm, said=CHAT)
    assert caught.value.problem is ProblemCode.ASSISTANT_REFUSED
    assert [len(body["input"]) for body in network.bodies] == [41, 21, 11, 1]


def test_words_that_no_model_can_read_are_given_up() -> None:
    network = shorter_than(0, 400, message="Too long.", param="input", code="context_length_exceeded")
    with pytest.raises(PermanentError) as caught:
        ask(network.llm, said=CHAT)
    assert caught.value.reason == "context_length_exceeded"


def test_a_limit_that_others_used_up_is_waited_for() -> None:
    message = (
        "Rate limit reached for x on tokens per min (TPM): Limit 30000, Used 29000, Requested 2000. Please try again."
    )
    network = shorter_than(0, 429, message=message, type="tokens", code="rate_limit_exceeded")
    with pytest.raises(TransientError):
        ask(network.llm, said=CHAT)
    assert len(network.bodies) == 1


# --- room -------------------------------------------------------------------------------------------------------------


def cut_off(reasoning: int, output: int = 1_000, text: str = "Our opening hours are Mon") -> dict[str, Any]:
    content = [{"type": "output_text", "annotations": [], "text": text}]
    message = {"id": "msg_1", "type": "message", "status": "incomplete", "role": "assistant", "content": content}
    usage = {"input_tokens": 30, "output_tokens": output, "output_tokens_details": {"reasoning_tokens": reasoning}}
    details = {"reason": "max_output_tokens"}
    return response_body(status="incomplete", incomplete_details=details, output=[message], usage=usage)


@pytest.mark.parametrize(("reasoning", "output"), [(950, 1_000), (832, 921), (500, 1_000), (300, 1_000)])
def test_a_stump_that_thinking_left_is_never_sent_and_asked_for_again_with_more_room(
    reasoning: int, output: int
) -> None:
    limits: list[int] = []

    def answer(request: httpx2.Request) -> httpx2.Response:
        limits.append(json.loads(request.content)["max_output_tokens"])
        return httpx2.Response(200, json=cut_off(reasoning, output) if len(limits) == 1 else response_body())

    reply = ask(answering(answer))
    assert (reply.text, limits) == ("Hello.", [1_000, 4_000])
    assert reply.output_tokens == output


def test_a_long_answer_that_was_cut_is_sent_with_an_ellipsis() -> None:
    for reasoning in (0, 64, 200):
        assert ask(answering(lambda _, r=reasoning: httpx2.Response(200, json=cut_off(r)))).text.endswith("Mon …")  # type: ignore[misc]


def test_a_model_that_thinks_until_no_room_is_left_twice_is_given_up_and_its_tokens_count() -> None:
    with pytest.raises(PermanentError) as caught:
        ask(answering(lambda _: httpx2.Response(200, json=cut_off(950))))
    assert (caught.value.reason, caught.value.tokens) == ("empty", (60, 2_000))


# --- what was paid and never came -------------------------------------------------------------------------------------


def failing(error: type[Exception]) -> LlmClient:
    def answer(request: httpx2.Request) -> httpx2.Response:
        raise error("x")

    return answering(answer)


def test_an_answer_that_takes_too_long_counts_as_paid_to_its_limit() -> None:
    with pytest.raises(TimedOut) as caught:
        ask(failing(httpx2.ReadTimeout))
    read, written = caught.value.tokens
    assert 5 < read < 50
    assert written == ASSISTANT.max_output_tokens


@pytest.mark.parametrize("error", [httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout, httpx2.ReadError])
def test_a_connection_that_failed_is_no_timeout_and_costs_nothing(error: type[Exception]) -> None:
    with pytest.raises(TransientError) as caught:
        ask(failing(error))
    assert not isinstance(caught.value, TimedOut)
    assert caught.value.tokens == (0, 0)


@pytest.mark.parametrize("fault", ["truncated_body", "broken_off"])
def test_an_answer_that_was_lost_on_its_way_counts_as_paid(
    llm: LlmClient, simulator: OpenAISimulator, fault: str
) -> None:
    simulator.fault(KEY, fault)
    with pytest.raises(TransientError) as caught:
        ask(llm)
    assert caught.value.tokens[1] == ASSISTANT.max_output_tokens
