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
from typing import TYPE_CHECKING

from chalicelib.errors import ActionRequired, AnswerlineError, PermanentError, TimedOut, TransientError
from chalicelib.llm import advice
from chalicelib.llm.answer import Answer, read_answer
from chalicelib.llm.attempt import Attempt
from chalicelib.llm.connection import ANSWER_BEGAN, open_connection
from chalicelib.llm.model_list import read_models, read_shutdown_date
from chalicelib.llm.outcomes import Failure, judge_status
from chalicelib.llm.request import as_check, build_request, estimate_cost
from chalicelib.llm.verdict import parse
from chalicelib.model import Assistant, ChatLine
from chalicelib.model.assistants.models import OfferedModel
from chalicelib.model.openai_servers import GLOBAL, REGIONS, Server, find_server
from wire import ProblemCode

if TYPE_CHECKING:
    import httpx2
    import openai

OPENAI = REGIONS[GLOBAL]
#: The timeout of a whole reply, all attempts included.
REPLY_TIMEOUT = timedelta(seconds=90)
CHECK_TIMEOUT = timedelta(seconds=15)
#: A model that wrote nothing, or only a stump, is asked once more, if there is time; then the turn is given up.
MAX_ATTEMPTS = 2
MIN_TIME_FOR_RETRY = timedelta(seconds=10)
CHECK_LINES = (ChatLine("user", "ping"),)


@dataclass(frozen=True, slots=True)
class Reply:
    """The model's text, as Markdown, and the tokens of all attempts."""

    text: str = field(repr=False)
    input_tokens: int
    output_tokens: int
    web_searches: int = 0


@dataclass(frozen=True, slots=True)
class AssistantCheck:
    """The result of checking a key and an assistant; if they would not answer, the sentence explains what to do."""

    sentence: str
    #: the problem that a person must fix; None without one, or after a transient error
    problem: ProblemCode | None = None
    #: the check failed for a moment (network, OpenAI down, rate limit) and has to be repeated
    transient: bool = False
    #: the effort that the model takes instead of the assistant's (``model/assistant.py``); None if it takes that
    effort: str | None = None

    @property
    def ok(self) -> bool:
        """True if the assistant would answer now."""
        return self.problem is None and not self.transient


class LlmClient:
    """A client of OpenAI and of servers with the same Responses API; one per process, safe to share between threads.

    One connection pool serves all tenants and servers; a key is used for one call and never kept. The SDK is imported
    by the first call, takes no settings from the environment (OPENAI_*), and never retries by itself. Proxies and trust
    stores (HTTPS_PROXY, SSL_CERT_FILE) are the machine's and count.

    Args:
        base_url: the address that stands for OpenAI, including `/v1`.
        servers: the addresses of compatible servers that an assistant may name.
        effort_found: called with a tenant, its assistant and the effort that the model takes instead of our default.
        reply_timeout: of `reply`, all attempts together.
        transport: replaces the network in tests.
        monotonic: a clock in seconds.
    """

    def __init__(
        self,
        base_url: str = OPENAI,
        *,
        servers: Sequence[str] = (),
        effort_found: Callable[[str, Assistant, str], None] = lambda tenant, assistant, effort: None,
        reply_timeout: timedelta = REPLY_TIMEOUT,
        transport: "httpx2.BaseTransport | None" = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.base_url = base_url
        self._servers = tuple(servers)
        self._effort_found = effort_found
        self._reply_timeout = reply_timeout
        self._transport = transport
        self._monotonic = monotonic
        self._connecting = Lock()
        self._client: openai.OpenAI | None = None

    def check(self, api_key: str, assistant: Assistant, *, as_reply: bool = False) -> AssistantCheck:
        """Checks the key and the assistant's settings with one call that writes at most 16 tokens; never raises.

        The call is a real `POST /v1/responses` with all that a reply sends, instructions and tools too: what OpenAI
        refuses in a reply, it refuses here. Counting tokens would be free and finds a wrong key or model just as well,
        but succeeds without credit: OpenAI refuses only calls that it would bill. Tools are checked and not used. An
        effort that the model does not take is replaced by one that it takes.

        Args:
            as_reply: an effort that an operator chose is not replaced, as in a reply.
        """
        fixed = as_reply and assistant.reasoning_effort is not None
        try:
            attempt = self._begin(assistant, CHECK_LINES, contact="check", cache_key="check", changes_effort=not fixed)
            attempt.body = as_check(attempt.body)
            self._ask(api_key, attempt, self._monotonic() + CHECK_TIMEOUT.total_seconds(), {})
        except ActionRequired as error:
            return AssistantCheck(error.message, problem=error.problem)
        except TransientError as error:
            return AssistantCheck(error.message, transient=True)
        except PermanentError as error:
            return AssistantCheck(error.message, problem=ProblemCode.ASSISTANT_REFUSED)
        return AssistantCheck(f"The key works, and {assistant.model} answers.", effort=attempt.effort)

    def shutdown_date(self, api_key: str, assistant: Assistant) -> str | None:
        """Returns the day on which OpenAI ends the model, as YYYY-MM-DD; empty for none, None if it is not known.

        Never raises. A key that may not read models may well use them, and other servers announce no end.
        """
        server = find_server(assistant.server, self._servers, self.base_url)
        if server is None or server.compatible:
            return None
        return read_shutdown_date(self._read_models(api_key, server, assistant.model))

    def list_models(self, api_key: str, assistant: Assistant) -> tuple[OfferedModel, ...] | None:
        """Returns the models that answer chats and that this key may use; None if that is not known. Never raises."""
        server = find_server(assistant.server, self._servers, self.base_url)
        return None if server is None else read_models(self._read_models(api_key, server))

    def _read_models(self, api_key: str, server: Server, name: str | None = None) -> object:
        """Returns the body of the list of models, or of one of them; None if the server did not answer with it."""
        if not _fits_header(api_key):
            return None
        import openai

        models = self._client_for(api_key, CHECK_TIMEOUT.total_seconds(), server.base_url).models.with_raw_response
        try:
            return parse((models.list() if name is None else models.retrieve(name)).content)
        except (openai.OpenAIError, ValueError, RecursionError):
            return None

    def reply(
        self, api_key: str, assistant: Assistant, history: Sequence[ChatLine], *, tenant: str, chat: str, turn: str
    ) -> Reply:
        """Returns the model's answer to a chat's history, oldest first; the last lines are the contact's.

        A text that was cut by `max_output_tokens` because it is long is used and ends in "…": to ask again would cost
        twice as much for a text that is too long for a chat anyway. Where thinking took the tokens, or nothing was
        written, the model is asked once more, with four times the tokens; then the turn is given up, because further
        attempts would only cost the tenant money. A request that is too large is repeated with fewer of the earlier
        lines, and one whose effort is refused with another effort, unless an operator chose that effort.

        Args:
            api_key: the tenant's, in clear.
            history: at least one line.
            tenant: groups OpenAI's prompt cache.
            chat: hashed with the tenant, so that OpenAI's abuse detection can distinguish contacts.
            turn: marks the call for OpenAI's support (`X-Client-Request-Id`).

        Raises:
            TransientError: rate limit, 5xx, no connection, a proxy; `retry_after_seconds` if OpenAI named it.
            TimedOut: sent, and no answer in time.
            ActionRequired: key, credit, model or settings need a person; `problem` names the cause.
            PermanentError: refused, filtered, too long or empty; `reason` names the cause.
            Each carries the `tokens` and `web_searches` that were paid for.
        """
        contact, own_choice = f"{tenant}|{chat}", assistant.reasoning_effort is not None
        attempt = self._begin(assistant, history, contact=contact, cache_key=tenant, changes_effort=not own_choice)
        deadline = self._monotonic() + self._reply_timeout.total_seconds()
        read = written = searches = 0
        for number in range(MAX_ATTEMPTS):
            try:
                if number and deadline - self._monotonic() < MIN_TIME_FOR_RETRY.total_seconds():
                    raise TransientError("The model wrote nothing, and there was no time to ask it again.")
                answer = self._ask(api_key, attempt, deadline, {"X-Client-Request-Id": turn})
            except AnswerlineError as error:
                error.tokens = error.tokens[0] + read, error.tokens[1] + written
                error.web_searches += searches
                raise
            finally:
                if attempt.effort is not None:
                    self._effort_found(tenant, assistant, attempt.effort)
                    attempt.effort = None
            read, written = read + answer.tokens[0], written + answer.tokens[1]
            searches += answer.web_searches
            if answer.text and not answer.stump:
                return Reply(f"{answer.text} …" if answer.cut else answer.text, read, written, searches)
            if answer.cut:
                attempt.give_room()
        nothing = PermanentError("empty", "The model wrote nothing, or thought until no room was left, twice.")
        nothing.tokens, nothing.web_searches = (read, written), searches
        raise nothing

    def close(self) -> None:
        """Closes the connections; the next call opens new ones."""
        with self._connecting:
            if self._client is not None:
                self._client.close()
                self._client = None

    def _begin(
        self, assistant: Assistant, lines: Sequence[ChatLine], *, contact: str, cache_key: str, changes_effort: bool
    ) -> Attempt:
        server = find_server(assistant.server, self._servers, self.base_url)
        if server is None:
            raise ActionRequired(ProblemCode.ASSISTANT_REFUSED, advice.UNLISTED_SERVER)
        hashed = hashlib.sha256(contact.encode()).hexdigest()
        body = build_request(assistant, server, lines, contact=hashed, cache_key=cache_key)
        return Attempt(assistant, server, tuple(lines), body, changes_effort)

    def _ask(self, api_key: str, attempt: Attempt, deadline: float, headers: Mapping[str, str]) -> Answer:
        """Asks until the request is taken or nothing is left to change in it. Its exceptions have no cause."""
        while True:
            left = deadline - self._monotonic()
            outcome = self._call(api_key, attempt, max(1.0, left), headers)
            if isinstance(outcome, Answer):
                return outcome
            if not attempt.remedy(outcome):
                break
        raise outcome.error

    def _call(
        self, api_key: str, attempt: Attempt, timeout_seconds: float, headers: Mapping[str, str]
    ) -> Answer | Failure:
        """Calls the Responses API once."""
        if not _fits_header(api_key):
            sentence = "This is not a whole OpenAI key: copy it again and enter it here."
            return Failure(ActionRequired(ProblemCode.KEY_REVOKED, sentence))
        import openai

        assistant, server = attempt.assistant, attempt.server
        client = self._client_for(api_key, timeout_seconds, server.base_url)
        try:
            raw = client.responses.with_raw_response.create(**attempt.body, extra_headers=headers)
        except openai.APIStatusError as error:
            response = error.response
            return judge_status(response.status_code, response.headers, response.content, assistant, server)
        except openai.APIConnectionError as error:
            return Failure(_lost_answer(error, attempt))
        except (openai.OpenAIError, ValueError, RecursionError):
            return read_answer(None, assistant, server)
        body = parse(raw.content)
        outcome = read_answer(body, assistant, server)
        if body is None and isinstance(outcome, Failure) and raw.content.lstrip()[:1] == b"{":
            outcome.error.tokens = estimate_cost(attempt.body)  # cut off on its way: it was written, and is paid
        return outcome

    def _client_for(self, api_key: str, timeout_seconds: float, base_url: str | None = None) -> "openai.OpenAI":
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
            base_url=base_url or self.base_url,
            # set as a header too, which outranks one in OPENAI_CUSTOM_HEADERS
            default_headers={"Authorization": f"Bearer {api_key}"},
            timeout=httpx2.Timeout(connect=connect, pool=other, write=other, read=read),
        )


def _lost_answer(error: "openai.APIConnectionError", attempt: Attempt) -> TransientError:
    """Returns the error of a call whose answer did not come, or did not come whole.

    Only a call that was sent counts as one that took too long: a connection that is refused costs nothing.
    """
    import httpx2

    failure: TransientError
    if isinstance(error.__cause__, httpx2.ReadTimeout):
        failure = TimedOut(advice.on_timeout(attempt.server))
        failure.tokens = estimate_cost(attempt.body)
        return failure
    failure = TransientError(advice.without_connection(attempt.server))
    if error.request.extensions.get(ANSWER_BEGAN):
        failure.tokens = estimate_cost(attempt.body)
    return failure


def _fits_header(api_key: str) -> bool:
    """Returns whether a header can carry the key; OpenAI checks everything else."""
    return bool(api_key) and all("!" <= letter <= "~" for letter in api_key)
