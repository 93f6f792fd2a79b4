"""Classifies OpenAI's responses: the text, or one of our three kinds of error."""

import re
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any

from chalicelib.errors import ActionRequired, AnswerlineError, PermanentError, TransientError
from chalicelib.model import Assistant
from wire import ProblemCode

if TYPE_CHECKING:
    import openai
    from openai.types.responses import Response

#: The forms of a code, a parameter and a request id that our texts may quote; no key has such a form.
CODE = re.compile(r"[a-z0-9_]{1,64}")
PARAMETER = re.compile(r"[a-z0-9_.\[\]]{1,64}")
REQUEST_ID = re.compile(r"req_[A-Za-z0-9]{1,64}")
SCOPES = re.compile(r"Missing scopes: ((?:[a-z_]+(?:\.[a-z_]+)+(?:, )?)+)")

#: `【4:0†source】`, left over from the Assistants API, and the private-use marks some models leak around citations.
CITATION_MARKS = re.compile(
    r"[ \t]?【[^【】]{0,200}†[^【】]{0,200}】|[ \t]?\ue200[^\ue200\ue201]{0,500}\ue201|[\ue200-\ue206]"
)

#: Codes about credit and limits, and how our sentence continues.
BILLING = {
    "insufficient_quota": "has no credit left",
    "credit_balance_exhausted": "has used up its prepaid credit",
    "organization_spend_limit_exceeded": "has reached its organisation's spend limit",
    "project_spend_limit_exceeded": "has reached its project's spend limit",
    "organization_usage_limit_exceeded": "has reached OpenAI's usage limit for its organisation",
    "billing_not_active": "has no active billing",
    "billing_hard_limit_reached": "has reached its billing limit",
}
KEY_CODES = {"invalid_api_key", "account_deactivated", "access_terminated"}
TRANSIENT_CODES = {"conversation_locked", "rate_limit_exceeded", "server_error", "slow_down", "vector_store_timeout"}
#: OpenAI objects to the contact's messages, not to the settings.
PERMANENT_CODES = re.compile(r"context_length_exceeded|invalid_prompt|.*policy.*|.*moderation.*|.*safety.*|.*image.*")
#: The settings of an assistant as OpenAI names them; a person must fix a 400 about one of them.
SETTINGS = re.compile(r"^(model|instructions|reasoning|text|temperature|tools?|max_output_tokens|include)\b")


def extract_text(response: "Response") -> str:
    """Returns the text for the contact, empty without one. Raises the error that a status 200 may hide."""
    if response.status == "failed":
        raise classify_failed_response(response)
    if response.status in ("cancelled", "queued", "in_progress"):
        raise TransientError(f"OpenAI left the answer {response.status}: try again in a minute.")
    incomplete = response.status == "incomplete"
    if incomplete and response.incomplete_details and response.incomplete_details.reason == "content_filter":
        raise PermanentError("content_filter", "OpenAI's content filter stopped the answer.")
    # Compatible servers leave fields out; the SDK's types promise more than it checks.
    messages: list[Any] = [item for item in response.output or () if getattr(item, "type", None) == "message"]
    parts = [part for message in messages for part in message.content or ()]
    if any(part.type == "refusal" for part in parts):
        raise PermanentError("refusal", "The model refused to answer.")
    final = [message for message in messages if getattr(message, "phase", None) != "commentary"]
    if not final and not incomplete:
        final = messages
    written = (
        "".join(part.text or "" for part in message.content or () if part.type == "output_text") for message in final
    )
    text = CITATION_MARKS.sub("", "\n\n".join(filter(None, written))).strip()
    return f"{text} …" if text and incomplete else text


def classify_failed_response(response: "Response") -> AnswerlineError:
    """Returns the error of a response with status `failed`: transient unless its code says otherwise."""
    code = _safe(CODE, response.error.code if response.error else None)
    if code == "data_residency_mismatch":
        return ActionRequired(
            ProblemCode.KEY_FORBIDDEN, _with_facts(200, code, "", "The key belongs to another region.")
        )
    if code not in TRANSIENT_CODES and PERMANENT_CODES.fullmatch(code):
        return PermanentError(code, _with_facts(200, code, "", "OpenAI will not answer this."))
    return TransientError(_with_facts(200, code, "", "OpenAI failed while answering: try again in a minute."))


def classify_status_error(error: "openai.APIStatusError", assistant: Assistant) -> AnswerlineError:
    """Returns our error for an HTTP error; codes count first, because OpenAI uses several statuses for some."""
    status, headers = error.status_code, error.response.headers
    code = _safe(CODE, error.code)
    parameter = _safe(PARAMETER, error.param)
    request_id = _safe(REQUEST_ID, headers.get("x-request-id"))
    model = assistant.model

    def action_required(problem: ProblemCode, sentence: str) -> ActionRequired:
        return ActionRequired(problem, _with_facts(status, code, request_id, sentence))

    if code in BILLING or (status == 429 and error.type in BILLING):
        why = BILLING.get(code) or BILLING["insufficient_quota"]
        sentence = f"The OpenAI account of this key {why}: add credit or raise the limit in its billing settings."
        return action_required(ProblemCode.OUT_OF_CREDIT, sentence)
    if code == "model_not_found":
        sentence = f"OpenAI does not know the model {model}, or this key may not use it: choose another model."
        return action_required(ProblemCode.MODEL_RETIRED, sentence)
    if code in TRANSIENT_CODES or status in (408, 409, 425, 429) or status >= 500 or status < 400:
        sentence = "OpenAI has too much to do for this key" if status == 429 else "OpenAI is in trouble"
        after = _retry_after_seconds(headers)
        return TransientError(
            _with_facts(status, code, request_id, f"{sentence}: try again in a minute."), retry_after_seconds=after
        )
    if status in (401, 403) or code in KEY_CODES:
        return action_required(*_classify_denial(status, code, error.message))
    if PERMANENT_CODES.fullmatch(code):
        return PermanentError(code, _with_facts(status, code, request_id, "OpenAI will not answer this."))
    if status == 404 or SETTINGS.match(parameter) or code.startswith(("unsupported_", "unknown_parameter")):
        return action_required(
            ProblemCode.ASSISTANT_REFUSED, _describe_setting(status, parameter, error.message, assistant)
        )
    return PermanentError("rejected", _with_facts(status, code, request_id, "OpenAI rejected the request."))


def _classify_denial(status: int, code: str, message: str) -> tuple[ProblemCode, str]:
    scopes = SCOPES.search(message)
    if scopes or code == "missing_scope":
        missing = scopes[1].rstrip(", ") if scopes else "Responses: write"
        return ProblemCode.KEY_FORBIDDEN, f"The key may not do enough: give it the permission {missing} at OpenAI."
    if code == "ip_not_authorized":
        sentence = "OpenAI takes this key only from other addresses: allow this server's address at OpenAI."
        return ProblemCode.KEY_FORBIDDEN, sentence
    if code == "unsupported_country_region_territory":
        return ProblemCode.KEY_FORBIDDEN, "OpenAI does not serve the country this server is in: ask who runs it."
    if status == 403:
        return ProblemCode.KEY_FORBIDDEN, "The key is not allowed to do this: check its permissions at OpenAI."
    sentence = "OpenAI does not accept this key: make a new one at platform.openai.com/api-keys and enter it here."
    return ProblemCode.KEY_REVOKED, sentence


def _describe_setting(status: int, parameter: str, message: str, assistant: Assistant) -> str:
    for store in assistant.vector_store_ids:
        if store in message:
            return f"OpenAI does not find the vector store {store}: take it out, or use the key it belongs to."
    if parameter:
        return f"OpenAI refuses the setting {parameter} with the model {assistant.model}: change it or leave it out."
    if status == 404:
        return "OpenAI does not find what this assistant refers to: check its vector stores and the base URL."
    return "OpenAI refuses the assistant's settings: check model, reasoning, temperature and tools."


def _with_facts(status: int, code: str, request_id: str, sentence: str) -> str:
    """Returns the sentence with the facts that OpenAI's support asks for."""
    facts = ", ".join(filter(None, (f"HTTP {status}", code, request_id)))
    return f"{sentence} ({facts})"


def _safe(pattern: re.Pattern[str], value: object) -> str:
    """Returns the value if it has the right form, else nothing: a server can write any text there, even the key."""
    return str(value) if value is not None and pattern.fullmatch(str(value)) else ""


def _retry_after_seconds(headers: Mapping[str, str]) -> float | None:
    """Returns the seconds of `retry-after-ms` or `retry-after` (seconds or a date); None without one."""
    for name, scale in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        try:
            seconds = float(headers[name]) * scale
        except (KeyError, ValueError):
            continue
        if 0 <= seconds < float("inf"):
            return seconds
    try:
        # compared with the server's own clock: ours may be wrong
        retry_at, now = (parsedate_to_datetime(headers[name]) for name in ("retry-after", "date"))
        return max(0.0, (retry_at - now).total_seconds())
    except (KeyError, ValueError, TypeError):
        return None
