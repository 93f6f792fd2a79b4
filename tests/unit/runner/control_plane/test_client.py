"""Each response of the control plane becomes an answer or one of four kinds of error."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import httpx2
import pytest

from runner.control_plane.client import (
    MAX_CONNECTIONS,
    MAX_METADATA_ATTEMPTS,
    MAX_TRANSFERS,
    ControlPlaneClient,
    ControlPlaneError,
    Refused,
    StaleEpoch,
    Transfers,
    TransientError,
    Unauthorised,
    connect,
    fetch_task_arn,
)
from tests.unit.support.runner_fakes import FakeClock, settle
from wire import ReleaseRequest, SyncRequest

RELEASE = ReleaseRequest(tenant="tenant00001", epoch=3, reason="drained")


def client_with(answers: Callable[[httpx2.Request], httpx2.Response], token: str = "t") -> ControlPlaneClient:
    http = httpx2.AsyncClient(transport=httpx2.MockTransport(answers))
    return ControlPlaneClient(http, Transfers(http), "https://line.test/api", token)


async def test_a_call_goes_to_its_path_with_the_token_and_without_what_is_unset() -> None:
    requested: list[httpx2.Request] = []

    def answer(request: httpx2.Request) -> httpx2.Response:
        requested.append(request)
        return httpx2.Response(200, json={"sequence": 7, "hold": [], "something_new": 1})

    got = await client_with(answer, "the-token").sync(SyncRequest(sequence=7, capacity=2))
    assert got.sequence == 7
    assert str(requested[0].url) == "https://line.test/api/runner/sync"
    assert requested[0].headers["authorization"] == "Bearer the-token"
    assert json.loads(requested[0].content)["capacity"] == 2


async def test_a_client_of_another_token_uses_the_same_connections() -> None:
    tokens: list[str] = []

    def answer(request: httpx2.Request) -> httpx2.Response:
        tokens.append(request.headers["authorization"])
        return httpx2.Response(200, json={"released": True})

    client = client_with(answer, "the-runners")
    await client.bound_to("the-sessions").release(RELEASE)
    await client.release(RELEASE)
    assert tokens == ["Bearer the-sessions", "Bearer the-runners"]


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (401, {"code": "unauthorised", "message": ""}, Unauthorised),
        (409, {"code": "stale", "message": ""}, StaleEpoch),
        (410, {}, StaleEpoch),
        (400, {"code": "bad_request", "message": ""}, Refused),
        (404, {"code": "not_found", "message": ""}, Refused),
        (413, {"message": "Request Too Long"}, Refused),
        (403, {"message": "Forbidden"}, TransientError),
        (404, {"message": "Not Found"}, TransientError),
        (429, {"code": "slow_down", "message": ""}, TransientError),
        (500, {}, TransientError),
        (503, {"code": "unavailable", "message": ""}, TransientError),
        (302, {}, TransientError),
        (200, {"nonsense": True}, TransientError),
    ],
)
async def test_each_answer_is_one_kind_of_error(status: int, body: object, kind: type[ControlPlaneError]) -> None:
    client = client_with(lambda _request: httpx2.Response(status, json=body))
    with pytest.raises(kind):
        await client.release(RELEASE)


@pytest.mark.parametrize("error", [httpx2.ConnectError, httpx2.ReadTimeout, httpx2.RemoteProtocolError])
async def test_a_broken_network_is_a_transient_error(error: type[httpx2.TransportError]) -> None:
    def fail(request: httpx2.Request) -> httpx2.Response:
        raise error("x", request=request)

    with pytest.raises(TransientError, match=error.__name__):
        await client_with(fail).release(RELEASE)


async def test_no_text_of_the_answer_gets_into_the_error() -> None:
    client = client_with(lambda _request: httpx2.Response(400, text="about +49 170 1234567"))
    with pytest.raises(ControlPlaneError) as caught:
        await client.release(RELEASE)
    assert str(caught.value) == "http_400"


async def test_a_transfer_on_which_nothing_moves_is_given_up(tmp_path: Path) -> None:
    def stalled(request: httpx2.Request) -> httpx2.Response:
        patience = request.extensions["timeout"]
        raise httpx2.ReadTimeout("") if 0 < patience["read"] <= 15 and 0 < patience["write"] <= 15 else AssertionError

    (tmp_path / "archive").write_bytes(b"profile")
    with pytest.raises(TransientError):
        await client_with(stalled).put("https://store.test/key", {}, tmp_path / "archive")
    with pytest.raises(TransientError):
        await client_with(stalled).fetch("https://store.test/key", tmp_path / "new", 100)


async def test_uploads_and_downloads_wait_for_a_slot_of_their_own_and_calls_for_none(tmp_path: Path) -> None:
    begun: list[str] = []
    stored = asyncio.Event()

    async def answer(request: httpx2.Request) -> httpx2.Response:
        begun.append(request.method)
        if request.method == "POST":
            return httpx2.Response(200, json={"released": True})
        await stored.wait()
        return httpx2.Response(200, content=profile())

    async def profile() -> AsyncIterator[bytes]:
        yield b"profile"

    http = httpx2.AsyncClient(transport=httpx2.MockTransport(answer))
    client = ControlPlaneClient(http, Transfers(http), "https://line.test/api", "t")
    (tmp_path / "archive").write_bytes(b"profile")
    async with asyncio.TaskGroup() as group:
        for number in range(25):
            bound = client.bound_to(f"session {number}")
            group.create_task(bound.put("https://store.test/key", {}, tmp_path / "archive"))
            group.create_task(bound.fetch("https://store.test/key", tmp_path / f"new-{number}", 100))
        await settle(100)
        assert begun.count("PUT") == begun.count("GET") == MAX_TRANSFERS
        assert (await client.release(RELEASE)).released
        stored.set()
    assert begun.count("PUT") == begun.count("GET") == 25


async def test_transfers_have_connections_of_their_own() -> None:
    async with connect("https://line.test/api", "t") as client:
        calls, transfers = client._http, client._transfers._http
        assert calls is not transfers
        pool = calls._transport._pool  # type: ignore[attr-defined]
        assert pool._max_connections == MAX_CONNECTIONS > 25 + 2, "each session's call, the sync, and the bell"


# -- which task this is -----------------------------------------------------------------------------------------------

TASK = "arn:aws:ecs:eu-central-1:123456789012:task/ours/1"


async def find_task(*answers: httpx2.Response) -> tuple[str, list[str]]:
    """Returns the task that is found with these answers, the last one for ever, and the requested addresses."""
    requested: list[str] = []
    clock = FakeClock()

    def answer(request: httpx2.Request) -> httpx2.Response:
        requested.append(str(request.url))
        return answers[min(len(requested), len(answers)) - 1]

    finding = asyncio.create_task(fetch_task_arn("http://169.254.170.2/v4/x", clock, httpx2.MockTransport(answer)))
    while not finding.done():
        await clock.advance(1)
    return finding.result(), requested


async def test_the_task_is_fetched_until_the_agent_knows_it() -> None:
    late = httpx2.Response(500), httpx2.Response(200, json={}), httpx2.Response(200, json=[])
    assert await find_task(httpx2.Response(200, json={"TaskARN": TASK})) == (TASK, ["http://169.254.170.2/v4/x/task"])
    task, requested = await find_task(*late, httpx2.Response(200, json={"TaskARN": TASK}))
    assert (task, len(requested)) == (TASK, 4)


async def test_an_agent_that_never_knows_is_not_waited_for_for_ever() -> None:
    task, requested = await find_task(httpx2.Response(404, text="not now"))
    assert (task, len(requested)) == ("", MAX_METADATA_ATTEMPTS)
