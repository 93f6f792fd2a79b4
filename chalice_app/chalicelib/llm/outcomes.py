"""Judges an answer of OpenAI that is no reply: one rule for errors, whatever status carries them.

The first line that applies decides. *Try again* is a TransientError, *ask someone* an ActionRequired with the problem
in brackets, *give up* a PermanentError. A status alone decides only where OpenAI wrote nothing.

    the answer                                                   is
    ──────────────────────────────────────────────────────────   ──────────────────────────────────────────────────────
    has no `error` object: HTML, empty, cut off, any status      try again: a proxy wrote it, and not OpenAI
    type, code or words about money, or 402                      ask someone (out_of_credit)
    the account, project or member is gone, by type, code, words ask someone (key_revoked)
    incorrect_hostname, …residency…, words about a region        ask someone (key_forbidden), naming the region
    "organization must be verified", whatever the code           ask someone (key_forbidden)
    the model: model_not_found, deprecated, `param: model`       ask someone (model_retired)
    "Request too large", or more tokens requested than the limit shorter history; then ask someone (assistant_refused)
    context_length_exceeded, `input` too long                    shorter history; then give up: the words are too many
    the effort: `param: reasoning…`                              another effort; then ask someone (assistant_refused)
    passing, by type, code or words; 408 409 425 429 5xx 3xx     try again, after the pause that OpenAI names
    401, 403 without `param`, key, scopes, address, country      ask someone (key_revoked or key_forbidden)
    policy, moderation, invalid_prompt, image, and `param` is    give up: it is about the contact's words
    none or the input
    anything else: a parameter, service_tier, a tool, unknown    ask someone (assistant_refused), naming the parameter,
                                                                 code or type
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from chalicelib.errors import AnswerlineError, PermanentError, TransientError
from chalicelib.llm import advice
from chalicelib.llm.headers import read_retry_after_seconds
from chalicelib.llm.verdict import REQUEST_ID, Verdict, parse, read_error, safe, verdict_of, with_facts
from chalicelib.model import Assistant
from chalicelib.model.assistant import EFFORTS
from chalicelib.model.openai_servers import Server
from wire import ProblemCode

MONEY: Final = frozenset(advice.MONEY)
MONEY_WORDS: Final = re.compile(
    r"exceeded your current quota|insufficient (credit|balance|quota|funds)|credit balance is too low"
    r"|budget has been exceeded",
    re.I,
)
ENDED: Final = frozenset({"access_terminated", "account_deactivated", "account_terminated", "project_archived"})
ENDED_WORDS: Final = re.compile(
    r"\b(account|access|project)\b.{0,80}\b(deactivated|terminated|archived)\b|member of an organization", re.I | re.S
)
OTHER_REGION: Final = re.compile(r"incorrect_hostname|.*residency.*")
OTHER_REGION_WORDS: Final = re.compile(r"geography restrictions|regional hostname", re.I)
UNVERIFIED: Final = re.compile(r"organization must be verified", re.I)
MODEL: Final = re.compile(
    r"model_not_found|(unsupported|deprecated|unknown|invalid)_model|model_.*(deprecated|retired)"
)
MODEL_GONE: Final = re.compile(
    r"\bmodel\b.{1,120}\b(((has been|is) (deprecated|retired|no longer))|does not exist|not found)", re.I
)
TOO_LARGE: Final = re.compile(r"^request (is )?too large|request_too_large", re.I)
#: The limit of a minute, and what one request takes of it.
NUMBER: Final = r"(\d{1,3}(?:,\d{3})+|\d{1,12})"
LIMIT: Final = re.compile(rf"tokens.*\bLimit:? {NUMBER}.{{0,40}}\bRequested:? {NUMBER}", re.I | re.S)
TOO_LONG: Final = frozenset({"context_length_exceeded", "string_above_max_length", "array_above_max_length"})
TOO_LONG_WORDS: Final = re.compile(r"maximum context length|context (window|length)", re.I)
PASSING: Final = re.compile(
    r"conversation_locked|rate_limit.*|slow_down|vector_store_timeout|server_error|server_is_overloaded|api_error"
    r"|(internal|overloaded|timeout|service_unavailable).*|.*(_unavailable|_overloaded|_timeout)(_error)?"
)
#: OpenAI's gateway lost a part of the body: the same body is read at the next attempt.
PASSING_WORDS: Final = re.compile(r"could not parse the JSON body", re.I)
PASSING_STATUSES: Final = frozenset({408, 409, 425, 429})
DENIED: Final = frozenset(
    {"invalid_api_key", "missing_scope", "ip_not_authorized", "unsupported_country_region_territory"}
)
#: OpenAI objects to the contact's words: to their content, or to a picture.
WORDS: Final = re.compile(r"invalid_prompt|content_filter|(?!.*identifier).*(policy|moderation|safety|image).*")
#: The parameters that carry the contact's words.
INPUT: Final = re.compile(r"(input|messages|prompt)\b.*")
EFFORT: Final = re.compile(r"reasoning(\.effort)?|reasoning_effort")
EFFORT_LISTED: Final = re.compile(r"'(" + "|".join(EFFORTS) + r")'")


class Remedy(StrEnum):
    """A change of a request, which is made before a person must change something."""

    NONE = "none"  #: nothing
    SHORTER_HISTORY = "shorter_history"  #: it is too large: the oldest lines can be left out
    OTHER_EFFORT = "other_effort"  #: the model does not take this effort


@dataclass(frozen=True, slots=True)
class Failure:
    """A call without a usable answer: the error, and what may be changed first."""

    error: AnswerlineError
    remedy: Remedy = Remedy.NONE
    #: the efforts that the model takes, if OpenAI listed them
    efforts: tuple[str, ...] = ()
    #: the model has no such setting at all
    no_effort: bool = False


# --- the rule, line by line -------------------------------------------------------------------------------------------


def judge(verdict: Verdict) -> Failure:
    """Returns the failure of the first line that applies."""
    return next(failure for line in LINES if (failure := line(verdict)) is not None)


def judge_failed(verdict: Verdict) -> Failure:
    """Returns the failure of a response that OpenAI began and could not finish: without a cause of above it passes."""
    lines = (failure for line in LINES[:-1] if (failure := line(verdict)) is not None)
    sentence = f"{verdict.server.label} failed while answering: try again in a minute."
    return next(lines, Failure(TransientError(verdict.with_facts(sentence))))


def _money(verdict: Verdict) -> Failure | None:
    code = next((each for each in (verdict.code, verdict.type) if each in MONEY), "")
    if not code and verdict.status != 402 and not (verdict.status < 500 and MONEY_WORDS.search(verdict.message)):
        return None
    return Failure(verdict.ask(ProblemCode.OUT_OF_CREDIT, advice.on_money(verdict.server, code)))


def _ended(verdict: Verdict) -> Failure | None:
    worded = verdict.status in (400, 401, 403, 429) and ENDED_WORDS.search(verdict.message)
    if not worded and not verdict.named(*ENDED):
        return None
    return Failure(verdict.ask(ProblemCode.KEY_REVOKED, advice.on_end(verdict.message)))


def _other_region(verdict: Verdict) -> Failure | None:
    worded = verdict.status in (400, 401, 403, 404) and OTHER_REGION_WORDS.search(verdict.message)
    if not worded and not verdict.matches(OTHER_REGION):
        return None
    return Failure(verdict.ask(ProblemCode.KEY_FORBIDDEN, advice.on_region(verdict.message)))


def _unverified(verdict: Verdict) -> Failure | None:
    if not UNVERIFIED.search(verdict.message) or verdict.status >= 500:
        return None
    return Failure(verdict.ask(ProblemCode.KEY_FORBIDDEN, advice.on_verification(verdict.assistant.model)))


def _model(verdict: Verdict) -> Failure | None:
    gone = verdict.matches(MODEL) or (
        verdict.status < 429 and (verdict.parameter == "model" or MODEL_GONE.search(verdict.message))
    )
    if not gone:
        return None
    return Failure(verdict.ask(ProblemCode.MODEL_RETIRED, advice.on_model(verdict.server, verdict.assistant.model)))


def _too_large(verdict: Verdict) -> Failure | None:
    limit = LIMIT.search(verdict.message)
    beyond = limit and int(limit[2].replace(",", "")) > int(limit[1].replace(",", ""))
    if verdict.status not in (200, 400, 413, 429) or not (
        beyond or TOO_LARGE.search(verdict.message) or verdict.matches(TOO_LARGE)
    ):
        return None
    sentence = advice.on_size(limit[1] if limit else "")
    return Failure(verdict.ask(ProblemCode.ASSISTANT_REFUSED, sentence), Remedy.SHORTER_HISTORY)


def _too_long(verdict: Verdict) -> Failure | None:
    ours = verdict.parameter and not INPUT.fullmatch(verdict.parameter)
    worded = verdict.status in (200, 400, 413, 422) and TOO_LONG_WORDS.search(verdict.message)
    if ours or not (verdict.named(*TOO_LONG) or worded):
        return None
    sentence = verdict.with_facts("The chat is longer than the model can read.")
    return Failure(PermanentError("context_length_exceeded", sentence), Remedy.SHORTER_HISTORY)


def _effort(verdict: Verdict) -> Failure | None:
    if not EFFORT.fullmatch(verdict.parameter) or verdict.status >= 429:
        return None
    _, _, listed = verdict.message.rpartition("upported values")
    unknown = verdict.named("unsupported_parameter", "unknown_parameter")
    return Failure(
        verdict.ask(ProblemCode.ASSISTANT_REFUSED, advice.on_setting(verdict)),
        Remedy.OTHER_EFFORT,
        efforts=tuple(EFFORT_LISTED.findall(listed)) if "upported values" in verdict.message else (),
        no_effort=unknown,
    )


def _passing(verdict: Verdict) -> Failure | None:
    status = verdict.status
    passing = verdict.matches(PASSING) or PASSING_WORDS.search(verdict.message)
    if not passing and status not in PASSING_STATUSES and status < 500 and not 300 <= status < 400:
        return None
    sentence = verdict.with_facts(advice.on_passing(verdict.server, status))
    return Failure(TransientError(sentence, retry_after_seconds=verdict.retry_after_seconds))


def _denied(verdict: Verdict) -> Failure | None:
    refused = verdict.status == 401 or (verdict.status == 403 and not verdict.parameter)
    if not refused and not verdict.named(*DENIED):
        return None
    return Failure(verdict.ask(*advice.on_denial(verdict)))


def _about_words(verdict: Verdict) -> Failure | None:
    ours = verdict.parameter and not INPUT.fullmatch(verdict.parameter)
    if ours or not verdict.matches(WORDS):
        return None
    reason = verdict.code if WORDS.fullmatch(verdict.code) else verdict.type
    return Failure(PermanentError(reason, verdict.with_facts(f"{verdict.server.label} will not answer this.")))


def _anything_else(verdict: Verdict) -> Failure | None:
    return Failure(verdict.ask(ProblemCode.ASSISTANT_REFUSED, advice.on_setting(verdict)))


#: The lines of the table above that have an `error` object, in order.
LINES: Final[tuple[Callable[[Verdict], Failure | None], ...]] = (
    _money,
    _ended,
    _other_region,
    _unverified,
    _model,
    _too_large,
    _too_long,
    _effort,
    _passing,
    _denied,
    _about_words,
    _anything_else,
)

# --- from an answer to its verdict ------------------------------------------------------------------------------------


def judge_status(
    status: int, headers: Mapping[str, str], content: bytes, assistant: Assistant, server: Server
) -> Failure:
    """Returns the failure of an answer with an HTTP error."""
    request_id = safe(REQUEST_ID, headers.get("x-request-id"))
    after = read_retry_after_seconds(headers)
    error = read_error(parse(content))
    if error is None:
        sentence = with_facts(advice.without_verdict(server, status), status, "", request_id)
        return Failure(TransientError(sentence, retry_after_seconds=after))
    return judge(verdict_of(error, status, assistant, server, request_id, after))
