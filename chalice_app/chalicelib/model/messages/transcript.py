"""The lines of a chat as the model reads them. Pure."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Literal

from chalicelib.model.conversation import Turn, TurnState
from chalicelib.model.messages.contents import describe, on_one_line
from chalicelib.model.messages.message import StoredMessage
from chalicelib.model.messages.skip_reason import SkipReason
from chalicelib.model.messages.token_estimate import estimate_tokens, last_tokens

#: The model reads at most so much of a chat, the newest lines first: it bounds what a contact can cost.
MAX_HISTORY_TOKENS = 15_000
#: Not read by the model: their text is not known, or not any more.
UNREADABLE = (SkipReason.NOT_DECRYPTED, SkipReason.NEVER_DECRYPTED, SkipReason.DELETED)


class Writer(StrEnum):
    """The writer of a line."""

    CONTACT = "contact"  #: the contact, or a member of the group
    MODEL = "model"  #: the model: a reply of the line
    PERSON = "person"  #: a person of the business, from the phone
    APP = "app"  #: the WhatsApp Business app by itself: a greeting or away message
    SYSTEM = "system"  #: Answerline: facts beside the instructions


@dataclass(frozen=True, slots=True)
class ChatLine:
    """A line of a chat's history for the model."""

    role: Literal["user", "assistant", "developer"]
    text: str = field(repr=False)
    writer: Writer = Writer.CONTACT
    #: a message that is to be answered: it stays where a request has to become shorter
    waiting: bool = field(default=False, compare=False)


def history(
    messages: Iterable[StoredMessage],
    turns: Iterable[Turn],
    waiting: Sequence[StoredMessage],
    depth: int,
    *,
    since: int = 0,
) -> tuple[ChatLine, ...]:
    """Returns the last ``depth`` lines before the waiting messages, followed by these.

    Args:
        since: WhatsApp time, in epoch milliseconds: earlier lines belong to another account.
    """
    waiting_keys = {message.key for message in waiting}
    lines: list[tuple[str, ChatLine]] = []
    for message in messages:
        if message.key not in waiting_keys and _is_read(message) and message.sent_at >= since:
            lines.append((message.at + "#0", _line(message)))
    for turn in turns:
        if turn.oldest_sent_at >= since and (text := _reply(turn)):
            lines.append((turn.at + "#1", ChatLine("assistant", text, Writer.MODEL)))
    lines.sort(key=lambda line: line[0])
    written = [line for _, line in lines if line.text]
    before = written[-depth:] if depth else []
    return _last_lines([*before, *(replace(line, waiting=True) for line in map(_line, waiting) if line.text)])


def _reply(turn: Turn) -> str:
    """Returns what the contact reads of a turn, or will read once it is sent."""
    if turn.state in (TurnState.SENT, TurnState.SENDING):
        return turn.markdown or "\n\n".join(turn.parts)
    ended_early = turn.state is TurnState.DISCARDED and turn.reason == SkipReason.NOT_ACCEPTED
    return "\n\n".join(turn.parts[: turn.cursor]) if ended_early else ""


def _is_read(message: StoredMessage) -> bool:
    """False for what the line may not answer, too: an earlier release kept its text."""
    return message.skipped is None or (message.skipped.keeps_content and message.skipped not in UNREADABLE)


def _line(message: StoredMessage) -> ChatLine:
    text = describe(message)
    if message.from_me:
        return ChatLine("assistant", text, Writer.APP if message.skipped is SkipReason.AUTOMATIC else Writer.PERSON)
    if message.sender is None or not text:
        return ChatLine("user", text)
    return ChatLine("user", f"{on_one_line(message.author) or 'A member of the group'}: {text}")


def _last_lines(lines: Sequence[ChatLine]) -> tuple[ChatLine, ...]:
    """Returns the last lines that fit into MAX_HISTORY_TOKENS; the oldest of them may lose its beginning."""
    room = MAX_HISTORY_TOKENS
    kept: list[ChatLine] = []
    for line in reversed(lines):
        if room <= 0:
            break
        tokens = estimate_tokens(line.text)
        kept.append(line if tokens <= room else replace(line, text=last_tokens(line.text, room)))
        room -= tokens
    return tuple(reversed(kept))
