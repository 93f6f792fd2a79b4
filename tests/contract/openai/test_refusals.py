"""The simulator refuses what OpenAI refuses, with OpenAI's bodies; each was recorded on the live API unless marked."""

from collections.abc import Iterator
from typing import Any

import httpx2
import pytest

from chalicelib.model.assistant import Assistant, effort_of
from tests.contract.openai.sdk import KEY
from tests.simulators.openai import MODELS, OpenAISimulator
from tests.simulators.openai.models import Endpoint, Sampling

#: none of these may reason, so that sampling is no error
PLAIN = {"model": "gpt-4o", "input": "Hi"}
ANSWERING = sorted(name for name, model in MODELS.items() if model.endpoint is Endpoint.RESPONSES)
EFFORTS = ["none", "minimal", "low", "medium", "high", "xhigh", "max"]


@pytest.fixture(scope="module")
def http() -> Iterator[httpx2.Client]:
    with (
        OpenAISimulator() as simulator,
        httpx2.Client(base_url=simulator.base_url, headers={"Authorization": f"Bearer {KEY}"}) as client,
    ):
        yield client


def refused(http: httpx2.Client, **body: Any) -> tuple[int, dict[str, Any]]:
    """The status and the error of a request; an empty error for an accepted one."""
    answer = http.post("/responses", json={**PLAIN, **body})
    return answer.status_code, answer.json().get("error") or {}


@pytest.mark.parametrize(
    ("body", "param", "expected", "got"),
    [
        ({"max_output_tokens": "many"}, "max_output_tokens", "an integer", "a string"),
        ({"max_output_tokens": True}, "max_output_tokens", "an integer", "a boolean"),
        ({"max_output_tokens": 1.5}, "max_output_tokens", "an integer", "a decimal"),
        ({"temperature": "hot"}, "temperature", "a decimal", "a string"),
        ({"store": "yes"}, "store", "a boolean", "a string"),
        ({"truncation": {"a": 1}}, "truncation", "one of 'auto' or 'disabled'", "an object"),
        ({"reasoning": "low"}, "reasoning", "an object", "a string"),
        ({"metadata": "x"}, "metadata", "a metadata object", "a string"),
        ({"tools": "x"}, "tools", "an array of tools", "a string"),
        ({"input": [7]}, "input[0]", "an input item", "an integer"),
        ({"instructions": {"a": 1}}, "instructions", "a string", "an object"),
    ],
)
def test_a_wrong_type_is_refused_in_openais_words(
    http: httpx2.Client, body: dict[str, Any], param: str, expected: str, got: str
) -> None:
    message = f"Invalid type for '{param}': expected {expected}, but got {got} instead."
    error = {"message": message, "type": "invalid_request_error", "param": param, "code": "invalid_type"}
    assert refused(http, **body) == (400, error)


@pytest.mark.parametrize(
    ("body", "param", "code", "message"),
    [
        (
            {"max_output_tokens": 8},
            "max_output_tokens",
            "integer_below_min_value",
            "Invalid 'max_output_tokens': integer below minimum value. Expected a value >= 16, but got 8 instead.",
        ),
        (
            {"max_output_tokens": 32000},
            "max_output_tokens",
            "integer_above_max_value",
            "Invalid 'max_output_tokens': integer above maximum value. Expected a value <= 16384, but got 32000 "
            "instead.",
        ),
        (
            {"temperature": 7},
            "temperature",
            "decimal_above_max_value",
            "Invalid 'temperature': decimal above maximum value. Expected a value <= 2, but got 7 instead.",
        ),
        (
            {"temperature": -0.5},
            "temperature",
            "decimal_below_min_value",
            "Invalid 'temperature': decimal below minimum value. Expected a value >= 0, but got -0.5 instead.",
        ),
        (
            {"include": ["bogus.thing"]},
            "include[0]",
            "invalid_value",
            "Invalid value: 'bogus.thing'. Supported values are: 'file_search_call.results', "
            "'web_search_call.results', 'web_search_call.action.sources', 'message.input_image.image_url', "
            "'computer_call_output.output.image_url', 'code_interpreter_call.outputs', 'reasoning.encrypted_content', "
            "and 'message.output_text.logprobs'.",
        ),
        (
            {"truncation": "bogus"},
            "truncation",
            "invalid_value",
            "Invalid value: 'bogus'. Supported values are: 'auto' and 'disabled'.",
        ),
        (
            {"service_tier": "bogus"},
            "service_tier",
            "invalid_value",
            "Invalid value: 'bogus'. Supported values are: 'auto', 'default', 'fast', 'flex', and 'priority'.",
        ),
        (
            {"reasoning": {"effort": "banana"}},
            "reasoning.effort",
            "invalid_value",
            "Invalid value: 'banana'. Supported values are: 'none', 'minimal', 'low', 'medium', 'high', 'xhigh', and "
            "'max'.",
        ),
        (
            {"reasoning": {"bogus": 1}},
            "reasoning.bogus",
            "unknown_parameter",
            "Unknown parameter: 'reasoning.bogus'.",
        ),
        (
            {"text": {"verbosity": "loud"}},
            "text.verbosity",
            "invalid_value",
            "Invalid value: 'loud'. Supported values are: 'low', 'medium', and 'high'.",
        ),
        ({"text": {"zzz": 1}}, "text.zzz", "unknown_parameter", "Unknown parameter: 'text.zzz'."),
        ({"nonsense": 1}, "nonsense", "unknown_parameter", "Unknown parameter: 'nonsense'."),
        (
            {"metadata": {f"k{number}": "v" for number in range(17)}},
            "metadata",
            "object_above_max_properties",
            "Invalid 'metadata': too many properties. Expected an object with at most 16 properties, but got an object "
            "with 17 properties instead.",
        ),
        (
            {"tools": [{}]},
            "tools[0].type",
            "missing_required_parameter",
            "Missing required parameter: 'tools[0].type'.",
        ),
        (
            {"tools": [{"type": "function"}]},
            "tools[0].name",
            "missing_required_parameter",
            "Missing required parameter: 'tools[0].name'.",
        ),
        (
            {"tools": [{"type": "web_search", "domains": ["bakery.example"]}]},
            "tools[0].domains",
            "unknown_parameter",
            "Unknown parameter: 'tools[0].domains'.",
        ),
        (
            {"tools": [{"type": "web_search", "filters": {"domains": []}}]},
            "tools[0].filters.domains",
            "unknown_parameter",
            "Unknown parameter: 'tools[0].filters.domains'.",
        ),
        (
            {"tools": [{"type": "web_search", "filters": {"allowed_domains": "bakery.example"}}]},
            "tools[0].filters.allowed_domains",
            "invalid_type",
            "Invalid type for 'tools[0].filters.allowed_domains': expected an array of strings, but got a string "
            "instead.",
        ),
        (
            {"tools": [{"type": "web_search", "filters": {"allowed_domains": ["https://bakery.example/"]}}]},
            "tools[0].filters.allowed_domains",
            "invalid_value",
            "Invalid domain 'https://bakery.example/' in 'tools[0].filters.allowed_domains'.",
        ),
        (
            {"tools": [{"type": "web_search", "filters": {"allowed_domains": ["a.example"] * 101}}]},
            "tools[0].filters.allowed_domains",
            "array_above_max_length",
            "Invalid 'tools[0].filters.allowed_domains': array too long. Expected an array with maximum length 100, "
            "but got an array with length 101 instead.",
        ),
        (
            {"tools": [{"type": "web_search", "search_context_size": "huge"}]},
            "tools[0].search_context_size",
            "invalid_value",
            "Invalid value: 'huge'. Supported values are: 'low', 'medium', and 'high'.",
        ),
        (
            {"tools": [{"type": "web_search", "user_location": {"type": "exact"}}]},
            "tools[0].user_location.type",
            "invalid_value",
            "Invalid value: 'exact'. Supported values are: 'approximate'.",
        ),
        (
            {"tool_choice": "bogus"},
            "tool_choice",
            "invalid_value",
            "Invalid value: 'bogus'. Supported values are: 'none', 'auto', and 'required'.",
        ),
        (
            {"input": [{"role": "robot", "content": "Hi"}]},
            "input[0]",
            "invalid_value",
            "Invalid value: 'robot'. Supported values are: 'assistant', 'system', 'developer', and 'user'.",
        ),
        (
            {"input": [{"role": "user"}]},
            "input[0].content",
            "missing_required_parameter",
            "Missing required parameter: 'input[0].content'.",
        ),
        (
            {"input": [{"role": "user", "content": [{"type": "output_text", "text": "x"}]}]},
            "input[0].content[0]",
            "invalid_value",
            "Invalid value: 'output_text'. Supported values are: 'input_text', 'input_image', 'input_file', and "
            "'input_audio'.",  # inferred: one more is listed there
        ),
        (
            {"previous_response_id": "resp_1"},
            "previous_response_id",
            "previous_response_not_found",
            "Previous response with id 'resp_1' not found.",
        ),
    ],
)
def test_a_wrong_shape_is_refused_in_openais_words(
    http: httpx2.Client, body: dict[str, Any], param: str, code: str, message: str
) -> None:
    error = {"message": message, "type": "invalid_request_error", "param": param, "code": code}
    assert refused(http, **body) == (400, error)


def test_an_unknown_tool_is_refused(http: httpx2.Client) -> None:
    status, error = refused(http, tools=[{"type": "telepathy"}])
    assert (status, error["param"], error["code"]) == (400, "tools[0].type", "invalid_value")
    assert error["message"].startswith("Invalid value: 'telepathy'. Supported values are: 'function', ")


@pytest.mark.parametrize(
    "name", ["temperature", "store", "max_output_tokens", "reasoning", "text", "metadata", "tools"]
)
def test_null_is_no_value(http: httpx2.Client, name: str) -> None:
    assert refused(http, **{name: None}) == (200, {})


@pytest.mark.parametrize("name", ["model", "input"])
def test_a_missing_parameter_is_named(http: httpx2.Client, name: str) -> None:
    answer = http.post("/responses", json={word: value for word, value in PLAIN.items() if word != name})
    assert answer.json()["error"]["message"] == f"Missing required parameter: '{name}'."


@pytest.mark.parametrize("body", [b"{ this is not json", b"[]", b'"text"', b""])
def test_a_body_that_is_no_object_is_not_parsed(http: httpx2.Client, body: bytes) -> None:
    answer = http.post("/responses", content=body, headers={"content-type": "application/json"})
    assert answer.status_code == 400
    assert answer.json()["error"]["message"].startswith("We could not parse the JSON body of your request. (HINT: ")


# -- what the model decides --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("model", ANSWERING)
def test_a_model_takes_its_own_efforts_and_no_other(http: httpx2.Client, model: str) -> None:
    for effort in EFFORTS:
        status, error = refused(http, model=model, reasoning={"effort": effort})
        allowed = MODELS[model].efforts
        if effort in allowed:
            assert status == 200
        elif allowed:
            assert (error["param"], error["code"]) == ("reasoning.effort", "unsupported_value")
            assert error["message"].startswith(
                f"Unsupported value: '{effort}' is not supported with the '{model}' model. Supported values are: '"
            )
        else:
            assert (error["param"], error["code"]) == ("reasoning.effort", "unsupported_parameter")


@pytest.mark.parametrize("model", ANSWERING)
def test_a_model_takes_a_temperature_only_while_it_does_not_reason(http: httpx2.Client, model: str) -> None:
    known = MODELS[model]
    for effort in (None, *known.efforts):
        reasoning = {"reasoning": {"effort": effort}} if effort else {}
        thinks = (effort or known.default_effort or "none") != "none"
        refuses = thinks or known.sampling is Sampling.NEVER
        error = {
            "message": "Unsupported parameter: 'temperature' is not supported with this model.",
            "type": "invalid_request_error",
            "param": "temperature",
            "code": None,
        }
        expected = (400, error) if refuses else (200, {})
        assert refused(http, model=model, temperature=0.5, **reasoning) == expected


@pytest.mark.parametrize(
    ("model", "effort", "supported"),
    [
        ("gpt-5", "none", "'minimal', 'low', 'medium', and 'high'"),
        ("gpt-5-pro", "none", "'high'"),
        ("o3", "none", "'low', 'medium', and 'high'"),
        ("gpt-5.1", "minimal", "'none', 'low', 'medium', and 'high'"),
        ("gpt-5.2-pro", "none", "'medium', 'high', and 'xhigh'"),
        ("gpt-5.6-luna", "minimal", "'none', 'low', 'medium', 'high', 'xhigh', and 'max'"),
        ("gpt-6-astra", "none", "'low', 'medium', 'high', 'xhigh', and 'max'"),
        ("gpt-6.1-sol", "none", "'low', 'medium', 'high', 'xhigh', and 'max'"),
        ("gpt-6.2-sol", "none", "'low', 'medium', 'high', 'xhigh', and 'max'"),
    ],
)
def test_a_refused_effort_names_those_that_the_model_has(
    http: httpx2.Client, model: str, effort: str, supported: str
) -> None:
    message = f"Unsupported value: '{effort}' is not supported with the '{model}' model. Supported values are: "
    assert refused(http, model=model, reasoning={"effort": effort})[1]["message"] == f"{message}{supported}."


@pytest.mark.parametrize("model", ANSWERING)
def test_the_effort_that_we_send_by_ourselves_is_the_least_that_the_model_takes(model: str) -> None:
    assistant = Assistant(version=1, model=model, instructions="Be kind.")
    assert effort_of(assistant) == (MODELS[model].efforts[0] if MODELS[model].efforts else "")


def test_an_old_model_knows_one_verbosity(http: httpx2.Client) -> None:
    status, error = refused(http, model="gpt-4o", text={"verbosity": "low"})
    assert (status, error["param"], error["code"]) == (400, "text.verbosity", "unsupported_value")
    expected = "Unsupported value: 'low' is not supported with the 'gpt-4o' model. Supported values are: 'medium'."
    assert error["message"] == expected
    assert refused(http, model="gpt-6-luna", text={"verbosity": "low"}) == (200, {})


@pytest.mark.parametrize("model", ["whisper-1", "gpt-transcribe", "omni-moderation-latest", "gpt-audio-mini"])
def test_a_model_of_another_endpoint_is_refused(http: httpx2.Client, model: str) -> None:
    message = f"The requested model '{model}' is not supported with the Responses API."
    status, error = refused(http, model=model)
    assert (status, error["message"], error["code"]) == (400, message, "model_not_found")


def test_an_unknown_model_is_refused_in_the_words_of_the_responses_api(http: httpx2.Client) -> None:
    message = "The model `gpt-nope` does not exist or you do not have access to it."
    error = {"message": message, "type": "invalid_request_error", "param": None, "code": "model_not_found"}
    assert refused(http, model="gpt-nope") == (404, error)


def test_a_dated_snapshot_allows_what_its_model_allows(http: httpx2.Client) -> None:
    assert refused(http, model="gpt-5.2-2025-12-11", reasoning={"effort": "none"}) == (200, {})
    assert refused(http, model="gpt-5.2-2025-12-11", reasoning={"effort": "max"})[0] == 400


def test_an_input_beyond_the_context_is_refused_unless_it_may_be_truncated(http: httpx2.Client) -> None:
    long = "word " * 120_000
    assert refused(http, input=long)[1]["code"] == "context_length_exceeded"
    assert refused(http, input=long, truncation="auto") == (200, {})
    assert refused(http, model="gpt-6-luna", input=long) == (200, {})


def test_shapes_come_before_what_the_model_decides(http: httpx2.Client) -> None:
    wanted = {"model": "gpt-6-astra", "temperature": 0.5, "text": {"verbosity": "loud"}}
    assert refused(http, **wanted)[1]["param"] == "text.verbosity"
    assert refused(http, **wanted, zzz=1)[1]["param"] == "zzz"
