"""Checks the public address: the reader of a mail must be able to open its links."""

import ipaddress
from typing import Final
from urllib.parse import urlsplit

#: The path of the API's stage, which its own address has.
STAGE_PATH: Final = "api"
#: Last labels of host names that resolve only inside one network.
LOCAL_NAMES: Final = frozenset({"localhost", "local", "internal", "lan", "home", "localdomain", "test", "invalid"})


def unfit_reason(address: str, *, allow_local: bool = False) -> str | None:
    """Returns the reason, a phrase, why readers outside cannot open this address; None if they can.

    Args:
        allow_local: accepts HTTP and private hosts, for readers at this machine.
    """
    try:
        parts = urlsplit(address)
        host, _ = parts.hostname or "", parts.port
    except ValueError:
        return "it is not an address"
    if not address.isascii() or not address.isprintable() or " " in address or parts.username is not None or not host:
        return "it is not an address like https://line.example.com"
    if parts.scheme not in (("https", "http") if allow_local else ("https",)):
        return "it does not begin with https://"
    if not allow_local and _is_local(host):
        return "it leads to a loopback or private host"
    return None


def unfit_path(address: str) -> str | None:
    """Returns the reason, a sentence or two, why no link may begin with this address although its host is fit.

    The path of the API's stage is the only one: what a proxy maps from another one, the pages and their cookies do
    not know.
    """
    parts = urlsplit(address)
    if parts.path.strip("/") in ("", STAGE_PATH) and not {"?", "#"} & set(address):
        return None
    return (
        "it has a path: links in mails would not work. Give Answerline a host name of its own, and as BASE_URL only "
        f"that: {parts.scheme}://{parts.netloc}."
    )


def _is_local(host: str) -> bool:
    host = host.rstrip(".").lower()
    try:
        return not ipaddress.ip_address(host).is_global
    except ValueError:
        pass
    # Browsers read 127.1, 0x7f000001 and 2130706433 as IP addresses; no public name ends in a number.
    last = host.rpartition(".")[2]
    return "." not in host or last in LOCAL_NAMES or last.isdigit() or last.startswith("0x")
