"""The entries of a journal, and how each stands in its line."""

from dataclasses import asdict, dataclass
from typing import Any

from wire import Message


@dataclass(frozen=True, slots=True)
class HandedIn:
    """An acknowledged message, as far as the journal keeps it."""

    chat: str
    second: int
    #: Empty in the journal of an earlier release.
    id: str = ""
    #: It could not be decrypted then.
    undecrypted: bool = False


@dataclass(frozen=True, slots=True)
class SentPart:
    """A part of a reply that WhatsApp's server has, and that is still to be reported to the control plane."""

    chat: str
    turn: str
    part: int
    message: str
    sent_at_ms: int


def waiting_entry(key: str, message: Message) -> dict[str, Any]:
    """Returns the entry of a message that waits."""
    return {"seen": key, "message": message.model_dump(mode="json", exclude_defaults=True)}


def acknowledged_entry(key: str, one: HandedIn) -> dict[str, Any]:
    """Returns the entry of a message that the control plane has."""
    entry = {"acknowledged": key, "chat": one.chat, "second": one.second, "id": one.id}
    return {**entry, "undecrypted": True} if one.undecrypted else entry


def sent_entry(part: SentPart) -> dict[str, Any]:
    """Returns the entry of a part that waits to be reported."""
    return {"sent": asdict(part)}
