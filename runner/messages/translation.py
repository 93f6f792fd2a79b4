"""The translation of WhatsApp's messages into wire messages: validates, sanitizes and truncates them."""

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from wire import MAX_TEXT_BYTES, Message, MessageKind


def message_from(seen: Mapping[str, Any]) -> Message | None:
    """Returns the wire message of one that ``bridge.js`` read, or ``None`` if it is not valid."""
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
            text=truncate(sanitize(str(seen.get("text") or ""))),
        )
    except (ValidationError, KeyError, TypeError, ValueError):
        return None


def sanitize(text: str) -> str:
    """Removes NULs and replaces lone surrogates: neither survives every store and encoder on the way."""
    return text.replace("\0", "").encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def truncate(text: str, max_bytes: int = MAX_TEXT_BYTES) -> str:
    """Shortens a text to ``max_bytes`` of UTF-8, and never splits a character."""
    return text.encode("utf-8")[:max_bytes].decode("utf-8", "ignore")
