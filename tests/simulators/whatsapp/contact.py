"""Somebody who writes to a line, and the owner's hand in that chat: everything that can happen in one chat."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable
from typing import Any

from tests.simulators.whatsapp.content import THUMBNAIL, Content, file_details
from tests.simulators.whatsapp.exchange import Exchange, new_message_id, now_ms
from tests.simulators.whatsapp.state import Account, Media, Message, Person
from tests.simulators.whatsapp.wire import contact_wire


class Contact:
    """Somebody who writes to the line, as they see the chat; and the owner's hand in it."""

    def __init__(self, exchange: Exchange, account: Account, person: Person) -> None:
        self.account = account
        self.person = person
        self._exchange = exchange

    @property
    def chat_id(self) -> str:
        """The id under which the line's devices know this chat."""
        return self.account.chat_wid(self.person)

    @property
    def mention_of_line(self) -> str:
        """What a member of this group writes to mention the line; its id belongs into the message's `mentions`."""
        return f"@{self.account.wid_of(self.account.number).partition('@')[0]}"

    # What the contact does

    def write(self, text: str, *, kind: str = "chat", **envelope: Any) -> Message:
        """Write to the line; `envelope` is what `send` takes."""
        return self.send(Content(kind, text), **envelope)

    def send(
        self,
        content: Content,
        *,
        author: str | None = None,
        author_name: str | None = None,
        quote: Message | str | None = None,
        mentions: Iterable[str] = (),
        details: dict[str, Any] | None = None,
        unreadable: bool = False,
        at: int | None = None,
        media: Media | None = None,
    ) -> Message:
        """Send anything to the line.

        Args:
            content: what it is (content.py).
            author: in a group, who wrote it: a number, or a whole id.
            author_name: the writer's push name.
            quote: the message it answers, or that message's id.
            mentions: numbers or ids; the text has to contain `@` and their user part, as a phone writes it.
            details: further attributes, under WhatsApp Web's names.
            unreadable: the devices cannot decrypt it until `decrypt`.
            at: when it was sent, in milliseconds; now if None.
            media: its file.
        """
        if author or self.person.kind in ("group", "status"):
            author = self.account.wid_of(author or "4915100000000")
            author_name = author_name or "Somebody"
        message = Message(
            new_message_id(),
            self.person.number,
            "contact",
            content.type,
            content.text,
            at or now_ms(),
            author=author,
            author_name=author_name,
            media=media,
            details=self._details(content, quote, mentions, details),
            unreadable=unreadable,
        )
        message.quoted = message.details.get("quotedStanzaID")
        self._exchange.receive(self.account, self.person, message)
        return message

    def send_media(
        self,
        data: bytes,
        mimetype: str,
        *,
        kind: str = "image",
        caption: str = "",
        filename: str | None = None,
        seconds: int | None = None,
        **envelope: Any,
    ) -> Message:
        """Send a file: kind is image, ptt (voice), audio, video, gif, ptv (a round video), document or sticker."""
        digest = base64.b64encode(hashlib.sha256(data).digest()).decode()
        self._exchange.world.media[digest] = data
        media = Media(hash=digest, mimetype=mimetype, size=len(data), seconds=seconds, thumbnail=THUMBNAIL)
        kind, caption, details = file_details(mimetype, kind, caption, filename)
        details |= envelope.pop("details", None) or {}
        return self.send(Content(kind, caption), media=media, details=details, **envelope)

    def edit(self, message: Message | str, text: str) -> Message:
        """Give a message of this chat, theirs or ours, other words; of a file, another caption."""
        edited = self._find(message)
        self._exchange.edit(self.account, self.person, edited, text)
        return edited

    def delete(self, message: Message | str, *, by_admin: bool = False) -> Message:
        """Delete a message of this chat for everyone; in a group, an administrator can delete others' messages."""
        deleted = self._find(message)
        self._exchange.revoke(self.account, self.person, deleted, by_admin=by_admin)
        return deleted

    def decrypt(self, message: Message | str) -> Message:
        """Let the devices read a message that they could not read."""
        found = self._find(message)
        self._exchange.decrypt(self.account, self.person, found)
        return found

    def typing(self, state: str = "composing") -> None:
        """Show the line that this contact is typing, recording, or has paused."""
        event = {"type": "chatstate", "chat": self.chat_id, "state": state}
        for device in self.account.devices:
            if page := self._exchange.pages.get(device):
                page.send(event)

    def read(self) -> None:
        """Read everything the line wrote."""
        self._exchange.receipt(self.account, self.person, 3)

    # What the contact sees

    def messages(self) -> list[Message]:
        """Return the whole chat in order."""
        return list(self.person.messages)

    def replies(self) -> list[Message]:
        """Return what the line's devices wrote (not what the owner typed on the phone)."""
        return [message for message in self.person.messages if message.origin == "device"]

    @property
    def line_state(self) -> str:
        """What the line is doing in this chat: composing, recording or paused."""
        return self._exchange.line_states.get((self.account.number, self.person.number), "paused")

    async def wait_for_reply(self, count: int = 1, timeout: float = 10) -> list[Message]:
        """Wait until the line has replied so many times; return the replies."""
        if not await self._exchange.until(lambda: len(self.replies()) >= count, timeout):
            raise TimeoutError(f"{len(self.replies())} of {count} replies to {self.person.number}")
        return self.replies()

    async def wait_for_line_state(self, state: str, timeout: float = 10) -> None:
        """Wait until the contact sees the line typing (or not any more)."""
        if not await self._exchange.until(lambda: self.line_state == state, timeout):
            raise TimeoutError(f"the line is {self.line_state}, not {state}")

    async def wait_until_read(self, timeout: float = 10) -> None:
        """Wait until the line has read everything this contact wrote."""
        if not await self._exchange.until(lambda: self.person.unread == 0, timeout):
            raise TimeoutError(f"{self.person.unread} messages of {self.person.number} are unread")

    # What the owner does in this chat, on the phone

    def owner_writes(
        self,
        text: str,
        *,
        quote: Message | str | None = None,
        mentions: Iterable[str] = (),
        details: dict[str, Any] | None = None,
        read: bool = True,
    ) -> Message:
        """The owner answers from the phone itself; a broadcast or an automatic answer leaves the chat unread."""
        message = Message(
            new_message_id(),
            self.person.number,
            "phone",
            "chat",
            text,
            now_ms(),
            details=self._details(Content("chat", text), quote, mentions, details),
        )
        message.quoted = message.details.get("quotedStanzaID")
        if read:
            self._exchange.mark_read(self.account, self.person, by=None)
        self._exchange.hand_over(self.account, self.person, message, sender=None)
        return message

    def phone_answers(self, text: str) -> Message:
        """The phone itself sends a greeting or an away message; nothing on it says so."""
        return self.owner_writes(text, read=False)

    def save(self, saved: bool = True, name: str | None = None) -> None:
        """The owner saves this contact in the phone, or removes it; the devices learn of it at once."""
        self.person.saved = saved
        self.person.name = name or self.person.name
        for device in self.account.devices:
            if (page := self._exchange.pages.get(device)) and (contact := contact_wire(self.person)):
                page.send({"type": "contact", "contact": contact})
        self._exchange.changed()

    def owner_reads(self) -> None:
        """The owner opens the chat on the phone."""
        self._exchange.mark_read(self.account, self.person, by=None)

    def _find(self, message: Message | str) -> Message:
        identifier = message if isinstance(message, str) else message.id
        found = self.person.find(identifier)
        if found is None:
            raise ValueError(f"no message {identifier!r} in this chat")
        return found

    def _details(
        self, content: Content, quote: Message | str | None, mentions: Iterable[str], details: dict[str, Any] | None
    ) -> dict[str, Any]:
        """Return the attributes of a type together with those that any message can have."""
        mentioned = [self.account.wid_of(mention) for mention in mentions]
        found = {**content.details, **({"mentionedJidList": mentioned} if mentioned else {})}
        if quote:
            found |= self._quotation(self._find(quote))
        return {**found, **(details or {})}

    def _quotation(self, quoted: Message) -> dict[str, Any]:
        """Return a copy of the quoted message as it is now, its id, and who wrote it: the three go together."""
        if quoted.from_me:
            participant = self.account.lid if self.account.chat_wid(self.person).endswith("@lid") else self.account.wid
            if self.person.kind == "group":
                participant = self.account.wid_of(self.account.number)
        else:
            participant = quoted.author or self.account.chat_wid(self.person)
        copy: dict[str, Any] = {"type": quoted.type, "body": quoted.text, **quoted.details}
        if quoted.media:
            copy |= {"body": quoted.media.thumbnail, "caption": quoted.text, "mimetype": quoted.media.mimetype}
        for name in ("quotedMsg", "quotedStanzaID", "quotedParticipant", "mentionedJidList"):
            copy.pop(name, None)
        return {"quotedMsg": copy, "quotedStanzaID": quoted.id, "quotedParticipant": participant}
