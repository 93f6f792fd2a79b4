"""The control plane as the runner calls it: the only HTTP client."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TypeVar

import httpx2
from pydantic import ValidationError

from runner.clock import Clock
from wire import (
    CommitAnswer,
    CommitRequest,
    MessagesAnswer,
    MessagesRequest,
    Refusal,
    ReleaseAnswer,
    ReleaseRequest,
    RestoreAnswer,
    RestoreRequest,
    SentAnswer,
    SentRequest,
    SyncAnswer,
    SyncRequest,
    TakeAnswer,
    TakeRequest,
    UploadAnswer,
    UploadRequest,
    Wire,
)

ANSWER_WITHIN = 10.0
CONNECT_WITHIN = 5.0
#: The agent that tells a container its task may be a moment late.
METADATA_ASKED_AT_MOST = 5
METADATA_ASKED_EVERY = 1.0
#: What a held sync may take beyond the time it asked to be held.
HELD_MARGIN = 8.0
#: The largest snapshot over a slow line.
TRANSFERRED_WITHIN = 300.0
#: A transfer on which nothing moves is given up: its other end may be gone without a word.
STALLED = httpx2.Timeout(15.0, connect=CONNECT_WITHIN)
CHUNK_BYTES = 1 << 20
#: As many as 25 sessions need at once, and the two syncs.
CONNECTIONS = 32

Answer = TypeVar("Answer", bound=Wire)


class ControlPlaneError(Exception):
    """The control plane did not do what it was asked.

    ControlPlaneError
    ├── TransientError       no answer, an unreadable one, 429 or 5xx
    ├── Unauthorised   401: this token is unknown, or its runner is dead
    ├── Stale          409 and 410: the epoch is not ours any more
    └── Refused        413, and any other 4xx of our own: asking again will not help
    """

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


class TransientError(ControlPlaneError):
    """Asking again may help."""


class Unauthorised(ControlPlaneError):
    """The token is unknown, or its runner was declared dead."""


class Stale(ControlPlaneError):
    """Somebody else holds the session now."""


class Refused(ControlPlaneError):
    """The request itself is wrong."""


class ControlPlaneClient:
    """One method per path of ``wire.py``; each ends within its own time."""

    def __init__(self, http: httpx2.AsyncClient, base_url: str, token: str) -> None:
        self._token = token
        self._http = http
        self._base_url = base_url

    def bound_to(self, token: str) -> "ControlPlaneClient":
        """Returns a client that authenticates with ``token`` and shares this one's connections."""
        return ControlPlaneClient(self._http, self._base_url, token)

    async def sync(self, request: SyncRequest) -> SyncAnswer:
        """Register or renew; may be held for ``request.wait_ms``."""
        within = request.wait_ms / 1000 + HELD_MARGIN
        return await self._post("sync", request, SyncAnswer, within)

    async def messages(self, request: MessagesRequest) -> MessagesAnswer:
        """Hand in messages: idempotent, and allowed to a dead runner."""
        return await self._post("messages", request, MessagesAnswer)

    async def take(self, request: TakeRequest) -> TakeAnswer:
        """Take a turn before sending it."""
        return await self._post("take", request, TakeAnswer)

    async def sent(self, request: SentRequest) -> SentAnswer:
        """Say that a part is on WhatsApp's server: monotone, and allowed to a dead runner."""
        return await self._post("sent", request, SentAnswer)

    async def release(self, request: ReleaseRequest) -> ReleaseAnswer:
        """Give a session back, its browser being gone."""
        return await self._post("release", request, ReleaseAnswer)

    async def upload(self, request: UploadRequest) -> UploadAnswer:
        """Where may this snapshot go?"""
        return await self._post("snapshots/upload", request, UploadAnswer)

    async def commit(self, request: CommitRequest) -> CommitAnswer:
        """The snapshot is uploaded: let it count."""
        return await self._post("snapshots/commit", request, CommitAnswer)

    async def restore(self, request: RestoreRequest) -> RestoreAnswer:
        """Which snapshots are there?"""
        return await self._post("snapshots/restore", request, RestoreAnswer)

    async def put(self, url: str, headers: Mapping[str, str], path: Path) -> None:
        """Store a file under a link; that it is there already is as good."""

        async def content() -> AsyncIterator[bytes]:
            with path.open("rb") as file:
                while chunk := file.read(CHUNK_BYTES):
                    yield chunk

        try:
            async with asyncio.timeout(TRANSFERRED_WITHIN):
                response = await self._http.put(url, content=content(), headers=dict(headers), timeout=STALLED)
        except TimeoutError:
            raise TransientError("not_stored_in_time") from None
        except httpx2.HTTPError as trouble:
            raise TransientError(type(trouble).__name__) from None
        if response.status_code not in (httpx2.codes.OK, httpx2.codes.PRECONDITION_FAILED):
            raise TransientError(f"store_{response.status_code}")

    async def fetch(self, url: str, path: Path, at_most_bytes: int) -> None:
        """Bring what a link leads to into a new file; ``Refused`` if there is nothing, or more than announced."""
        try:
            async with (
                asyncio.timeout(TRANSFERRED_WITHIN),
                self._http.stream("GET", url, timeout=STALLED) as response,
            ):
                if response.status_code == httpx2.codes.NOT_FOUND:
                    raise Refused("store_404")
                if response.status_code != httpx2.codes.OK:
                    raise TransientError(f"store_{response.status_code}")
                with path.open("xb") as file:
                    async for chunk in response.aiter_raw(CHUNK_BYTES):
                        if file.tell() + len(chunk) > at_most_bytes:
                            raise Refused("store_too_large")
                        file.write(chunk)
        except TimeoutError:
            raise TransientError("not_fetched_in_time") from None
        except httpx2.HTTPError as trouble:
            raise TransientError(type(trouble).__name__) from None

    async def _post(self, path: str, request: Wire, answer: type[Answer], within: float = ANSWER_WITHIN) -> Answer:
        try:
            async with asyncio.timeout(within):
                response = await self._http.post(
                    f"{self._base_url}/runner/{path}",
                    content=request.model_dump_json(exclude_none=True),
                    headers={"Authorization": f"Bearer {self._token}", "Content-Type": "application/json"},
                )
        except TimeoutError:
            raise TransientError("no_answer_in_time") from None
        except httpx2.HTTPError as trouble:
            raise TransientError(type(trouble).__name__) from None
        if response.status_code != httpx2.codes.OK:
            raise _trouble(response)
        try:
            return answer.model_validate_json(response.content)
        except ValidationError:
            raise TransientError("unreadable_answer") from None


@asynccontextmanager
async def connection(base_url: str, token: str) -> AsyncIterator[ControlPlaneClient]:
    """A client whose sockets are closed at the end."""
    limits = httpx2.Limits(max_connections=CONNECTIONS, max_keepalive_connections=CONNECTIONS)
    # The deadline of each call is its own `asyncio.timeout`; here only what it cannot see.
    timeout = httpx2.Timeout(None, connect=CONNECT_WITHIN)
    async with httpx2.AsyncClient(timeout=timeout, limits=limits, follow_redirects=False) as http:
        yield ControlPlaneClient(http, base_url, token)


async def task_of(metadata_uri: str, clock: Clock, transport: httpx2.AsyncBaseTransport | None = None) -> str:
    """The ARN of the ECS task this process is in, without which no stage takes it in; empty if nobody says."""
    for _ in range(METADATA_ASKED_AT_MOST):
        try:
            async with asyncio.timeout(CONNECT_WITHIN), httpx2.AsyncClient(transport=transport) as client:
                response = await client.get(f"{metadata_uri}/task")
            if task := str(response.json().get("TaskARN", "")):
                return task[:200]
        except (TimeoutError, httpx2.HTTPError, ValueError, AttributeError):
            pass
        await clock.sleep(METADATA_ASKED_EVERY)
    return ""


def _trouble(response: httpx2.Response) -> ControlPlaneError:
    status = response.status_code
    try:
        code = Refusal.model_validate_json(response.content).code
    except ValidationError:
        code = f"http_{status}"
    if status == httpx2.codes.UNAUTHORIZED:
        return Unauthorised(code)
    if status in (httpx2.codes.CONFLICT, httpx2.codes.GONE):
        return Stale(code)
    if status == httpx2.codes.CONTENT_TOO_LARGE:
        return Refused(code)  # whoever says it, API Gateway too: the same request will always be as large
    # 403 is also what API Gateway and a WAF say while they are being deployed; only our own code makes it final.
    if status == httpx2.codes.TOO_MANY_REQUESTS or status >= 500 or code == f"http_{status}":
        return TransientError(code)
    return Refused(code)
