"""The lines of a chat as the model reads them. Pure."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Literal

from chalicelib.model.conversation import Turn, TurnState
from chalicelib.model.messages.message import StoredMessage
from chalicelib.model.messages.skip_reason import SkipReason

#: The model reads at most so much of a chat, the newest lines first.
MAX_HISTORY_CHARACTERS = 60_000


@dataclass(frozen=True, slots=True)
class ChatLine:
    """A line of a chat's history for the model."""

    role: Literal["user", "assistant"]
    text: str = field(repr=False)


def history(
    messages: Iterable[StoredMessage], turns: Iterable[Turn], waiting: Sequence[StoredMessage], depth: int
) -> tuple[ChatLine, ...]:
    """Returns the last ``depth`` lines before the waiting messages, followed by these."""
    waiting_keys = {message.key for message in waiting}
    lines: list[tuple[str, ChatLine]] = []
    for message in messages:
        if message.key in waiting_keys or not message.text.strip():
            continue
        if message.skipped in (SkipReason.BROADCAST, SkipReason.NOT_DECRYPTED):
            continue
        lines.append((message.at + "#0", ChatLine("assistant" if message.from_me else "user", message.text)))
    for turn in turns:
        if turn.state in (TurnState.SENT, TurnState.SENDING):
            lines.append((turn.at + "#1", ChatLine("assistant", "\n\n".join(turn.parts))))
    lines.sort(key=lambda line: line[0])
    before = [line for _, line in lines[-depth:]] if depth else []
    return _last_lines([*before, *(ChatLine("user", message.text) for message in waiting)])


def _last_lines(lines: Sequence[ChatLine]) -> tuple[ChatLine, ...]:
    """Returns the last lines that fit into MAX_HISTORY_CHARACTERS, which bounds the tokens that a contact can cost."""
    room = MAX_HISTORY_CHARACTERS
    kept: list[ChatLine] = []
    for line in reversed(lines):
        if room <= 0:
            break
        kept.append(line if len(line.text) <= room else ChatLine(line.role, line.text[-room:]))
        room -= len(line.text)
    return tuple(reversed(kept))
