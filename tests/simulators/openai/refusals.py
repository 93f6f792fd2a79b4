"""OpenAI's form of an error, and how a fault fills it in."""

from collections.abc import Mapping, Set
from typing import Any

from tests.simulators.openai import models
from tests.simulators.openai.errors import ERRORS
from tests.simulators.openai.fault import Fault
from tests.simulators.openai.models import Endpoint, Model

_ERRORS = {fault.name: fault for fault in ERRORS}


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
        beside: Mapping[str, object] | None = None,
    ) -> None:
        super().__init__(message)
        self.status, self.headers = status, dict(headers or {})
        self.body = {"error": {"message": message, "type": type, "param": param, "code": code}, **(beside or {})}


def refusal(fault: Fault, key: str, model: str, options: Mapping[str, Any]) -> ApiError:
    """The HTTP error of a fault, changed by its options, with the key masked as OpenAI masks it."""
    headers = dict(fault.headers)
    if "retry_after" in options:
        headers.pop("retry-after", None)
        headers |= {} if options["retry_after"] is None else {"retry-after": str(options["retry_after"])}
    region = str(options.get("region", "eu"))
    message = str(options.get("message") or fault.message)
    for name, value in (
        ("key", f"{key[:8]}***{key[-4:]}"),
        ("model", model or "unknown"),
        ("region", f"{region}." if region else ""),
    ):
        message = message.replace(f"{{{name}}}", value)
    return ApiError(
        int(options.get("status") or fault.status or 500),
        message,
        code=options.get("code", fault.code),
        param=options.get("param", fault.param),
        type=str(options.get("type", fault.type)),
        headers=headers,
        beside=fault.beside,
    )


def living_model(name: str, retired: Set[str]) -> Model:
    """The model of that name; raises `ApiError` as `GET /v1/models/NAME` does."""
    model = models.find(name)
    if model is None or model.name in retired or name in retired:
        raise ApiError(404, f"The model '{name}' does not exist", param="model", code="model_not_found")
    return model


def serving_model(name: str, retired: Set[str], endpoint: Endpoint) -> Model:
    """The model of that name at an endpoint; raises `ApiError` as the endpoints do."""
    model = models.find(name)
    if models.was_retired(name) or name in retired or (model and model.name in retired):
        raise refusal(_ERRORS["model_retired"], "", name, {})
    if model is None:
        raise refusal(_ERRORS["model_not_found"], "", name, {})
    if model.endpoint is not endpoint:
        where = "Responses API" if endpoint is Endpoint.RESPONSES else "transcriptions endpoint"
        message = f"The requested model '{name}' is not supported with the {where}."
        raise ApiError(400, message, param="model", code="model_not_found")
    return model
