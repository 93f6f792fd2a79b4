"""The one connection to OpenAI: nothing leaves but what we put in, and every call ends by its deadline."""

import logging
import re
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import httpx2
    import openai

#: The only headers that leave the house: OPENAI_CUSTOM_HEADERS, organisation and project never do.
HEADERS_SENT = re.compile(
    r"^(host|accept|accept-encoding|connection|user-agent|content-type|content-length|authorization|x-stainless-.*)$"
)


def connect(base_url: str, transport: "httpx2.BaseTransport | None", monotonic: Callable[[], float]) -> "openai.OpenAI":
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
