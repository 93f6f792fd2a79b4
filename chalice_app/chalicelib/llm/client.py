"""Asks OpenAI for replies, each tenant with its own key; the only package that knows OpenAI.

What runs is our own `Assistant` record through `POST /v1/responses`, with our own history and `store=False`: nothing at
run time depends on an object stored at OpenAI. All trouble becomes one of three kinds (`errors.py`), and no exception
here ever carries a key, a message's text, or anything OpenAI wrote beyond its error code, parameter and request id.
"""

import hashlib
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from threading import Lock
from typing import TYPE_CHECKING, Any

from chalicelib.errors import ActionRequired, AnswerlineError, PermanentError, TransientError
from chalicelib.llm.connection import connect as open_connection
from chalicelib.llm.outcomes import failed, refused, text_of
from chalicelib.model import Assistant, ChatLine
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


@dataclass(frozen=True, slots=True)
class Reply:
    """What the model wrote, as Markdown, and what it cost in tokens (of all attempts)."""

    text: str = field(repr=False)
    input_tokens: int
    output_tokens: int


@dataclass(frozen=True, slots=True)
class AssistantCheck:
    """Whether a key and an assistant would answer now; if not, one sentence that says what to do."""

    sentence: str
    #: what a person must mend; None if nothing, or if the trouble may pass by itself
    problem: ProblemCode | None = None
    #: neither works nor is known to be wrong: network, OpenAI down, rate limit; check again later
    transient: bool = False

    @property
    def ok(self) -> bool:
        return self.problem is None and not self.transient


class LlmClient:
    """OpenAI, or a server that speaks its Responses API; one per process, safe to share between threads.

    One connection pool serves all tenants; keys are used for one call and never kept. The SDK and its own settings
    from the environment (OPENAI_*) stay out: it is imported by the first call, told everything explicitly, and never
    retries by itself. Proxies and trust stores (HTTPS_PROXY, SSL_CERT_FILE) are the machine's and do count.

    Args:
        base_url: including `/v1`.
        reply_within: for `reply`, all attempts together.
        transport: a stand-in for the network, for tests.
        monotonic: a clock in seconds.
    """

    def __init__(
        self,
        base_url: str = OPENAI,
        *,
        reply_within: timedelta = REPLY_WITHIN,
        transport: "httpx2.BaseTransport | None" = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.base_url = base_url
        self._reply_within = reply_within
        self._transport = transport
        self._monotonic = monotonic
        self._connecting = Lock()
        self._client: openai.OpenAI | None = None

    def check(self, api_key: str, assistant: Assistant) -> AssistantCheck:
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
            response = self._create(api_key, assistant, request, CHECK_WITHIN.total_seconds())
            if response.status == "failed":
                raise failed(response)
        except ActionRequired as trouble:
            return AssistantCheck(trouble.message, problem=trouble.problem)
        except TransientError as trouble:
            return AssistantCheck(trouble.message, transient=True)
        except PermanentError as trouble:
            return AssistantCheck(trouble.message, problem=ProblemCode.ASSISTANT_REFUSED)
        return AssistantCheck(f"The key works, and {assistant.model} answers.")

    def reply(
        self, api_key: str, assistant: Assistant, history: Sequence[ChatLine], *, tenant: str, chat: str, turn: str
    ) -> Reply:
        """The model's answer to a chat's history, oldest first; the last lines are the contact's.

        A text that was cut by `max_output_tokens` is used and ends in "…". When the model writes nothing at all it is
        asked once more, with four times the room if thinking had used up its tokens; then the turn is given up:
        asking the same again and again would only cost the tenant money.

        Args:
            api_key: the tenant's, in clear.
            history: at least one line.
            tenant: groups OpenAI's prompt cache, and marks the call together with `turn`.
            chat: with the tenant, hashed, tells OpenAI's abuse detection contacts apart.

        Raises:
            TransientError: rate limit, 5xx, timeout, no connection; `retry_after_seconds` if OpenAI said so.
            ActionRequired: key, credit, model or settings need a person; `problem` says which.
            PermanentError: refused, filtered, too long or empty; `reason` says which.
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
                raise TransientError("The model wrote nothing, and there was no time to ask it again.")
            response = self._create(api_key, assistant, request, left)
            if response.usage is not None:
                input_tokens += response.usage.input_tokens or 0
                output_tokens += response.usage.output_tokens or 0
            text = text_of(response)
            if text:
                return Reply(text, input_tokens, output_tokens)
            if response.status == "incomplete" and "max_output_tokens" in request:
                request["max_output_tokens"] *= MORE_ROOM
        raise PermanentError("empty", "The model wrote nothing, twice.")

    def close(self) -> None:
        """Closes the connections; the next call opens new ones."""
        with self._connecting:
            if self._client is not None:
                self._client.close()
                self._client = None

    def _create(self, api_key: str, assistant: Assistant, request: Mapping[str, Any], seconds: float) -> "Response":
        """One call to the Responses API. What is raised has no cause: causes carry keys and texts."""
        if not _looks_like_a_key(api_key):
            raise ActionRequired(
                ProblemCode.KEY_REVOKED, "This is not a whole OpenAI key: copy it again and enter it here."
            )
        import openai
        from openai.types.responses import Response

        trouble: AnswerlineError
        try:
            response = self._client_for(api_key, seconds).responses.create(**request)
        except openai.APIStatusError as error:
            trouble = refused(error, assistant)
        except openai.APITimeoutError:
            trouble = TransientError("OpenAI did not answer in time: try again in a minute.")
        except openai.APIConnectionError:
            trouble = TransientError(
                "OpenAI could not be reached: check this server's network, or try again in a minute."
            )
        except (openai.OpenAIError, ValueError):
            trouble = TransientError("OpenAI's answer could not be read: try again in a minute.")
        else:
            if isinstance(response, Response):
                return response
            trouble = TransientError("OpenAI's answer could not be read: try again in a minute.")
        raise trouble

    def _client_for(self, api_key: str, seconds: float) -> "openai.OpenAI":
        import httpx2

        with self._connecting:
            if self._client is None:
                self._client = open_connection(self.base_url, self._transport, self._monotonic)
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
