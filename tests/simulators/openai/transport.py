"""Answers that are not OpenAI's: pages of proxies, broken bodies, broken connections."""

import asyncio
import json
import socket
import struct
from collections.abc import Mapping
from typing import Any

from aiohttp import web

from tests.simulators.openai.fault import Fault

HANG_SECONDS = 600.0
NESTED_LEVELS = 100_000
TRICKLE_EVERY_SECONDS = 0.2
JSON = "application/json"

#: The titles of Cloudflare's own statuses; any other status has its usual one.
CLOUDFLARE_TITLES: Mapping[int, str] = {
    400: "400 Bad Request",
    403: "Attention Required! | Cloudflare",
    404: "404 Not Found",
    413: "413 Payload Too Large",
    421: "421 Misdirected Request",
    499: "499 Client Closed Request",
    520: "520: Web server is returning an unknown error",
    521: "521: Web server is down",
    522: "522: Connection timed out",
    523: "523: Origin is unreachable",
    524: "524: A timeout occurred",
    525: "525: SSL handshake failed",
    526: "526: Invalid SSL certificate",
}


async def play(fault: Fault, options: Mapping[str, Any], request: web.Request) -> web.StreamResponse | None:
    """Plays a fault that comes before any answer of OpenAI; None lets the call go on."""
    if "delay_ms" in options or fault.name == "delay":
        await asyncio.sleep(float(options.get("delay_ms", 1000)) / 1000)
    seconds = float(options.get("seconds", HANG_SECONDS))
    match fault.name:
        case "hang":
            await asyncio.sleep(seconds)
        case "connection_reset":
            _reset(request)
            return web.Response(status=500)
        case "broken_off":
            return await _break_off(request)
        case "trickle":
            return await _trickle(request, seconds)
        case name:
            return _answer(name, options)
    return None


def _answer(name: str, options: Mapping[str, Any]) -> web.Response | None:
    status = options.get("status")
    match name:
        case "bad_gateway":
            return _page(int(status or 502), "502 Bad Gateway" if status is None else f"{status} from a gateway")
        case "cloudflare_page":
            return _page(int(status or 403), CLOUDFLARE_TITLES.get(int(status or 403), f"Error {status}"))
        case "plain_text":
            return web.Response(status=int(status or 429), text="error code: 1015")
        case "empty_body":
            return web.Response(status=int(status or 400))
        case "foreign_json":
            return web.json_response({"detail": "The upstream refused."}, status=int(status or 400))
        case "not_json":
            return web.Response(text="{ this is not json", content_type=JSON)
        case "truncated_body":
            return web.Response(
                text='{"id": "resp_1", "object": "response", "output": [{"type": "mess', content_type=JSON
            )
        case "bad_gzip":
            return web.Response(body=b"this is not gzip", content_type=JSON, headers={"content-encoding": "gzip"})
        case "deep_json":
            return web.Response(text="[" * NESTED_LEVELS + "]" * NESTED_LEVELS, content_type=JSON)
        case "not_a_number":
            body = {
                "id": "resp_1",
                "output": [],
                "usage": {"input_tokens": float("nan"), "output_tokens": float("inf")},
            }
            return web.Response(text=json.dumps(body), content_type=JSON)
        case "error_in_200":
            error = {"message": "The model failed.", "type": "server_error", "param": None, "code": None}
            return web.json_response({"error": error | {word: options[word] for word in error.keys() & options.keys()}})
        case "redirect":
            return web.Response(status=308, headers={"location": "https://elsewhere.example/v1/responses"})
    return None


def _page(status: int, title: str) -> web.Response:
    page = f"<!DOCTYPE html><html><head><title>{title}</title></head><body><h1>{title}</h1>cloudflare</body></html>"
    return web.Response(status=status, text=page, content_type="text/html")


async def _break_off(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse(headers={"content-type": JSON, "content-length": "1000"})
    await response.prepare(request)
    await response.write(b'{"id": "resp_1", ')
    if request.transport is not None:
        request.transport.close()
    return response


async def _trickle(request: web.Request, seconds: float) -> web.StreamResponse:
    response = web.StreamResponse(headers={"content-type": JSON})
    await response.prepare(request)
    for _ in range(int(seconds / TRICKLE_EVERY_SECONDS)):
        await response.write(b" ")
        await asyncio.sleep(TRICKLE_EVERY_SECONDS)
    await response.write(b"{}")
    await response.write_eof()
    return response


def _reset(request: web.Request) -> None:
    """Closes the connection with RST, so that the client sees a reset and not an orderly end."""
    transport = request.transport
    if transport is None:
        return
    connection = transport.get_extra_info("socket")
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()
