"""The door of the simulators' pages and control routes: the same rule as for every page of this machine."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web
from aiohttp.typedefs import Middleware

from infrastructure.local.signature import Refused, local_hosts
from infrastructure.local.visitors import GUARDING_HEADERS, refuse_other_sites, refuse_strangers

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def guard(admin_url: str | None, covers: Callable[[str], bool] = lambda path: True) -> Middleware:
    """Builds a middleware that refuses other sites, and strangers where an operator must be signed in.

    Args:
        admin_url: where the operator signs in; None where everything is simulated.
        covers: whether a path is guarded.
    """

    @web.middleware
    async def guarded(request: web.Request, handler: Handler) -> web.StreamResponse:
        if not covers(request.path):
            return await handler(request)
        headers = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in request.raw_headers]
        try:
            refuse_other_sites(request.method, headers, local_hosts(_port(request)))
            if admin_url is not None:
                await asyncio.to_thread(refuse_strangers, headers, admin_url)
        except Refused as refusal:
            return web.Response(status=403, text=str(refusal), headers=dict(GUARDING_HEADERS))
        response = await handler(request)
        response.headers.update(GUARDING_HEADERS)
        return response

    return guarded


def _port(request: web.Request) -> int:
    address: Any = request.transport.get_extra_info("sockname") if request.transport else ("", 0)
    return int(address[1])
