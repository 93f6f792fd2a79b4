"""Recognises a reply of the line that the table knows nothing of, because it went back in time. Pure."""

from collections.abc import Iterable

from chalicelib.model.conversation import Chat, reply_id
from chalicelib.model.messages.message import StoredMessage


def is_forgotten_reply(chat: Chat, before: Iterable[StoredMessage], id: str, parts: int) -> bool:
    """Returns whether the line sent this own message, though it knows no turn of it: the table went back in time.

    The id of a reply follows from the first message that it answers, and nobody else makes such an id.

    Args:
        before: messages of the chat that were handed in before, in which that one is.
        parts: the parts that a reply has at most.
    """
    seeds = {
        f"{message.key}|{version}" if version else message.key
        for message in before
        if not message.from_me
        for version in range(message.version + 1)
    }
    return any(reply_id(chat.tenant, f"{chat.id}|{seed}", part) == id for seed in seeds for part in range(parts))
