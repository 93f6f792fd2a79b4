"""The outcome of every message, evaluated from the phones and the table. Pure."""

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Written:
    """A message that a contact wrote; the mark is in its text, and in its reply."""

    tenant: str
    contact: str
    id: str
    mark: str
    at: float = 0.0


@dataclass(frozen=True)
class Stored:
    """A message of a contact in the table."""

    tenant: str
    chat: str
    id: str
    key: str
    skipped: str | None


@dataclass(frozen=True)
class TurnRecord:
    """A turn in the table."""

    tenant: str
    chat: str
    id: str
    state: str
    messages: tuple[str, ...]
    parts: tuple[str, ...]
    at: str
    reason: str = ""


@dataclass(frozen=True)
class Bubble:
    """A bubble of a line's device, as the phone shows it, in its order."""

    tenant: str
    contact: str
    id: str
    text: str


@dataclass
class Verdict:
    """The figures, and for each bad one the marks or ids that lead to it."""

    written: int = 0
    stored: int = 0
    answered: int = 0
    #: with a reason, by reason
    skipped: Counter[str] = field(default_factory=Counter)
    #: delivered to a browser, never handed in
    lost: list[str] = field(default_factory=list)
    unanswered: list[str] = field(default_factory=list)
    duplicated: list[str] = field(default_factory=list)
    out_of_order: list[str] = field(default_factory=list)

    @property
    def is_settled(self) -> bool:
        """True if no message that was handed in waits any more."""
        return not self.unanswered


def evaluate(
    written: Iterable[Written], stored: Iterable[Stored], turns: Iterable[TurnRecord], bubbles: Iterable[Bubble]
) -> Verdict:
    """Evaluates the rule: every message handed in is answered once, or skipped with a reason."""
    verdict = Verdict()
    by_id = {(message.tenant, message.id): message for message in stored}
    covering: dict[tuple[str, str, str], list[TurnRecord]] = defaultdict(list)
    by_part: dict[tuple[str, str], TurnRecord] = {}
    for turn in turns:
        for key in turn.messages:
            covering[turn.tenant, turn.chat, key].append(turn)
        by_part.update({(turn.tenant, part): turn for part in turn.parts})
    shown: dict[tuple[str, str], list[Bubble]] = defaultdict(list)
    for bubble in bubbles:
        shown[bubble.tenant, bubble.contact].append(bubble)
    for message in written:
        verdict.written += 1
        found = by_id.get((message.tenant, message.id))
        if found is None:
            verdict.lost.append(message.mark)
            continue
        verdict.stored += 1
        chat = shown[message.tenant, message.contact]
        _evaluate_message(verdict, message, found, covering[found.tenant, found.chat, found.key], chat)
    for chat in shown.values():
        _evaluate_chat(verdict, chat, by_part)
    return verdict


def _evaluate_message(
    verdict: Verdict, message: Written, found: Stored, turns: list[TurnRecord], chat: list[Bubble]
) -> None:
    ids = {bubble.id for bubble in chat}
    sent = [turn for turn in turns if turn.state == "sent" and turn.parts and set(turn.parts) <= ids]
    quoted = sum(message.mark in bubble.text for bubble in chat)
    if len(sent) > 1 or quoted > 1:
        verdict.duplicated.append(message.mark)
    if sent:
        verdict.answered += 1
        if quoted == 0:
            verdict.unanswered.append(f"{message.mark} (its reply speaks of something else)")
    elif found.skipped is not None:
        verdict.skipped[found.skipped] += 1
    elif turns and all(turn.state == "discarded" for turn in turns):
        verdict.skipped[turns[-1].reason or "?"] += 1
    else:
        states = ", ".join(f"{turn.id} {turn.state} {turn.reason}".strip() for turn in turns) or "no turn"
        verdict.unanswered.append(f"{message.mark} ({states})")


def _evaluate_chat(verdict: Verdict, chat: list[Bubble], by_part: dict[tuple[str, str], TurnRecord]) -> None:
    """Checks that each bubble belongs to a turn, is there once, and has the place of its turn."""
    seen: set[str] = set()
    newest = ""
    for bubble in chat:
        turn = by_part.get((bubble.tenant, bubble.id))
        if bubble.id in seen or turn is None:
            verdict.duplicated.append(f"{bubble.tenant} {bubble.id}")
        seen.add(bubble.id)
        if turn is not None:
            if turn.at < newest:
                verdict.out_of_order.append(f"{bubble.tenant} {turn.id}")
            newest = max(newest, turn.at)
