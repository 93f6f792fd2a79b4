"""A message as it is stored, and the key that is unique in its chat."""

from dataclasses import dataclass, field, replace

from chalicelib.model.messages.skip_reason import SkipReason
from wire import Media, Message, MessageKind, Quote


@dataclass(frozen=True, slots=True)
class StoredMessage:
    """A message that a runner handed in. ``at`` orders a chat by the arrival at the control plane."""

    id: str
    chat: str
    sender: str | None
    from_me: bool
    kind: MessageKind
    #: typed text or caption, in the newest wording; empty once it is deleted, and where it is not kept
    text: str = field(repr=False)
    sent_at: int
    received_at: int
    at: str
    skipped: SkipReason | None = None
    #: finer than the kind, and the content of a structured message in words: see ``wire.Message``
    variant: str = ""
    summary: str = field(default="", repr=False)
    quote: Quote | None = field(default=None, repr=False)
    #: the name that its author shows
    author: str = field(default="", repr=False)
    mentions_us: bool = False
    media: Media | None = field(default=None, repr=False)
    #: grows with each edit, and when it is deleted
    version: int = 0
    #: WhatsApp's own time of the newest edit
    edited_at: int | None = None
    #: what copies of a deleted message say; empty once they are erased, too
    copies: tuple[str, ...] = field(default=(), repr=False)

    @property
    def key(self) -> str:
        """The key that is unique in its chat; the id alone is chosen by its sender."""
        return message_key(self.from_me, self.sender, self.id)


def message_key(from_me: bool, sender: str | None, id: str) -> str:
    """Returns the key of a message in its chat."""
    return f"{'me' if from_me else sender or 'contact'}#{id}"


def bare_key(message: Message | StoredMessage) -> str:
    """Returns the key of a message in a group whose author is not kept, because the line may not answer there."""
    return message_key(message.from_me, None, message.id)


def stored_message(
    message: Message, chat: str, *, at: str, skipped: SkipReason | None, keeps_content: bool, now: int
) -> StoredMessage:
    """Returns what is stored of a message that was handed in.

    Args:
        chat: the chat's first id.
        at: its arrival.
        keeps_content: if False, nothing is but its id, time, kind and reason.
    """
    bare = StoredMessage(
        id=message.id,
        chat=chat,
        sender=None,
        from_me=message.from_me,
        kind=message.kind,
        text="",
        sent_at=message.sent_at_ms,
        received_at=now,
        at=at,
        skipped=skipped,
    )
    if not keeps_content:
        return bare
    return replace(
        bare,
        sender=message.sender,
        text=message.text or message.caption,
        variant=message.variant,
        summary=message.summary,
        quote=message.quote,
        author=message.author,
        mentions_us=message.mentions_us,
        media=message.media,
        edited_at=message.edited_at_ms,
    )
