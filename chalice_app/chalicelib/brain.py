"""Asks OpenAI for replies, each tenant with its own key; the only file that knows OpenAI.

What runs is our own `Assistant` record through `POST /v1/responses`, with our own history and `store=False`: nothing at
run time depends on an object stored at OpenAI. All trouble becomes one of three kinds (`errors.py`), and no exception
here ever carries a key, a message's text, or anything OpenAI wrote beyond its error code, parameter and request id.
"""

import hashlib
import logging
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from email.utils import parsedate_to_datetime
from threading import Lock
from typing import TYPE_CHECKING, Any

from chalicelib.errors import AskSomeone, GiveUp, Trouble, TryAgain
from chalicelib.model import Assistant, Said
from wire import ProblemCode

if TYPE_CHECKING:
    import httpx2
    import openai
    from openai.types.responses import Response

OPENAI = "https://api.openai.com/v1"
#: A whole reply, second attempt included.
REPLY_WITHIN = timedelta(seconds=90)
CHECK_WITHIN = timedelta(seconds=15)
#: A model that wrote nothing is asked once more, if there is time; then the turn is given up.
ATTEMPTS_FOR_A_TEXT = 2
LEAST_TIME_FOR_ANOTHER = timedelta(seconds=10)
#: When thinking used up all output tokens, the second attempt has so many times as many.
MORE_ROOM = 4
#: OpenAI accepts no smaller limit.
LEAST_OUTPUT_TOKENS = 16

#: The only headers that leave the house: OPENAI_CUSTOM_HEADERS, organisation and project never do.
HEADERS_SENT = re.compile(
    r"^(host|accept|accept-encoding|connection|user-agent|content-type|content-length|authorization|x-stainless-.*)$"
)
#: A code, parameter or request id may appear in our texts only if it looks like one; no key looks like this.
CODE = re.compile(r"[a-z0-9_]{1,64}")
PARAMETER = re.compile(r"[a-z0-9_.\[\]]{1,64}")
REQUEST_ID = re.compile(r"req_[A-Za-z0-9]{1,64}")
SCOPES = re.compile(r"Missing scopes: ((?:[a-z_]+(?:\.[a-z_]+)+(?:, )?)+)")

#: `【4:0†source】`, left over from the Assistants API, and the private-use marks some models leak around citations.
CITATION_MARKS = re.compile(
    r"[ \t]?【[^【】]{0,200}†[^【】]{0,200}】|[ \t]?\ue200[^\ue200\ue201]{0,500}\ue201|[\ue200-\ue206]"
)

MONEY = {
    "insufficient_quota": "has no credit left",
    "credit_balance_exhausted": "has used up its prepaid credit",
    "organization_spend_limit_exceeded": "has reached its organisation's spend limit",
    "project_spend_limit_exceeded": "has reached its project's spend limit",
    "organization_usage_limit_exceeded": "has reached OpenAI's usage limit for its organisation",
    "billing_not_active": "has no active billing",
    "billing_hard_limit_reached": "has reached its billing limit",
}
KEY_CODES = {"invalid_api_key", "account_deactivated", "access_terminated"}
TRY_AGAIN_CODES = {"conversation_locked", "rate_limit_exceeded", "server_error", "slow_down", "vector_store_timeout"}
#: The contact's messages, not the settings, are what OpenAI objects to.
GIVE_UP_CODES = re.compile(r"context_length_exceeded|invalid_prompt|.*policy.*|.*moderation.*|.*safety.*|.*image.*")
#: The settings of an assistant as OpenAI names them; a 400 about one of them is for a person to mend.
SETTINGS = re.compile(r"^(model|instructions|reasoning|text|temperature|tools?|max_output_tokens|include)\b")


@dataclass(frozen=True, slots=True)
class Reply:
    """What the model wrote, as Markdown, and what it cost in tokens (of all attempts)."""

    text: str = field(repr=False)
    input_tokens: int
    output_tokens: int
    response_id: str
    model: str


@dataclass(frozen=True, slots=True)
class CheckResult:
    """Whether a key and an assistant would answer now; if not, one sentence that says what to do."""

    sentence: str
    #: what a person must mend; None if nothing, or if the trouble may pass by itself
    problem: ProblemCode | None = None
    #: neither works nor is known to be wrong: network, OpenAI down, rate limit; check again later
    passing: bool = False

    @property
    def ok(self) -> bool:
        return self.problem is None and not self.passing


class Brain:
    """OpenAI, or a server that speaks its Responses API; one per process, safe to share between threads.

    One connection pool serves all tenants; keys are used for one call and never kept. The SDK and its own settings
    from the environment (OPENAI_*) stay out: it is imported by the first call, told everything explicitly, and never
    retries by itself. Proxies and trust stores (HTTPS_PROXY, SSL_CERT_FILE) are the machine's and do count.

    Args:
        base_url: including `/v1`.
        reply_within: for `reply`, all attempts together.
        check_within: for `check` and `ends_on`.
        transport: a stand-in for the network, for tests.
        monotonic: a clock in seconds.
    """

    def __init__(
        self,
        base_url: str = OPENAI,
        *,
        reply_within: timedelta = REPLY_WITHIN,
        check_within: timedelta = CHECK_WITHIN,
        transport: "httpx2.BaseTransport | None" = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.base_url = base_url
        self._reply_within, self._check_within = reply_within, check_within
        self._transport = transport
        self._monotonic = monotonic
        self._connecting = Lock()
        self._client: openai.OpenAI | None = None

    def check(self, api_key: str, assistant: Assistant) -> CheckResult:
        """Tries the key and the assistant's settings with one call for a fraction of a cent; never raises.

        The call is a real `POST /v1/responses` for at most 16 tokens, with all settings but the instructions. Counting
        tokens would be free, and finds a wrong key or model just as well, but answers happily when there is no credit:
        OpenAI refuses only what it would bill. Tools are checked and not used.
        """
        request = _settings(assistant) | {
            "input": "ping",
            "max_output_tokens": LEAST_OUTPUT_TOKENS,
            "safety_identifier": hashlib.sha256(b"check").hexdigest(),
        }
        request.pop("instructions")
        if "tools" in request:
            request["tool_choice"] = "none"
        try:
            response = self._create(api_key, assistant, request, self._check_within.total_seconds())
            if response.status == "failed":
                raise _failed(response)
        except AskSomeone as trouble:
            return CheckResult(trouble.message, problem=trouble.problem)
        except TryAgain as trouble:
            return CheckResult(trouble.message, passing=True)
        except GiveUp as trouble:
            return CheckResult(trouble.message, problem=ProblemCode.ASSISTANT_REFUSED)
        return CheckResult(f"The key works, and {assistant.model} answers.")

    def reply(
        self, api_key: str, assistant: Assistant, history: Sequence[Said], *, tenant: str, chat: str, turn: str
    ) -> Reply:
        """The model's answer to a chat's history, oldest first; the last lines are the contact's.

        A text that was cut by `max_output_tokens` is used and ends in "…". When the model writes nothing at all it is
        asked once more, with four times the room if thinking had used up its tokens; then the turn is given up:
        asking the same twelve times would only cost the tenant money.

        Args:
            api_key: the tenant's, in clear.
            history: at least one line.
            tenant: groups OpenAI's prompt cache, and marks the call together with `turn`.
            chat: with the tenant, hashed, tells OpenAI's abuse detection contacts apart.

        Raises:
            TryAgain: rate limit, 5xx, timeout, no connection; `retry_after_seconds` if OpenAI said so.
            AskSomeone: key, credit, model or settings need a person; `problem` says which.
            GiveUp: refused, filtered, too long or empty; `reason` says which.
        """
        request = _settings(assistant) | {
            "input": [{"type": "message", "role": said.role, "content": _clean(said.text)} for said in history],
            "safety_identifier": hashlib.sha256(f"{tenant}|{chat}".encode()).hexdigest(),
            "prompt_cache_key": tenant,
            "metadata": {"tenant": tenant, "turn": turn},
            "truncation": "auto",
        }
        ends_at = self._monotonic() + self._reply_within.total_seconds()
        input_tokens = output_tokens = 0
        for attempt in range(ATTEMPTS_FOR_A_TEXT):
            left = ends_at - self._monotonic()
            if attempt and left < LEAST_TIME_FOR_ANOTHER.total_seconds():
                raise TryAgain("The model wrote nothing, and there was no time to ask it again.")
            response = self._create(api_key, assistant, request, left)
            if response.usage is not None:
                input_tokens += response.usage.input_tokens or 0
                output_tokens += response.usage.output_tokens or 0
            text = _text(response)
            if text:
                return Reply(text, input_tokens, output_tokens, response.id, str(response.model))
            if response.status == "incomplete" and "max_output_tokens" in request:
                request["max_output_tokens"] *= MORE_ROOM
        raise GiveUp("empty", "The model wrote nothing, twice.")

    def ends_on(self, api_key: str, model: str) -> date | None:
        """The day OpenAI shuts `model` down; None if it has not said so, or cannot be asked. Never raises."""
        import openai

        if not _looks_like_a_key(api_key):
            return None
        try:
            found = self._client_for(api_key, self._check_within.total_seconds()).models.retrieve(model)
            return date.fromisoformat(str(found.shutdown_date))
        except (openai.OpenAIError, ValueError, AttributeError):
            return None

    def close(self) -> None:
        """Closes the connections; the next call opens new ones."""
        with self._connecting:
            if self._client is not None:
                self._client.close()
                self._client = None

    def _create(self, api_key: str, assistant: Assistant, request: Mapping[str, Any], seconds: float) -> "Response":
        """One call to the Responses API. What is raised has no cause: causes carry keys and texts."""
        if not _looks_like_a_key(api_key):
            raise AskSomeone(
                ProblemCode.KEY_REVOKED, "This is not a whole OpenAI key: copy it again and enter it here."
            )
        import openai
        from openai.types.responses import Response

        trouble: Trouble
        try:
            response = self._client_for(api_key, seconds).responses.create(**request)
        except openai.APIStatusError as error:
            trouble = _refused(error, assistant)
        except openai.APITimeoutError:
            trouble = TryAgain("OpenAI did not answer in time: try again in a minute.")
        except openai.APIConnectionError:
            trouble = TryAgain("OpenAI could not be reached: check this server's network, or try again in a minute.")
        except (openai.OpenAIError, ValueError):
            trouble = TryAgain("OpenAI's answer could not be read: try again in a minute.")
        else:
            if isinstance(response, Response):
                return response
            trouble = TryAgain("OpenAI's answer could not be read: try again in a minute.")
        raise trouble

    def _client_for(self, api_key: str, seconds: float) -> "openai.OpenAI":
        import httpx2

        with self._connecting:
            if self._client is None:
                self._client = _connect(self.base_url, self._transport, self._monotonic)
            shared = self._client
        connect, other = max(2.0, seconds / 18), max(1.0, seconds / 18)
        # Connecting is two waits, TCP and TLS; what is left of the deadline is for the answer.
        read = max(1.0, seconds - 2 * connect - 2 * other)
        return shared.with_options(
            api_key=api_key,
            # also said as a header, which outranks one in OPENAI_CUSTOM_HEADERS
            default_headers={"Authorization": f"Bearer {api_key}"},
            timeout=httpx2.Timeout(connect=connect, pool=other, write=other, read=read),
        )


# --- What we ask --------------------------------------------------------------------------------------------


def _settings(assistant: Assistant) -> dict[str, Any]:
    """The part of a request that is the assistant's, without what it leaves to OpenAI."""
    settings: dict[str, Any] = {
        "model": assistant.model,
        "instructions": _clean(assistant.instructions),
        "store": False,
    }
    if assistant.max_output_tokens:
        settings["max_output_tokens"] = max(LEAST_OUTPUT_TOKENS, assistant.max_output_tokens)
    if assistant.reasoning_effort:
        settings["reasoning"] = {"effort": assistant.reasoning_effort}
    if assistant.verbosity:
        settings["text"] = {"verbosity": assistant.verbosity}
    if assistant.temperature is not None:
        settings["temperature"] = assistant.temperature
    tools: list[dict[str, Any]] = []
    if assistant.vector_store_ids:
        tools.append({"type": "file_search", "vector_store_ids": list(assistant.vector_store_ids)})
    if assistant.web_search:
        tools.append({"type": "web_search"})
    return settings | ({"tools": tools} if tools else {})


def _clean(text: str) -> str:
    """`text` without half surrogates, which no JSON body can carry."""
    return text.encode("utf-8", "replace").decode("utf-8")


def _looks_like_a_key(api_key: str) -> bool:
    """Whether `api_key` can be sent as a header at all; anything else is OpenAI's to judge."""
    return bool(api_key) and all("!" <= letter <= "~" for letter in api_key)


def _connect(
    base_url: str, transport: "httpx2.BaseTransport | None", monotonic: Callable[[], float]
) -> "openai.OpenAI":
    import httpx2
    import openai

    class Punctual(httpx2.SyncByteStream):
        """A body that must end by the call's deadline: a read timeout alone never ends one that trickles."""

        def __init__(self, stream: httpx2.SyncByteStream, ends_at: float) -> None:
            self.stream, self.ends_at = stream, ends_at

        def __iter__(self) -> Iterator[bytes]:
            for chunk in self.stream:
                if monotonic() > self.ends_at:
                    raise httpx2.ReadTimeout("the deadline of the whole call has passed")
                yield chunk

        def close(self) -> None:
            self.stream.close()

    def leave_our_house(request: httpx2.Request) -> None:
        for name in [name for name in request.headers if not HEADERS_SENT.match(name.lower())]:
            del request.headers[name]
        timeouts = request.extensions["timeout"]
        allowed = sum(timeouts.values()) + timeouts["connect"]
        request.extensions["ends_at"] = monotonic() + allowed

    def keep_to_the_deadline(response: httpx2.Response) -> None:
        ends_at = response.request.extensions["ends_at"]
        response.request.extensions["timeout"]["read"] = max(0.1, ends_at - monotonic())
        if isinstance(response.stream, httpx2.SyncByteStream):
            response.stream = Punctual(response.stream, ends_at)

    # OPENAI_LOG, read by the SDK on import, would have turned its own log on.
    for name in ("openai", "httpx2", "httpcore2"):
        logging.getLogger(name).setLevel(logging.WARNING)
    pool = httpx2.Client(
        transport=transport,
        # A redirect would take the key somewhere else.
        follow_redirects=False,
        limits=httpx2.Limits(max_connections=200, max_keepalive_connections=50),
        event_hooks={"request": [leave_our_house], "response": [keep_to_the_deadline]},
    )
    # Empty, not None: None would be looked up in the environment.
    return openai.OpenAI(
        api_key="nobody",
        admin_api_key="",
        organization="",
        project="",
        webhook_secret="",
        base_url=base_url,
        max_retries=0,
        http_client=pool,
    )


# --- What came back -----------------------------------------------------------------------------------------


def _text(response: "Response") -> str:
    """What the contact should read, or nothing; raises what a 200 may hide."""
    if response.status == "failed":
        raise _failed(response)
    if response.status in ("cancelled", "queued", "in_progress"):
        raise TryAgain(f"OpenAI left the answer {response.status}: try again in a minute.")
    incomplete = response.status == "incomplete"
    if incomplete and response.incomplete_details and response.incomplete_details.reason == "content_filter":
        raise GiveUp("content_filter", "OpenAI's content filter stopped the answer.")
    # Compatible servers leave fields out; the SDK's types promise more than it checks.
    messages: list[Any] = [item for item in response.output or () if getattr(item, "type", None) == "message"]
    parts = [part for message in messages for part in message.content or ()]
    if any(part.type == "refusal" for part in parts):
        raise GiveUp("refusal", "The model refused to answer.")
    final = [message for message in messages if getattr(message, "phase", None) != "commentary"]
    if not final and not incomplete:
        final = messages
    written = (
        "".join(part.text or "" for part in message.content or () if part.type == "output_text") for message in final
    )
    text = CITATION_MARKS.sub("", "\n\n".join(filter(None, written))).strip()
    return f"{text} …" if text and incomplete else text


def _failed(response: "Response") -> Trouble:
    """Status `failed`: by the code of its error, else worth another try."""
    code = _safe(CODE, response.error.code if response.error else None)
    if code == "data_residency_mismatch":
        return AskSomeone(ProblemCode.KEY_FORBIDDEN, _said(200, code, "", "The key belongs to another region."))
    if code not in TRY_AGAIN_CODES and GIVE_UP_CODES.fullmatch(code):
        return GiveUp(code, _said(200, code, "", "OpenAI will not answer this."))
    return TryAgain(_said(200, code, "", "OpenAI failed while answering: try again in a minute."))


def _refused(error: "openai.APIStatusError", assistant: Assistant) -> Trouble:
    """What an HTTP error means for us; codes first, because OpenAI uses several statuses for some of them."""
    status, headers = error.status_code, error.response.headers
    code = _safe(CODE, error.code)
    parameter = _safe(PARAMETER, error.param)
    request_id = _safe(REQUEST_ID, headers.get("x-request-id"))
    model = assistant.model

    def ask(problem: ProblemCode, sentence: str) -> AskSomeone:
        return AskSomeone(problem, _said(status, code, request_id, sentence))

    if code in MONEY or (status == 429 and error.type in MONEY):
        why = MONEY.get(code) or MONEY["insufficient_quota"]
        sentence = f"The OpenAI account of this key {why}: add credit or raise the limit in its billing settings."
        return ask(ProblemCode.OUT_OF_CREDIT, sentence)
    if code == "model_not_found":
        sentence = f"OpenAI does not know the model {model}, or this key may not use it: choose another model."
        return ask(ProblemCode.MODEL_RETIRED, sentence)
    if code in TRY_AGAIN_CODES or status in (408, 409, 425, 429) or status >= 500 or status < 400:
        sentence = "OpenAI has too much to do for this key" if status == 429 else "OpenAI is in trouble"
        after = _retry_after(headers)
        return TryAgain(
            _said(status, code, request_id, f"{sentence}: try again in a minute."), retry_after_seconds=after
        )
    if status in (401, 403) or code in KEY_CODES:
        return ask(*_denied(status, code, error.message))
    if GIVE_UP_CODES.fullmatch(code):
        return GiveUp(code, _said(status, code, request_id, "OpenAI will not answer this."))
    if status == 404 or SETTINGS.match(parameter) or code.startswith(("unsupported_", "unknown_parameter")):
        return ask(ProblemCode.ASSISTANT_REFUSED, _what_to_change(status, parameter, error.message, assistant))
    return GiveUp("rejected", _said(status, code, request_id, "OpenAI rejected the request."))


def _denied(status: int, code: str, message: str) -> tuple[ProblemCode, str]:
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


def _what_to_change(status: int, parameter: str, message: str, assistant: Assistant) -> str:
    for store in assistant.vector_store_ids:
        if store in message:
            return f"OpenAI does not find the vector store {store}: take it out, or use the key it belongs to."
    if parameter:
        return f"OpenAI refuses the setting {parameter} with the model {assistant.model}: change it or leave it out."
    if status == 404:
        return "OpenAI does not find what this assistant refers to: check its vector stores and the base URL."
    return "OpenAI refuses the assistant's settings: check model, reasoning, temperature and tools."


def _said(status: int, code: str, request_id: str, sentence: str) -> str:
    """The sentence, then what OpenAI's support would ask for."""
    facts = ", ".join(filter(None, (f"HTTP {status}", code, request_id)))
    return f"{sentence} ({facts})"


def _safe(pattern: re.Pattern[str], value: object) -> str:
    """`value` if it looks as it should, else nothing: a server can write anything there, even the key."""
    return str(value) if value is not None and pattern.fullmatch(str(value)) else ""


def _retry_after(headers: Mapping[str, str]) -> float | None:
    """The seconds that `retry-after-ms` or `retry-after` (seconds or a date) ask for; None if they don't."""
    for name, scale in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        try:
            seconds = float(headers[name]) * scale
        except (KeyError, ValueError):
            continue
        if 0 <= seconds < float("inf"):
            return seconds
    try:
        # by the server's own clock, so that ours may be wrong
        wanted, now = (parsedate_to_datetime(headers[name]) for name in ("retry-after", "date"))
        return max(0.0, (wanted - now).total_seconds())
    except (KeyError, ValueError, TypeError):
        return None
