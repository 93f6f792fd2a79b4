"""The domains that a web search is limited to, as OpenAI takes them: without scheme and path, subdomains included."""

import ipaddress
import re
from typing import Final
from urllib.parse import urlsplit

#: OpenAI takes no more in one search.
MAX_DOMAINS: Final = 100
#: A host name of at least two parts, the last of which has letters (RFC 1123).
SHAPE: Final = re.compile(r"(?=.{4,253}$)(?:(?!-)[a-z0-9-]{1,63}(?<!-)\.)+(?!-)(?=[^.]*[a-z])[a-z0-9-]{2,63}(?<!-)")


class NoDomain(ValueError):
    """An entry that is not a domain; the message is a sentence that says what to enter instead."""


def parse_domains(text: str) -> tuple[str, ...]:
    """Returns the domains of a list, which white space or commas separate, each once. Raises NoDomain."""
    entries = text.replace(",", " ").replace(";", " ").split()
    domains = tuple(dict.fromkeys(map(parse_domain, entries)))
    if len(domains) > MAX_DOMAINS:
        raise NoDomain(f"OpenAI takes at most {MAX_DOMAINS} domains; these are {len(domains)}.")
    return domains


def parse_domain(entry: str) -> str:
    """Returns one domain in its ASCII form, without ``www``. Raises NoDomain."""
    try:
        parts = urlsplit(entry if "://" in entry else f"//{entry}")
        host, port = (parts.hostname or "").rstrip("."), parts.port
    except ValueError:
        raise NoDomain(_sentence(entry)) from None
    if parts.scheme not in ("", "http", "https") or parts.username is not None or port is not None:
        raise NoDomain(_sentence(entry))
    domain = _to_ascii(host.removeprefix("*."))
    if not SHAPE.fullmatch(domain) or _is_address(domain):
        raise NoDomain(_sentence(entry))
    domain = domain.removeprefix("www.") if domain.count(".") > 1 else domain
    if parts.path.strip("/") or parts.query or parts.fragment:
        raise NoDomain(f"A search can be limited to whole domains only: enter {domain} instead of {entry[:80]}.")
    return domain


def _to_ascii(host: str) -> str:
    if host.isascii():
        return host
    import idna  # its tables are large, and few domains need them

    try:
        return idna.encode(host, uts46=True).decode("ascii")
    except idna.IDNAError:
        return ""


def _is_address(domain: str) -> bool:
    try:
        ipaddress.ip_address(domain)
    except ValueError:
        return False
    return True


def _sentence(entry: str) -> str:
    return f"{entry[:80]} is not a domain. Enter those of the client's own site, such as bakery.example."
