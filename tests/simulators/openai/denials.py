"""OpenAI's errors about who may call it: key, account, project, region, model, money.

Sources: recorded bodies in public repositories and issues, OpenAI's page of error codes, and its SDK sessions, as of
November 2026. A wording that nobody recorded is marked `inferred`; its status, type and code are not.
"""

from tests.simulators.openai.fault import Fault, Reach

QUOTA_MESSAGE = (
    "You exceeded your current quota, please check your plan and billing details. For more information on "
    "this error, read the docs: https://platform.openai.com/docs/guides/error-codes/api-errors."
)
VERIFICATION_MESSAGE = (
    "Your organization must be verified to use the model `{model}`. Please go to: "
    "https://platform.openai.com/settings/organization/general and click on Verify Organization. If you just "
    "verified, it can take up to 15 minutes for access to propagate."
)

#: of the key, its account, its project and its region
DENIED = (
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
        "account_deactivated",
        "OpenAI deactivated the account of the key",
        status=401,
        message="The OpenAI account associated with this API key has been deactivated. If you are the developer for "
        "this OpenAI app, please check your email for more information. If you are seeing this error while using "
        "another app or site, please reach out to them for more help.",
        code="account_deactivated",
    ),
    Fault(
        "access_terminated",
        "OpenAI ended the account's access; only the type says so, with 401, 400 or 429 (`status`)",
        status=401,
        message="Your access was terminated due to violation of our policies, please check your email for more "
        "information. If you believe this is in error and would like to appeal, please contact us through our help "
        "center at help.openai.com.",
        type="access_terminated",
    ),
    Fault(
        "no_organization",
        "the account of the key belongs to no organisation any more",
        status=401,
        message="You must be a member of an organization to use the API. Please contact us through our help center "
        "at help.openai.com.",
        code="no_organization",
    ),
    Fault(
        "project_archived",
        "the key's project was archived",
        status=401,
        message="The project you are requesting has been archived and is no longer accessible",
        code="not_authorized_invalid_project",
    ),
    Fault(
        "incorrect_hostname",
        "the key's project lives in another region (`region`: eu by default, us, …; empty for the global one)",
        status=401,
        message="Attempted to access resource with incorrect regional hostname. Please make your request to "
        "{region}api.openai.com",
        code="incorrect_hostname",
        beside={"status": 401},
    ),
    Fault(
        "geography_not_enabled",
        "a regional host was called with the key of a global project",
        status=401,
        message="This endpoint is only accessible by projects with geography restrictions enabled.",
    ),
    Fault(
        "data_residency_mismatch",
        "the request may not be served in the project's region",
        status=400,  # inferred, as the wording
        message="The request does not match the data residency of the project.",
        code="data_residency_mismatch",
    ),
    Fault(
        "residency_unknown",
        "OpenAI does not know where the organisation may be served: an unusual 4xx",
        status=451,
        message="missing_compute_residency_info - http://go/residency-enforcement",
        code="missing_compute_residency_info",
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
        "vector_store_not_found",
        "a vector store of the request is gone",
        reach=Reach.RESPONSES,
        status=404,
        message="Vector store with id 'vs_missing' not found.",
    ),
)

#: of the model
MODEL = (
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
        "the model is unknown, or the key may not use it",
        status=404,
        message="The model `{model}` does not exist or you do not have access to it.",
        code="model_not_found",
    ),
    Fault(
        "requested_model_unknown",
        "the model is unknown, in the words of a 400",
        reach=Reach.RESPONSES,
        status=400,
        message="The requested model '{model}' does not exist.",
        param="model",
        code="model_not_found",
    ),
    Fault(
        "model_retired",
        "the model was retired; there is no code (recorded for eight models in pydantic-ai's probes)",
        reach=Reach.RESPONSES,
        status=404,
        message="Model not found {model}",
        param="model",
    ),
    Fault(
        "model_deprecated",
        "the model was retired, in the older words",
        reach=Reach.RESPONSES,
        status=404,
        message="The model `{model}` has been deprecated, learn more here: "
        "https://platform.openai.com/docs/deprecations",
        code="model_not_found",
    ),
    Fault(
        "organization_not_verified",
        "the organisation must be verified for this model (404)",
        reach=Reach.RESPONSES,
        status=404,
        message=VERIFICATION_MESSAGE,
        code="model_not_found",
    ),
    Fault(
        "organization_verification_required",
        "the organisation must be verified for this model (403 without a code)",
        reach=Reach.RESPONSES,
        status=403,
        message=VERIFICATION_MESSAGE,
    ),
)


def _money(code: str, happens: str, message: str) -> Fault:
    return Fault(code, happens, reach=Reach.BILLED, status=429, message=message, type="insufficient_quota", code=code)


MONEY = (
    _money("insufficient_quota", "no credit", QUOTA_MESSAGE),
    # wording inferred, as for the three below
    _money("credit_balance_exhausted", "the prepaid credit is used up", "Your credit balance is exhausted."),
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
    Fault(
        "billing_not_active",
        "the account pays for nothing",
        reach=Reach.BILLED,
        status=429,
        message="Your account is not active, please check your billing details on our website.",
        type="billing_not_active",
        code="billing_not_active",
    ),
    Fault(
        "billing_hard_limit_reached",
        "the billing limit is reached (400)",
        reach=Reach.BILLED,
        status=400,
        message="Billing hard limit has been reached",
        code="billing_hard_limit_reached",
    ),
)
