"""The simulator itself: web.whatsapp.com over TLS on one port, the phones over HTTP on another."""

from __future__ import annotations

import asyncio
import html
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from types import TracebackType
from typing import Any
from urllib.parse import unquote

from aiohttp import web

from infrastructure.local.lambda_runtime.http_server import listen
from tests.simulators.whatsapp.certificate import HOST
from tests.simulators.whatsapp.control import control_application
from tests.simulators.whatsapp.exchange import Exchange
from tests.simulators.whatsapp.page import Page
from tests.simulators.whatsapp.phone import Phone
from tests.simulators.whatsapp.state import Account, World
from tests.simulators.whatsapp.switches import Switches

WEB = Path(__file__).parent / "web"
LOOPBACK = "127.0.0.1"
HEARTBEAT_SECONDS = 20
CONTENT_SECURITY_POLICY = (
    "default-src 'self'; script-src 'self'; style-src 'self'; "
    "img-src 'self' data: blob:; media-src 'self' data: blob:; "
    f"connect-src 'self' wss://{HOST} data: blob:; object-src 'none'; base-uri 'self'"
)


class WhatsAppSimulator:
    """`async with WhatsAppSimulator() as simulator`: a WhatsApp of one's own."""

    def __init__(
        self,
        *,
        switches: Switches | None = None,
        port: int = 0,
        control_port: int = 0,
        state_file: Path | None = None,
        admin_url: str | None = None,
        also_on: str | None = None,
    ) -> None:
        """Build it; it listens once it is entered.

        Args:
            admin_url: where an operator must be signed in to see the phones; None: nobody must.
            also_on: an address besides loopback for web.whatsapp.com.
        """
        self._also_on = also_on
        world = World.load(state_file) if state_file and state_file.exists() else World()
        self.exchange = Exchange(world, switches or Switches(), state_file)
        self.port = port
        self.control_port = control_port
        self._admin_url = admin_url
        self._runners: list[web.AppRunner] = []
        self._saving: asyncio.Task[None] | None = None

    async def __aenter__(self) -> WhatsAppSimulator:
        self.exchange.save()
        context = self.exchange.world.certificate.server_context()
        self.port = await self._listen(self._web_application(), self.port, ssl_context=context)
        if self._also_on is not None:
            listener = listen(self._also_on, self.port)
            await web.SockSite(self._runners[-1], listener, ssl_context=context).start()
        self.control_port = await self._listen(control_application(self, self._admin_url), self.control_port)
        self._saving = asyncio.create_task(self.exchange.keep_saving())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._saving:
            self._saving.cancel()
        for page in [*self.exchange.pages.values(), *self.exchange.unpaired]:
            page.drop()
        for runner in self._runners:
            await runner.cleanup()
        self.exchange.save()

    # How a browser finds it

    @property
    def host_rules(self) -> str:
        """Chromium's resolver rules: WhatsApp is here, nothing else exists."""
        return f"MAP {HOST}:443 {LOOPBACK}:{self.port}, MAP * ~NOTFOUND, EXCLUDE {LOOPBACK}"

    @property
    def certificate_spki(self) -> str:
        """The hash of the public key that Chromium is told to trust."""
        return self.exchange.world.certificate.spki_hash

    @property
    def chromium_arguments(self) -> list[str]:
        """The two flags a Chromium needs to see this simulator as web.whatsapp.com."""
        return [
            f"--host-resolver-rules={self.host_rules}",
            f"--ignore-certificate-errors-spki-list={self.certificate_spki}",
        ]

    @property
    def control_url(self) -> str:
        """Where the phones are: a page for people and an API for programs."""
        return f"http://{LOOPBACK}:{self.control_port}"

    # Phones and switches

    def phone(self, number: str, name: str | None = None, *, lid_migrated: bool | None = None) -> Phone:
        """Return the phone with this number; it is made when it does not exist."""
        account = self.exchange.world.accounts.get(number)
        if account is None:
            migrated = self.exchange.switches.lid_migrated if lid_migrated is None else lid_migrated
            account = Account(number=number, name=name or f"Line {number}", lid_migrated=migrated)
            self.exchange.world.accounts[number] = account
            self.exchange.changed()
        return Phone(self.exchange, account)

    def phones(self) -> list[Phone]:
        """Return all phones."""
        return [Phone(self.exchange, account) for account in self.exchange.world.accounts.values()]

    @property
    def switches(self) -> Switches:
        """The switches as they are now."""
        return self.exchange.switches

    def set(self, **changes: Any) -> None:
        """Change switches; pages already open keep what they were served with."""
        self.exchange.switches = self.exchange.switches.with_changes(changes)
        self.exchange.changed()

    # Serving

    async def _listen(self, application: web.Application, port: int, **options: Any) -> int:
        runner = web.AppRunner(application, access_log=None, shutdown_timeout=1)
        await runner.setup()
        self._runners.append(runner)
        site = web.TCPSite(runner, LOOPBACK, port, **options)
        await site.start()
        address: tuple[str, int] = runner.addresses[-1]
        return address[1]

    def _web_application(self) -> web.Application:
        application = web.Application(middlewares=[self._security_headers])
        application.router.add_get("/", self._index)
        application.router.add_get("/ws/chat", self._websocket)
        application.router.add_get("/media/{hash:.*}", self._media)
        application.router.add_get("/app/{name}", self._script)
        return application

    @web.middleware
    async def _security_headers(
        self, request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        response = await handler(request)
        if not response.prepared:
            response.headers["Cache-Control"] = "no-cache"
            if self.exchange.switches.content_security_policy:
                response.headers["Content-Security-Policy"] = CONTENT_SECURITY_POLICY
        return response

    async def _index(self, request: web.Request) -> web.Response:
        user_agent = request.headers.get("User-Agent", "")
        if self.exchange.switches.reject_headless and "HeadlessChrome" in user_agent:
            return web.Response(text=(WEB / "unsupported.html").read_text(), content_type="text/html")
        switches = html.escape(json.dumps(self.exchange.switches.as_dict()), quote=True)
        page = (WEB / "index.html").read_text().replace("{{switches}}", switches)
        return web.Response(text=page, content_type="text/html")

    async def _script(self, request: web.Request) -> web.Response:
        path = WEB / request.match_info["name"]
        if path.suffix not in (".js", ".css") or not path.is_file():
            raise web.HTTPNotFound
        kind = "text/javascript" if path.suffix == ".js" else "text/css"
        return web.Response(text=path.read_text(), content_type=kind)

    async def _media(self, request: web.Request) -> web.Response:
        data = self.exchange.world.media.get(unquote(request.match_info["hash"]))
        if data is None:
            raise web.HTTPNotFound
        return web.Response(body=data, content_type="application/octet-stream")

    async def _websocket(self, request: web.Request) -> web.WebSocketResponse:
        if self.exchange.switches.refuse_websocket:
            raise web.HTTPServiceUnavailable
        socket = web.WebSocketResponse(heartbeat=HEARTBEAT_SECONDS, max_msg_size=0)
        await socket.prepare(request)
        transport = request.transport
        if isinstance(transport, asyncio.Transport):
            await Page(self.exchange, socket, transport).run()
        return socket
