"""The rule of pages for people: closed to other sites, and where something is real, to all but operators."""

import http.client
from collections.abc import Callable, Collection
from http import HTTPStatus
from urllib.parse import urlsplit

from infrastructure.local.signature import Headers, Refused

#: The application may take so long to say whether a browser is signed in.
SESSION_TIMEOUT_SECONDS = 10.0
#: What a browser must know of every answer: no other page may read, frame or script it.
GUARDING_HEADERS = (
    ("Cache-Control", "no-store"),
    ("Content-Security-Policy", "frame-ancestors 'self'"),
    ("Cross-Origin-Opener-Policy", "same-origin"),
    ("Cross-Origin-Resource-Policy", "same-origin"),
    ("Referrer-Policy", "no-referrer"),
    ("X-Content-Type-Options", "nosniff"),
    ("X-Frame-Options", "SAMEORIGIN"),
)

#: address and Cookie header → HTTP status
GetStatus = Callable[[str, str], int]


def get_status_by_http(url: str, cookie: str) -> int:
    """Returns the status of a GET, and follows no redirect: one leads to the sign-in, which anybody sees.

    Raises OSError.
    """
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.netloc, timeout=SESSION_TIMEOUT_SECONDS)
    try:
        connection.request("GET", parts.path, headers={"Cookie": cookie})
        return connection.getresponse().status
    except http.client.HTTPException as error:
        raise ConnectionError(str(error)) from error
    finally:
        connection.close()


def refuse_other_sites(method: str, headers: Headers, hosts: Collection[str]) -> None:
    """Raises :class:`Refused` for what another site makes a browser send, except that a person follows a link.

    A program sends no header of a browser and passes; so does this page itself.
    """
    given = {name.lower(): value.lower() for name, value in headers}
    host = given.get("host", "")
    if host not in hosts or sum(name.lower() == "host" for name, _ in headers) != 1:
        raise Refused("This page is known by another name: Host is not an address of this machine.")
    if given.get("origin", f"http://{host}") != f"http://{host}":
        raise Refused("This page takes nothing from other sites.")
    site = given.get("sec-fetch-site")
    if site is None and urlsplit(given.get("referer", f"http://{host}")).netloc != host:
        raise Refused("This page takes nothing from other sites.")
    if site in (None, "none", "same-origin"):
        return
    followed = (given.get("sec-fetch-mode"), given.get("sec-fetch-dest")) == ("navigate", "document")
    if not followed or method not in ("GET", "HEAD"):
        raise Refused("This page takes nothing from other sites.")


def refuse_strangers(headers: Headers, admin_url: str, get_status: GetStatus = get_status_by_http) -> None:
    """Raises :class:`Refused` unless an operator is signed in: the live list of the admin answers nobody else.

    Cookies know no ports: a browser that signed in at ``localhost`` shows its cookie to every port of it.

    Args:
        admin_url: the admin at ``localhost``.
        get_status: the HTTP status of an address for a Cookie header; raises OSError.
    """
    cookie = next((value for name, value in headers if name.lower() == "cookie"), "")
    try:
        if cookie and get_status(f"{admin_url}/live", cookie) == HTTPStatus.OK:
            return
    except OSError:
        raise Refused("The application does not answer just now, so it is not known who is signed in.") from None
    raise Refused(f"Sign in at {admin_url} in this browser, then load this page again.")
