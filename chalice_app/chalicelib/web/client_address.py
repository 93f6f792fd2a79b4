"""The client of a request, as rate limits and the log count it: by its address, or its network. Pure."""

import ipaddress
from typing import Final

from chalicelib.tokens import sha256

#: A subscriber has at least such a network of IPv6, and may take any address of it.
IPV6_PREFIX: Final = 64
#: Stands for the client of a request without an address.
UNKNOWN: Final = "unknown"

IpAddress = ipaddress.IPv4Address | ipaddress.IPv6Address


def client_of(source: str, forwarded_for: str, proxies: int) -> str:
    """Returns the client of a request: its IPv4 address, or the /64 of its IPv6 address.

    Each proxy adds the address that it was called from at the end of ``X-Forwarded-For``. What stands before the
    entries of our own proxies is the client's claim, and is ignored.

    Args:
        source: the address that called the gateway, which the gateway may have added at the header's end, too.
        forwarded_for: the header ``X-Forwarded-For``.
        proxies: the number of our own proxies in front of the gateway; 0 ignores the header.
    """
    return _network(_client_address(source, forwarded_for, proxies))


def pseudonym(client: str) -> str:
    """Returns a mark by which the lines of one client are found in the log, without its address."""
    return sha256(f"client {client}")[:12]


def _client_address(source: str, forwarded_for: str, proxies: int) -> IpAddress | None:
    caller = _parse(source)
    if proxies < 1:
        return caller
    hops = [_parse(entry) for entry in forwarded_for.split(",")]
    if hops[-1] == caller:
        hops.pop()
    return (hops[-proxies] if len(hops) >= proxies else None) or caller


def _parse(text: str) -> IpAddress | None:
    """Returns the address of an entry; some proxies write its port behind it."""
    entry = text.strip()
    if entry.startswith("["):
        entry = entry[1:].partition("]")[0]
    elif entry.count(":") == 1:
        entry = entry.partition(":")[0]
    try:
        address = ipaddress.ip_address(entry.partition("%")[0])
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


def _network(address: IpAddress | None) -> str:
    if address is None:
        return UNKNOWN
    if address.version == 4:
        return str(address)
    return str(ipaddress.ip_network((address, IPV6_PREFIX), strict=False))
