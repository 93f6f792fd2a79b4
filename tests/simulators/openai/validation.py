"""What OpenAI refuses in a body of `POST /v1/responses`, in its words and its order.

Recorded on the live API: the shape of every parameter first, in a fixed order; then the model; then what the model does
not take.
"""

from collections.abc import Callable, Iterable, Mapping, Set
from typing import Any

from tests.simulators.openai.items import check_input, check_tools
from tests.simulators.openai.models import EFFORTS, VERBOSITIES, Endpoint, Model, Sampling
from tests.simulators.openai.refusals import ApiError, serving_model
from tests.simulators.openai.shapes import (
    array_of,
    check_length,
    check_type,
    fields,
    invalid,
    missing,
    one_of,
    within,
)
from tests.simulators.openai.tokens import input_tokens
from tests.simulators.openai.web_search import check_effort

#: a JSON object
Body = Mapping[str, Any]
Check = Callable[[str, Any], None]

INCLUDE = (
    *("file_search_call.results", "web_search_call.results", "web_search_call.action.sources"),
    *("message.input_image.image_url", "computer_call_output.output.image_url", "code_interpreter_call.outputs"),
    *("reasoning.encrypted_content", "message.output_text.logprobs"),
)
SERVICE_TIERS = ("auto", "default", "fast", "flex", "priority")
FORMATS = ("json_object", "text", "json_schema")
LEAST_OUTPUT_TOKENS = 16
#: How many pairs `metadata` may have.
LARGEST_METADATA = 16


def validate(body: Body, retired: Set[str]) -> Model:
    """Returns the model that answers the body; raises what OpenAI would say about it."""
    if "model" not in body:
        raise missing("model")
    for name in body:
        if name not in PARAMETERS:
            raise ApiError(400, f"Unknown parameter: '{name}'.", param=name, code="unknown_parameter")
    if not body.get("input"):
        raise missing("input")
    for name, check in PARAMETERS.items():
        if body.get(name) is not None:
            check(name, body[name])
    model = serving_model(str(body["model"]), retired, Endpoint.RESPONSES)
    _check_capabilities(body, model)
    for tool in body.get("tools") or []:
        for store in tool.get("vector_store_ids", []):
            if not store.startswith("vs_") or store.startswith("vs_missing"):
                raise ApiError(404, f"Vector store with id '{store}' not found.")
    return model


def _check_capabilities(body: Body, model: Model) -> None:
    """Refuses what the model does not take."""
    effort = (body.get("reasoning") or {}).get("effort")
    if effort is not None and not model.efforts:
        raise _unsupported("reasoning.effort", "unsupported_parameter")
    if effort is not None:
        _check_value("reasoning.effort", effort, model.efforts, str(body["model"]))
        check_effort(body.get("tools"), effort)
    verbosity = (body.get("text") or {}).get("verbosity")
    if verbosity is not None:
        _check_value("text.verbosity", verbosity, model.verbosities, str(body["model"]))
    thinks = (effort or model.default_effort or "none") != "none"
    if model.sampling is Sampling.NEVER or (model.sampling is Sampling.WITHOUT_REASONING and thinks):
        for name in ("temperature", "top_p", "presence_penalty", "frequency_penalty"):
            if body.get(name) is not None:
                raise _unsupported(name, None)
        if body.get("top_logprobs") or "message.output_text.logprobs" in (body.get("include") or ()):
            name = "top_logprobs" if body.get("top_logprobs") else "include"
            message = "logprobs are not supported with reasoning models."
            raise ApiError(400, message, param=name, code="unsupported_parameter")
    limit = body.get("max_output_tokens") or 0
    if limit > model.max_output_tokens:
        raise within("max_output_tokens", limit, most=model.max_output_tokens)
    if body.get("truncation") != "auto" and input_tokens(body) > model.context_tokens:
        message = "Your input exceeds the context window of this model. Please adjust your input and try again."
        raise ApiError(400, message, param="input", code="context_length_exceeded")


def _unsupported(name: str, code: str | None) -> ApiError:
    return ApiError(400, f"Unsupported parameter: '{name}' is not supported with this model.", param=name, code=code)


def _check_value(name: str, value: str, allowed: Iterable[str], model: str) -> None:
    if value not in tuple(allowed):
        message = f"Unsupported value: '{value}' is not supported with the '{model}' model. {one_of(allowed)}"
        raise ApiError(400, message, param=name, code="unsupported_value")


# -- the shape of each parameter ---------------------------------------------------------------------------------------


def _of(expected: str, *types: type) -> Check:
    def check(name: str, value: Any) -> None:
        check_type(name, value, expected, *types)

    return check


def _number(expected: str, least: float | None = None, most: float | None = None) -> Check:
    types = (int,) if expected == "an integer" else (int, float)

    def check(name: str, value: Any) -> None:
        check_type(name, value, expected, *types)
        if (least is not None and value < least) or (most is not None and value > most):
            raise within(name, value, least=least, most=most)

    return check


def _text(longest: int | None = None) -> Check:
    def check(name: str, value: Any) -> None:
        check_type(name, value, "a string", str)
        if longest is not None:
            check_length(name, value, longest)

    return check


def _choice(*allowed: str) -> Check:
    def check(name: str, value: Any) -> None:
        listed = ", ".join(f"'{each}'" for each in allowed[:-1]) + f"{',' * (len(allowed) > 2)} or '{allowed[-1]}'"
        check_type(name, value, f"one of {listed}", str)
        if value not in allowed:
            raise invalid(name, value, allowed)

    return check


def _check_metadata(name: str, value: Any) -> None:
    check_type(name, value, "a metadata object", dict)
    if len(value) > LARGEST_METADATA:
        message = (
            f"Invalid '{name}': too many properties. Expected an object with at most {LARGEST_METADATA} properties, "
            f"but got an object with {len(value)} properties instead."
        )
        raise ApiError(400, message, param=name, code="object_above_max_properties")
    for key, text in value.items():
        check_length(f"{name}.{key}", key, 64)
        check_type(f"{name}.{key}", text, "a string", str)
        check_length(f"{name}.{key}", text, 512)


def _check_include(name: str, value: Any) -> None:
    array_of(name, value, "one of the values that can be included")
    for index, each in enumerate(value):
        if each not in INCLUDE:
            raise invalid(f"{name}[{index}]", each, INCLUDE)


def _check_reasoning(name: str, value: Any) -> None:
    fields(name, value, {"effort", "mode", "summary", "context"})
    for word, allowed in (
        ("effort", EFFORTS),
        ("summary", ("concise", "detailed", "auto")),
        ("context", ("auto", "current_turn", "all_turns")),
    ):
        if value.get(word) is not None:
            _choice(*allowed)(f"{name}.{word}", value[word])


def _check_text(name: str, value: Any) -> None:
    fields(name, value, {"format", "verbosity"})
    if value.get("verbosity") is not None:
        _choice(*VERBOSITIES)(f"{name}.verbosity", value["verbosity"])
    if value.get("format") is not None:
        check_type(f"{name}.format", value["format"], "an object", dict)
        _choice(*FORMATS)(f"{name}.format.type", value["format"].get("type"))


def _check_tool_choice(name: str, value: Any) -> None:
    check_type(name, value, "one of an object or 'none', 'auto', or 'required'", str, dict)
    if isinstance(value, str) and value not in ("none", "auto", "required"):
        raise invalid(name, value, ("none", "auto", "required"))


def _check_previous(name: str, value: Any) -> None:
    check_type(name, value, "a string", str)
    message = f"Previous response with id '{value}' not found."
    raise ApiError(400, message, param=name, code="previous_response_not_found")


def _check_conversation(name: str, value: Any) -> None:
    check_type(name, value, "one of a string or object", str, dict)
    identifier = value if isinstance(value, str) else value.get("id")
    raise ApiError(404, f"Conversation with id '{identifier}' not found.")


def _check_prompt(name: str, value: Any) -> None:
    check_type(name, value, "an object", dict)
    raise ApiError(404, f"Prompt with id '{value.get('id')}' not found.")


_boolean, _object = _of("a boolean", bool), _of("an object", dict)

#: every parameter with the check of its shape, in the order in which OpenAI reports errors
PARAMETERS: Mapping[str, Check] = {
    "model": _text(),
    "input": check_input,
    "include": _check_include,
    "tools": check_tools,
    "metadata": _check_metadata,
    "text": _check_text,
    "temperature": _number("a decimal", 0, 2),
    "top_p": _number("a decimal", 0, 1),
    "presence_penalty": _number("a decimal", -2, 2),
    "frequency_penalty": _number("a decimal", -2, 2),
    "parallel_tool_calls": _boolean,
    "stream": _boolean,
    "stream_options": _object,
    "background": _boolean,
    "background_options": _object,
    "max_output_tokens": _number("an integer", LEAST_OUTPUT_TOKENS),
    "max_tool_calls": _number("an integer", 1),
    "reasoning": _check_reasoning,
    "truncation": _choice("auto", "disabled"),
    "instructions": _text(),
    "user": _text(),
    "safety_identifier": _text(64),
    "prompt_cache_key": _text(64),
    "prompt_cache_options": _object,
    "prompt_cache_retention": _choice("in_memory", "24h"),
    "service_tier": _choice(*SERVICE_TIERS),
    "store": _boolean,
    "tool_choice": _check_tool_choice,
    "top_logprobs": _number("an integer", 0, 20),
    "context_management": lambda name, value: array_of(name, value, "objects"),
    "moderation": _object,
    "image": _object,
    "access_programs": lambda name, value: array_of(name, value, "strings"),
    "previous_response_id": _check_previous,
    "conversation": _check_conversation,
    "prompt": _check_prompt,
}
