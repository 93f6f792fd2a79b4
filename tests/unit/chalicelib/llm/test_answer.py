"""Whatever a server answers is a text or one of three kinds of error, within the call that asked for it."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chalicelib.errors import ActionRequired, PermanentError, TransientError
from chalicelib.llm.answer import Answer, count_searches, read_answer
from chalicelib.llm.outcomes import Failure, judge_status
from chalicelib.llm.verdict import parse
from chalicelib.model.openai_servers import Server
from tests.unit.support.openai_calls import ASSISTANT

SERVER = Server("global", "https://api.openai.com/v1")
KINDS = (TransientError, ActionRequired, PermanentError)
WORDS = ("output", "status", "error", "message", "content", "text", "type", "code", "param", "usage", "phase", "model")
VALUES = (
    "message",
    "output_text",
    "refusal",
    "incomplete",
    "failed",
    "commentary",
    "invalid_prompt",
    "reasoning.effort",
)
NAMES = st.sampled_from(WORDS) | st.text(max_size=5)
LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | st.sampled_from(VALUES) | st.text(max_size=8)
JSON: st.SearchStrategy[Any] = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(NAMES, inner, max_size=5), max_leaves=25
)


@settings(max_examples=120, deadline=None)
@given(JSON)
def test_any_body_of_a_200_is_an_answer_or_a_failure(body: Any) -> None:
    outcome = read_answer(body, ASSISTANT, SERVER)
    if isinstance(outcome, Failure):
        assert isinstance(outcome.error, KINDS)
    else:
        assert isinstance(outcome, Answer) and isinstance(outcome.text, str)
        assert all(isinstance(tokens, int) and tokens >= 0 for tokens in outcome.tokens)


@settings(max_examples=120, deadline=None)
@given(st.integers(300, 599), st.fixed_dictionaries({"error": JSON}))
def test_any_error_is_one_of_three_kinds(status: int, body: Any) -> None:
    failure = judge_status(status, {}, json.dumps(body).encode(), ASSISTANT, SERVER)
    assert isinstance(failure.error, KINDS)
    if not isinstance(body["error"], dict) or not any(
        body["error"].get(name) for name in ("type", "code", "param", "message")
    ):
        assert isinstance(failure.error, TransientError), "without an error object nobody judged us"


@given(st.binary(max_size=60))
def test_bytes_are_json_or_none(content: bytes) -> None:
    parsed = parse(content)
    assert parsed is None or repr(json.loads(content)) == repr(parsed)


@pytest.mark.parametrize("content", [b"[" * 200_000, b'{"a":' * 200_000, b"\xff\xfe", b"NaN", b""])
def test_a_body_that_cannot_be_read_is_no_verdict(content: bytes) -> None:
    failure = judge_status(400, {}, content, ASSISTANT, SERVER)
    assert isinstance(failure.error, TransientError)


def searched(*kinds: str | None) -> list[dict[str, Any]]:
    return [{"type": "web_search_call", **({"action": {"type": kind}} if kind else {})} for kind in kinds]


@pytest.mark.parametrize(
    ("body", "searches"),
    [
        ({}, 0),
        ({"output": searched("search", "open_page", "find_in_page", "search")}, 2),
        ({"output": searched(None)}, 1),
        ({"output": [{"type": "web_search_call", "action": "search"}, None, "web_search_call"]}, 1),
        ({"output": searched("search"), "tool_usage": {"web_search": {"num_requests": 4}}}, 4),
        ({"output": searched("search"), "tool_usage": {"web_search": {"num_requests": 0}}}, 0),
        ({"output": searched("search"), "tool_usage": {"web_search": {"num_requests": "4"}}}, 1),
        ({"output": searched("search"), "tool_usage": {"web_search": {"num_requests": True}}}, 1),
        ({"output": searched("search"), "tool_usage": {"web_search": None}}, 1),
        ({"output": None, "tool_usage": []}, 0),
        ({"tool_usage": {"web_search": {"num_requests": -3}}}, 0),
    ],
)
def test_only_searches_are_billed_beside_the_tokens(body: dict[str, Any], searches: int) -> None:
    assert count_searches(body) == searches


def test_a_search_of_an_answer_that_failed_is_paid_too() -> None:
    refusal = {"type": "message", "content": [{"type": "refusal", "refusal": "No."}]}
    outcome = read_answer({"output": [*searched("search"), refusal]}, ASSISTANT, SERVER)
    assert isinstance(outcome, Failure) and outcome.error.web_searches == 1
