"""Client of OpenAI's Responses API: replies to contacts, and checks of keys; each tenant has its own key.

A request carries our own `Assistant` record and our own history to `POST /v1/responses`, with `store=False`: nothing at
run time depends on an object stored at OpenAI. Every failure becomes one of three kinds of error (`errors.py`), and no
exception here carries a key, a message's text, or more of OpenAI's answer than error code, parameter and request id.
"""

import hashlib
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from threading import Lock
from typing import TYPE_CHECKING, Any

from chalicelib.errors import ActionRequired, AnswerlineError, PermanentError, TransientError
from chalicelib.llm.connection import open_connection
from chalicelib.llm.outcomes import classify_failed_response, classify_status_error, extract_text
from chalicelib.model import Assistant, ChatLine
from wire import ProblemCode

if TYPE_CHECKING:
    import httpx2
    import openai
    from openai.types.responses import Response

OPENAI = "https://api.openai.com/v1"
#: The timeout of a whole reply, second attempt included.
REPLY_TIMEOUT = timedelta(seconds=90)
CHECK_TIMEOUT = timedelta(seconds=15)
#: A model that wrote nothing is asked once more, if there is time; then the turn is given up.
MAX_ATTEMPTS = 2
MIN_TIME_FOR_RETRY = timedelta(seconds=10)
#: The second attempt gets this multiple of output tokens when reasoning used all of them.
RETRY_TOKENS_FACTOR = 4
#: OpenAI accepts no smaller limit.
MIN_OUTPUT_TOKENS = 16


@dataclass(frozen=True, slots=True)
class Reply:
    """The model's text, as Markdown, and the tokens of all attempts."""

    text: str = field(repr=False)
    input_tokens: int
    output_tokens: int


@dataclass(frozen=True, slots=True)
class AssistantCheck:
    """The result of checking a key and an assistant; if they would not answer, the sentence explains what to do."""

    sentence: str
    #: the problem that a person must fix; None without one, or after a transient error
    problem: ProblemCode | None = None
    #: the check failed for a moment (network, OpenAI down, rate limit) and has to be repeated
    transient: bool = False

    @property
    def ok(self) -> bool:
        """True if the assistant would answer now."""
        return self.problem is None and not self.transient


class LlmClient:
    """A client of OpenAI, or of a server with the same Responses API; one per process, safe to share between threads.

    One connection pool serves all tenants; a key is used for one call and never kept. The SDK is imported by the first
    call, takes no settings from the environment (OPENAI_*), and never retries by itself. Proxies and trust stores
    (HTTPS_PROXY, SSL_CERT_FILE) are the machine's and count.

    Args:
        base_url: including `/v1`.
        reply_timeout: of `reply`, all attempts together.
        transport: replaces the network in tests.
        monotonic: a clock in seconds.
    """

    def __init__(
        self,
        base_url: str = OPENAI,
        *,
        reply_timeout: timedelta = REPLY_TIMEOUT,
        transport: "httpx2.BaseTransport | None" = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.base_url = base_url
        self._reply_timeout = reply_timeout
        self._transport = transport
        self._monotonic = monotonic
        self._connecting = Lock()
        self._client: openai.OpenAI | None = None

    def check(self, api_key: str, assistant: Assistant) -> AssistantCheck:
        """Checks the key and the assistant's settings with one call for a fraction of a cent; never raises.

        The call is a real `POST /v1/responses` for at most 16 tokens, with all settings but the instructions. Counting
        tokens would be free and finds a wrong key or model just as well, but succeeds without credit: OpenAI refuses
        only calls that it would bill. Tools are checked and not used.
        """
        request = _settings(assistant) | {
            "input": "ping",
            "max_output_tokens": MIN_OUTPUT_TOKENS,
            "safety_identifier": hashlib.sha256(b"check").hexdigest(),
        }
        request.pop("instructions")
        if "tools" in request:
            request["tool_choice"] = "none"
        try:
            response = self._create(api_key, assistant, request, CHECK_TIMEOUT.total_seconds())
            if response.status == "failed":
                raise classify_failed_response(response)
        except ActionRequired as error:
            return AssistantCheck(error.message, problem=error.problem)
        except TransientError as error:
            return AssistantCheck(error.message, transient=True)
        except PermanentError as error:
            return AssistantCheck(error.message, problem=ProblemCode.ASSISTANT_REFUSED)
        return AssistantCheck(f"The key works, and {assistant.model} answers.")

    def reply(
        self, api_key: str, assistant: Assistant, history: Sequence[ChatLine], *, tenant: str, chat: str, turn: str
    ) -> Reply:
        """Returns the model's answer to a chat's history, oldest first; the last lines are the contact's.

        A text that was cut by `max_output_tokens` is used and ends in "…". A model that writes nothing is asked once
        more, with four times the tokens if reasoning used all of them; then the turn is given up, because further
        attempts would only cost the tenant money.

        Args:
            api_key: the tenant's, in clear.
            history: at least one line.
            tenant: groups OpenAI's prompt cache, and marks the call together with `turn`.
            chat: hashed with the tenant, so that OpenAI's abuse detection can distinguish contacts.

        Raises:
            TransientError: rate limit, 5xx, timeout, no connection; `retry_after_seconds` if OpenAI named it.
            ActionRequired: key, credit, model or settings need a person; `problem` names the cause.
            PermanentError: refused, filtered, too long or empty; `reason` names the cause.
        """
        request = _settings(assistant) | {
            "input": [{"type": "message", "role": line.role, "content": _clean(line.text)} for line in history],
            "safety_identifier": hashlib.sha256(f"{tenant}|{chat}".encode()).hexdigest(),
            "prompt_cache_key": tenant,
            "metadata": {"tenant": tenant, "turn": turn},
            "truncation": "auto",
        }
        deadline = self._monotonic() + self._reply_timeout.total_seconds()
        input_tokens = output_tokens = 0
        for attempt in range(MAX_ATTEMPTS):
            left = deadline - self._monotonic()
            if attempt and left < MIN_TIME_FOR_RETRY.total_seconds():
                raise TransientError("The model wrote nothing, and there was no time to ask it again.")
            response = self._create(api_key, assistant, request, left)
            if response.usage is not None:
                input_tokens += response.usage.input_tokens or 0
                output_tokens += response.usage.output_tokens or 0
            text = extract_text(response)
            if text:
                return Reply(text, input_tokens, output_tokens)
            if response.status == "incomplete" and "max_output_tokens" in request:
                request["max_output_tokens"] *= RETRY_TOKENS_FACTOR
        raise PermanentError("empty", "The model wrote nothing, twice.")

    def close(self) -> None:
        """Closes the connections; the next call opens new ones."""
        with self._connecting:
            if self._client is not None:
                self._client.close()
                self._client = None

    def _create(
        self, api_key: str, assistant: Assistant, request: Mapping[str, Any], timeout_seconds: float
    ) -> "Response":
        """Calls the Responses API once. Its exceptions have no cause: a cause may carry keys and texts."""
        if not _fits_header(api_key):
            raise ActionRequired(
                ProblemCode.KEY_REVOKED, "This is not a whole OpenAI key: copy it again and enter it here."
            )
        import openai
        from openai.types.responses import Response

        failure: AnswerlineError
        try:
            response = self._client_for(api_key, timeout_seconds).responses.create(**request)
        except openai.APIStatusError as error:
            failure = classify_status_error(error, assistant)
        except openai.APITimeoutError:
            failure = TransientError("OpenAI did not answer in time: try again in a minute.")
        except openai.APIConnectionError:
            failure = TransientError(
                "OpenAI could not be reached: check this server's network, or try again in a minute."
            )
        except (openai.OpenAIError, ValueError, RecursionError):
            failure = TransientError("OpenAI's answer could not be read: try again in a minute.")
        else:
            if isinstance(response, Response):
                return response
            failure = TransientError("OpenAI's answer could not be read: try again in a minute.")
        raise failure

    def _client_for(self, api_key: str, timeout_seconds: float) -> "openai.OpenAI":
        import httpx2

        with self._connecting:
            if self._client is None:
                self._client = open_connection(self.base_url, self._transport, self._monotonic)
            shared = self._client
        connect, other = max(2.0, timeout_seconds / 18), max(1.0, timeout_seconds / 18)
        # Connecting is two waits, TCP and TLS; what is left of the deadline is for the answer.
        read = max(1.0, timeout_seconds - 2 * connect - 2 * other)
        return shared.with_options(
            api_key=api_key,
            # set as a header too, which outranks one in OPENAI_CUSTOM_HEADERS
            default_headers={"Authorization": f"Bearer {api_key}"},
            timeout=httpx2.Timeout(connect=connect, pool=other, write=other, read=read),
        )


# --- requests ------------------------------------------------------------------------------------------------


def _settings(assistant: Assistant) -> dict[str, Any]:
    """Returns the assistant's part of a request; settings that it leaves open are OpenAI's defaults."""
    settings: dict[str, Any] = {
        "model": assistant.model,
        "instructions": _clean(assistant.instructions),
        "store": False,
    }
    if assistant.max_output_tokens:
        settings["max_output_tokens"] = max(MIN_OUTPUT_TOKENS, assistant.max_output_tokens)
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
    """Returns the text without half surrogates, which JSON cannot carry."""
    return text.encode("utf-8", "replace").decode("utf-8")


def _fits_header(api_key: str) -> bool:
    """Returns whether a header can carry the key; OpenAI checks everything else."""
    return bool(api_key) and all("!" <= letter <= "~" for letter in api_key)
