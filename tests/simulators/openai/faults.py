"""Every way the simulator can fail: a name, what happens, and OpenAI's exact error body.

Sources: the recorded bodies and the error table of OpenAI's own SDK sessions and documentation as of
November 2026. Wordings that nobody has recorded are marked `inferred`; their status, type and code are not.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum


class Reach(Enum):
    """Which calls a fault spoils."""

    #: every call with the key
    EVERYTHING = "everything"
    #: only what OpenAI bills: responses and transcriptions
    BILLED = "billed"
    #: only `POST /v1/responses`
    RESPONSES = "responses"


@dataclass(frozen=True)
class Fault:
    """One way to fail.

    A fault with a `status` is an HTTP error with this body; one without is a behaviour that
    `simulator.py` knows by name. `{key}` and `{model}` in the message are filled in.
    """

    name: str
    happens: str
    reach: Reach = Reach.EVERYTHING
    status: int | None = None
    message: str = ""
    type: str = "invalid_request_error"
    param: str | None = None
    code: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)


QUOTA_MESSAGE = (
    "You exceeded your current quota, please check your plan and billing details. For more information on "
    "this error, read the docs: https://platform.openai.com/docs/guides/error-codes/api-errors."
)
SERVER_ERROR_MESSAGE = (
    "The server had an error while processing your request. Sorry about that! You can retry your request, or "
    "contact us through our help center at help.openai.com if the error persists."
)

_DENIED = (
    Fault(
        "invalid_api_key",
        "the key is wrong or was revoked",
        status=401,
        message="Incorrect API key provided: {key}. You can find your API key at "
        "https://platform.openai.com/account/api-keys.",
        code="invalid_api_key",
    ),
    Fault(
        "missing_scopes",
        "a restricted key may not write responses",
        status=401,
        message="You have insufficient permissions for this operation. Missing scopes: api.responses.write. "
        "Check that you have the correct role in your organization (Reader, Writer, Owner) and project "
        "(Member, Owner), and if you're using a restricted API key, that it has the necessary scopes.",
        code="missing_scope",
    ),
    Fault(
        "ip_not_authorized",
        "the organisation allows only other addresses",
        status=401,
        message="Your IP address is not authorized to access this organization.",  # inferred
        code="ip_not_authorized",
    ),
    Fault(
        "unsupported_country",
        "OpenAI does not serve this country",
        status=403,
        message="Country, region, or territory not supported",
        type="request_forbidden",
        code="unsupported_country_region_territory",
    ),
    Fault(
        "model_access_denied",
        "the key's project may not use the model",
        reach=Reach.BILLED,
        status=403,
        message="Project `proj_simulated` does not have access to model `{model}`",
        code="model_not_found",
    ),
    Fault(
        "model_not_found",
        "the model is unknown or was retired",
        status=404,
        message="The model '{model}' does not exist",
        param="model",
        code="model_not_found",
    ),
    Fault(
        "vector_store_not_found",
        "a vector store of the request is gone",
        reach=Reach.RESPONSES,
        status=404,
        message="Vector store with id 'vs_missing' not found.",
    ),
)

_BAD_REQUESTS = (
    Fault(
        "conversation_locked",
        "another call works on the same conversation",
        reach=Reach.RESPONSES,
        status=400,
        message="Another process is currently operating on this conversation. Please retry in a few seconds.",
        param="conversation",
        code="conversation_locked",
    ),
    Fault(
        "context_length_exceeded",
        "the history is too long for the model",
        reach=Reach.RESPONSES,
        status=400,
        message="Your input exceeds the context window of this model. Please adjust your input and try again.",
        param="input",
        code="context_length_exceeded",
    ),
    Fault(
        "unsupported_value",
        "the model does not take this value",
        reach=Reach.RESPONSES,
        status=400,
        message="Unsupported value: 'none' is not supported with the '{model}' model.",
        param="reasoning.effort",
        code="unsupported_value",
    ),
    Fault(
        "unsupported_parameter",
        "the model does not take this parameter",
        reach=Reach.RESPONSES,
        status=400,
        message="Unsupported parameter: 'temperature' is not supported with this model.",
        param="temperature",
        code="unsupported_parameter",
    ),
    Fault(
        "invalid_image",
        "an image cannot be read",
        reach=Reach.RESPONSES,
        status=400,
        message="The image data you provided does not represent a valid image.",  # inferred
        param="input",
        code="invalid_image",
    ),
    Fault(
        "invalid_prompt",
        "the safety system rejects the input",
        reach=Reach.RESPONSES,
        status=400,
        message="Invalid prompt: your prompt was flagged as potentially violating our usage policy. Please "
        "try again with a different prompt.",
        code="invalid_prompt",
    ),
    Fault("conflict", "409, to be tried again", status=409, message="Conflict. Please retry."),  # inferred
    Fault("unprocessable", "422", status=422, message="The request could not be processed."),  # inferred
)


def _money(code: str, happens: str, message: str) -> Fault:
    return Fault(
        code,
        happens,
        reach=Reach.BILLED,
        status=429,
        message=message,
        type="insufficient_quota",
        code=code,
    )


_MONEY = (
    _money("insufficient_quota", "no credit", QUOTA_MESSAGE),
    _money(
        "credit_balance_exhausted", "the prepaid credit is used up", "Your credit balance is exhausted."
    ),  # wording inferred, as for the three below
    _money(
        "organization_spend_limit_exceeded",
        "the organisation's own spend limit is reached",
        "Your organization has reached its spend limit.",
    ),
    _money(
        "project_spend_limit_exceeded",
        "the project's spend limit is reached",
        "Your project has reached its spend limit.",
    ),
    _money(
        "organization_usage_limit_exceeded",
        "OpenAI's usage limit for the organisation is reached",
        "Your organization has reached its usage limit.",
    ),
)

_TRY_AGAIN = (
    Fault(
        "rate_limit_requests",
        "too many requests a minute",
        reach=Reach.BILLED,
        status=429,
        message="Rate limit reached for {model} in organization org-simulated on requests per min (RPM): "
        "Limit 500, Used 500, Requested 1. Please try again in 1s.",
        type="requests",
        code="rate_limit_exceeded",
        headers={"retry-after": "1"},
    ),
    Fault(
        "rate_limit_tokens",
        "too many tokens a minute",
        reach=Reach.BILLED,
        status=429,
        message="Rate limit reached for {model} in organization org-simulated on tokens per min (TPM): "
        "Limit 200000, Used 200000, Requested 10. Please try again in 1s.",
        type="tokens",
        code="rate_limit_exceeded",
        headers={"retry-after": "1"},
    ),
    Fault(
        "slow_down",
        "traffic grew too fast",
        reach=Reach.BILLED,
        status=429,
        message="Please reduce your request rate and increase it gradually.",  # inferred
        type="requests",
        code="slow_down",
        headers={"retry-after": "1"},
    ),
    Fault("server_error", "500", status=500, message=SERVER_ERROR_MESSAGE, type="server_error"),  # inferred
    Fault(
        "server_is_overloaded",
        "503",
        status=503,
        message="Our servers are currently overloaded. Please try again later.",
        type="service_unavailable_error",
        code="server_is_overloaded",
    ),
)

_CONNECTION = (
    Fault("bad_gateway", "502 with an HTML page, as from a proxy in between"),
    Fault("not_json", "200 with a body that is not JSON"),
    Fault("connection_reset", "the connection is reset before any answer"),
    Fault("hang", "no answer for `seconds` (default 600), then the usual answer"),
    Fault("delay", "the usual answer after `delay_ms` (default 1000)"),
)

_ANSWERS = (
    Fault("status_failed", "200, status failed, error.code = `code` (default server_error)", Reach.RESPONSES),
    Fault("status_cancelled", "200, status cancelled", Reach.RESPONSES),
    Fault("incomplete_max_output_tokens", "200, the text stops in the middle", Reach.RESPONSES),
    Fault("incomplete_empty", "200, all output tokens went into reasoning: no text", Reach.RESPONSES),
    Fault("incomplete_content_filter", "200, the text was cut by the content filter", Reach.RESPONSES),
    Fault("empty_text", "200, completed, the text is empty", Reach.RESPONSES),
    Fault("refusal", "200, completed, the content is a refusal", Reach.RESPONSES),
    Fault("commentary", '200, a message of phase "commentary" before the answer', Reach.RESPONSES),
    Fault("only_commentary", '200, nothing but a message of phase "commentary"', Reach.RESPONSES),
    Fault("citation_markers", "200, the text carries legacy citation markers", Reach.RESPONSES),
    Fault("say", "200, the text is `text`", Reach.RESPONSES),
    Fault("markdown", "200, the text is full of Markdown", Reach.RESPONSES),
    Fault("essay", "200, the text is about 10,000 characters long", Reach.RESPONSES),
    Fault("truncated_stream", "a stream that ends without its last event", Reach.RESPONSES),
    Fault("stream_error", "a stream that ends with an `error` event", Reach.RESPONSES),
)

#: every fault by its name
FAULTS: Mapping[str, Fault] = {
    fault.name: fault for fault in (*_DENIED, *_BAD_REQUESTS, *_MONEY, *_TRY_AGAIN, *_CONNECTION, *_ANSWERS)
}

#: how a key begins (after `sk-` or `sk-proj-`) → the fault it always has, and its options; first match wins
SPECIAL_KEYS: Mapping[str, tuple[str, Mapping[str, object]]] = {
    "wrong": ("invalid_api_key", {}),
    "scopes": ("missing_scopes", {}),
    "banned": ("unsupported_country", {}),
    "noaccess": ("model_access_denied", {}),
    "broken": ("server_error", {}),
    "broke": ("insufficient_quota", {}),
    "limited": ("rate_limit_requests", {}),
    "down": ("server_is_overloaded", {}),
    "reset": ("connection_reset", {}),
    "hang": ("hang", {}),
    "slow": ("delay", {"delay_ms": 5000}),
    "refuse": ("refusal", {}),
    "filter": ("incomplete_content_filter", {}),
    "empty": ("empty_text", {}),
    "markdown": ("markdown", {}),
    "essay": ("essay", {}),
}


def special_fault(key: str) -> tuple[Fault, Mapping[str, object]] | None:
    """The fault that `key` always has because of how it begins, with its options."""
    rest = key.removeprefix("sk-").removeprefix("proj-")
    for beginning, (name, options) in SPECIAL_KEYS.items():
        if rest.startswith(beginning):
            return FAULTS[name], options
    return None
