"""WhatsApp's messages in the words of the wire: cut, cleaned, and refused if they make no sense."""

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from wire import TEXT_AT_MOST_BYTES, Message, MessageKind


def message_from(seen: Mapping[str, Any]) -> Message | None:
    """A message as ``bridge.js`` tells it, or ``None`` if it cannot be one."""
    try:
        return Message(
            id=seen["id"],
            chat=seen["chat"],
            chat_alias=seen.get("chat_alias"),
            phone=seen.get("phone"),
            sender=seen.get("sender"),
            from_me=seen["from_me"],
            sent_at_ms=int(seen["sent_at_s"]) * 1000,
            kind=MessageKind(seen["kind"]),
            text=cut(clean(str(seen.get("text") or ""))),
        )
    except (ValidationError, KeyError, TypeError, ValueError):
        return None


def clean(text: str) -> str:
    """Without NULs, and with lone surrogates replaced: neither survives every store and encoder on the way."""
    return text.replace("\0", "").encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def cut(text: str, at_most: int = TEXT_AT_MOST_BYTES) -> str:
    """At most so many bytes of UTF-8, never half a character."""
    return text.encode("utf-8")[:at_most].decode("utf-8", "ignore")
