"""WSGI's types, and a request's headers among its CGI variables."""

from collections.abc import Callable, Mapping
from typing import Any

Headers = list[tuple[str, str]]
StartResponse = Callable[[str, Headers], Any]


def request_headers(cgi: Mapping[str, Any]) -> dict[str, str]:
    """Returns the headers among CGI variables (``HTTP_X_AMZ_DATE`` or ``CONTENT_TYPE``), names in lower case."""
    given = {name.removeprefix("HTTP_"): value for name, value in cgi.items() if name.startswith("HTTP_")}
    given |= {name: cgi[name] for name in ("CONTENT_TYPE", "CONTENT_LENGTH") if cgi.get(name)}
    return {name.replace("_", "-").lower(): str(value) for name, value in given.items()}
