"""The HTTP client of the control plane: bearer token, timeouts, and errors that show whether a retry may help."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TypeVar

import httpx2
from pydantic import ValidationError

from runner.clock import Clock
from wire import (
    BellAnswer,
    BellRequest,
    CommitAnswer,
    CommitRequest,
    MessagesAnswer,
    MessagesRequest,
    Refusal,
    RefusedAnswer,
    RefusedRequest,
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

ANSWER_TIMEOUT_SECONDS = 10.0
CONNECT_TIMEOUT_SECONDS = 5.0
#: The ECS agent may be a moment late with a container's metadata.
MAX_METADATA_ATTEMPTS = 5
METADATA_RETRY_SECONDS = 1.0
#: A held call (long polling) may take this much longer than it requested to be held.
HELD_MARGIN_SECONDS = 8.0
#: The largest snapshot over a slow line.
TRANSFER_TIMEOUT_SECONDS = 300.0
#: A transfer on which nothing moves is given up: its other end may be gone without a notice.
STALL_TIMEOUT = httpx2.Timeout(15.0, connect=CONNECT_TIMEOUT_SECONDS)
CHUNK_BYTES = 1 << 20
#: As many calls as 25 sessions make at once, the sync, and the bell.
MAX_CONNECTIONS = 32
#: Transfers of snapshots at the same time, in each direction; the time of the others counts from when they begin.
MAX_TRANSFERS = 4

Answer = TypeVar("Answer", bound=Wire)


class ControlPlaneError(Exception):
    """The control plane did not do what a call asked for.

    ControlPlaneError
    ├── TransientError  no answer, an unreadable one, 429 or 5xx
    ├── Unauthorised    401: this token is unknown, or its runner is dead
    ├── StaleEpoch      409 and 410: another runner holds the session at a later epoch
    └── Refused         413, and any other 4xx of the control plane's own: a retry does not help
    """

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


class TransientError(ControlPlaneError):
    """A retry may help."""


class Unauthorised(ControlPlaneError):
    """The token is unknown, or its runner was declared dead."""


class StaleEpoch(ControlPlaneError):
    """The epoch (the fencing token) is outdated: another runner holds the session."""


class Refused(ControlPlaneError):
    """The request itself is wrong."""


class Transfers:
    """Snapshots to and from S3, over connections of their own: however many there are, no call waits for one."""

    def __init__(self, http: httpx2.AsyncClient) -> None:
        self._http = http
        self._up = asyncio.Semaphore(MAX_TRANSFERS)
        #: Lines that wait for their login do not wait for the snapshots of others.
        self._down = asyncio.Semaphore(MAX_TRANSFERS)

    async def put(self, url: str, headers: Mapping[str, str], path: Path) -> None:
        """Stores a file under a link; idempotent: a file that is already there counts as stored."""

        async def content() -> AsyncIterator[bytes]:
            with path.open("rb") as file:
                while chunk := file.read(CHUNK_BYTES):
                    yield chunk

        try:
            async with self._up, asyncio.timeout(TRANSFER_TIMEOUT_SECONDS):
                response = await self._http.put(url, content=content(), headers=dict(headers), timeout=STALL_TIMEOUT)
        except TimeoutError:
            raise TransientError("not_stored_in_time") from None
        except httpx2.HTTPError as error:
            raise TransientError(type(error).__name__) from None
        if response.status_code not in (httpx2.codes.OK, httpx2.codes.PRECONDITION_FAILED):
            raise TransientError(f"store_{response.status_code}")

    async def fetch(self, url: str, path: Path, max_bytes: int) -> None:
        """Downloads a link's content into a new file; raises Refused if there is none, or more than ``max_bytes``."""
        try:
            async with (
                self._down,
                asyncio.timeout(TRANSFER_TIMEOUT_SECONDS),
                self._http.stream("GET", url, timeout=STALL_TIMEOUT) as response,
            ):
                if response.status_code == httpx2.codes.NOT_FOUND:
                    raise Refused("store_404")
                if response.status_code != httpx2.codes.OK:
                    raise TransientError(f"store_{response.status_code}")
                with path.open("xb") as file:
                    async for chunk in response.aiter_raw(CHUNK_BYTES):
                        if file.tell() + len(chunk) > max_bytes:
                            raise Refused("store_too_large")
                        file.write(chunk)
        except TimeoutError:
            raise TransientError("not_fetched_in_time") from None
        except httpx2.HTTPError as error:
            raise TransientError(type(error).__name__) from None


class ControlPlaneClient:
    """The client of one token, with a method per path of ``wire.py``; each call ends within its own time.

    Every method raises a ControlPlaneError if the control plane does not do it.
    """

    def __init__(self, http: httpx2.AsyncClient, transfers: Transfers, base_url: str, token: str) -> None:
        self._http = http
        self._transfers = transfers
        self._base_url = base_url
        self._token = token

    def bound_to(self, token: str) -> "ControlPlaneClient":
        """Returns a client that authenticates with ``token`` and shares this one's connections."""
        return ControlPlaneClient(self._http, self._transfers, self._base_url, token)

    async def sync(self, request: SyncRequest) -> SyncAnswer:
        """Registers the runner, or sends its heartbeat."""
        return await self._post("sync", request, SyncAnswer)

    async def wait_for_bell(self, request: BellRequest) -> BellAnswer:
        """Waits until the bell rings, or ``request.wait_ms`` are over."""
        return await self._post("bell", request, BellAnswer, request.wait_ms / 1000 + HELD_MARGIN_SECONDS)

    async def hand_in(self, request: MessagesRequest) -> MessagesAnswer:
        """Hands in messages; idempotent, and allowed to a dead runner."""
        return await self._post("messages", request, MessagesAnswer)

    async def take(self, request: TakeRequest) -> TakeAnswer:
        """Takes a turn before it is sent."""
        return await self._post("take", request, TakeAnswer)

    async def report_sent(self, request: SentRequest) -> SentAnswer:
        """Reports a part that WhatsApp's server has; monotone, and allowed to a dead runner."""
        return await self._post("sent", request, SentAnswer)

    async def report_refused(self, request: RefusedRequest) -> RefusedAnswer:
        """Reports a part that WhatsApp refused for good, which ends its turn; repeating it is harmless."""
        return await self._post("refused", request, RefusedAnswer)

    async def release(self, request: ReleaseRequest) -> ReleaseAnswer:
        """Gives a session back after its browser ended."""
        return await self._post("release", request, ReleaseAnswer)

    async def upload(self, request: UploadRequest) -> UploadAnswer:
        """Asks for a link under which a snapshot may be stored."""
        return await self._post("snapshots/upload", request, UploadAnswer)

    async def commit(self, request: CommitRequest) -> CommitAnswer:
        """Makes an uploaded snapshot count."""
        return await self._post("snapshots/commit", request, CommitAnswer)

    async def restore(self, request: RestoreRequest) -> RestoreAnswer:
        """Asks for the snapshots that a session may start from."""
        return await self._post("snapshots/restore", request, RestoreAnswer)

    async def put(self, url: str, headers: Mapping[str, str], path: Path) -> None:
        """Stores a file under a link; idempotent: a file that is already there counts as stored."""
        await self._transfers.put(url, headers, path)

    async def fetch(self, url: str, path: Path, max_bytes: int) -> None:
        """Downloads a link's content into a new file; raises Refused if there is none, or more than ``max_bytes``."""
        await self._transfers.fetch(url, path, max_bytes)

    async def _post(
        self, path: str, request: Wire, answer: type[Answer], timeout_seconds: float = ANSWER_TIMEOUT_SECONDS
    ) -> Answer:
        try:
            async with asyncio.timeout(timeout_seconds):
                response = await self._http.post(
                    f"{self._base_url}/runner/{path}",
                    content=request.model_dump_json(exclude_none=True),
                    headers={"Authorization": f"Bearer {self._token}", "Content-Type": "application/json"},
                )
        except TimeoutError:
            raise TransientError("no_answer_in_time") from None
        except httpx2.HTTPError as error:
            raise TransientError(type(error).__name__) from None
        if response.status_code != httpx2.codes.OK:
            raise _error_from(response)
        try:
            return answer.model_validate_json(response.content)
        except ValidationError:
            raise TransientError("unreadable_answer") from None


@asynccontextmanager
async def connect(base_url: str, token: str) -> AsyncIterator[ControlPlaneClient]:
    """Opens a client whose sockets are closed at the end."""
    # The timeout of each call is its own `asyncio.timeout`; here only what it cannot see.
    timeout = httpx2.Timeout(None, connect=CONNECT_TIMEOUT_SECONDS)
    limits = httpx2.Limits(max_connections=MAX_CONNECTIONS, max_keepalive_connections=MAX_CONNECTIONS)
    async with (
        httpx2.AsyncClient(timeout=timeout, limits=limits, follow_redirects=False) as http,
        httpx2.AsyncClient(timeout=timeout, follow_redirects=False) as store,
    ):
        yield ControlPlaneClient(http, Transfers(store), base_url, token)


async def fetch_task_arn(metadata_uri: str, clock: Clock, transport: httpx2.AsyncBaseTransport | None = None) -> str:
    """Returns the ARN of the ECS task that this process runs in, which registration needs; empty if ECS has none."""
    for _ in range(MAX_METADATA_ATTEMPTS):
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT_SECONDS), httpx2.AsyncClient(transport=transport) as http:
                response = await http.get(f"{metadata_uri}/task")
            if task := str(response.json().get("TaskARN", "")):
                return task[:200]
        except (TimeoutError, httpx2.HTTPError, ValueError, AttributeError):
            pass
        await clock.sleep(METADATA_RETRY_SECONDS)
    return ""


def _error_from(response: httpx2.Response) -> ControlPlaneError:
    status = response.status_code
    try:
        code = Refusal.model_validate_json(response.content).code
    except ValidationError:
        code = f"http_{status}"
    if status == httpx2.codes.UNAUTHORIZED:
        return Unauthorised(code)
    if status in (httpx2.codes.CONFLICT, httpx2.codes.GONE):
        return StaleEpoch(code)
    if status == httpx2.codes.CONTENT_TOO_LARGE:
        return Refused(code)  # also if API Gateway answers it: the same request is always as large
    # API Gateway and a WAF answer 403 while they are being deployed; only the control plane's own code makes it final.
    if status == httpx2.codes.TOO_MANY_REQUESTS or status >= 500 or code == f"http_{status}":
        return TransientError(code)
    return Refused(code)
