"""What OpenAI refuses, and in which words."""

import re
from collections.abc import Mapping, Set
from typing import Any

from tests.simulators.openai import catalogue
from tests.simulators.openai.answers import Body
from tests.simulators.openai.faults import Fault

LEAST_OUTPUT_TOKENS = 16

KNOWN_PARAMETERS = frozenset(
    {
        "input",
        "model",
        "instructions",
        "conversation",
        "previous_response_id",
        "prompt",
        "tools",
        "tool_choice",
        "parallel_tool_calls",
        "max_output_tokens",
        "max_tool_calls",
        "metadata",
        "store",
        "background",
        "background_options",
        "stream",
        "stream_options",
        "context_management",
        "truncation",
        "reasoning",
        "text",
        "temperature",
        "top_p",
        "top_logprobs",
        "include",
        "safety_identifier",
        "prompt_cache_key",
        "prompt_cache_options",
        "prompt_cache_retention",
        "service_tier",
        "moderation",
        "image",
        "access_programs",
        "user",
    }
)


class ApiError(Exception):
    """An HTTP error in OpenAI's form."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        code: str | None = None,
        param: str | None = None,
        type: str = "invalid_request_error",
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status, self.headers = status, dict(headers or {})
        self.body = {"error": {"message": message, "type": type, "param": param, "code": code}}


def refusal(fault: Fault, key: str, body: Body, options: Mapping[str, Any]) -> ApiError:
    """The HTTP error of a fault, with the key masked as OpenAI masks it."""
    model = str(body.get("model", "unknown"))
    message = str(options.get("message") or fault.message)
    headers = dict(fault.headers)
    if "retry_after" in options:
        headers["retry-after"] = str(options["retry_after"])
    masked = f"{key[:8]}***{key[-4:]}"
    return ApiError(
        fault.status or 500,
        message.replace("{key}", masked).replace("{model}", model),
        code=fault.code,
        param=fault.param,
        type=fault.type,
        headers=headers,
    )


def validate(body: Body, retired: Set[str]) -> None:
    """Raises what OpenAI would say about a body of `POST /v1/responses`."""
    if not body:
        raise ApiError(400, "We could not parse the JSON body of your request.")
    for name in body:
        if name not in KNOWN_PARAMETERS:
            raise ApiError(400, f"Unknown parameter: '{name}'.", param=name, code="unknown_parameter")
    for name in ("model", "input"):
        if not body.get(name):
            raise ApiError(
                400,
                f"Missing required parameter: '{name}'.",
                param=name,
                code="missing_required_parameter",
            )
    validate_model(str(body["model"]), retired)
    limit = body.get("max_output_tokens")
    if limit is not None and limit < LEAST_OUTPUT_TOKENS:
        raise ApiError(
            400,
            f"Invalid 'max_output_tokens': integer below minimum value. Expected a value >= "
            f"{LEAST_OUTPUT_TOKENS}, but got {limit} instead.",
            param="max_output_tokens",
            code="integer_below_min_value",
        )
    _validate_lengths(body)
    if catalogue.STRICT_MODELS.match(str(body["model"])):
        _validate_strict_model(body)
    for tool in body.get("tools") or []:
        for store in tool.get("vector_store_ids", []):
            if not store.startswith("vs_") or store.startswith("vs_missing"):
                raise ApiError(404, f"Vector store with id '{store}' not found.")


def validate_model(model: str, retired: Set[str]) -> None:
    """Raises `model_not_found` for a model that OpenAI does not know, or no longer."""
    name = catalogue.known(model)
    if name is None or name in retired or model in retired:
        raise ApiError(404, f"The model '{model}' does not exist", param="model", code="model_not_found")


def _validate_lengths(body: Body) -> None:
    for name, most in (("safety_identifier", 128), ("prompt_cache_key", 64)):
        if len(str(body.get(name) or "")) > most:
            raise ApiError(
                400,
                f"Invalid '{name}': string too long. Expected a string with maximum length {most}.",
                param=name,
                code="string_above_max_length",
            )
    metadata = body.get("metadata") or {}
    if len(metadata) > 16 or any(
        len(word) > 64 or not isinstance(value, str) or len(value) > 512 for word, value in metadata.items()
    ):
        raise ApiError(
            400, "Invalid 'metadata'.", param="metadata", code="invalid_value"
        )  # wording inferred; the limits are documented
    if not re.fullmatch("auto|disabled", str(body.get("truncation") or "disabled")):
        raise ApiError(400, "Invalid value for 'truncation'.", param="truncation", code="invalid_value")


def _validate_strict_model(body: Body) -> None:
    for name in ("temperature", "top_p", "top_logprobs"):
        if body.get(name) is not None:
            raise ApiError(
                400,
                f"Unsupported parameter: '{name}' is not supported with this model.",
                param=name,
                code="unsupported_parameter",
            )
    if (body.get("reasoning") or {}).get("effort") == "none":
        raise ApiError(
            400,
            f"Unsupported value: 'none' is not supported with the '{body['model']}' model.",
            param="reasoning.effort",
            code="unsupported_value",
        )
