"""The network between a runner, the control plane and the bucket: what travels may be lost, or late."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import TYPE_CHECKING

import httpx2

from wire import SyncRequest

if TYPE_CHECKING:
    from tests.simulation.machines.machine import Machine


class Network:
    """The runner's HTTP client: requests and answers travel, and some never arrive."""

    def __init__(self, machine: "Machine") -> None:
        self._machine = machine

    async def post(self, url: str, *, content: str, headers: dict[str, str]) -> httpx2.Response:
        if url.endswith("/sync"):
            self._machine.world.inspector.deliveries.check_caught_up(
                self._machine, SyncRequest.model_validate_json(content)
            )
        token = headers["Authorization"].removeprefix("Bearer ")
        cloud, path, body = self._machine.world.cloud, url.rpartition("/")[2], content.encode()
        return await self._travel(lambda answered: cloud.request(path, token, body, answered))

    async def put(
        self, url: str, *, content: AsyncIterator[bytes], headers: dict[str, str], timeout: httpx2.Timeout
    ) -> httpx2.Response:
        whole = b"".join([chunk async for chunk in content])
        store = self._machine.world.cloud.store
        return await self._travel(lambda answered: answered(store.put(url, whole), b""), timeout.read)

    @asynccontextmanager
    async def stream(self, method: str, url: str, *, timeout: httpx2.Timeout) -> AsyncIterator[SimpleNamespace]:
        store = self._machine.world.cloud.store
        response = await self._travel(lambda answered: answered(*store.get(url)), timeout.read)

        async def content(chunk_bytes: int) -> AsyncIterator[bytes]:
            yield response.content

        yield SimpleNamespace(status_code=response.status_code, aiter_raw=content)

    async def _travel(
        self, arrive: Callable[[Callable[[int, bytes], None]], None], silent_at_most: float | None = None
    ) -> httpx2.Response:
        """Carries a request and its answer; either may be lost without a notice."""
        world, machine, chance = self._machine.world, self._machine, self._machine.chance
        loop = machine.loop
        future: asyncio.Future[httpx2.Response] = loop.create_future()

        def cut_off() -> bool:
            return machine.partitioned or world.cloud.rates.down

        def lose(kind: str) -> None:
            world.count(kind)
            machine.lost_at = loop.time()

        def answered(status: int, body: bytes) -> None:
            if cut_off() or chance.random() < world.plan.answer_lost:
                lose("answer lost")
            else:
                loop.after(chance.uniform(0.002, 0.04), finish, status, body)

        def finish(status: int, body: bytes) -> None:
            if not future.done():
                future.set_result(httpx2.Response(status, content=body))

        def refuse() -> None:
            if not future.done():
                future.set_exception(httpx2.ConnectError("no route"))

        if cut_off():
            if chance.random() < 0.5:
                loop.after(chance.uniform(0.01, 3.0), refuse)
        elif chance.random() < world.plan.request_lost:
            lose("request lost")
        elif chance.random() < world.plan.request_late:
            lose("request late")
            loop.after(chance.uniform(0.5, world.plan.max_delay_seconds), arrive, answered)
        else:
            loop.after(chance.uniform(0.002, 0.04), arrive, answered)
        try:
            async with asyncio.timeout(silent_at_most):
                return await future
        except TimeoutError:
            raise httpx2.ReadTimeout("nothing moves") from None
