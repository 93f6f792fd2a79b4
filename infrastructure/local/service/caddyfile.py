"""The Caddyfile of this machine: TLS for BASE_URL in front of the gateway, a pure function of the settings.

Only the gateway is reachable, on exactly one port. Caddy sets `X-Forwarded-For`, `-Proto` and `-Host` anew, which the
gateway trusts from this machine alone (`--behind-proxy`). It writes no log of requests: the paths hold the links.
"""

import ipaddress
import re
from urllib.parse import urlsplit

from infrastructure.local.lambda_runtime.events import STAGE
from infrastructure.local.lambda_runtime.gateway import INTEGRATION_TIMEOUT_SECONDS, MAX_REQUEST_BYTES
from infrastructure.local.lambda_runtime.objects import PREFIX
from infrastructure.local.settings import CannotStart, Settings

#: The largest header of a request; links and cookies are far shorter.
MAX_HEADER_BYTES = 16_384
#: How long the gateway may take for the headers of its answer.
ANSWER_SECONDS = int(INTEGRATION_TIMEOUT_SECONDS) + 6
#: Names for which no public authority gives a certificate: Caddy's own one does.
_PRIVATE_NAMES = ("localhost", "local", "internal", "lan", "home", "test", "invalid", "example")
_MAIL_ADDRESS = re.compile(r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+", re.ASCII)


def caddyfile(settings: Settings, upstream: str = "127.0.0.1") -> str:
    """Returns the whole text of the Caddyfile. Raises CannotStart without an https address to serve.

    Args:
        upstream: the host on which the gateway listens.
    """
    if settings.public_url is None:
        raise CannotStart("BASE_URL is not given: it is the address that Caddy serves, like https://line.example.com.")
    parts = urlsplit(settings.public_url)
    host = (parts.hostname or "").rstrip(".")
    if parts.scheme != "https":
        raise CannotStart(
            f"BASE_URL={settings.public_url} has no TLS: Caddy is for an address that begins with https://."
        )
    ports = settings.ports
    taken = {value: name for name, value in vars(ports).items()}
    port = parts.port or 443
    if port in taken:
        raise CannotStart(
            f"BASE_URL has port {port}, which is the stack's own ({taken[port]}): move one, with PORTS=…."
        )
    named = f"[{host}]" if ":" in host else host
    private = _is_private(host)
    operator = settings.operator_email
    email = (
        [f"\temail {operator}"] if not private and _MAIL_ADDRESS.fullmatch(operator) and _is_public(operator) else []
    )
    return "\n".join(
        [
            "# Written by `make caddyfile`: Caddy in front of Answerline.",
            "{",
            "\tadmin off",
            *(["\tskip_install_trust", "\tauto_https disable_redirects"] if private else []),
            *email,
            "\tservers {",
            f"\t\tmax_header_size {MAX_HEADER_BYTES}",
            "\t\ttimeouts {",
            "\t\t\tread_header 10s",
            "\t\t\tread_body 1m",
            "\t\t\twrite 2m",
            "\t\t\tidle 2m",
            "\t\t}",
            "\t}",
            "}",
            "",
            f"https://{named}:{port} {{",
            *(["\ttls internal", ""] if private else []),
            f"\trequest_body {{\n\t\tmax_size {MAX_REQUEST_BYTES}\n\t}}",
            "",
            "\t# Runners reach the gateway, and their objects, on this machine, not through here.",
            f"\t@runners path /{STAGE}/runner /{STAGE}/runner/* {PREFIX} {PREFIX}/*",
            "\trespond @runners 404",
            "",
            f"\treverse_proxy {upstream}:{ports.gateway} {{",
            "\t\theader_up -Forwarded",
            "\t\theader_up -X-Forwarded-Port",
            "\t\theader_down -Server",
            "\t\ttransport http {",
            "\t\t\tdial_timeout 5s",
            f"\t\t\tresponse_header_timeout {ANSWER_SECONDS}s",
            "\t\t}",
            "\t}",
            "}",
            "",
        ]
    )


def _is_private(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return "." not in host or not _is_public(host)
    return True


def _is_public(name: str) -> bool:
    return name.rpartition(".")[2].lower() not in _PRIVATE_NAMES
