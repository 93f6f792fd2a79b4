"""The simulator: what a test scripts, what it remembers, and its start and stop."""

import asyncio
import threading
from collections import deque
from collections.abc import Mapping
from typing import Any, Self

from aiohttp import web

from tests.simulators.openai import control
from tests.simulators.openai.answers import Body
from tests.simulators.openai.fault import Fault
from tests.simulators.openai.faults import FAULTS, special_fault
from tests.simulators.openai.recording import EVERY_KEY, RecordedRequest, ScriptedFault, fingerprint
from tests.simulators.openai.responses import is_too_large
from tests.simulators.openai.server import Server
from tests.simulators.visitors import guard

LARGEST_BODY = 64 * 1024 * 1024
REMEMBERED_REQUESTS = 20_000


class OpenAISimulator:
    """A local OpenAI: `async with` runs it in this event loop, `with` in a thread of its own.

    Everything can be called from any thread while it runs. It answers on 127.0.0.1 only.

    Args:
        port: where to listen; 0 takes a free port.
        delay_ms: how long every answer of `/v1/responses` takes.
        admin_url: where an operator must be signed in to see the page and to control; None: nobody must.
    """

    def __init__(self, port: int = 0, *, delay_ms: int = 0, admin_url: str | None = None) -> None:
        self.port = port
        self._admin_url = admin_url
        self.delay_ms = delay_ms
        #: what was asked, oldest first; the last 20,000
        self.requests: deque[RecordedRequest] = deque(maxlen=REMEMBERED_REQUESTS)
        self.received = 0
        self._personas: dict[str, str] = {}
        self._stores: dict[str, dict[str, str]] = {}
        self.faults: dict[str, deque[ScriptedFault]] = {}
        #: the models that retired while we watched
        self.retired: set[str] = set()
        self._runner: web.AppRunner | None = None
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    # What tests say

    @property
    def base_url(self) -> str:
        """What to give the SDK, such as http://127.0.0.1:40123/v1."""
        return f"{self.origin}/v1"

    @property
    def origin(self) -> str:
        """The server without a path; the control routes are under `{origin}/control`."""
        return f"http://127.0.0.1:{self.port}"

    def persona(self, key: str, name: str) -> None:
        """From now on `key` answers as `name`."""
        self._personas[key] = name

    def persona_of(self, key: str) -> str:
        """Who answers for `key`; by default named after the key's last four characters."""
        return self._personas.get(key) or f"Assistant {key[-4:]}"

    def vector_store(self, key: str, store_id: str, name: str) -> None:
        """Gives `key` a vector store, so that listing shows it."""
        self._stores.setdefault(key, {})[store_id] = name

    def retire(self, model: str) -> None:
        """From now on OpenAI does not know `model` any more."""
        self.retired.add(model)

    def fault(self, key: str, name: str, times: int | None = 1, *, path: str | None = None, **options: Any) -> None:
        """Spoils the next calls with `key`.

        Args:
            key: whose calls; "*" means everybody's.
            name: one of `FAULTS`.
            times: how many calls; None until `clear`.
            path: only calls to this path, such as "/v1/responses".
            options: `delay_ms`, `seconds`, `text`, `limit`, … as the fault takes them. Every HTTP error takes `status`,
                `message`, `type`, `param`, `code` and `retry_after` (None: without that header).

        Raises:
            ValueError: there is no fault of that name.
        """
        if name not in FAULTS:
            raise ValueError(f"there is no fault {name!r}; there are {', '.join(FAULTS)}")
        scripted = ScriptedFault(FAULTS[name], times, path, options)
        self.faults.setdefault(key, deque()).append(scripted)

    def say(self, key: str, text: str, times: int | None = 1) -> None:
        """The next answers for `key` are exactly `text`."""
        self.fault(key, "say", times, text=text)

    def count(self) -> int:
        """Counts a call, and returns its number."""
        self.received += 1
        return self.received

    def stores_of(self, key: str) -> Mapping[str, str]:
        """The vector stores of `key`, id → name; one of its own by default."""
        default = {f"vs_{fingerprint(key)}": f"Knowledge of {self.persona_of(key)}"}
        return self._stores.get(key) or default

    def take_fault(self, key: str, path: str, body: Body) -> tuple[Fault | None, Mapping[str, Any]]:
        """Takes the fault that spoils a call, if any, with its options: a scripted one, else the key's own."""
        for owner in (key, EVERY_KEY):
            waiting = self.faults.get(owner, ())
            for scripted in list(waiting):
                if not scripted.reaches(path) or not _hits(scripted.fault, body, scripted.options):
                    continue
                if scripted.left is not None:
                    scripted.left -= 1
                    if scripted.left <= 0:
                        self.faults[owner].remove(scripted)
                return scripted.fault, scripted.options
        special = special_fault(key)
        if special is not None and special[0].reaches(path) and _hits(special[0], body, special[1]):
            return special
        return None, {}

    def clear(self, key: str | None = None) -> None:
        """Forgets the scripted faults of `key`, or all of them."""
        if key is None:
            self.faults.clear()
        else:
            self.faults.pop(key, None)

    def requests_of(self, key: str) -> list[RecordedRequest]:
        """The recorded calls that used `key`."""
        return [request for request in list(self.requests) if request.key_fingerprint == fingerprint(key)]

    # Starting and stopping

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    def __enter__(self) -> Self:
        started = threading.Event()
        trouble: list[BaseException] = []

        def run() -> None:
            self._loop = asyncio.new_event_loop()
            try:
                self._loop.run_until_complete(self.start())
            except BaseException as error:
                trouble.append(error)
            finally:
                started.set()
            if not trouble:
                self._loop.run_forever()
                self._loop.run_until_complete(self.stop())
            self._loop.close()

        self._thread = threading.Thread(target=run, name="openai-simulator", daemon=True)
        self._thread.start()
        started.wait()
        if trouble:
            raise trouble[0]
        return self

    def __exit__(self, *_: object) -> None:
        if self._loop is not None and self._thread is not None:
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join(timeout=10)

    async def start(self) -> None:
        """Listens on 127.0.0.1; raises OSError when the port is taken."""
        door = guard(self._admin_url, lambda path: path == "/" or path.startswith("/control"))
        application = web.Application(middlewares=[door], client_max_size=LARGEST_BODY)
        application.router.add_routes(control.routes(self))
        application.router.add_route("*", "/{rest:.*}", Server(self).answer)
        # A client that hangs up ends its handler: otherwise `hang` would keep the server from stopping.
        self._runner = web.AppRunner(application, access_log=None, handler_cancellation=True, shutdown_timeout=0.2)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", self.port, backlog=1024)
        await site.start()
        self.port = self._runner.addresses[0][1]

    async def stop(self) -> None:
        """Stops listening and drops open connections."""
        if self._runner is not None:
            await self._runner.cleanup()


def _hits(fault: Fault, body: Body, options: Mapping[str, Any]) -> bool:
    """Whether a fault that reaches a call also hits what it asks."""
    return fault.name != "request_too_large" or is_too_large(body, options)
