"""The gateway's HTTP server: waitress, which refuses a body by its route's own limit before it reads any of it."""

import copy
import socket
import sys
from collections.abc import Sequence
from typing import Any

import waitress
from waitress.channel import HTTPChannel
from waitress.parser import HTTPRequestParser
from waitress.utilities import Error

from infrastructure.local.lambda_runtime.gateway import MAX_REQUEST_BYTES, Gateway
from infrastructure.local.lambda_runtime.objects import Objects
from infrastructure.local.signature import Refused
from infrastructure.local.wsgi import request_headers

#: The number of request threads: each runner's long poll (bell) occupies one for up to 10 s.
THREADS = 96
FORWARDED = frozenset({"x-forwarded-for", "x-forwarded-proto", "x-forwarded-host"})


#: ip(7): binds an address before this machine has it, such as that of a bridge without a container yet.
IP_FREEBIND = 15


def create(
    gateway: Gateway,
    objects: Objects,
    max_object_bytes: int,
    addresses: Sequence[str],
    port: int,
    *,
    behind_proxy: bool,
) -> Any:
    """Returns a waitress server; its ``run`` serves.

    Args:
        addresses: where it listens, at ``port``: loopback first.
        behind_proxy: trust X-Forwarded-* of a proxy on this machine.
    """
    trusted: dict[str, Any] = {}
    if behind_proxy:
        trusted = {"trusted_proxy": "127.0.0.1", "trusted_proxy_count": 1, "trusted_proxy_headers": set(FORWARDED)}
    listeners: dict[int, Any] = {}
    server: Any = waitress.create_server(
        gateway,
        map=listeners,
        sockets=[listen(address, port) for address in addresses],
        threads=THREADS,
        connection_limit=1000,
        backlog=1024,
        channel_timeout=75,
        max_request_body_size=MAX_REQUEST_BYTES + 1024,
        clear_untrusted_proxy_headers=True,
        asyncore_use_poll=True,
        ident=None,
        **trusted,
    )
    channel = type("Channel", (HTTPChannel,), {"parser_class": _parser(objects, max_object_bytes)})
    for listener in listeners.values():
        listener.channel_class = channel
    return server


def listen(address: str, port: int) -> socket.socket:
    """Returns a socket that is bound to an address, also to one that this machine has not yet got."""
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if sys.platform == "linux":
        listener.setsockopt(socket.IPPROTO_IP, IP_FREEBIND, 1)
    listener.bind((address, port))
    return listener


class _Forbidden(Error):  # type: ignore[misc] # waitress has no types
    code = 403
    reason = "Forbidden"


def _parser(objects: Objects, max_object_bytes: int) -> type[Any]:
    class Parser(HTTPRequestParser):  # type: ignore[misc] # waitress has no types
        """Admits an object by its headers; until then nothing of its body is taken."""

        adj: Any

        def parse_header(self, header_plus: bytes) -> None:
            super().parse_header(header_plus)
            target = self.request_uri
            if not objects.owns(target):
                return
            length = None if self.chunked else int(self.content_length)
            try:
                headers = request_headers({f"HTTP_{name}": value for name, value in self.headers.items()})
                objects.admit(self.command, target, headers, length=length)
            except Refused as refusal:
                self.error = _Forbidden(str(refusal))
                self.completed, self.expect_continue, self.body_rcv = True, False, None
                return
            self.adj = copy.copy(self.adj)
            self.adj.max_request_body_size = max_object_bytes + 1

    return Parser
