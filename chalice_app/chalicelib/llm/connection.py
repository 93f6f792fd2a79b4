"""The connection pool to OpenAI: it sends only allowed headers, and ends every call by its deadline."""

import logging
import re
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import httpx2
    import openai

#: The only headers that are sent: never OPENAI_CUSTOM_HEADERS, organisation or project.
HEADERS_SENT = re.compile(
    r"^(host|accept|accept-encoding|connection|user-agent|content-type|content-length|authorization|x-client-request-id|x-stainless-.*)$"
)
#: The extension of a request whose answer began: OpenAI sends the headers once the model has written.
ANSWER_BEGAN = "answerline.answer_began"


def open_connection(
    base_url: str, transport: "httpx2.BaseTransport | None", monotonic: Callable[[], float]
) -> "openai.OpenAI":
    """Returns the SDK's client with our own pool.

    Args:
        base_url: including `/v1`.
        transport: replaces the network in tests.
        monotonic: a clock in seconds.
    """
    import httpx2
    import openai

    class DeadlineStream(httpx2.SyncByteStream):
        """A response body that must end by the call's deadline; a read timeout alone does not end one that trickles."""

        def __init__(self, stream: httpx2.SyncByteStream, deadline: float) -> None:
            self.stream, self.deadline = stream, deadline

        def __iter__(self) -> Iterator[bytes]:
            for chunk in self.stream:
                if monotonic() > self.deadline:
                    raise httpx2.ReadTimeout("the deadline of the whole call has passed")
                yield chunk

        def close(self) -> None:
            self.stream.close()

    def limit_headers(request: httpx2.Request) -> None:
        for name in [name for name in request.headers if not HEADERS_SENT.match(name.lower())]:
            del request.headers[name]
        timeouts = request.extensions["timeout"]
        allowed = sum(timeouts.values()) + timeouts["connect"]
        request.extensions["deadline"] = monotonic() + allowed

    def enforce_deadline(response: httpx2.Response) -> None:
        deadline = response.request.extensions["deadline"]
        response.request.extensions[ANSWER_BEGAN] = response.is_success
        response.request.extensions["timeout"]["read"] = max(0.1, deadline - monotonic())
        if isinstance(response.stream, httpx2.SyncByteStream):
            response.stream = DeadlineStream(response.stream, deadline)

    # OPENAI_LOG, read by the SDK on import, would have turned its own log on.
    for name in ("openai", "httpx2", "httpcore2"):
        logging.getLogger(name).setLevel(logging.WARNING)
    pool = httpx2.Client(
        transport=transport,
        # A redirect would take the key somewhere else.
        follow_redirects=False,
        limits=httpx2.Limits(max_connections=200, max_keepalive_connections=50),
        event_hooks={"request": [limit_headers], "response": [enforce_deadline]},
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
