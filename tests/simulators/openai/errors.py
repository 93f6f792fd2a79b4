"""OpenAI's errors about a request or a moment, and `ERRORS`, all of them.

Sources: recorded bodies in public repositories and issues, OpenAI's page of error codes, and its SDK sessions, as of
November 2026. A wording that nobody recorded is marked `inferred`; its status, type and code are not.
"""

from tests.simulators.openai.denials import DENIED, MODEL, MONEY
from tests.simulators.openai.fault import Fault, Reach

SERVER_ERROR_MESSAGE = (
    "The server had an error while processing your request. Sorry about that! You can retry your request, or "
    "contact us through our help center at help.openai.com if the error persists."
)

#: of the request
REFUSED = (
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
        message="Unsupported value: 'none' is not supported with the '{model}' model. Supported values are: 'low', "
        "'medium', 'high', 'xhigh', and 'max'.",
        param="reasoning.effort",
        code="unsupported_value",
    ),
    Fault(
        "unsupported_parameter",
        "the model does not take this parameter",
        reach=Reach.RESPONSES,
        status=400,
        message="Unsupported parameter: 'reasoning.effort' is not supported with this model.",
        param="reasoning.effort",
        code="unsupported_parameter",
    ),
    Fault(
        "temperature_not_supported",
        "the model takes no temperature, or not while it reasons; there is no code",
        reach=Reach.RESPONSES,
        status=400,
        message="Unsupported parameter: 'temperature' is not supported with this model.",
        param="temperature",
    ),
    Fault(
        "service_tier_not_allowed",
        "the project does not allow its own service tier, also when none is sent",
        reach=Reach.RESPONSES,
        status=400,
        message="Invalid service_tier argument: The requested service tier is not allowed for this project.",
        param="service_tier",
    ),
    Fault(
        "parameter_refused",
        "OpenAI refuses a parameter that we send (`param`: metadata by default)",
        reach=Reach.RESPONSES,
        status=400,
        message="The 'metadata' parameter is only allowed when 'store' is enabled.",
        param="metadata",
    ),
    Fault(
        "body_not_parsed",
        "OpenAI could not read the request; the same one works when repeated",
        reach=Reach.RESPONSES,
        status=400,
        message="We could not parse the JSON body of your request. (HINT: This likely means you aren't using your "
        "HTTP library correctly. The OpenAI API expects a JSON payload, but what was sent was not valid JSON. If you "
        "have trouble figuring out how to fix this, please contact us through our help center at help.openai.com.)",
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
    Fault(
        "content_policy",
        "the input violates a policy (`code`: content_policy_violation by default; bio_policy, cyber_policy, …)",
        reach=Reach.RESPONSES,
        status=400,
        message="This content may violate our usage policies.",  # inferred
        code="content_policy_violation",
    ),
    Fault("conflict", "409, to be tried again", status=409, message="Conflict. Please retry."),  # inferred
    Fault("unprocessable", "422", status=422, message="The request could not be processed."),  # inferred
    Fault(
        "refused",
        "any other error: `status`, `message`, `type`, `param` and `code` as given",
        status=400,
        message="The request was refused.",
    ),
)

#: of a moment
BUSY = (
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
        type="rate_limit_error",
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

#: every fault that is an HTTP error in OpenAI's form
ERRORS = (*DENIED, *MODEL, *REFUSED, *MONEY, *BUSY)
