"""A model of OpenAI: it answers after a while, with failures, and each text is different."""

import random
from collections.abc import Callable
from dataclasses import dataclass
from types import SimpleNamespace
from typing import TYPE_CHECKING

from chalicelib.errors import PermanentError, TransientError
from chalicelib.model import Assistant, ChatLine
from chalicelib.store.conversation.items import chat_key

if TYPE_CHECKING:
    from tests.simulation.cloud import Cloud

#: How many texts have two parts, or repeat what the contact wrote.
LONG, REPEATING = 0.08, 0.2


@dataclass
class Call:
    """A call of the model: the messages that it is for, and all that it was told."""

    turn: str
    tenant: str
    chat: str
    covers: tuple[str, ...]
    #: What it was told, by the role of the line.
    told: dict[str, tuple[str, ...]]
    #: It answered; a call that failed costs nothing.
    answered: bool = False


class OpenAi:
    """Replaces `chalicelib.llm.client.LlmClient`. A text begins with the name of the call that it was made in."""

    def __init__(self, cloud: "Cloud", chance: random.Random) -> None:
        #: By the text's beginning.
        self.calls: dict[str, Call] = {}
        #: Called as each call begins.
        self.on_call: Callable[[Call], None] = lambda call: None
        self._cloud = cloud
        self._chance = chance

    def check(self, api_key: str, assistant: Assistant, *, as_reply: bool = False) -> SimpleNamespace:
        """The daily check, which passes; it takes a moment."""
        self._cloud.pause(1.0)
        return SimpleNamespace(sentence="It works.", problem=None, transient=False, effort=None, ok=True)

    def shutdown_date(self, api_key: str, assistant: Assistant) -> str | None:
        return ""

    def list_models(self, api_key: str, assistant: Assistant) -> None:
        return None

    def reply(
        self, api_key: str, assistant: Assistant, lines: tuple[ChatLine, ...], *, tenant: str, chat: str, turn: str
    ) -> SimpleNamespace:
        cloud, chance = self._cloud, self._chance
        stored = cloud.table.partitions[chat_key(tenant, chat)][f"TURN#{turn}"]
        name = f"b{len(self.calls):04d}"
        told = {
            role: tuple(line.text for line in lines if line.role == role) for role in ("user", "assistant", "developer")
        }
        call = self.calls[name] = Call(turn, tenant, chat, tuple(stored["messages"]), told)
        self.on_call(call)
        fails = chance.random() < cloud.rates.openai_fails
        cloud.pause(chance.uniform(0.3, 4.0) + (chance.uniform(5, 40) if fails else 0.0))
        if fails:
            cloud.faults += 1
            if chance.random() < 0.1:
                raise PermanentError("refusal")
            raise TransientError("The model is busy.")
        call.answered = True
        kind, long = chance.random(), "long " * 500
        text = name
        if kind < LONG:
            text = f"{name} first {long}\n\n{name} second {long}"
        elif kind < LONG + REPEATING:
            text = f"{name} about {told['user'][-1]}"
        return SimpleNamespace(text=text, input_tokens=10, output_tokens=5, web_searches=0)
