"""The client of a request: behind how many proxies, with which kinds of addresses."""

import pytest

from chalicelib.web.client_address import client_of

PROXY, OWNER, FORGED = "198.51.100.9", "203.0.113.7", "192.0.2.66"


@pytest.mark.parametrize(
    ("source", "header", "proxies", "client"),
    [
        # no proxy of ours: the header is a claim
        (OWNER, "", 0, OWNER),
        (OWNER, FORGED, 0, OWNER),
        (OWNER, f"{FORGED}, {OWNER}", 0, OWNER),
        # one proxy; the gateway may add the address that called it
        (PROXY, OWNER, 1, OWNER),
        (PROXY, f"{OWNER}, {PROXY}", 1, OWNER),
        (PROXY, f"{FORGED}, {OWNER}, {PROXY}", 1, OWNER),
        (PROXY, f"{FORGED},{FORGED},{OWNER}", 1, OWNER),
        (PROXY, f"not an address, {OWNER}, {PROXY}", 1, OWNER),
        # two proxies
        (PROXY, f"{OWNER}, 198.51.100.8, {PROXY}", 2, OWNER),
        (PROXY, f"{FORGED}, {OWNER}, 198.51.100.8", 2, OWNER),
        # fewer entries than proxies, or none that is an address: the caller counts
        (PROXY, "", 1, PROXY),
        (PROXY, PROXY, 1, PROXY),
        (PROXY, "unknown", 1, PROXY),
        (PROXY, OWNER, 2, PROXY),
        # how proxies write addresses
        (PROXY, f"{OWNER}:51234, {PROXY}", 1, OWNER),
        (PROXY, "[2001:db8:1:2::7]:51234", 1, "2001:db8:1:2::/64"),
        (PROXY, "2001:db8:1:2:3:4:5:6", 1, "2001:db8:1:2::/64"),
        (PROXY, "::ffff:203.0.113.7", 1, OWNER),
        # the networks of IPv6
        ("2001:db8:1:2::1", "", 0, "2001:db8:1:2::/64"),
        ("2001:DB8:1:2:ffff:ffff:ffff:ffff", "", 0, "2001:db8:1:2::/64"),
        ("2001:db8:1:3::1", "", 0, "2001:db8:1:3::/64"),
        ("fe80::1%eth0", "", 0, "fe80::/64"),
        ("::ffff:203.0.113.7", "", 0, OWNER),
        ("", "", 0, "unknown"),
        ("nonsense", FORGED, 0, "unknown"),
    ],
)
def test_a_client_is_its_address_or_its_network(source: str, header: str, proxies: int, client: str) -> None:
    assert client_of(source, header, proxies) == client


def test_all_addresses_of_one_network_are_one_client() -> None:
    assert len({client_of(f"2001:db8:1:2::{host:x}", "", 0) for host in range(300)}) == 1
