"""The translation of WhatsApp's messages into wire messages: validates, sanitizes and truncates them."""

import re
import unicodedata
from collections.abc import Callable, Mapping
from typing import Any

from pydantic import ValidationError

from wire import MAX_QUOTE_CHARACTERS, MAX_TEXT_BYTES, Message

#: A message without one of these cannot be carried.
REQUIRED = frozenset({"id", "chat", "from_me", "sent_at_ms", "kind"})
MAX_NAME_LENGTH = 200
MAX_SUMMARY_BYTES = 16_384
#: ``49170:5@c.us`` is the fifth device of ``49170@c.us``.
DEVICE = re.compile(r"(?:\.\d+)?:\d+(?=@|$)")


def message_from(seen: Mapping[str, Any], on_odd: Callable[[str], None] = lambda field: None) -> Message | None:
    """Returns the wire message of one that the page's scripts read, or ``None`` if it cannot be carried.

    An optional field that is out of bounds is left out. ``on_odd`` is called with the name of each such field, also of
    the one that makes the message impossible; never with its value.
    """
    fields = {**seen, **_sanitized(seen)}
    while True:
        try:
            return Message.model_validate(fields)
        except ValidationError as error:
            locations = [tuple(str(step) for step in one["loc"]) for one in error.errors()]
        for location in locations:
            on_odd(".".join(location))
        if any(location[0] in REQUIRED for location in locations):
            return None
        for location in locations:
            _remove(fields, location)


def _sanitized(seen: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the fields that need more than validation."""
    seconds = seen.get("sent_at_s")
    return {
        "sent_at_ms": seconds * 1000 if isinstance(seconds, int) else None,
        **{name: _without_device(seen.get(name)) for name in ("chat", "chat_alias", "phone", "sender")},
        **{name: _text(seen.get(name), MAX_TEXT_BYTES) for name in ("text", "caption")},
        "summary": _text(seen.get("summary"), MAX_SUMMARY_BYTES),
        **{name: _name(seen.get(name)) for name in ("variant", "author")},
        "media": _changed(seen.get("media"), mime=_name, file_name=_name),
        "quote": _changed(seen.get("quote"), sender=_without_device, text=_quoted),
        **{name: bool(seen.get(name)) for name in ("mentions_us", "deleted", "automatic") if seen.get(name) is None},
    }


def _changed(value: Any, **changes: Any) -> Any:
    if not isinstance(value, Mapping):
        return value
    return {**value, **{name: change(value.get(name)) for name, change in changes.items()}}


def _text(value: Any, max_bytes: int) -> Any:
    if value is None:
        return ""
    return truncate(sanitize(value), max_bytes) if isinstance(value, str) else value


def _quoted(value: Any) -> Any:
    return sanitize(value)[:MAX_QUOTE_CHARACTERS] if isinstance(value, str) else value or ""


def _name(value: Any) -> Any:
    """Returns a name on one line, without control characters."""
    if not isinstance(value, str):
        return "" if value is None else value
    letters = (" " if unicodedata.category(letter) in {"Cc", "Zl", "Zp"} else letter for letter in sanitize(value))
    return " ".join("".join(letters).split())[:MAX_NAME_LENGTH]


def _without_device(value: Any) -> Any:
    return DEVICE.sub("", value) if isinstance(value, str) else value


def _remove(fields: dict[str, Any], location: tuple[str, ...]) -> None:
    """Removes the field at this place of the nested fields; one that holds nothing at all is None then."""
    *outer, last = location
    for step in outer:
        fields = fields[step]
    fields.pop(last, None)


def sanitize(text: str) -> str:
    """Removes NULs and replaces lone surrogates: neither survives every store and encoder on the way."""
    return text.replace("\0", "").encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def truncate(text: str, max_bytes: int = MAX_TEXT_BYTES) -> str:
    """Shortens a text to ``max_bytes`` of UTF-8, and never splits a character."""
    return text.encode("utf-8")[:max_bytes].decode("utf-8", "ignore")
