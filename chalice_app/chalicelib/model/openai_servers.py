"""The servers that may answer for a tenant: OpenAI's regions, and those that the operator of this installation lists.

An address is never typed into a form: a form offers the regions and the list, so no tenant can make Answerline call an
address inside its own network.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from chalicelib.model.public_address import unfit_reason

#: The name of OpenAI without a region, which most projects are in.
GLOBAL: Final = "global"
#: The regions by the names that an assistant stores. A project of OpenAI with data residency answers only in its own.
REGIONS: Final[Mapping[str, str]] = {
    GLOBAL: "https://api.openai.com/v1",
    "eu": "https://eu.api.openai.com/v1",
    "us": "https://us.api.openai.com/v1",
}
REGION_LABELS: Final[Mapping[str, str]] = {
    GLOBAL: "OpenAI, global",
    "eu": "OpenAI, EU (projects with data residency there)",
    "us": "OpenAI, US (projects with data residency there)",
}
OPENAI_HOST: Final = "api.openai.com"


@dataclass(frozen=True, slots=True)
class Server:
    """A server with OpenAI's Responses API."""

    #: the name that an assistant stores
    name: str
    #: including ``/v1``
    base_url: str

    @property
    def host(self) -> str:
        """The host, for sentences."""
        return urlsplit(self.base_url).hostname or self.base_url

    @property
    def compatible(self) -> bool:
        """True if this is not OpenAI: it lacks some of OpenAI's parameters and tools."""
        return self.name not in REGIONS and not _is_openai(self.base_url)

    @property
    def label(self) -> str:
        """The name in sentences."""
        return self.host if self.compatible else "OpenAI"


def find_server(name: str | None, listed: Sequence[str], openai: str = REGIONS[GLOBAL]) -> Server | None:
    """Returns the server of this name; None if the operator lists it no more.

    Args:
        listed: the addresses of compatible servers.
        openai: the address that stands for OpenAI here. One that is not OpenAI's own stands for it in every region.
    """
    name = name or GLOBAL
    if name in REGIONS:
        own = name != GLOBAL and _is_openai(openai)
        return Server(name, REGIONS[name] if own else openai)
    return Server(name, name) if name in listed else None


def server_labels(listed: Sequence[str]) -> dict[str, str]:
    """Returns what a form offers: the name of each server, and how people read it."""
    others = {address: Server(address, address).host for address in listed if address not in REGIONS}
    return {**REGION_LABELS, **others}


def parse_servers(text: str) -> tuple[str, ...]:
    """Returns the addresses of the operator's list, which spaces or commas separate."""
    return tuple(dict.fromkeys(each.rstrip("/") for each in text.replace(",", " ").split()))


def unfit_servers(text: str) -> str | None:
    """Returns the reason, a phrase, why a list of servers on the internet cannot be used; None if it can."""
    for address in parse_servers(text):
        reason = unfit_reason(address)
        if reason is None and (urlsplit(address).query or urlsplit(address).fragment):
            reason = "it has a query or a fragment"
        if reason is not None:
            return f"{address}: {reason}"
    return None


def _is_openai(address: str) -> bool:
    host = urlsplit(address).hostname or ""
    return host == OPENAI_HOST or host.endswith(f".{OPENAI_HOST}")
