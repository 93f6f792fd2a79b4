"""The operators' webhook: a text that Slack, and what is compatible with it, shows. Its address is a secret.

It is called over HTTPS at an address of the public internet, once: without redirects, within 5 s, at most ten times in
an hour. Neither log nor error names the address.
"""

import ipaddress
import json
import socket
import ssl
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import TimeoutError as LookupTimeout
from datetime import timedelta
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from chalicelib.errors import PermanentError, TransientError
from chalicelib.model.notices.digest import DigestLine
from chalicelib.model.notices.notice import NoticeLine
from chalicelib.model.public_address import unfit_reason
from chalicelib.rendering.languages import DEFAULT_LANGUAGE, translator
from chalicelib.rendering.notice_sentences import matter_sentence, notice_sentence

if TYPE_CHECKING:
    from chalicelib.wiring import Services

#: A call takes at most so long, its look-up of the name included.
TIMEOUT_SECONDS: Final = 5.0
#: The rate limit of tries, also of those that failed, in any hour.
MAX_TRIES_PER_HOUR: Final = 10
HOUR: Final = timedelta(hours=1)
#: A message names so many lines; the list of tenants has them all.
MAX_LINES: Final = 25
#: The answer is read only as far as its status line needs.
MAX_STATUS_BYTES: Final = 1_000


def send(services: "Services", url: str, text: str) -> None:
    """Posts a text.

    Raises:
        TransientError: it was not taken just now, or there were too many tries within the hour.
        PermanentError: the address is none that may be called, or does not take such a message.
    """
    if not services.counters.take("webhook", "tries", limit=MAX_TRIES_PER_HOUR, within=HOUR, now=services.clock()):
        raise TransientError("The webhook was tried ten times within the hour; this will be tried again.")
    require_taken(services.post_webhook(url, json.dumps({"text": text}).encode()))


def require_taken(status: int) -> None:
    """Raises as ``send`` does for an HTTP status that is no success."""
    if status == 429 or status >= 500:
        raise TransientError(f"The webhook is busy (HTTP {status}); this will be tried again.")
    if not 200 <= status < 300:
        raise PermanentError("webhook_refused", f"The webhook does not take our messages (HTTP {status}).")


def post(url: str, body: bytes, seconds: Callable[[], float]) -> int:
    """Posts a body to an address of the public internet, and returns the status; raises as ``send`` does.

    Args:
        seconds: a clock that only goes forward.
    """
    parts = urlsplit(url)
    if unfit_reason(url) is not None or parts.hostname is None:
        raise PermanentError("webhook_address", "The webhook's address is no public https:// address.")
    host, port = parts.hostname, parts.port or 443
    path = f"{parts.path or '/'}{'?' + parts.query if parts.query else ''}"
    head = f"POST {path} HTTP/1.1\r\nHost: {parts.netloc}\r\nContent-Type: application/json\r\n"
    request = f"{head}Content-Length: {len(body)}\r\nConnection: close\r\n\r\n".encode("ascii") + body
    ends_at = seconds() + TIMEOUT_SECONDS

    def left() -> float:
        return max(0.001, ends_at - seconds())

    try:
        address = public_address(look_up(host, port))
        with socket.create_connection((address, port), timeout=left()) as plain:
            plain.settimeout(left())
            with ssl.create_default_context().wrap_socket(plain, server_hostname=host) as secure:
                secure.settimeout(left())
                secure.sendall(request)
                return _read_status(secure, left)
    except (OSError, LookupTimeout):
        raise TransientError("The webhook is out of reach; this will be tried again.") from None


def public_address(found: Iterable[str]) -> str:
    """Returns the first of a host's addresses. Raises PermanentError if one of them is not public."""
    addresses = list(found)
    if not addresses or not all(ipaddress.ip_address(address).is_global for address in addresses):
        raise PermanentError("webhook_address", "The webhook's address leads to a loopback or private host.")
    return addresses[0]


def look_up(host: str, port: int) -> list[str]:
    """Returns the host's addresses; the look-up itself has no timeout, and is left to its thread.

    Raises OSError, also for a name that is none.
    """
    pool = ThreadPoolExecutor(1, thread_name_prefix="webhook")
    try:
        found = pool.submit(socket.getaddrinfo, host, port, type=socket.SOCK_STREAM).result(TIMEOUT_SECONDS)
    except UnicodeError:  # a label is empty, or longer than names have it
        raise OSError("not a name") from None
    finally:
        pool.shutdown(wait=False)
    return [str(each[4][0]) for each in found]


def _read_status(secure: ssl.SSLSocket, left: Callable[[], float]) -> int:
    """Reads the status line alone, within the time that is left."""
    read = b""
    while b"\r\n" not in read and len(read) < MAX_STATUS_BYTES:
        secure.settimeout(left())
        more = secure.recv(MAX_STATUS_BYTES)
        if not more:
            break
        read += more
    words = read.split(b"\r\n", 1)[0].split()
    if len(words) < 2 or not words[0].startswith(b"HTTP/") or not words[1].isdigit():
        raise OSError("no status line")
    return int(words[1])


def text_of_notices(lines: Sequence[NoticeLine]) -> str:
    """Returns a line of text for each notice: client, what is so, and link."""
    texts = [f"{_escaped(line.name)}: {notice_sentence(line)} {line.link}" for line in lines[:MAX_LINES]]
    return "\n".join([*texts, *_more(len(lines))])


def text_of_digest(lines: Sequence[DigestLine], pages: str) -> str:
    """Returns the digest: a heading, and a line of text for each matter that is open."""
    translate = translator(DEFAULT_LANGUAGE)
    texts = [
        f"{_escaped(line.name)}: {matter_sentence(line)} {pages}/tenants/{line.tenant}" for line in lines[:MAX_LINES]
    ]
    return "\n".join([translate("admin.digest.title", count=len(lines)), *texts, *_more(len(lines))])


def _more(count: int) -> list[str]:
    return [translator(DEFAULT_LANGUAGE)("admin.mail.more", count=count - MAX_LINES)] if count > MAX_LINES else []


def _escaped(name: str) -> str:
    """Returns a client's name as Slack shows it: without a link, a mention, or another line."""
    one_line = " ".join(name.split())
    return one_line.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
