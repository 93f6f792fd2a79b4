"""A list of models is read whatever a server makes of it, and asked for with a deadline."""

from typing import Any

import httpx2
import pytest

from chalicelib.llm.client import CHECK_TIMEOUT, LlmClient
from chalicelib.llm.model_list import read_models
from chalicelib.model.assistants.models import MAX_MODELS, OfferedModel
from tests.unit.support.openai_calls import ASSISTANT, KEY

LUNA = {"id": "gpt-6-luna", "object": "model", "created": 1, "owned_by": "system", "shutdown_date": None}


@pytest.mark.parametrize("body", [None, [], "models", {}, {"data": None}, {"data": {}}, {"error": {"code": "x"}}])
def test_what_is_no_list_is_unknown(body: Any) -> None:
    assert read_models(body) is None


@pytest.mark.parametrize(
    "data", [[], [None], ["gpt-6-luna"], [{}], [{"id": 7}], [{"id": ""}], [{"id": "a\nb"}], [{"id": "x" * 101}]]
)
def test_an_entry_without_a_name_is_left_out(data: list[Any]) -> None:
    assert read_models({"data": data}) == ()


@pytest.mark.parametrize(
    ("day", "read"), [("2027-01-14", "2027-01-14"), ("2027-01-14T00:00:00Z", "2027-01-14"), ("soon", None), (7, None)]
)
def test_the_end_of_a_model_is_a_day_or_nothing(day: object, read: str | None) -> None:
    assert read_models({"data": [{"id": "gpt-4o", "shutdown_date": day}]}) == (OfferedModel("gpt-4o", read),)


def test_the_models_of_a_key_are_listed_with_that_key_and_a_deadline() -> None:
    asked: list[httpx2.Request] = []

    def answer(request: httpx2.Request) -> httpx2.Response:
        asked.append(request)
        return httpx2.Response(200, json={"object": "list", "data": [LUNA, {**LUNA, "id": "whisper-1"}]})

    llm = LlmClient("https://openai.example/v1", transport=httpx2.MockTransport(answer))
    assert llm.list_models(KEY, ASSISTANT) == (OfferedModel("gpt-6-luna"),)
    (request,) = asked
    assert (request.method, request.url.path) == ("GET", "/v1/models")
    assert request.headers["authorization"] == f"Bearer {KEY}"
    assert request.extensions["timeout"]["read"] <= CHECK_TIMEOUT.total_seconds()


@pytest.mark.parametrize(
    "answer",
    [
        httpx2.Response(401, json={"error": {"code": "missing_scope"}}),
        httpx2.Response(404, text="Not Found"),
        httpx2.Response(200, text="<html>"),
        httpx2.Response(200, text="[" * 100_000),
        httpx2.Response(500),
    ],
)
def test_a_list_that_does_not_come_is_unknown(answer: httpx2.Response) -> None:
    llm = LlmClient("https://openai.example/v1", transport=httpx2.MockTransport(lambda request: answer))
    assert llm.list_models(KEY, ASSISTANT) is None
    assert llm.list_models("not a\nkey", ASSISTANT) is None


def test_a_list_of_thousands_is_cut() -> None:
    body = {"data": [{"id": f"model-{number}"} for number in range(5_000)]}
    models = read_models(body)
    assert models is not None and len(models) == MAX_MODELS
