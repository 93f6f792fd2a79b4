"""Own texts that came soon after a contact's message: which are automatic, and what an operator says of them.

A text is a ``SEEN_TEXT`` (hashes and counts only) until it is recognised; then an ``AUTOMATIC_TEXT`` has its wording.
"""

from dataclasses import replace
from datetime import timedelta
from typing import Any, Final

from chalicelib.errors import Conflict, NotFound
from chalicelib.model import Event, EventKind, milliseconds
from chalicelib.model.messages.automatic_messages import SeenText, TextMark, see_again
from chalicelib.store.records.reader import each, one, readable, value_of
from chalicelib.store.table import Attr, ConditionFailed, Item, Table, Update
from chalicelib.store.timeline import Timeline, seconds

#: A tenant's recognised texts: beyond these, the ones seen least recently go; those that an operator marked go last.
MAX_TEXTS: Final = 50
#: A marked text is kept for so long after it was last seen: it is the operator's decision, about the owner's own words.
MARKED_KEPT_FOR: Final = timedelta(days=400)
#: A sighting that lost a race to another is recorded again, so many times at most.
MAX_RACES: Final = 5


class AutomaticTexts:
    """The texts of all tenants.

    Args:
        table: the one table.
        timeline: records each mark.
    """

    def __init__(self, table: Table, timeline: Timeline) -> None:
        self._table = table
        self._timeline = timeline

    def get(self, tenant: str, fingerprint: str, *, now: int) -> SeenText | None:
        """Returns the text, recognised or not; None if it was not seen, or not for long."""
        for prefix in ("AUTOMATIC_TEXT", "SEEN_TEXT"):
            item = self._table.get(f"TENANT#{tenant}", f"{prefix}#{fingerprint}")
            text = one(item, _text_from)
            if item is not None and text is not None and _is_kept(item, now):
                return text
        return None

    def recognised(self, tenant: str, *, now: int) -> list[SeenText]:
        """Returns the recognised texts that can be read, the one seen last first."""
        items = self._table.query(f"TENANT#{tenant}", begins_with="AUTOMATIC_TEXT#")
        texts = each((item for item in items if _is_kept(item, now)), _text_from)
        return sorted(texts, key=lambda text: text.last_seen, reverse=True)

    def record(
        self, tenant: str, fingerprint: str, *, chat: str, text: str, retention: timedelta, now: int
    ) -> SeenText | None:
        """Records one more sighting, and returns the text; None if others recorded theirs all the time.

        Args:
            chat: the hash of the chat.
            text: the wording if the message is automatic, otherwise empty: it is not kept.
        """
        for _ in range(MAX_RACES):
            known = self.get(tenant, fingerprint, now=now)
            seen = see_again(known, fingerprint, chat=chat, text=text, now=now)
            is_new = bool(seen.text) and (known is None or not known.text)
            try:
                self._write(tenant, None if is_new else known, seen, retention, now)
            except ConditionFailed:
                continue
            if is_new:
                self._drop_surplus(tenant, now)
            return seen
        return None

    def mark(
        self, tenant: str, fingerprint: str, mark: TextMark | None, *, retention: timedelta, now: int, by: str
    ) -> None:
        """Stores the operator's mark of a recognised text, or takes it back.

        Raises NotFound for a text that is not recognised, and Conflict if it is seen again and again meanwhile.
        """
        event = self._timeline.write_of(Event(tenant, now, EventKind.EDITED, "automatic_texts", by))
        for _ in range(MAX_RACES):
            known = self.get(tenant, fingerprint, now=now)
            if known is None or not known.text:
                raise NotFound
            marked = replace(known, mark=mark)
            marking = Update(
                *_key_of(tenant, known),
                set={"mark": mark, "expires_at": _expiry(marked, retention)},
                when=Attr("last_seen").eq(known.last_seen) & Attr("text").exists(),
            )
            try:
                self._table.transact(marking, event)
            except ConditionFailed:
                continue
            return
        raise Conflict

    def _write(self, tenant: str, known: SeenText | None, seen: SeenText, retention: timedelta, now: int) -> None:
        """Writes a sighting if the text is as it was read; ``mark`` is the operator's alone."""
        missing = Attr("pk").not_exists() | Attr("expires_at").lt(seconds(now))
        changes: dict[str, Any] = {
            "chats": sorted(seen.chats),
            "seen": seen.seen,
            "first_seen": seen.first_seen,
            "last_seen": seen.last_seen,
            "text": seen.text or None,
            "expires_at": _expiry(seen, retention),
        }
        if known is None:
            self._table.update(Update(*_key_of(tenant, seen), set={**changes, "mark": None}, when=missing))
            return
        marked = Attr("mark").not_exists() if known.mark is None else Attr("mark").exists()  # the expiry depends on it
        self._table.update(Update(*_key_of(tenant, seen), set=changes, when=Attr("seen").eq(known.seen) & marked))

    def _drop_surplus(self, tenant: str, now: int) -> None:
        """Drops the texts beyond MAX_TEXTS, unless they were seen a moment ago: they expire, and lose their wording."""
        texts = sorted(self.recognised(tenant, now=now), key=lambda text: (text.mark is None, -text.last_seen))
        for text in texts[MAX_TEXTS:]:
            dropping = Update(
                *_key_of(tenant, text),
                set={"expires_at": seconds(now) - 1},
                remove=("text",),
                when=Attr("last_seen").eq(text.last_seen),
            )
            try:
                self._table.update(dropping)
            except ConditionFailed:
                continue


def _key_of(tenant: str, text: SeenText) -> tuple[str, str]:
    return f"TENANT#{tenant}", f"{'AUTOMATIC_TEXT' if text.text else 'SEEN_TEXT'}#{text.fingerprint}"


def _expiry(text: SeenText, retention: timedelta) -> int:
    return seconds(text.last_seen + milliseconds(retention if text.mark is None else MARKED_KEPT_FOR))


def _is_kept(item: Item, now: int) -> bool:
    expires_at = item.get("expires_at")
    return isinstance(expires_at, int) and expires_at >= seconds(now)


@readable
def _text_from(item: Item) -> SeenText:
    return value_of(
        SeenText,
        fingerprint=item["sk"].partition("#")[2],
        chats=item["chats"],
        seen=item["seen"],
        first_seen=item["first_seen"],
        last_seen=item["last_seen"],
        text=item.get("text", ""),
        mark=TextMark(item["mark"]) if "mark" in item else None,
    )
